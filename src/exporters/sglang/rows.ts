import { CUT_BODY, type Outcome, type RequestRecord } from '../../core/record.ts';

/** What sglang.bench_serving knows of one request; seconds, as it computes. */
export interface SglangRow {
  readonly success: boolean;
  /** Prompt tokens that enter the totals. */
  readonly promptLen: number;
  /** The server's own count of them, its chat template included; `promptLen` where it sent none. */
  readonly serverPromptLen: number;
  /** 0 for a failed one. */
  readonly outputLen: number;
  /** Since the run's origin. */
  readonly startS: number;
  /** 0 for a failed one. */
  readonly latencyS: number;
  /** 0 when nothing was shown. */
  readonly ttftS: number;
  /** Gaps between chunks that carry output. */
  readonly itlS: readonly number[];
  /** Tokens of each gap's chunk, for the retokenised ITL; null when nobody counted. */
  readonly chunkTokens: readonly number[] | null;
  /** Tokens of the whole text by the local tokenizer; 0 for a failed one, null where the text was not kept. */
  readonly retokLen: number | null;
  /** Empty for a success. */
  readonly error: string;
  /** Empty for a failed one. */
  readonly text: string;
  readonly cachedTokens: number;
  /** A success that showed no output: it has no latency, and none of its times enters a statistic. */
  readonly untimed?: boolean;
}

/**
 * Two readings of one run. `strict` says what happened: a success is a good request, latency ends with its last output
 * chunk, tokens are those that somebody counted. `bug-compatible` says what sglang.bench_serving would have said of
 * the same events: a body that was read to its end is a success, latency ends with the last event of any kind, input
 * tokens are those asked, and so are output tokens where the server told none.
 */
export type SglangReading = 'strict' | 'bug-compatible';

/** Outcomes whose response body ended without an exception, so that sglang counts them as successes. */
const READ_TO_ITS_END: ReadonlySet<Outcome> = new Set([
  'good',
  'empty',
  'truncated',
  'error-event',
  'aborted',
  'filtered',
]);

/**
 * The row of a record. `originAtMs` is the instant of the first send. `output` is the request's text, its length by
 * the local tokenizer, and the tokens of each chunk but the first. First token and gaps stay in the row of a failed
 * request, as sglang writes them into its details; no statistic reads them.
 */
export function sglangRow(
  record: RequestRecord,
  reading: SglangReading,
  originAtMs: number,
  output: { text: string; retokLen: number | null; chunkTokens: readonly number[] | null },
): SglangRow {
  const strict = reading === 'strict';
  const success = strict ? record.outcome === 'good' : countsAsSuccess(record);
  const promptLen = (strict ? (record.isl.counted ?? record.isl.asked) : record.isl.asked) ?? 0;
  return {
    success,
    promptLen,
    serverPromptLen: record.promptTokens || promptLen,
    outputLen: success ? outputLen(record, strict) : 0,
    startS: (record.sentAtMs - originAtMs) / 1_000,
    latencyS: success ? (endAtMs(record, strict) - record.sentAtMs) / 1_000 : 0,
    ttftS: record.firstAtMs === null ? 0 : (record.firstAtMs - record.sentAtMs) / 1_000,
    itlS: gapsS(record.chunkUs),
    chunkTokens: success ? output.chunkTokens : null,
    retokLen: success ? output.retokLen : 0,
    error: success ? '' : (record.detail ?? ''),
    text: success ? output.text : '',
    cachedTokens: record.cachedTokens ?? 0,
    ...(strict && success && record.firstAtMs === null ? { untimed: true } : {}),
  };
}

/** A response without a single event fails in sglang too: its latency was never set. */
function countsAsSuccess(record: RequestRecord): boolean {
  const { status, lastEventAtMs, outcome, detail } = record;
  return (
    status === 200 && lastEventAtMs !== null && READ_TO_ITS_END.has(outcome) && !detail?.startsWith(CUT_BODY)
  );
}

function outputLen(record: RequestRecord, strict: boolean): number {
  if (strict) return record.osl.counted ?? 0;
  return record.osl.by === 'usage' ? (record.osl.counted ?? record.osl.asked) : record.osl.asked;
}

/** A good request without visible text has no last chunk: the end of its response stands in. */
function endAtMs(record: RequestRecord, strict: boolean): number {
  return (strict ? record.lastAtMs : record.lastEventAtMs) ?? record.endAtMs;
}

function gapsS(chunkUs: Uint32Array): number[] {
  const gaps: number[] = [];
  for (let i = 1; i < chunkUs.length; i++) gaps.push(chunkUs[i]! / 1_000_000);
  return gaps;
}
