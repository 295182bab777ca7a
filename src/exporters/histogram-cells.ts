import { decodeFromCompressedBase64, JsHistogram } from 'hdr-histogram-js';
import { BenchError, EXIT, errorText } from '../core/errors.ts';

/** Values in [from, to) and how many there are. */
export interface Cell {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** Stored integer units per shown unit: µs per ms, milli-tokens per token. */
const PER_UNIT = 1_000;

/**
 * The non-empty cells of a report's histogram, ascending, in stored units (µs, or milli-tokens per second).
 * Bounds are whole numbers: HDR keeps values below 2,048 exactly and larger ones to 3 digits.
 * Throws a usage error (exit 2) when `encoded` is no compressed V2 histogram.
 */
export function decodeCells(encoded: string): Cell[] {
  const histogram = decode(encoded);
  const cells: Cell[] = [];
  let left = histogram.totalCount;
  for (let index = 0; left > 0 && index < histogram.countsArrayLength; index++) {
    const count = histogram.getCountAtIndex(index);
    if (count === 0) continue;
    const from = histogram.valueFromIndex(index);
    cells.push({ from, to: histogram.highestEquivalentValue(from) + 1, count });
    left -= count;
  }
  return cells;
}

function decode(encoded: string): JsHistogram {
  try {
    const histogram = decodeFromCompressedBase64(encoded);
    if (histogram instanceof JsHistogram) return histogram;
  } catch (error) {
    throw new BenchError(
      EXIT.usage,
      `a histogram of the report cannot be read: ${errorText(error)}`,
      'the report was cut off or edited; make it again from records.ndjson',
    );
  }
  throw new TypeError('the histogram library gave no JsHistogram');
}

/** The value that stands for all of a cell, HDR's median equivalent value. */
export function middle(cell: Cell): number {
  return Math.floor((cell.from + cell.to) / 2);
}

/**
 * Regroups cells into decimal log-linear buckets of two significant digits (12 to 13 ms, 120 to 130 ms),
 * in shown units. A cell goes whole into the bucket of its middle, so a bound is exact to 0.1 %.
 */
export function decimalBuckets(cells: readonly Cell[]): Cell[] {
  const buckets: Cell[] = [];
  for (const cell of cells) {
    const value = middle(cell);
    const width = 10 ** Math.max(0, String(value).length - 2);
    const from = Math.floor(value / width) * width;
    const last = buckets.at(-1);
    if (last?.from === from / PER_UNIT)
      buckets[buckets.length - 1] = { ...last, count: last.count + cell.count };
    else buckets.push({ from: from / PER_UNIT, to: (from + width) / PER_UNIT, count: cell.count });
  }
  return buckets;
}
