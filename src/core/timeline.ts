import type { RequestRecord } from './record.ts';
import type { LevelReport } from './report.ts';
import { forEachArrival } from './window.ts';

const BUCKET_MS = 1_000;

/**
 * A level second by second, from its first measured send to its last measured end: output tokens of good measured requests by
 * arrival, requests of any phase in flight in the mean, and measured requests that failed, by their end. Empty where nothing was sent.
 */
export function timelineOf(
  records: readonly RequestRecord[],
  fromAtMs: number | null,
  toAtMs: number | null,
): LevelReport['timeline'] {
  if (fromAtMs === null || toAtMs === null)
    return { bucketS: 1, outputTokens: [], inFlight: [], failures: [] };
  const count = Math.floor((toAtMs - fromAtMs) / BUCKET_MS) + 1;
  const zeros = (): number[] => new Array<number>(count).fill(0);
  const bucketOf = (atMs: number): number =>
    Math.min(count - 1, Math.max(0, Math.floor((atMs - fromAtMs) / BUCKET_MS)));
  const [outputTokens, busyMs, failures] = [zeros(), zeros(), zeros()];
  for (const record of records) {
    const begin = Math.max(record.sentAtMs, fromAtMs);
    const end = Math.min(record.endAtMs, toAtMs);
    for (let nth = bucketOf(begin); begin < end && nth <= bucketOf(end); nth++) {
      const bucketAtMs = fromAtMs + nth * BUCKET_MS;
      busyMs[nth]! += Math.max(0, Math.min(end, bucketAtMs + BUCKET_MS) - Math.max(begin, bucketAtMs));
    }
    if (record.phase !== 'measured') continue;
    if (record.outcome !== 'good') failures[bucketOf(record.endAtMs)]! += 1;
    else
      forEachArrival(record, (atMs, tokens) => {
        outputTokens[bucketOf(atMs)]! += tokens;
      });
  }
  const lastMs = toAtMs - fromAtMs - (count - 1) * BUCKET_MS;
  const inFlight = busyMs.map((ms, nth) => (nth < count - 1 ? ms / BUCKET_MS : lastMs > 0 ? ms / lastMs : 0));
  return { bucketS: 1, outputTokens: outputTokens.map(rounded), inFlight: inFlight.map(rounded), failures };
}

function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
