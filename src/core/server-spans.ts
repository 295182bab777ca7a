import type { Cumulative } from './server-look.ts';

/** A percentile of a histogram with buckets: it lies somewhere between the two bounds; `toMs` null: no upper bound is known. */
export interface Between {
  readonly fromMs: number;
  readonly toMs: number | null;
}

/** What a histogram took up over a level. */
export interface ServerSpan {
  readonly metric: string;
  readonly count: number;
  readonly meanMs: number;
  /** null where the server told no buckets, or those of several servers differ. */
  readonly p50: Between | null;
  readonly p90: Between | null;
  readonly p99: Between | null;
}

/** What came on top between two looks; `before` null for a histogram that was not exported yet. null when it went backwards: a restart. */
export function grownBy(before: Cumulative | null, after: Cumulative): Cumulative | null {
  if (before === null) return after;
  const at = new Map(before.buckets);
  const grown: Cumulative = {
    count: after.count - before.count,
    sumMs: after.sumMs - before.sumMs,
    buckets: after.buckets.map(([upToMs, count]) => [upToMs, count - (at.get(upToMs) ?? 0)]),
  };
  const backwards = grown.count < 0 || grown.sumMs < 0 || grown.buckets.some(([, count]) => count < 0);
  return backwards ? null : grown;
}

/** Several histograms as one. Buckets are kept only where all have the same bounds. */
export function together(parts: readonly Cumulative[]): Cumulative {
  const [first, ...others] = parts;
  if (first === undefined) return { count: 0, sumMs: 0, buckets: [] };
  return others.reduce((all, one) => {
    const alike =
      all.buckets.length === one.buckets.length &&
      all.buckets.every(([upToMs], nth) => one.buckets[nth]![0] === upToMs);
    return {
      count: all.count + one.count,
      sumMs: all.sumMs + one.sumMs,
      buckets: alike
        ? all.buckets.map(([upToMs, count], nth) => [upToMs, count + one.buckets[nth]![1]] as const)
        : [],
    };
  }, first);
}

/** The histogram in numbers; null when it has no observation. */
export function spanOf(metric: string, grown: Cumulative): ServerSpan | null {
  if (grown.count <= 0) return null;
  return {
    metric,
    count: grown.count,
    meanMs: grown.sumMs / grown.count,
    p50: between(grown, 0.5),
    p90: between(grown, 0.9),
    p99: between(grown, 0.99),
  };
}

/**
 * Between which bounds the quantile `q` in [0, 1] lies: the interval from the lower bound of the bucket that holds the
 * observation below rank q · (n − 1) to the upper bound of the one above it, so that the exact quantile (linear between
 * closest ranks) is inside of it. Observations are taken as not negative. null without buckets that hold all observations.
 */
export function between({ count, buckets }: Cumulative, q: number): Between | null {
  const rank = q * (count - 1);
  const low = buckets.findIndex(([, atMost]) => atMost >= Math.floor(rank) + 1);
  const high = buckets.findIndex(([, atMost]) => atMost >= Math.ceil(rank) + 1);
  if (low < 0 || high < 0) return null;
  const toMs = buckets[high]![0];
  return { fromMs: low === 0 ? 0 : buckets[low - 1]![0], toMs: Number.isFinite(toMs) ? toMs : null };
}
