import { describe, expect, it } from 'vitest';
import { judgeLevel, LIMITS, WITNESS_RATIO, witnessGap } from '../../src/core/audit.ts';
import { type Audit, BOUNDED_STATS, type BoundedStat } from '../../src/core/audit-facts.ts';
import {
  all,
  type Judged,
  LATENCIES,
  type Latency,
  makeJudged,
  off,
  offRate,
  RATES,
  VALID,
} from '../fixtures/judged.ts';
import { makeAudit, NO_STATS } from '../fixtures/report.ts';

const THROUGHPUT = ['requestsPerS', 'outputTokensPerS', 'totalTokensPerS'];
const CALM = makeAudit();
const READS = CALM.reads!;
const judge = (change: Partial<Audit>, level: Judged = makeJudged()) =>
  judgeLevel(level, { ...CALM, ...change }, null);
const judgeBounds = (level: Judged) => judgeLevel(level, CALM, null);

/** A little on either side of a limit. */
const JUST_BELOW = 0.999;
const JUST_ABOVE = 1.001;

describe('a level', () => {
  it('with exact time stamps and a calm harness is valid', () => {
    expect(judge({})).toEqual(VALID);
    expect(judgeLevel(makeJudged(), null, null)).toEqual(VALID);
  });

  it('without a good request has nothing to doubt', () => {
    const none = {
      ttftMs: NO_STATS,
      itlMs: NO_STATS,
      tokenItlMs: NO_STATS,
      tpotMs: NO_STATS,
      e2eMs: NO_STATS,
      requestsPerS: 0,
      outputTokensPerS: 0,
      requests: { ...makeJudged().requests, good: 0 },
      outputTokens: 0,
    };
    expect(judgeBounds(makeJudged(none))).toEqual(VALID);
    expect(judgeBounds(makeJudged({ ...none, requestsPerS: null, outputTokensPerS: null }))).toEqual(VALID);
    expect(judgeLevel(makeJudged({ ...none, bounds: null }), CALM, null)).toEqual(VALID);
  });
});

describe('a metric with bounds', () => {
  const limits = LATENCIES.flatMap((latency) =>
    BOUNDED_STATS.map((stat): [Latency, BoundedStat, number] => {
      const isGap = latency === 'itlMs' || latency === 'tokenItlMs';
      return [latency, stat, isGap && stat !== 'mean' ? 0.05 : 0.01];
    }),
  );

  it.each(limits)('%s.%s is valid up to a share of its value of %s', (latency, stat, ratio) => {
    const level = makeJudged();
    const limitMs = ratio * level[latency][stat]!;
    for (const side of ['lower', 'upper'] as const) {
      expect(judgeBounds(off(level, latency, stat, limitMs * JUST_BELOW, side))).toEqual(VALID);
      const judged = judgeBounds(off(level, latency, stat, limitMs * JUST_ABOVE, side));
      expect(judged.verdict).toBe('suspect');
      expect(judged.doubtful).toEqual([`${latency}.${stat}`]);
      expect(judged.reasons).toHaveLength(1);
    }
  });

  it('may be off by exactly its limit', () => {
    expect(judgeBounds(off(makeJudged(), 'ttftMs', 'p50', 2))).toEqual(VALID);
    expect(judgeBounds(off(makeJudged(), 'itlMs', 'p50', 1))).toEqual(VALID);
    expect(judgeBounds(offRate(makeJudged({ requestsPerS: 100 }), 'requestsPerS', 0.01))).toEqual(VALID);
  });

  it.each(limits)('%s.%s is valid up to 0.1 ms, however small it is', (latency, stat) => {
    const unwatched = (judged: Judged) => judgeLevel(judged, null, null);
    const level = makeJudged({ [latency]: all(1.5) });
    expect(unwatched(off(level, latency, stat, 0.1 * JUST_BELOW))).toEqual(VALID);
    expect(unwatched(off(level, latency, stat, 0.1 * JUST_ABOVE)).doubtful).toEqual([`${latency}.${stat}`]);
    const zero = makeJudged({ [latency]: all(0) });
    expect(unwatched(off(zero, latency, stat, 0.099))).toEqual(VALID);
    expect(unwatched(off(zero, latency, stat, 0.101)).doubtful).toEqual([`${latency}.${stat}`]);
  });

  it.each(RATES)('%s is valid up to 1 %% of its value', (id) => {
    expect(judgeBounds(offRate(makeJudged(), id, 0.01 * JUST_BELOW))).toEqual(VALID);
    const judged = judgeBounds(offRate(makeJudged(), id, 0.01 * JUST_ABOVE));
    expect(judged).toEqual({
      verdict: 'suspect',
      reasons: ['error bound of time stamps: throughput (± 1 %); the other metrics stand'],
      doubtful: [id],
    });
    const level = makeJudged();
    const lower = {
      ...level,
      bounds: { ...level.bounds!, [id]: { lower: 0.98 * level[id]!, upper: level[id]! } },
    };
    expect(judgeBounds(lower).doubtful).toEqual([id]);
  });

  it.each(RATES)('%s is not valid where its bound is not known', (id) => {
    const level = makeJudged();
    expect(judgeBounds({ ...level, bounds: { ...level.bounds!, [id]: null } })).toEqual({
      verdict: 'suspect',
      reasons: ['error bound of time stamps: throughput (unbounded); the other metrics stand'],
      doubtful: [id],
    });
  });

  it('counts as far as its farther end lies from the value', () => {
    const level = makeJudged();
    const p99 = { lower: 199, upper: 203 };
    const both = { ...level, bounds: { ...level.bounds!, ttftMs: { ...level.bounds!.ttftMs!, p99 } } };
    expect(judgeBounds(both).reasons[0]).toContain('TTFT (p99 200 ± 3.00 ms)');
  });

  it('is judged by its bounds, also where nothing is known of the harness or it was late', () => {
    const late = off(makeJudged(), 'tpotMs', 'p50', 1);
    expect(judgeLevel(late, null, null).doubtful).toEqual(['tpotMs.p50']);
    const loop = { p50: 500, p99: 500, max: 900 };
    expect(judge({ eventLoopDelayMs: loop, reads: { ...READS, waitMs: loop } })).toEqual(VALID);
  });
});

describe('the reason', () => {
  it('names metric, value and bound, of each metric the worst, and says that the others stand', () => {
    let level = off(makeJudged(), 'itlMs', 'p50', 2.5);
    level = off(level, 'itlMs', 'p99', 8);
    level = off(level, 'itlMs', 'mean', 0.3);
    level = off(level, 'e2eMs', 'p90', 123.4);
    level = offRate(level, 'outputTokensPerS', 0.042);
    level = offRate(level, 'requestsPerS', 0.031);
    const judged = judgeBounds(level);
    expect(judged.verdict).toBe('suspect');
    expect(judged.reasons).toEqual([
      'error bound of time stamps: ITL (p99 20.0 ± 8.00 ms), E2E (p90 1200 ± 123 ms), throughput (± 4 %); the other metrics stand',
    ]);
    expect(judged.doubtful).toEqual([
      ...['itlMs.mean', 'itlMs.p50', 'itlMs.p99', 'e2eMs.p90', 'requestsPerS', 'outputTokensPerS'],
    ]);
  });

  it.each([
    [{ ttftMs: all(9.876) }, 'ttftMs', 'TTFT (p50 9.88 ± 12.0 ms)'],
    [{ itlMs: all(10) }, 'itlMs', 'ITL (p50 10.0 ± 12.0 ms)'],
    [{ tokenItlMs: all(99.96) }, 'tokenItlMs', 'token ITL (p50 100.0 ± 12.0 ms)'],
    [{ tpotMs: all(100) }, 'tpotMs', 'TPOT (p50 100 ± 12.0 ms)'],
    [{ e2eMs: all(1_000) }, 'e2eMs', 'E2E (p50 1000 ± 12.0 ms)'],
  ] as const)('writes %j as a reader would', (change, latency, text) => {
    const reason = `error bound of time stamps: ${text}; the other metrics stand`;
    expect(judgeBounds(off(makeJudged(change), latency, 'p50', 12)).reasons).toEqual([reason]);
  });

  it('says nothing of others where none is left', () => {
    let level = LATENCIES.reduce((wide, latency) => off(wide, latency, 'p50', 1_000), makeJudged());
    expect(judgeBounds(level).reasons[0]).toContain('; the other metrics stand');
    level = offRate(level, 'requestsPerS', 0.1);
    expect(judgeBounds(level).reasons[0]).toMatch(
      /^error bound of time stamps: TTFT .*, throughput \(± 10 %\)$/,
    );
  });
});

describe('a harness that could not keep up', () => {
  it.each([
    [
      'a busy event loop',
      (scale: number): Partial<Audit> => ({ eventLoopUtilizationRatio: 0.9 * scale }),
      "the harness's event loop was busy 90 % of the time",
    ],
    [
      'a receiver that waited for the event loop',
      (scale: number): Partial<Audit> => ({ ring: { stalls: 3, stalledMs: 100 * scale, clockSteps: 0 } }),
      'the receiver waited 100 ms for the event loop to take what it had read',
    ],
    [
      'reads that filled their buffer, without the stamps of the kernel',
      (scale: number): Partial<Audit> => ({
        stampedBy: 'process',
        reads: { ...READS, fullRatio: 0.01 * scale },
      }),
      '1 % of the reads filled their buffer, so more came than was read',
    ],
  ])('is client-bound: %s', (_name, change, reason) => {
    expect(judge(change(JUST_BELOW))).toEqual(VALID);
    expect(judge(change(1))).toEqual(VALID);
    expect(judge(change(JUST_ABOVE))).toEqual({ verdict: 'client-bound', reasons: [reason], doubtful: [] });
  });

  it('is told before all else', () => {
    const judged = judge({ eventLoopUtilizationRatio: 1 }, off(makeJudged(), 'itlMs', 'p99', 8));
    expect(judged.verdict).toBe('client-bound');
    expect(judged.reasons).toEqual([
      "the harness's event loop was busy 100 % of the time",
      'error bound of time stamps: ITL (p99 20.0 ± 8.00 ms); the other metrics stand',
    ]);
    expect(judged.doubtful).toEqual(['itlMs.p99']);
  });

  it('is not seen in full reads that the kernel stamped, nor in stalls of a level without a duration', () => {
    const full = { reads: { ...READS, fullRatio: 1 } };
    expect(judge(full)).toEqual(VALID);
    // A version that did not name the clock had none but its own.
    const { stampedBy: _, ...older } = { ...CALM, ...full };
    expect(judgeLevel(makeJudged(), older, null).verdict).toBe('client-bound');
    const ring = { stalls: 3, stalledMs: 1_000, clockSteps: 0 };
    expect(judge({ ring })).toMatchObject({ verdict: 'client-bound' });
    expect(judge({ ring }, makeJudged({ durationS: null }))).toEqual(VALID);
  });
});

describe('the load', () => {
  const lag = (mean: number, p99: number): Partial<Audit> => ({
    sendLagMs: { ...CALM.sendLagMs, mean, p99 },
  });

  it('of a closed loop was less where turnaround took more than 2 % of a slot, which leaves the level valid', () => {
    // m ÷ (m + 1,200) = 2 %.
    const limitMs = (0.02 * 1_200) / 0.98;
    expect(judge(lag(limitMs * JUST_BELOW, 900))).toEqual(VALID);
    expect(judge(lag(limitMs * JUST_ABOVE, 900))).toEqual({
      ...VALID,
      load: ['a slot took 24.5 ms from a response to the next request in the mean, 2 % of its time'],
    });
    expect(judge(lag(300, 300)).load![0]).toContain(
      '300 ms from a response to the next request in the mean, 20 %',
    );
    expect(judge(lag(300, 300), makeJudged({ e2eMs: NO_STATS }))).toEqual(VALID);
  });

  it.each([
    [10, 5],
    [50, 1],
    [1_000, 1],
  ])('of an open loop of %i requests/s came late where they were sent more than %i ms late at p99', (ratePerS, limitMs) => {
    const level = makeJudged({ ratePerS });
    expect(judge(lag(900, limitMs * JUST_BELOW), level)).toEqual(VALID);
    expect(judge(lag(900, limitMs), level)).toEqual(VALID);
    const remark = `requests were sent ${limitMs}.0${limitMs === 5 ? '1' : '0'} ms late at p99`;
    expect(judge(lag(0, limitMs * 1.002), level)).toEqual({ ...VALID, load: [remark] });
  });

  it('is not spoken of where no request was sent', () => {
    expect(judge({ sendLagMs: NO_STATS })).toEqual(VALID);
    expect(judge({ sendLagMs: NO_STATS }, makeJudged({ ratePerS: 10 }))).toEqual(VALID);
  });

  it('is spoken of beside a verdict', () => {
    const judged = judge({ ...lag(300, 300), eventLoopUtilizationRatio: 1 });
    expect(judged.verdict).toBe('client-bound');
    expect(judged.reasons).toHaveLength(1);
    expect(judged.load).toHaveLength(1);
  });
});

describe("the server's own counters", () => {
  const NOTHING = { source: 's', inputTokens: null, outputTokens: null, requests: null, reason: null };

  it.each([
    ['inputTokens', 'input tokens'],
    ['outputTokens', 'output tokens'],
    ['requests', 'requests'],
  ] as const)('make rates doubtful where %s differ by more than one in a thousand', (key, words) => {
    const counted = (server: number, ours: number) =>
      judgeLevel(makeJudged(), CALM, { ...NOTHING, [key]: { server, ours } });
    expect(WITNESS_RATIO).toBe(0.001);
    for (const [server, ours] of [
      [10_000, 10_000],
      [10_000, 9_990],
      [9_990, 10_000],
    ] as const)
      expect(counted(server, ours)).toEqual(VALID);
    for (const [server, ours] of [
      [10_000, 9_989],
      [9_989, 10_000],
    ] as const)
      expect(counted(server, ours)).toEqual({
        verdict: 'suspect',
        reasons: [`the server counted ${server} ${words}, this run ${ours}`],
        doubtful: THROUGHPUT,
      });
  });

  it('may be higher by what was sent a second time, and no more', () => {
    const reasons = (server: number): readonly string[] =>
      judgeLevel(makeJudged(), CALM, { ...NOTHING, requests: { server, ours: 40, resent: 3 } }).reasons;
    for (const server of [40, 41, 43]) expect(reasons(server)).toEqual([]);
    expect(reasons(44)).toEqual(['the server counted 44 requests, this run 40']);
    expect(reasons(39)).toEqual(['the server counted 39 requests, this run 40']);
    expect([37, 40, 43, 45].map((server) => witnessGap({ server, ours: 40, resent: 3 }))).toEqual([
      -3, 0, 0, 2,
    ]);
    expect([39, 40, 41].map((server) => witnessGap({ server, ours: 40 }))).toEqual([-1, 0, 1]);
  });

  it('tell each of their differences behind what time stamps came to, and each metric once', () => {
    const witness = { ...NOTHING, requests: { server: 41, ours: 40 }, outputTokens: { server: 1, ours: 2 } };
    const judged = judgeLevel(offRate(makeJudged(), 'outputTokensPerS', 0.5), CALM, witness);
    expect(judged.verdict).toBe('suspect');
    expect(judged.reasons).toEqual([
      'error bound of time stamps: throughput (± 50 %); the other metrics stand',
      'the server counted 1 output tokens, this run 2',
      'the server counted 41 requests, this run 40',
    ]);
    expect(judged.doubtful!.toSorted()).toEqual(THROUGHPUT.toSorted());
    expect(judgeLevel(makeJudged(), null, witness).reasons).toHaveLength(2);
  });

  it('say nothing where there are none', () => {
    expect(judgeLevel(makeJudged(), CALM, { ...NOTHING, reason: 'no metrics' })).toEqual(VALID);
  });
});

describe('limits', () => {
  it('are those of the definition', () => {
    expect(LIMITS).toEqual({
      ratio: 0.01,
      itlPercentileRatio: 0.05,
      ms: 0.1,
      busyRatio: 0.9,
      stalledRatio: 0.01,
      fullReadRatio: 0.01,
      standstillRatio: 0.01,
      turnaroundRatio: 0.02,
      lagRatio: 0.05,
      lagMs: 1,
    });
  });
});
