import { exactStats, greatest, least } from './distribution.ts';
import { type Lag, lagOf } from './lag.ts';
import { mostAtOnce } from './most-at-once.ts';
import type { RequestRecord } from './record.ts';
import type { Stats } from './stats.ts';

/** What an open loop tells beside the latencies from send. */
export interface OpenLoop {
  /** Arrivals per second as the schedule had them, between its first and its last; null where all were due at once. */
  readonly dueRatePerS: number | null;
  /** From the instant that the schedule said to the first chunk with output, and to the last. */
  readonly ttftFromDueMs: Stats;
  readonly e2eFromDueMs: Stats;
  /** Most measured requests in flight at once, and how many might be. */
  readonly maxInFlight: number;
  readonly slots: number;
  /** Requests that found no slot free when they were due, and the longest that one waited for it. */
  readonly held: { readonly count: number; readonly maxMs: number | null };
  /** Whether the server took as much as came; null where the level is too short to tell. */
  readonly lag: Lag | null;
}

/**
 * What an open loop tells beside the latencies from send: those from the instant that the schedule said, which hold what a
 * request waited before it was sent (coordinated omission: G. Tene, How not to measure latency), and whether the server kept up.
 * `measured` are the measured records of a level that sent any; `slots` is how many might be in flight.
 */
export function openLoopOf(measured: readonly RequestRecord[], slots: number): OpenLoop {
  const shown = measured.filter((record) => record.outcome === 'good' && record.firstAtMs !== null);
  const held = measured.filter((record) => (record.heldMs ?? 0) > 0);
  const due = measured.map((record) => record.dueAtMs).sort((a, b) => a - b);
  const spanMs = due.at(-1)! - due[0]!;
  return {
    dueRatePerS: spanMs <= 0 ? null : ((due.length - 1) * 1_000) / spanMs,
    ttftFromDueMs: exactStats(shown.map((record) => record.firstAtMs! - record.dueAtMs)),
    e2eFromDueMs: exactStats(shown.map((record) => record.lastAtMs! - record.dueAtMs)),
    maxInFlight: mostAtOnce(
      measured,
      ({ sentAtMs }) => sentAtMs,
      ({ endAtMs }) => endAtMs,
    ),
    slots,
    held: {
      count: held.length,
      maxMs: held.length === 0 ? null : greatest(held.map(({ heldMs }) => heldMs!)),
    },
    lag: lagOf(measured),
  };
}

/**
 * From when on an open loop is as full as its rate makes it: when the slowest twentieth of its requests has had time to end since
 * the first was sent (in a queue without end of random arrivals, after the longest service time).
 */
export function filledAtMs(measured: readonly RequestRecord[]): number {
  const startedAtMs = least(measured.map((record) => record.sentAtMs));
  return startedAtMs + exactStats(measured.map((record) => record.endAtMs - record.sentAtMs)).p95!;
}
