import type { StampError } from './audit-facts.ts';
import { Pooled } from './distribution.ts';
import type { RequestRecord } from './record.ts';
import type { TruthLine } from './truth.ts';

/**
 * How late the chunks of good records were stamped, held against the server's log of the same answers: stamp −
 * write. `shiftMs` turns the records' instants into the log's. Records without a line of as many events are
 * left out; null when none is left.
 */
export function stampErrors(
  records: readonly RequestRecord[],
  lines: readonly TruthLine[],
  shiftMs: number,
): StampError | null {
  const truths = new Map(lines.map((line) => [line.requestId, line.eventAtMs]));
  const late = new Pooled(1_000);
  for (const { outcome, requestId, sentAtMs, chunkUs } of records) {
    const writtenAtMs = truths.get(requestId);
    if (outcome !== 'good' || writtenAtMs?.length !== chunkUs.length) continue;
    let atMs = sentAtMs + shiftMs;
    for (const [i, gapUs] of chunkUs.entries()) {
      atMs += gapUs / 1_000;
      late.add(Math.max(0, atMs - writtenAtMs[i]!) * 1_000);
    }
  }
  const { count, p50, p99, max } = late.stats();
  return count === 0 ? null : { count, p50: p50!, p99: p99!, max: max! };
}
