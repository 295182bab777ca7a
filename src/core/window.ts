import { exactStats, greatest, Pooled } from './distribution.ts';
import type { Load } from './load.ts';
import { filledAtMs } from './open-loop.ts';
import type { RequestRecord } from './record.ts';
import type { Steady } from './report.ts';

/** Visits each output chunk: its instant, its gap to the chunk before (NaN for the first), its tokens (fractions where only the sum is known). */
export function forEachChunk(
  record: RequestRecord,
  visit: (atMs: number, gapUs: number, tokens: number) => void,
): void {
  const { chunkUs, chunkTokens } = record;
  const evenShare = chunkUs.length === 0 ? 0 : (record.osl.counted ?? chunkUs.length) / chunkUs.length;
  let us = 0;
  for (let i = 0; i < chunkUs.length; i++) {
    us += chunkUs[i]!;
    visit(
      record.sentAtMs + us / 1_000,
      i === 0 ? Number.NaN : chunkUs[i]!,
      chunkTokens === null ? evenShare : chunkTokens[i]!,
    );
  }
}

/** Visits when a request's tokens came, all that the server counted: those behind the last chunk with that chunk. */
export function forEachArrival(record: RequestRecord, visit: (atMs: number, tokens: number) => void): void {
  let [lastAtMs, tokensSoFar] = [0, 0];
  forEachChunk(record, (atMs, _gapUs, tokens) => {
    visit(atMs, tokens);
    lastAtMs = atMs;
    tokensSoFar += tokens;
  });
  if (record.unseenTokens && record.osl.counted! > tokensSoFar)
    visit(lastAtMs, record.osl.counted! - tokensSoFar);
}

/** Adds a request's gaps, each shared among the tokens that its chunk carried, to `pool`. Chunks that carried none give their gap to the next that did. */
export function addTokenGaps(record: RequestRecord, pool: Pooled, within?: (atMs: number) => boolean): void {
  let carriedUs = 0;
  forEachChunk(record, (atMs, gapUs, tokens) => {
    if (Number.isNaN(gapUs)) return;
    const totalUs = gapUs + carriedUs;
    if (tokens < 1) {
      carriedUs = totalUs;
      return;
    }
    carriedUs = 0;
    if (within === undefined || within(atMs)) pool.add(totalUs / tokens, Math.round(tokens));
  });
}

/**
 * The steady window of a closed loop (that of an open one begins at `filledAtMs`): from the moment the first `concurrency` requests have all shown a
 * token to the last measured send. Tokens and gaps count by arrival inside it, TTFT by send inside it.
 * A simulation of 4·C requests at C = 128 showed the whole run 14 % below the long-run rate and this
 * window 0.3 %. `measured` are the measured records; failures hold their slot but give no number.
 */
export function steadyWindow(measured: readonly RequestRecord[], load: Load): Steady {
  const { concurrency } = load;
  const isOpen = load.ratePerS !== undefined;
  const bySend = [...measured].sort((a, b) => a.sentAtMs - b.sentAtMs);
  if (isOpen ? bySend.length === 0 : bySend.length <= concurrency)
    return { reason: `no more requests (${bySend.length}) than slots (${concurrency})` };
  const fromAtMs = isOpen
    ? filledAtMs(bySend)
    : greatest(bySend.slice(0, concurrency).map((record) => record.firstAtMs ?? record.endAtMs));
  const toAtMs = bySend.at(-1)!.sentAtMs;
  const good = measured.filter((record) => record.outcome === 'good');
  const e2e = exactStats(
    good.flatMap((record) => (record.lastAtMs === null ? [] : [record.lastAtMs - record.sentAtMs])),
  );
  const widthMs = toAtMs - fromAtMs;
  if (e2e.p50 === null) return { reason: 'no good request with visible output' };
  if (widthMs < 2 * e2e.p50) {
    const share = Math.max(0, widthMs) / e2e.p50;
    return {
      reason: `window of ${share.toFixed(1)} median E2E is shorter than 2: more requests${isOpen ? '' : ' per slot'} would open it`,
    };
  }
  const inside = (atMs: number): boolean => atMs > fromAtMs && atMs <= toAtMs;
  const tokenGaps = new Pooled(1_000);
  let tokens = 0;
  for (const record of good) {
    addTokenGaps(record, tokenGaps, inside);
    forEachArrival(record, (atMs, arrived) => {
      if (inside(atMs)) tokens += arrived;
    });
  }
  const ttft = good.flatMap((record) =>
    record.firstAtMs !== null && record.sentAtMs >= fromAtMs && record.sentAtMs <= toAtMs
      ? [record.firstAtMs - record.sentAtMs]
      : [],
  );
  const startedAtMs = bySend[0]!.sentAtMs;
  const endedAtMs = greatest(measured.map((record) => record.endAtMs));
  return {
    fromAtMs,
    toAtMs,
    shareRatio: widthMs / (endedAtMs - startedAtMs),
    outputTokensPerS: (tokens * 1_000) / widthMs,
    ttftMs: exactStats(ttft),
    tokenItlMs: tokenGaps.stats(),
    reason: null,
  };
}
