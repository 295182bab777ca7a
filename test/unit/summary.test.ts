import { describe, expect, it } from 'vitest';
import type { RequestRecord } from '../../src/core/record.ts';
import type { LevelReport } from '../../src/core/report.ts';
import type { SlosMs } from '../../src/core/slo.ts';
import { summarizeLevel } from '../../src/core/summary.ts';
import { steadyWindow } from '../../src/core/window.ts';
import golden from '../fixtures/golden-streams.json' with { type: 'json' };
import { makeRecord } from '../fixtures/records.ts';

function summarize(
  records: readonly RequestRecord[],
  change: { concurrency?: number; gpus?: number; slosMs?: SlosMs } = {},
): LevelReport {
  return summarizeLevel({
    point: 0,
    concurrency: change.concurrency ?? 1,
    isl: 100,
    osl: 3,
    status: 'complete',
    records,
    gpus: change.gpus ?? null,
    ...(change.slosMs === undefined ? {} : { slosMs: change.slosMs }),
    connections: { opened: 0, meanMs: null, maxMs: null },
    witness: null,
    audit: null,
    validity: { verdict: 'valid', reasons: [] },
  });
}

describe('summarizeLevel', () => {
  it('agrees with the golden vector of five streams', () => {
    const level = summarize(
      golden.requests.map((request) =>
        makeRecord({
          sentAtMs: request.start * 1_000,
          gapsMs: [request.ttft, ...request.itl].map((s) => s * 1_000),
        }),
      ),
    );
    const { expected } = golden;
    expect(level.ttftMs.mean).toBeCloseTo(expected.mean_ttft_ms, 6);
    expect(level.ttftMs.std).toBeCloseTo(expected.std_ttft_ms, 6);
    expect(level.ttftMs.p50).toBeCloseTo(expected.median_ttft_ms, 6);
    expect(level.ttftMs.p90).toBeCloseTo(expected.p90_ttft_ms, 6);
    expect(level.ttftMs.p99).toBeCloseTo(expected.p99_ttft_ms, 6);
    expect(level.itlMs.mean).toBeCloseTo(expected.mean_itl_ms, 6);
    expect(level.itlMs.std).toBeCloseTo(expected.std_itl_ms, 6);
    expect(level.itlMs.max).toBeCloseTo(expected.max_itl_ms, 6);
    expect(level.itlMs.p50).toBeCloseTo(expected.median_itl_ms, 1);
  });

  it('counts measured requests that were sent a second time', () => {
    const level = summarize([
      makeRecord({ resent: true }),
      makeRecord({}),
      makeRecord({ resent: true, outcome: 'reset', detail: 'x', gapsMs: [] }),
      makeRecord({ resent: true, phase: 'warmup' }),
      makeRecord({ resent: true, phase: 'hold' }),
    ]);
    expect(level.requests).toMatchObject({ sent: 3, good: 2, resent: 2 });
    expect(summarize([makeRecord({})]).requests.resent).toBe(0);
  });

  it('computes throughput from first send to last end, of good requests alone', () => {
    const level = summarize(
      [
        makeRecord({ sentAtMs: 1_000, gapsMs: [500, 100, 100] }),
        makeRecord({ sentAtMs: 1_200, gapsMs: [600, 100, 100] }),
        makeRecord({
          sentAtMs: 1_300,
          endAtMs: 3_000,
          outcome: 'truncated',
          detail: 'cut',
          gapsMs: [100, 100],
          osl: { asked: 3, counted: null, by: 'none' },
        }),
      ],
      { gpus: 4 },
    );
    expect(level).toMatchObject({
      durationS: 2,
      requests: { sent: 3, good: 2, failed: 1 },
      requestsPerS: 1,
      outputTokensPerS: 3,
      outputTokensPerSPerGpu: 0.75,
      inputTokensPerS: 100,
      totalTokensPerS: 103,
      wastedOutputTokens: 2,
    });
    expect(level.failureRatio).toBeCloseTo(1 / 3);
    expect(level.failures).toEqual({ truncated: { count: 1, first: 'cut' } });
    expect(level.e2eMs).toMatchObject({ count: 2, min: 700, max: 800 });
    expect(level.achievedConcurrency).toBeCloseTo((700 + 800 + 1_700) / 2_000);
  });

  it('shares a gap among the tokens that its chunk carried', () => {
    // Seven tokens in three chunks: MTP sends 1, then 3, then 3.
    const level = summarize([makeRecord({ gapsMs: [100, 30, 60], tokens: [1, 3, 3] })]);
    expect(level.itlMs).toMatchObject({ count: 2, mean: 45 });
    expect(level.tokenItlMs).toMatchObject({ count: 6, mean: 15, min: 10, max: 20 });
    expect(level.tpotMs.p50).toBeCloseTo(90 / 6);
    expect(level.tokensPerChunk.mean).toBeCloseTo(7 / 3);
    expect(level.tokensPerSPerUser.p50).toBeCloseTo(1_000 / 15);
  });

  it('gives the gap of a chunk without a token to the next that has one', () => {
    const level = summarize([makeRecord({ gapsMs: [100, 10, 10], tokens: [1, 0, 2] })]);
    expect(level.tokenItlMs).toMatchObject({ count: 2, mean: 10 });
  });

  it('has no TPOT below two tokens and no token ITL where nobody counted', () => {
    const level = summarize([makeRecord({ gapsMs: [100] }), makeRecord({ gapsMs: [100, 20], tokens: null })]);
    expect(level.tpotMs.count).toBe(1);
    expect(level.tokenItlMs.count).toBe(0);
    expect(level.itlMs.count).toBe(1);
    expect(level.chunkTokensBy).toEqual({ 'continuous-usage': 1, unknown: 1 });
  });

  it('counts good requests without text apart: no latency, but their tokens', () => {
    const level = summarize([
      makeRecord({ gapsMs: [100, 10, 10] }),
      makeRecord({ gapsMs: [], endAtMs: 400, osl: { asked: 1, counted: 1, by: 'usage' } }),
    ]);
    expect(level.requests).toMatchObject({ good: 2, goodWithoutText: 1 });
    expect(level.ttftMs.count).toBe(1);
    expect(level.outputTokens).toBe(4);
  });

  it('counts good requests whose ends prove little, and no others', () => {
    const unproven = { finishReason: null, osl: { asked: 4, counted: 5, by: 'tokenizer' } } as const;
    const level = summarize([
      makeRecord({ finishReason: 'because' }),
      makeRecord({ finishReason: 'because' }),
      makeRecord({ finishReason: 'repetition' }),
      makeRecord({ finishReason: 'eos_token' }),
      makeRecord({ finishReason: 'later', outcome: 'aborted' }),
      makeRecord(unproven),
      makeRecord({ ...unproven, outcome: 'error-event' }),
      // Usage proves its length, its chunks do, or its finish reason does.
      makeRecord({ ...unproven, osl: { ...unproven.osl, by: 'usage' } }),
      makeRecord({ ...unproven, gapsMs: [9, 9, 9, 9] }),
      makeRecord({ ...unproven, finishReason: 'length' }),
    ]);
    expect(level.ends).toEqual({ unknownReasons: { because: 2, repetition: 1 }, unproven: 1 });
    expect(level.failures).toMatchObject({ aborted: { count: 1 } });
    expect(summarize([makeRecord({})])).not.toHaveProperty('ends');
    expect(summarize([makeRecord(unproven)]).ends).toEqual({ unknownReasons: {}, unproven: 1 });
  });

  it('keeps warm-up and hold out of every number but their count', () => {
    const measured = makeRecord({ sentAtMs: 1_000 });
    const alone = summarize([measured]);
    const level = summarize([
      makeRecord({ phase: 'warmup', outcome: 'reset' }),
      measured,
      makeRecord({ phase: 'hold', sentAtMs: 5_000 }),
    ]);
    expect(level.requests).toMatchObject({ sent: 1, warmup: 1, warmupFailed: 1, hold: 1 });
    expect({ ...level, requests: null }).toEqual({ ...alone, requests: null });
  });

  it('counts proven deviations and unknown lengths', () => {
    const level = summarize([
      makeRecord({ isl: { asked: 100, counted: 101, by: 'usage' } }),
      makeRecord({ isl: { asked: 100, counted: 100, by: 'tokenizer' } }),
      makeRecord({ isl: { asked: 100, counted: null, by: 'none' } }),
    ]);
    expect(level.islProof).toMatchObject({
      asked: 100,
      provenByUsage: 1,
      deviations: 1,
      unknown: 1,
      counted: { min: 100, max: 101 },
    });
  });

  it('takes no count of the server for a proof where nobody knew the length before', () => {
    const level = summarize([
      makeRecord({ isl: { asked: null, counted: 101, by: 'usage' } }),
      makeRecord({ isl: { asked: null, counted: 99, by: 'usage' } }),
    ]);
    expect(level.islProof).toMatchObject({ asked: null, unasked: 2, deviations: 0, unknown: 0 });
    expect(level.oslProof).not.toHaveProperty('unasked');
  });

  it('puts tokens into the second of their arrival', () => {
    const level = summarize([makeRecord({ sentAtMs: 500, gapsMs: [900, 200, 1_500], tokens: [1, 2, 4] })]);
    expect(level.timeline.outputTokens).toEqual([1, 2, 4]);
  });

  it('counts what met all limits, of all that were sent', () => {
    const slosMs = { ttft: 100, tpot: 10, e2el: 130 };
    const level = summarize(
      [
        // TTFT 100, TPOT 10, E2E 120: each at its limit or within.
        makeRecord({ gapsMs: [100, 10, 10] }),
        makeRecord({ gapsMs: [101, 10, 10] }),
        makeRecord({ gapsMs: [80, 20, 10] }),
        // One token: no TPOT.
        makeRecord({ gapsMs: [90] }),
        makeRecord({ gapsMs: [50, 10, 10], outcome: 'reset', endAtMs: 2_000 }),
        makeRecord({ gapsMs: [], tokens: null, endAtMs: 50 }),
        makeRecord({ phase: 'warmup', gapsMs: [1] }),
      ],
      { slosMs },
    );
    expect(level.goodput).toEqual({
      met: 2,
      attainmentRatio: 2 / 6,
      requestsPerS: 1,
      attainmentBy: { ttft: 3 / 6, tpot: 3 / 6, e2el: 4 / 6 },
    });
    expect(summarize([makeRecord({})])).not.toHaveProperty('goodput');
    expect(summarize([], { slosMs }).goodput).toMatchObject({
      met: 0,
      attainmentRatio: null,
      requestsPerS: null,
    });
  });

  it('tells second by second how many were in flight, and how many failed', () => {
    const level = summarize([
      // From 1.0 to 3.5 s, from 1.5 to 2.5 s, and from 2.0 s to its failure at 3.2 s.
      makeRecord({ sentAtMs: 1_000, endAtMs: 3_500 }),
      makeRecord({ sentAtMs: 1_500, endAtMs: 2_500 }),
      makeRecord({ sentAtMs: 2_000, endAtMs: 3_200, outcome: 'reset' }),
    ]);
    expect(level.timeline.inFlight).toEqual([1.5, 2.5, expect.closeTo((500 + 200) / 500, 3)]);
    expect(level.timeline.failures).toEqual([0, 0, 1]);
  });

  it('says nothing of nothing', () => {
    expect(summarize([])).toMatchObject({
      durationS: null,
      outputTokensPerS: null,
      achievedConcurrency: null,
      failureRatio: 0,
    });
  });
});

describe('steadyWindow', () => {
  // Two users, ten rounds each of 100 ms: a token at 50 ms and one at 100 ms.
  const closedLoop = Array.from({ length: 20 }, (_, i) =>
    makeRecord({ id: i, sentAtMs: Math.floor(i / 2) * 100, gapsMs: [50, 50], tokens: [1, 1] }),
  );

  it('runs from the first token of each of the first C to the last send', () => {
    const window = steadyWindow(closedLoop, { concurrency: 2 });
    expect(window).toMatchObject({ fromAtMs: 50, toAtMs: 900, reason: null });
    // Behind 50 ms: tokens at 100, 150 … 900, two users: 17 instants.
    expect(window).toMatchObject({ outputTokensPerS: (34 * 1_000) / 850 });
    expect(window.reason === null && window.shareRatio).toBeCloseTo(0.85);
    expect(window.reason === null && window.ttftMs).toMatchObject({ count: 18, p50: 50 });
  });

  it('is null with the reason when it would be shorter than two median E2E', () => {
    expect(steadyWindow(closedLoop.slice(0, 6), { concurrency: 2 })).toEqual({
      reason: 'window of 1.5 median E2E is shorter than 2: more requests per slot would open it',
    });
    expect(steadyWindow(closedLoop.slice(0, 2), { concurrency: 2 }).reason).toMatch(
      /no more requests \(2\) than slots \(2\)/,
    );
    expect(
      steadyWindow(
        closedLoop.map((record) => ({ ...record, outcome: 'reset' as const })),
        { concurrency: 2 },
      ).reason,
    ).toMatch(/no good request/);
  });
});
