import { describe, expect, it } from 'vitest';
import { exitCodeOf } from '../../src/commands/exit-code.ts';
import { isEstimated } from '../../src/core/estimates.ts';
import type { RequestRecord } from '../../src/core/record.ts';
import { repeatOf } from '../../src/core/repeat.ts';
import type { LevelReport } from '../../src/core/report.ts';
import { summarizeLevel } from '../../src/core/summary.ts';
import { makeRecord } from '../fixtures/records.ts';
import { makeReport } from '../fixtures/report.ts';

function summarize(
  records: readonly RequestRecord[],
  estimates = true,
  slosMs: { tpot?: number; ttft?: number } | null = null,
): LevelReport {
  return summarizeLevel({
    ...{ point: 0, concurrency: 1, isl: 100, osl: 3, status: 'complete', records, gpus: null, estimates },
    ...{ connections: { opened: 0, meanMs: null, maxMs: null }, witness: null, audit: null },
    validity: { verdict: 'valid', reasons: [] },
    ...(slosMs === null ? {} : { slosMs }),
  });
}

const OSL = { asked: 3, counted: 5, by: 'tokenizer' } as const;
const ISL = { asked: 100, counted: 100, by: 'tokenizer' } as const;
const guessed = makeRecord({ osl: OSL, chunkTokensBy: 'tokenizer', tokens: [2, 2, 1] });

describe('counts of a tokenizer that is not the model’s', () => {
  it('make estimates of all that is made of them, and of nothing else', () => {
    const level = summarize([makeRecord({}), guessed]);
    const estimated = [
      ...[
        'tpotMs.p50',
        'tokensPerSPerUser.p50',
        'requestTokensPerS.mean',
        'outputTokens',
        'outputTokensPerS',
      ],
      ...['totalTokensPerS', 'outputTokensPerSPerGpu', 'totalTokensPerSPerGpu', 'oslProof.counted.mean'],
      ...['tokenItlMs.p99', 'tokensPerChunk.mean', 'steady.tokenItlMs.p50', 'steady.outputTokensPerS'],
    ];
    for (const id of estimated) expect(isEstimated(level, id), id).toBe(true);
    const exact = ['ttftMs.p50', 'itlMs.p50', 'e2eMs.p50', 'requestsPerS', 'inputTokens', 'islProof'];
    for (const id of [...exact, 'goodput.met', 'tpotMsx.p50']) expect(isEstimated(level, id), id).toBe(false);
  });

  it('of the input make estimates of what is made of that', () => {
    const level = summarize([makeRecord({ isl: ISL })]);
    expect(level.estimated).toEqual([
      ...['inputTokens', 'inputTokensPerS', 'totalTokensPerS', 'totalTokensPerSPerGpu', 'islProof'],
    ]);
  });

  it('that only share the server’s count among the chunks make an estimate of token ITL', () => {
    const level = summarize([makeRecord({ chunkTokensBy: 'tokenizer' })]);
    expect(level.estimated).toEqual([
      ...['tokenItlMs', 'tokensPerChunk', 'steady.tokenItlMs', 'steady.outputTokensPerS'],
    ]);
  });

  it('reach goodput by a limit of TPOT', () => {
    expect(isEstimated(summarize([guessed], true, { tpot: 5 }), 'goodput.requestsPerS')).toBe(true);
    expect(isEstimated(summarize([guessed], true, { ttft: 5 }), 'goodput.requestsPerS')).toBe(false);
  });

  it('are none where the tokenizer is the model’s, where the server counts, and of failed requests', () => {
    expect(summarize([guessed], false)).not.toHaveProperty('estimated');
    expect(summarize([makeRecord({})])).not.toHaveProperty('estimated');
    expect(summarize([makeRecord({}), { ...guessed, outcome: 'reset' }])).not.toHaveProperty('estimated');
  });

  it('neither prove nor refute a length', () => {
    const exact = { ...guessed, osl: { ...OSL, counted: 3 } };
    const level = summarize([
      guessed,
      exact,
      makeRecord({}),
      makeRecord({ gapsMs: [1, 1], osl: { asked: 3, counted: 2, by: 'usage' } }),
    ]);
    expect(level.oslProof).toMatchObject({
      ...{ asked: 3, provenByUsage: 2, deviations: 1, unknown: 0, estimated: 2 },
      counted: { min: 2, max: 5 },
    });
    // The model's own tokenizer refutes.
    expect(summarize([guessed, exact], false).oslProof).toMatchObject({ deviations: 1 });
    expect(summarize([guessed, exact], false).oslProof).not.toHaveProperty('estimated');
  });

  it('are not the exact lengths that were required', () => {
    const exact = summarize([makeRecord({ osl: { ...OSL, counted: 3 }, chunkTokensBy: 'tokenizer' })]);
    const codeOf = (level: LevelReport, requireExact: boolean) => {
      const report = makeReport({ levels: [level] });
      return exitCodeOf({ ...report, spec: { ...report.spec, requireExact } }, []);
    };
    expect([codeOf(exact, true), codeOf(exact, false)]).toEqual([1, 0]);
    expect(codeOf(summarize([makeRecord({})]), true)).toBe(0);
    expect(codeOf(summarize([makeRecord({ isl: ISL })]), true)).toBe(1);
    expect(repeatOf(makeReport({ levels: [exact] })).levels[0]!.inexact).toBe(1);
  });
});
