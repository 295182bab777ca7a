import { greatest, least } from '../../core/distribution.ts';
import { mostAtOnce } from '../../core/most-at-once.ts';
import type { SglangRow } from './rows.ts';

/** What arrived and what ran in each second since the first send of a success. */
export interface Peaks {
  /** Chunks by second. A success without a chunk counts one at its send. */
  readonly chunks: Float64Array;
  /** Requests that ran in any part of the second. */
  readonly requests: Float64Array;
  readonly outputPerS: number;
  readonly concurrent: number;
}

/** The seconds of the successes among `rows`; all empty when there is none. */
export function peaks(rows: readonly SglangRow[]): Peaks {
  const good = rows.filter((row) => row.success);
  const fromS = least(good.map((row) => row.startS));
  const toS = greatest(good.map((row) => row.startS + row.latencyS));
  const seconds = good.length === 0 ? 0 : Math.ceil(toS - fromS) + 1;
  const chunks = new Float64Array(seconds);
  const requests = new Float64Array(seconds);
  for (const row of good) {
    let atS = row.startS + row.ttftS;
    count(chunks, atS - fromS);
    for (let i = 0; i < row.itlS.length; i++) {
      atS += row.itlS[i]!;
      count(chunks, atS - fromS);
    }
    const last = Math.min(Math.trunc(row.startS + row.latencyS - fromS), seconds - 1);
    for (let second = Math.trunc(row.startS - fromS); second <= last; second++) requests[second]! += 1;
  }
  return { chunks, requests, outputPerS: highest(chunks), concurrent: highest(requests) };
}

/**
 * The same peaks as they were: tokens, not chunks, of the fullest second, and the most requests in flight at one
 * instant. A chunk whose tokens are unknown gets its even share of the output.
 */
export function truePeaks(rows: readonly SglangRow[]): Pick<Peaks, 'outputPerS' | 'concurrent'> {
  const good = rows.filter((row) => row.success);
  const fromS = least(good.map((row) => row.startS));
  const toS = greatest(good.map((row) => row.startS + row.latencyS));
  const tokens = new Float64Array(good.length === 0 ? 0 : Math.floor(toS - fromS) + 1);
  for (const row of good) {
    const share = row.outputLen / (row.itlS.length + 1);
    const gapTokens = row.chunkTokens?.reduce((sum, count) => sum + count, 0);
    let atS = row.startS + row.ttftS;
    count(tokens, atS - fromS, gapTokens === undefined ? share : row.outputLen - gapTokens);
    for (let i = 0; i < row.itlS.length; i++) {
      atS += row.itlS[i]!;
      count(tokens, atS - fromS, row.chunkTokens?.[i] ?? share);
    }
  }
  const concurrent = mostAtOnce(
    good,
    ({ startS }) => startS,
    ({ startS, latencyS }) => startS + latencyS,
  );
  return { outputPerS: highest(tokens), concurrent };
}

/** A chunk after the last second is left out: gaps may go on after the latency of a response that ended early. */
function count(buckets: Float64Array, atS: number, amount = 1): void {
  const second = Math.trunc(atS);
  if (second < buckets.length) buckets[second]! += amount;
}

function highest(buckets: Float64Array): number {
  return buckets.reduce((top, value) => Math.max(top, value), 0);
}
