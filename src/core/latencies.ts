import type { RequestRecord } from './record.ts';

/** Send to the first chunk with output, in ms, of a request that has one. */
export function ttftOf(record: RequestRecord): number {
  return record.firstAtMs! - record.sentAtMs;
}

/** Send to the last chunk with output, in ms, of a request that has one. */
export function e2eOf(record: RequestRecord): number {
  return record.lastAtMs! - record.sentAtMs;
}

/**
 * Tokens that came after the first one, up to the last chunk with output: OSL − 1. Where the number of those that came in no chunk
 * of their own is known, the tokens of all chunks but the first. null where the number is unknown.
 */
export function decodedTokens(record: RequestRecord): number | null {
  const shown = chunkSum(record, 1);
  if (shown !== null) return shown;
  return record.osl.counted === null ? null : record.osl.counted - 1;
}

/** Tokens that the server had made by the last chunk with output; null where the number is unknown. */
export function tokensByE2e(record: RequestRecord): number | null {
  return chunkSum(record, 0) ?? record.osl.counted;
}

/** Tokens of the chunks from number `from` on, where some of the request's tokens came in none; null where none are known to. */
function chunkSum(record: RequestRecord, from: number): number | null {
  if (!record.unseenTokens) return null;
  return record.chunkTokens?.subarray(from).reduce((total, tokens) => total + tokens, 0) ?? null;
}

/** (E2E − TTFT) ÷ `decodedTokens` in ms; null when there are none or nothing was shown. */
export function tpotMs(record: RequestRecord): number | null {
  const tokens = decodedTokens(record);
  if (tokens === null || tokens < 1 || record.firstAtMs === null || record.lastAtMs === null) return null;
  return (record.lastAtMs - record.firstAtMs) / tokens;
}
