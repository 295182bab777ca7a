import {
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  type Histogram,
} from 'hdr-histogram-js';
import { ENOUGH_SAMPLES, type PercentileName, type Stats } from './stats.ts';

const QUANTILES: readonly (readonly [PercentileName, number])[] = [
  ['p50', 0.5],
  ['p90', 0.9],
  ['p95', 0.95],
  ['p99', 0.99],
  ['p999', 0.999],
];

const EMPTY_STATS: Stats = {
  mean: null,
  std: null,
  min: null,
  p50: null,
  p90: null,
  p95: null,
  p99: null,
  p999: null,
  max: null,
  count: 0,
  thin: [],
};

/** Percentiles that `count` samples are too few for. */
export function thinPercentiles(count: number): PercentileName[] {
  return (['p90', 'p95', 'p99', 'p999'] as const).filter((name) => count < ENOUGH_SAMPLES[name]);
}

/**
 * The quantile `q` in [0, 1] of ascending `sorted` values, linear between closest ranks: numpy's
 * default, Hyndman and Fan's type 7. NaN for no values.
 */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  if (sorted.length === 0) return Number.NaN;
  const rank = q * (sorted.length - 1);
  const low = Math.floor(rank);
  const below = sorted[low]!;
  const above = sorted[Math.min(low + 1, sorted.length - 1)]!;
  return below + (above - below) * (rank - low);
}

/** Exact distribution of the values, in their own unit. Standard deviation is the population's (ddof 0). */
export function exactStats(values: ArrayLike<number>): Stats {
  const count = values.length;
  if (count === 0) return EMPTY_STATS;
  const sorted = Float64Array.from(values).sort();
  const mean = sorted.reduce((sum, value) => sum + value, 0) / count;
  const variance = sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count;
  return {
    mean,
    std: Math.sqrt(variance),
    min: sorted[0]!,
    ...quantiles((q) => quantile(sorted, q)),
    max: sorted[count - 1]!,
    count,
    thin: thinPercentiles(count),
  };
}

function quantiles(at: (q: number) => number): Record<PercentileName, number> {
  return Object.fromEntries(QUANTILES.map(([name, q]) => [name, at(q)])) as Record<PercentileName, number>;
}

/** One hour in microseconds: histograms of one range merge as they are. */
const HIGHEST_VALUE = 3_600_000_000;

/** An HDR histogram of integers from 1 with three significant digits; it grows beyond an hour of microseconds. */
function newHistogram(): Histogram {
  return build({
    bitBucketSize: 32,
    autoResize: true,
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_VALUE,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });
}

/** The histogram as base64 of HdrHistogram's V2 deflate-compressed encoding, so that runs merge. */
export function encodeHistogram(histogram: Histogram): string {
  return encodeIntoCompressedBase64(histogram);
}

/** One histogram of all values in these, each and the result as of `encodeHistogram`. Throws for text that is none. */
export function mergeHistograms(encoded: readonly string[]): string {
  const all = newHistogram();
  for (const one of encoded) all.add(decodeFromCompressedBase64(one));
  return encodeHistogram(all);
}

/**
 * Many pooled values: percentiles from an HDR histogram (error below 0.1 %), mean, deviation and
 * extremes from exact running sums (Welford, with weights). Values go in as integers of a fine unit
 * (microseconds) and statistics come out divided by `scale` (1,000 for milliseconds).
 */
export class Pooled {
  readonly histogram: Histogram = newHistogram();
  readonly #scale: number;
  #count = 0;
  #mean = 0;
  #squares = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;

  constructor(scale: number) {
    this.#scale = scale;
  }

  /** Adds `value` (not negative) `weight` times. */
  add(value: number, weight = 1): void {
    if (weight === 0) return;
    const whole = Math.round(value);
    if (weight === 1) this.histogram.recordValue(whole);
    else this.histogram.recordValueWithCount(whole, weight);
    this.#count += weight;
    const step = value - this.#mean;
    this.#mean += (step * weight) / this.#count;
    this.#squares += weight * step * (value - this.#mean);
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
  }

  stats(): Stats {
    if (this.#count === 0) return EMPTY_STATS;
    return {
      mean: this.#mean / this.#scale,
      std: Math.sqrt(this.#squares / this.#count) / this.#scale,
      min: this.#min / this.#scale,
      ...quantiles((q) => this.#within(this.histogram.getValueAtPercentile(q * 100)) / this.#scale),
      max: this.#max / this.#scale,
      count: this.#count,
      thin: thinPercentiles(this.#count),
    };
  }

  /** A bucket's edge may lie a little outside of what was recorded. */
  #within(value: number): number {
    return Math.min(this.#max, Math.max(this.#min, value));
  }
}

/** A histogram of exact values scaled to integers by `scale` (1,000 turns ms into µs). */
export function histogramOf(values: ArrayLike<number>, scale: number): Histogram {
  const histogram = newHistogram();
  for (let i = 0; i < values.length; i++) histogram.recordValue(Math.max(0, Math.round(values[i]! * scale)));
  return histogram;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The geometric mean of positive values; NaN for none. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(sum(values.map(Math.log)) / values.length);
}

/** The least of the values, Infinity for none. Unlike `Math.min(...values)` it takes any number of them. */
export function least(values: readonly number[]): number {
  return values.reduce((low, value) => (value < low ? value : low), Number.POSITIVE_INFINITY);
}

/** The greatest of the values, -Infinity for none. */
export function greatest(values: readonly number[]): number {
  return values.reduce((high, value) => (value > high ? value : high), Number.NEGATIVE_INFINITY);
}
