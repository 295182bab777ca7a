/** Values up to which numpy adds in eight lanes, and above which it halves. */
const BLOCK = 128;

/**
 * Sum of the values in numpy's order (pairwise, blocks of 128 in eight lanes), so that results agree with
 * `numpy.sum` of a float64 array to the last bit. 0 for no values.
 */
export function numpySum(values: Float64Array, from = 0, count = values.length): number {
  if (count < 8) {
    let total = 0;
    for (let i = 0; i < count; i++) total += values[from + i]!;
    return total;
  }
  if (count > BLOCK) {
    const half = Math.floor(count / 2);
    const left = half - (half % 8);
    return numpySum(values, from, left) + numpySum(values, from + left, count - left);
  }
  const lanes = values.slice(from, from + 8);
  const even = count - (count % 8);
  for (let i = 8; i < even; i += 8) for (let j = 0; j < 8; j++) lanes[j]! += values[from + i + j]!;
  const pair = (i: number): number => lanes[i]! + lanes[i + 1]!;
  let total = pair(0) + pair(2) + (pair(4) + pair(6));
  for (let i = even; i < count; i++) total += values[from + i]!;
  return total;
}

/** What numpy says of values in any unit; the same unit comes out. */
export interface NumpyStatistics {
  readonly mean: number;
  readonly median: number;
  /** Of the population (ddof 0). */
  readonly std: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Statistics as numpy computes them, to the last bit; all 0 for no values, which is what numpy says of a lone 0. */
export function numpyStatistics(values: Float64Array): NumpyStatistics {
  const count = values.length;
  if (count === 0) return { mean: 0, median: 0, std: 0, p90: 0, p95: 0, p99: 0, max: 0 };
  const mean = numpySum(values) / count;
  const squares = values.map((value) => (value - mean) * (value - mean));
  const sorted = values.slice().sort();
  const middle = Math.floor(count / 2);
  return {
    mean,
    median: count % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2,
    std: Math.sqrt(numpySum(squares) / count),
    p90: numpyPercentile(sorted, 90),
    p95: numpyPercentile(sorted, 95),
    p99: numpyPercentile(sorted, 99),
    max: sorted[count - 1]!,
  };
}

/**
 * Percentile `p` in [0, 100] of ascending values, not empty, linear between closest ranks. The quantile of the core
 * has the same definition; numpy counts from the upper neighbour in its upper half, which differs in the last bit.
 */
export function numpyPercentile(sorted: Float64Array, p: number): number {
  const rank = (p / 100) * (sorted.length - 1);
  const low = Math.floor(rank);
  const share = rank - low;
  const below = sorted[low]!;
  const above = sorted[Math.min(low + 1, sorted.length - 1)]!;
  const step = above - below;
  return share < 0.5 ? below + step * share : above - step * (1 - share);
}
