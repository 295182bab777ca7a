/** Cold code takes tens of µs for the first few; after that, one without an interruption is soon found. */
const TRIES = 50;

/** One instant on two clocks. */
export interface ClockPair<T> {
  readonly atMs: number;
  readonly other: T;
}

/**
 * Reads `other` between two readings of `now`, several times, and keeps the closest: right to half of what lay
 * between these two, which is less than a µs unless the process was interrupted each time.
 */
export function pairClocks<T>(now: () => number, other: () => T): ClockPair<T> {
  let best: ClockPair<T> | null = null;
  let bestMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < TRIES || best === null; i++) {
    const beforeMs = now();
    const value = other();
    const tookMs = now() - beforeMs;
    if (tookMs >= bestMs) continue;
    bestMs = tookMs;
    best = { atMs: beforeMs + tookMs / 2, other: value };
  }
  return best;
}
