import type { RequestRecord } from './record.ts';

/** What is known of a stream that may have held tokens back. */
export interface CountedStream {
  /** The server's count of all tokens; -1 when unknown. */
  readonly counted: number;
  /** Chunks with output. */
  readonly chunks: number;
  /** Tokens of each of them; null when unknown. */
  readonly chunkTokens: Uint32Array | null;
  /** UTF-8 bytes of the first chunk's output. */
  readonly firstBytes: number;
  /** Events without output. */
  readonly silentEvents: number;
  /** The server's running count before the first chunk; -1 when unknown. */
  readonly countBefore: number;
}

/** Events without output that a stream may have anyway: a role, a finish reason, usage. */
const USUAL_SILENT_EVENTS = 3;
/** So large a share of the tokens has an event each where nearly every event stands for one. */
const EVENT_PER_TOKEN_RATIO = 0.8;

/**
 * Tokens counted that came in no chunk of their own: before the first chunk with output, or behind the last. null where there were some
 * and their number is unknown.
 */
export function unseenTokens(stream: CountedStream): number | null {
  const { counted, chunks, chunkTokens, silentEvents } = stream;
  if (chunks === 0) return 0;
  if (chunkTokens === null) {
    const silent = silentEvents - USUAL_SILENT_EVENTS;
    return counted > chunks && silent > 0 && chunks + silent >= EVENT_PER_TOKEN_RATIO * counted ? null : 0;
  }
  return heldBack(stream, chunkTokens) + behindLast(counted, chunkTokens);
}

/** Text of several tokens has more bytes for each, in nearly any language. */
const LEAST_BYTES_PER_TOKEN = 2.5;

/**
 * Tokens within the first chunk's count that were held back before it: earlier events counted them, or they are more than its text has
 * bytes, or far more than any other chunk has and more than its text may stand for.
 */
function heldBack({ firstBytes, countBefore }: CountedStream, chunkTokens: Uint32Array): number {
  const first = chunkTokens[0]!;
  if (countBefore > 0 && countBefore < first) return countBefore;
  const usual = chunkTokens.subarray(1).reduce((most, tokens) => Math.max(most, tokens), 1);
  const isTooMany =
    first > firstBytes || (first > 3 * usual + 2 && firstBytes < LEAST_BYTES_PER_TOKEN * first);
  return isTooMany ? Math.max(0, first - usual) : 0;
}

/** Tokens within the first chunk's count that are not its own: those unseen that were not counted behind the last chunk. */
export function heldBackTokens(
  { unseenTokens: unseen, osl }: Pick<RequestRecord, 'unseenTokens' | 'osl'>,
  chunkTokens: Uint32Array | null,
): number {
  if (!unseen || chunkTokens === null) return 0;
  return Math.max(0, unseen - behindLast(osl.counted ?? 0, chunkTokens));
}

/** Tokens counted behind the last chunk. */
function behindLast(counted: number, chunkTokens: Uint32Array): number {
  return Math.max(0, counted - chunkTokens.reduce((total, tokens) => total + tokens, 0));
}
