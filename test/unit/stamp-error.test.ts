import { describe, expect, it } from 'vitest';
import { stampErrors } from '../../src/core/stamp-error.ts';
import type { TruthLine } from '../../src/core/truth.ts';
import { makeRecord } from '../fixtures/records.ts';

function line(requestId: string, eventAtMs: readonly number[]): TruthLine {
  return {
    requestId,
    responseId: 'c',
    outcome: 'good',
    promptTokens: 1,
    arrivedAtMs: 0,
    eventAtMs,
    dueAtMs: eventAtMs,
    tokens: eventAtMs.map(() => 1),
  };
}

describe('stampErrors', () => {
  it('is stamp − write for each chunk, on the clock of the log', () => {
    // Stamps at 110, 120, 130 ms of a clock whose 0 is 1,000 ms after the log's.
    const records = [makeRecord({ requestId: 'a', sentAtMs: 10, gapsMs: [100, 10, 10] })];
    const errors = stampErrors(records, [line('a', [1_109.5, 1_119, 1_126])], 1_000)!;
    expect(errors.count).toBe(3);
    expect(errors.p50).toBeCloseTo(1, 2);
    expect(errors.max).toBeCloseTo(4, 6);
  });

  it('takes no error from clocks that differ by microseconds, and none of what cannot be matched', () => {
    const records = [
      makeRecord({ requestId: 'a', gapsMs: [10, 10] }),
      makeRecord({ requestId: 'lost', gapsMs: [10, 10] }),
      makeRecord({ requestId: 'merged', gapsMs: [10, 10] }),
      makeRecord({ requestId: 'failed', gapsMs: [10, 10], outcome: 'reset' }),
    ];
    const lines = [line('a', [10.002, 19]), line('merged', [1, 2, 3]), line('failed', [1, 2])];
    expect(stampErrors(records, lines, 0)).toMatchObject({ count: 2, max: 1 });
    expect(stampErrors(records.slice(1), lines, 0)).toBeNull();
  });
});
