import type { Spread } from './audit-facts.ts';
import { quantile } from './distribution.ts';
import type { RequestRecord } from './record.ts';
import type { Truth, TruthLine } from './truth.ts';

/** Records of a run and the CLOCK_MONOTONIC of its instant 0. */
export interface StampedRun {
  readonly monotonicNs: string;
  readonly records: readonly RequestRecord[];
}

/** How far a client's instants are from the server's, on the clock that both share. */
export interface StampErrors {
  /** Chunks compared. */
  readonly chunks: number;
  /** Stamp of a chunk − its write, in ms. */
  readonly errorMs: Spread;
  /** Arrival of the request − send as the client has it, in ms: it is in TTFT and no fault of a stamp. */
  readonly arrivalMs: Spread;
  /** Good requests that the log does not have, or with another number of chunks. */
  readonly unmatched: number;
}

/** Compares each chunk of each good request with the write that it came from; null where there is none. */
export function compareStamps(truth: Truth, run: StampedRun): StampErrors | null {
  const shiftMs = clockShiftMs(run.monotonicNs, truth.head.monotonicNs);
  const lines = new Map(truth.lines.map((line) => [line.requestId, line]));
  const errorMs: number[] = [];
  const arrivalMs: number[] = [];
  let unmatched = 0;
  for (const record of run.records) {
    if (record.phase !== 'measured' || record.outcome !== 'good') continue;
    const line = lines.get(record.requestId);
    const errors = chunkErrorsMs(record, line, shiftMs);
    if (line === undefined || errors === null) {
      unmatched++;
      continue;
    }
    arrivalMs.push(line.arrivedAtMs - (record.sentAtMs + shiftMs));
    for (const ms of errors) errorMs.push(ms);
  }
  if (errorMs.length === 0) return null;
  return { chunks: errorMs.length, errorMs: spreadOf(errorMs), arrivalMs: spreadOf(arrivalMs), unmatched };
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values).sort();
  return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: sorted.at(-1)! };
}

/** ms to be added to instants of a clock whose 0 is at CLOCK_MONOTONIC `fromNs`, to have them on one whose 0 is at `toNs`. */
function clockShiftMs(fromNs: string, toNs: string): number {
  return Number(BigInt(fromNs) - BigInt(toNs)) / 1e6;
}

/**
 * Stamp − write in ms for each chunk of a record, compared with the server's log of the same answer; null where
 * the log has no line of it, or one of another number of events. `shiftMs` turns the record's instants into the log's.
 */
export function chunkErrorsMs(
  { sentAtMs, chunkUs }: Pick<RequestRecord, 'sentAtMs' | 'chunkUs'>,
  line: TruthLine | undefined,
  shiftMs: number,
): Float64Array | null {
  if (line?.eventAtMs.length !== chunkUs.length) return null;
  let atMs = sentAtMs + shiftMs;
  return Float64Array.from(chunkUs, (gapUs, i) => {
    atMs += gapUs / 1_000;
    return atMs - line.eventAtMs[i]!;
  });
}
