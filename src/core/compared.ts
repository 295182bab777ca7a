import { areOpen, type Repeat } from './repeat.ts';

/** Metrics that are compared unless others are named. */
export const COMPARED = [
  'ttftMs.p50',
  'ttftMs.p99',
  'tpotMs.p50',
  'tokenItlMs.p50',
  'tokenItlMs.p99',
  'e2eMs.p50',
  'outputTokensPerS',
  'requestsPerS',
] as const;

/**
 * The same in an open loop: the schedule says how much is done, so rates of work tell nothing of the server, and what a request
 * waited for a slot is in no latency from send.
 */
export const COMPARED_OPEN = [
  ...COMPARED.filter((metric) => metric.includes('Ms.')),
  'open.ttftFromDueMs.p50',
  'open.ttftFromDueMs.p99',
  'open.e2eFromDueMs.p50',
] as const;

/** What is compared of these runs unless metrics are named: `COMPARED`, or `COMPARED_OPEN` where all levels are those of open loops. */
export function comparedOf(runs: readonly Repeat[]): readonly string[] {
  return areOpen(runs) ? COMPARED_OPEN : COMPARED;
}
