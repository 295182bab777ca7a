import { describe, expect, it } from 'vitest';
import { openLoopOf } from '../../src/core/open-loop.ts';
import type { RequestRecord } from '../../src/core/record.ts';
import { steadyWindow } from '../../src/core/window.ts';
import { makeRecord } from '../fixtures/records.ts';

/** A request due at `dueAtMs`, sent `lateMs` later, with its first token 50 and its second 100 ms after that. */
function request(id: number, dueAtMs: number, lateMs = 0, heldMs = 0): RequestRecord {
  return {
    ...makeRecord({ id, sentAtMs: dueAtMs + lateMs, gapsMs: [50, 50], tokens: [1, 1] }),
    dueAtMs,
    heldMs,
  };
}

describe('openLoopOf', () => {
  it('counts latencies from the instant that the schedule said, and what was held', () => {
    const open = openLoopOf([request(0, 0), request(1, 10, 90, 90), request(2, 1_000)], 4);
    expect(open.ttftFromDueMs).toMatchObject({ count: 3, min: 50, max: 140 });
    expect(open.e2eFromDueMs).toMatchObject({ min: 100, max: 190 });
    expect(open.held).toEqual({ count: 1, maxMs: 90 });
    expect(open.slots).toBe(4);
    expect(open.dueRatePerS).toBe(2);
  });

  it('tells how many were in flight at once, an end making room for a send of the same instant', () => {
    expect(openLoopOf([request(0, 0), request(1, 100), request(2, 150)], 9).maxInFlight).toBe(2);
    expect(openLoopOf([request(0, 0), request(1, 0), request(2, 0)], 9).maxInFlight).toBe(3);
  });

  it('has no rate where all is due at once', () => {
    expect(openLoopOf([request(0, 0), request(1, 0)], 9).dueRatePerS).toBeNull();
  });
});

describe('the steady window of an open loop', () => {
  it('begins when the slowest twentieth has had time to end since the first send', () => {
    const records = Array.from({ length: 100 }, (_, i) => request(i, i * 10));
    const window = steadyWindow(records, { concurrency: 4_096, ratePerS: 100 });
    expect(window).toMatchObject({ reason: null, fromAtMs: 100, toAtMs: 990 });
    // From 100 to 990 ms: two tokens every 10 ms, the last at 990.
    expect(window).toMatchObject({ outputTokensPerS: (2 * 89 * 1_000) / 890 });
  });

  it('says that more requests would open it, not more per slot', () => {
    const records = Array.from({ length: 5 }, (_, i) => request(i, i * 10));
    expect(steadyWindow(records, { concurrency: 5, ratePerS: 100 }).reason).toBe(
      'window of 0.0 median E2E is shorter than 2: more requests would open it',
    );
  });
});
