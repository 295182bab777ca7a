/** A level that was measured, in a closed loop of `concurrency` users. */
export interface MeasuredLevel {
  readonly concurrency: number;
  /** Tokens in and out of a request. */
  readonly isl: number;
  readonly osl: number;
  readonly requests: number;
  /** From the first measured send to the end of the last measured response. */
  readonly durationMs: number;
}

/**
 * How long the measured requests of the next level will take, in milliseconds, or null when nothing was measured to predict it from.
 * A closed loop works in waves of `concurrency` requests (requests ÷ concurrency of them, at least one): the time of a wave of the last level of the same
 * shape, times the growth seen between the last two of that shape (never below 1), times the next level's
 * waves. Without a level of its shape, the last level of another is scaled by the tokens, without growth.
 */
export function predictLevelMs(
  done: readonly MeasuredLevel[],
  next: Omit<MeasuredLevel, 'durationMs'>,
): number | null {
  const same = done.filter(({ isl, osl }) => isl === next.isl && osl === next.osl);
  const last = same.at(-1) ?? done.at(-1);
  if (last === undefined) return null;
  const before = same.at(-2);
  if (same.length === 0) {
    const longer = Math.max(next.osl / Math.max(1, last.osl), next.isl / Math.max(1, last.isl));
    return waveMs(last) * Math.max(1, longer) * waves(next);
  }
  const growth = before === undefined ? 1 : Math.max(1, waveMs(last) / waveMs(before));
  return waveMs(last) * growth * waves(next);
}

/**
 * Whether a level of the predicted duration ends before the allocation does, with `reserveMs` left for the
 * results and the teardown. A level that cannot be predicted, or an allocation without an end, fits.
 */
export function fits(predictionMs: number | null, leftMs: number | null, reserveMs: number): boolean {
  if (leftMs === null) return true;
  return (predictionMs ?? 0) + reserveMs <= leftMs;
}

function waves({ requests, concurrency }: Omit<MeasuredLevel, 'durationMs'>): number {
  return Math.max(1, requests / Math.max(1, concurrency));
}

function waveMs(level: MeasuredLevel): number {
  return Math.max(1, level.durationMs) / waves(level);
}
