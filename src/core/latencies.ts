import type { RequestRecord } from './record.ts';

/** Send to the first chunk with output, in ms, of a request that has one. */
export function ttftOf(record: RequestRecord): number {
  return record.firstAtMs! - record.sentAtMs;
}

/** Send to the last chunk with output, in ms, of a request that has one. */
export function e2eOf(record: RequestRecord): number {
  return record.lastAtMs! - record.sentAtMs;
}

/** (E2E − TTFT) ÷ (OSL − 1) in ms; null when fewer than two tokens were counted or nothing was shown. */
export function tpotMs(record: RequestRecord): number | null {
  const tokens = record.osl.counted;
  if (tokens === null || tokens < 2 || record.firstAtMs === null || record.lastAtMs === null) return null;
  return (record.lastAtMs - record.firstAtMs) / (tokens - 1);
}
