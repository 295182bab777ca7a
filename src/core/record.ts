/** Why a request did not end well. Each class is counted and shown; none enters a latency. */
export const FAILURE_CLASSES = [
  'connect',
  'tls',
  'timeout',
  'reset',
  'http',
  'malformed',
  'error-event',
  'aborted',
  'filtered',
  'empty',
  'truncated',
  'cancelled',
] as const;

/** What is said of a truncated response whose body was cut; one without this came to the end of its body. */
export const CUT_BODY = 'connection closed in the middle of the response';

export type FailureClass = (typeof FAILURE_CLASSES)[number];
/** Why a request failed: its class, and words for it. */
export interface Failure {
  readonly class: FailureClass;
  readonly detail: string;
}
export type Outcome = 'good' | FailureClass;

/** `measured` requests make the numbers; `warmup` and `hold` requests are recorded and never counted. */
export type Phase = 'warmup' | 'measured' | 'hold';

/** Who counted a request's tokens: the server, the local tokenizer, or nobody. */
export type CountedBy = 'usage' | 'tokenizer' | 'none';

/** A length in tokens: what was asked of the server, and what somebody counted. */
export interface TokenCount<Asked extends number | null = number> {
  readonly asked: Asked;
  readonly counted: number | null;
  readonly by: CountedBy;
}

/**
 * Everything known of one request sent: the boundary between measuring and reporting. Whatever is
 * before it makes records, whatever is after it only reads them. Instants are milliseconds since the
 * run's origin on the monotonic clock.
 */
export interface RequestRecord {
  /** Number of the request in this run, from 0, in the order of sending. */
  readonly id: number;
  /** Index of the sweep's point, from 0. */
  readonly point: number;
  readonly concurrency: number;
  readonly phase: Phase;
  /** The `x-request-id` that was sent. */
  readonly requestId: string;
  /** Number of the conversation in its phase, from 0, and of its turn, from 1; left out where each request stands for itself. */
  readonly conversation?: number;
  readonly turn?: number;
  /** The `id` of the completion, as the server named it. */
  readonly responseId: string | null;
  readonly outcome: Outcome;
  /** What happened, in words; null for a good request. Holds no secret. */
  readonly detail: string | null;
  /** HTTP status, null when no response head came. */
  readonly status: number | null;
  readonly finishReason: string | null;
  /** When the schedule wanted it sent (closed loop: when its slot came free). */
  readonly dueAtMs: number;
  /** Open loop: how long after it was due no slot was free for it; left out in a closed loop. */
  readonly heldMs?: number;
  /** Just before the first byte was handed to the socket, or before connecting when no connection was open. */
  readonly sentAtMs: number;
  /** First chunk that carried output; null when none did. */
  readonly firstAtMs: number | null;
  /** Last chunk that carried output; null when none did. */
  readonly lastAtMs: number | null;
  /** Last event of the stream, `[DONE]` and usage included; null when none came. */
  readonly lastEventAtMs: number | null;
  /** End of the response, or the moment the request failed. */
  readonly endAtMs: number;
  /** Time to open this request's own connection; null when it was open before. Included in TTFT. */
  readonly connectMs: number | null;
  /**
   * It was sent a second time, on a new connection, since a kept one closed before any byte of an answer; its times count from
   * the first. Left out where it was not.
   */
  readonly resent?: true;
  /** Integer microseconds: send to first output chunk, then gap by gap. */
  readonly chunkUs: Uint32Array;
  /**
   * Who stamped the arrivals: the kernel's receive path, or this process as it read. Left out by older versions, which
   * knew only the latter.
   */
  readonly stampedBy?: 'kernel' | 'process';
  /**
   * Chunk i arrived between its instant − `chunkSlackUs[i]` and its instant, which is rounded to whole µs. null or left out:
   * the kernel's stamps are exact, the process's have no lower end.
   */
  readonly chunkSlackUs?: Uint32Array | null;
  /** Tokens that each chunk of `chunkUs` carried; null when nobody could tell. */
  readonly chunkTokens: Uint32Array | null;
  /** Where `chunkTokens` came from. */
  readonly chunkTokensBy: 'continuous-usage' | 'one-per-chunk' | 'tokenizer' | null;
  /**
   * Tokens of `osl.counted` that came in no chunk of their own: held back before the first chunk with output, or counted behind
   * the last. null where there were some and their number is unknown; left out, or 0, where there is no sign of any.
   */
  readonly unseenTokens?: number | null;
  /** Asked is null for a given text whose length nobody knew before the server counted it. */
  readonly isl: TokenCount<number | null>;
  readonly osl: TokenCount;
  /** `prompt_tokens` as the server sent it, the template's share included; null when it did not. */
  readonly promptTokens: number | null;
  /** Prompt tokens that the server took from its cache; null when it did not say. */
  readonly cachedTokens: number | null;
}

/**
 * The record as one line of `records.ndjson` (without the newline). Instants are rounded to whole
 * microseconds. The chunk arrays are joined by hand: a JSON replacer would be called for each gap.
 */
export function recordToJson(record: RequestRecord): string {
  const { chunkUs, chunkSlackUs, chunkTokens, ...rest } = record;
  const head = JSON.stringify({
    ...rest,
    dueAtMs: toMicros(rest.dueAtMs),
    ...(rest.heldMs === undefined ? {} : { heldMs: toMicros(rest.heldMs) }),
    sentAtMs: toMicros(rest.sentAtMs),
    firstAtMs: rest.firstAtMs === null ? null : toMicros(rest.firstAtMs),
    lastAtMs: rest.lastAtMs === null ? null : toMicros(rest.lastAtMs),
    lastEventAtMs: rest.lastEventAtMs === null ? null : toMicros(rest.lastEventAtMs),
    endAtMs: toMicros(rest.endAtMs),
    connectMs: rest.connectMs === null ? null : toMicros(rest.connectMs),
  });
  const tokens = chunkTokens === null ? 'null' : `[${chunkTokens.join(',')}]`;
  const slack = chunkSlackUs ? `,"chunkSlackUs":[${chunkSlackUs.join(',')}]` : '';
  return `${head.slice(0, -1)},"chunkUs":[${chunkUs.join(',')}]${slack},"chunkTokens":${tokens}}`;
}

function toMicros(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

/** Reads a line of `records.ndjson` back. Throws SyntaxError on text that is no record. */
export function recordFromJson(line: string): RequestRecord {
  const raw = JSON.parse(line) as Omit<RequestRecord, 'chunkUs' | 'chunkSlackUs' | 'chunkTokens'> & {
    chunkUs: number[];
    chunkSlackUs?: number[];
    chunkTokens: number[] | null;
  };
  if (typeof raw.id !== 'number' || typeof raw.outcome !== 'string' || !Array.isArray(raw.chunkUs)) {
    throw new SyntaxError('not a request record');
  }
  return {
    ...(raw as Omit<typeof raw, 'chunkSlackUs'>),
    lastEventAtMs: raw.lastEventAtMs ?? null,
    chunkUs: Uint32Array.from(raw.chunkUs),
    ...(raw.chunkSlackUs === undefined ? {} : { chunkSlackUs: Uint32Array.from(raw.chunkSlackUs) }),
    chunkTokens: raw.chunkTokens === null ? null : Uint32Array.from(raw.chunkTokens),
  };
}
