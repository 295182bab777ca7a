import type { Validity } from './audit-facts.ts';
import type { Lag } from './lag.ts';
import type { LevelReport } from './report.ts';

type LagVerdict = Lag['verdict'];

/** Of each bound of a share: a true one is beyond it 5 times in 100. */
const BEYOND = 0.05;

/** One level of a search: so many requests were sent, and so many met all limits. */
export interface Probe {
  /** Requests in flight, or arrivals per second: what the search is over. */
  readonly load: number;
  readonly sent: number;
  readonly met: number;
  /**
   * Open loop: whether the server took as much as came. Where it did not, or the level is too short to tell, the share says as
   * much of the level's length as of the server: it misses, or is not proven to meet.
   */
  readonly lag?: LagVerdict | 'too-short';
  /** What the harness says of itself; a level where it was the bottleneck proves nothing, and misses. */
  readonly validity: Validity['verdict'];
}

/** Where the search has come to. */
export interface Found {
  /** The highest level that met the target with none below it that missed; null where the lowest missed. */
  readonly meets: Probe | null;
  /** The lowest level that missed it; null where none did. */
  readonly misses: Probe | null;
}

export interface SearchRange {
  /** A closed loop is searched for its requests in flight, whole numbers, an open one for its rate. */
  readonly over: 'concurrency' | 'rate';
  readonly from: number;
  readonly to: number;
  /** The share of requests that must meet all limits. */
  readonly targetRatio: number;
  /** Levels this near to one another, by their ratio, are told apart no further. */
  readonly precisionRatio: number;
}

/**
 * One-sided 95 % bounds of the share behind `met` of `sent`, each request for itself: C. J. Clopper and E. S. Pearson,
 * Biometrika 26, 1934.
 */
export function shareBounds({ sent, met }: Pick<Probe, 'sent' | 'met'>): {
  readonly low: number;
  readonly high: number;
} {
  if (sent === 0) return { low: 0, high: 1 };
  // P(X ≥ met) falls to BEYOND at the low bound, P(X ≤ met) at the high one.
  return {
    low: met === 0 ? 0 : solve((p) => 1 - binomialCdf(met - 1, sent, p) < BEYOND),
    high: met === sent ? 1 : solve((p) => binomialCdf(met, sent, p) >= BEYOND),
  };
}

/** Requests of which none may miss for 95 % confidence that so great a share meets: 0.95 needs 59, 0.99 needs 299. */
export function leastRequests(targetRatio: number): number {
  return Math.ceil(Math.log(BEYOND) / Math.log(targetRatio));
}

/** The p in [0, 1] up to which `holds`, which holds below it and not above. */
function solve(holds: (p: number) => boolean): number {
  let [low, high] = [0, 1];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(X ≤ k) of a binomial, summed by logs so that no term is lost. */
function binomialCdf(k: number, n: number, p: number): number {
  if (k < 0) return 0;
  if (k >= n || p <= 0) return 1;
  if (p >= 1) return 0;
  const odds = Math.log(p) - Math.log1p(-p);
  let term = n * Math.log1p(-p);
  let total = Math.exp(term);
  for (let i = 1; i <= k; i++) {
    term += Math.log((n - i + 1) / i) + odds;
    total += Math.exp(term);
  }
  return Math.min(1, total);
}

/** Whether a level met the target, by its estimate. */
export function meetsTarget(probe: Probe, targetRatio: number): boolean {
  const { sent, met, lag, validity } = probe;
  return (
    sent > 0 &&
    met / sent >= targetRatio &&
    validity !== 'client-bound' &&
    lag !== 'fell-behind' &&
    lag !== 'too-short'
  );
}

/** What the levels measured so far say, taken to be the worse the greater the load. */
export function foundSoFar(probes: readonly Probe[], targetRatio: number): Found {
  const sorted = [...probes].sort((a, b) => a.load - b.load);
  const first = sorted.findIndex((probe) => !meetsTarget(probe, targetRatio));
  return {
    meets: first < 0 ? (sorted.at(-1) ?? null) : (sorted[first - 1] ?? null),
    misses: first < 0 ? null : sorted[first]!,
  };
}

/**
 * The level to measure next; null when the answer is known as finely as is asked, or lies outside of the range. Upwards by
 * doubling until one misses, then by halving the gap in its logarithm: each run shuts out half of what is left.
 */
export function nextLevel(probes: readonly Probe[], range: SearchRange): number | null {
  const { meets, misses } = foundSoFar(probes, range.targetRatio);
  if (meets === null) return misses === null ? range.from : null;
  if (misses === null) return meets.load >= range.to ? null : Math.min(range.to, 2 * meets.load);
  const [low, high] = [meets.load, misses.load];
  if (high / low <= 1 + range.precisionRatio) return null;
  const between = Math.sqrt(low * high);
  if (range.over === 'concurrency')
    return high - low <= 1 ? null : Math.min(high - 1, Math.max(low + 1, Math.round(between)));
  // Three digits tell rates apart as finely as anybody measures them.
  const rate = Number(between.toPrecision(3));
  return rate > low && rate < high ? rate : null;
}

/** What a search for capacity found. */
export interface Capacity {
  readonly range: SearchRange;
  /** The limits as in `ttft ≤ 2000 ms, tpot ≤ 50 ms`. */
  readonly limits: string;
  readonly found: Found;
  readonly levels: readonly { readonly probe: Probe; readonly level: LevelReport }[];
  /** Whether the search came to its end. */
  readonly complete: boolean;
}

/** The answer that these levels give; one that is not complete, or has no limits, proves nothing and is left out. */
export function capacityOf(measured: readonly LevelReport[], range: SearchRange, limits: string): Capacity {
  const levels = measured.flatMap((level) => {
    const probe = probeOf(level, range);
    return probe === null ? [] : [{ probe, level }];
  });
  const probes = levels.map(({ probe }) => probe);
  return {
    range,
    limits,
    found: foundSoFar(probes, range.targetRatio),
    levels,
    complete: nextLevel(probes, range) === null,
  };
}

function probeOf(level: LevelReport, { over }: SearchRange): Probe | null {
  const load = over === 'rate' ? level.ratePerS : level.concurrency;
  if (level.status !== 'complete' || level.goodput === undefined || load === undefined) return null;
  return {
    load,
    sent: level.requests.sent,
    met: level.goodput.met,
    ...(level.open === undefined ? {} : { lag: level.open.lag?.verdict ?? 'too-short' }),
    validity: level.validity.verdict,
  };
}
