import type { StampError } from './audit-facts.ts';
import { Pooled } from './distribution.ts';
import type { RequestRecord } from './record.ts';
import type { TruthLine } from './truth.ts';

/** ms to be added to instants of a clock whose 0 is at CLOCK_MONOTONIC `fromNs`, to have them on one whose 0 is at `toNs`. */
export function clockShiftMs(fromNs: string, toNs: string): number {
  return Number(BigInt(fromNs) - BigInt(toNs)) / 1e6;
}

/**
 * Stamp − write in ms for each chunk of a record, held against the server's log of the same answer; null where
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

/** How late the chunks of good records were stamped. Records that cannot be held against the log are left out; null when none is left. */
export function stampErrors(
  records: readonly RequestRecord[],
  lines: readonly TruthLine[],
  shiftMs: number,
): StampError | null {
  const byRequest = new Map(lines.map((line) => [line.requestId, line]));
  const late = new Pooled(1_000);
  for (const record of records) {
    if (record.outcome !== 'good') continue;
    for (const ms of chunkErrorsMs(record, byRequest.get(record.requestId), shiftMs) ?? [])
      late.add(Math.max(0, ms) * 1_000);
  }
  const { count, p50, p99, max } = late.stats();
  return count === 0 ? null : { count, p50: p50!, p99: p99!, max: max! };
}
