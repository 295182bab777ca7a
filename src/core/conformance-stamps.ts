import { quantile } from './distribution.ts';
import type { RequestRecord } from './record.ts';
import type { Truth } from './truth.ts';

/** Records of a run and the CLOCK_MONOTONIC of its instant 0. */
export interface StampedRun {
  readonly monotonicNs: string;
  readonly records: readonly RequestRecord[];
}

interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** How far a client's instants are from the server's, on the clock that both share. */
export interface StampErrors {
  /** Chunks compared. */
  readonly chunks: number;
  /** Stamp of a chunk − its write, in ms. */
  readonly errorMs: Spread;
  /** Request read by the server − send as the client has it, in ms: it is in TTFT and no fault of a stamp. */
  readonly arrivalMs: Spread;
  /** Good requests that the log does not have, or with another number of chunks. */
  readonly unmatched: number;
}

/** Compares each chunk of each good request with the write that it came from; null where there is none. */
export function stampErrors(truth: Truth, run: StampedRun): StampErrors | null {
  const offsetMs = Number(BigInt(run.monotonicNs) - BigInt(truth.head.monotonicNs)) / 1e6;
  const lines = new Map(truth.lines.map((line) => [line.requestId, line]));
  const errorMs: number[] = [];
  const arrivalMs: number[] = [];
  let unmatched = 0;
  for (const { requestId, outcome, phase, sentAtMs, chunkUs } of run.records) {
    if (phase !== 'measured' || outcome !== 'good') continue;
    const line = lines.get(requestId);
    if (line?.eventAtMs.length !== chunkUs.length) {
      unmatched++;
      continue;
    }
    let atMs = sentAtMs + offsetMs;
    arrivalMs.push(line.arrivedAtMs - atMs);
    for (const [i, gapUs] of chunkUs.entries()) {
      atMs += gapUs / 1_000;
      errorMs.push(atMs - line.eventAtMs[i]!);
    }
  }
  if (errorMs.length === 0) return null;
  return { chunks: errorMs.length, errorMs: spreadOf(errorMs), arrivalMs: spreadOf(arrivalMs), unmatched };
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values).sort();
  return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: sorted.at(-1)! };
}
