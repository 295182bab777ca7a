import { expect, it } from 'vitest';
import { chunkErrorsMs } from '../../src/core/conformance-stamps.ts';
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

it('is stamp − write for each chunk, on the clock of the log', () => {
  // Stamps at 110, 120, 130 ms of a clock whose 0 is 1,000 ms after the log's.
  const record = makeRecord({ requestId: 'a', sentAtMs: 10, gapsMs: [100, 10, 10] });
  const errors = chunkErrorsMs(record, line('a', [1_109.5, 1_119, 1_126]), 1_000)!;
  expect([...errors].map((ms) => Math.round(ms * 1e6) / 1e6)).toEqual([0.5, 1, 4]);
});

it('is not known where the log has no line of the answer, or one of another number of events', () => {
  const record = makeRecord({ requestId: 'a', gapsMs: [10, 10] });
  expect(chunkErrorsMs(record, undefined, 0)).toBeNull();
  expect(chunkErrorsMs(record, line('a', [1, 2, 3]), 0)).toBeNull();
});
