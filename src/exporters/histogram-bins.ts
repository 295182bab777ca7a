import { type Cell, middle } from './histogram-cells.ts';

/** Bins of the body; with a tail on each side a histogram has two more. */
const MOST_BINS = 10;
/** A bin is no finer than its value by this: HDR cells are a thousandth wide. */
const FINEST = 500;
/** First digits of edges, from fine to coarse. */
const SERIES = [
  [1, 1.2, 1.5, 1.8, 2.2, 2.7, 3.3, 3.9, 4.7, 5.6, 6.8, 8.2],
  [1, 1.5, 2, 3, 5, 7],
  [1, 2, 5],
  [1],
] as const;

/**
 * Regroups cells into about ten bins for reading. The body, 1st to 99th percentile, gets bins with round
 * edges, linear or logarithmic, whichever spreads the counts better; what lies outside gets one bin on
 * each side, whose outer edge is the least or greatest value. Counts are kept. Empty for no cells.
 */
export function rebin(cells: readonly Cell[]): Cell[] {
  if (cells.length === 0) return [];
  const low = valueAt(cells, 0.01);
  const high = valueAt(cells, 0.99);
  const linear = fill(cells, linearEdges(low, high));
  const logarithmic = fill(cells, logEdges(Math.max(1, low), Math.max(1, high)));
  return fullest(logarithmic) < fullest(linear) ? logarithmic : linear;
}

function fullest(bins: readonly Cell[]): number {
  return Math.max(...bins.map((bin) => bin.count));
}

/** Counts between the edges, and beyond them where there is something. */
function fill(cells: readonly Cell[], edges: readonly number[]): Cell[] {
  const least = cells[0]!;
  const greatest = cells.at(-1)!;
  const bounds = [
    ...(middle(least) < edges[0]! ? [least.from] : []),
    ...edges,
    ...(middle(greatest) >= edges.at(-1)! ? [greatest.to] : []),
  ];
  const counts = new Array<number>(bounds.length - 1).fill(0);
  let bin = 0;
  for (const cell of cells) {
    while (bin < counts.length - 1 && middle(cell) >= bounds[bin + 1]!) bin += 1;
    counts[bin]! += cell.count;
  }
  return counts.map((count, i) => ({ from: bounds[i]!, to: bounds[i + 1]!, count }));
}

function valueAt(cells: readonly Cell[], ratio: number): number {
  const total = cells.reduce((sum, cell) => sum + cell.count, 0);
  let below = 0;
  for (const cell of cells) {
    below += cell.count;
    if (below >= ratio * total) return middle(cell);
  }
  return 0;
}

/** Edges at multiples of the smallest round step that covers low to high with MOST_BINS bins. */
function linearEdges(low: number, high: number): number[] {
  for (let power = 1; ; power *= 10) {
    for (const digit of [1, 2, 2.5, 5]) {
      const step = digit * power;
      const from = Math.floor(low / step);
      const to = Math.floor(high / step) + 1;
      if (Number.isInteger(step) && step * FINEST >= low && to - from <= MOST_BINS) {
        return Array.from({ length: to - from + 1 }, (_, i) => (from + i) * step);
      }
    }
  }
}

/** Edges of the finest series that covers low to high with MOST_BINS bins. */
function logEdges(low: number, high: number): number[] {
  const decades = Array.from({ length: Math.floor(Math.log10(high)) + 2 }, (_, power) => 10 ** power);
  let edges: number[] = [];
  for (const series of SERIES) {
    const all = decades.flatMap((decade) => series.map((digit) => digit * decade));
    const from = all.findLastIndex((edge) => edge <= low);
    const to = all.findIndex((edge) => edge > high);
    edges = all.slice(from, to + 1);
    if (edges.length - 1 <= MOST_BINS) break;
  }
  return edges;
}
