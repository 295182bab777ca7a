import type { Kind } from '../core/kind.ts';

/** What one event of a response stream carried. One object is reused for all events of a request. */
export interface Delta {
  /** Output text: content, reasoning, refusal and arguments of calls. `''` when there was none. */
  text: string;
  /** The text is that of a whole message, which repeats the deltas where there were any. */
  isWhole: boolean;
  /** It has a place for output, whether there is some or not. */
  hasChoice: boolean;
  finishReason: string | null;
  responseId: string | null;
  /** Cumulative usage, -1 where the event did not say. */
  promptTokens: number;
  completionTokens: number;
  cachedTokens: number;
  /** The stream's own end mark (`[DONE]`). */
  done: boolean;
  /** The server reported an error inside the stream. */
  error: string | null;
  /** The error cannot be anything else, in an event of any type. */
  isCertain: boolean;
  /** It is no event of a completion: a heartbeat, or one of a kind that is not known; else null. */
  other: 'heartbeat' | 'unknown' | null;
}

/** The field that limits the output. */
export type CapField = 'max_tokens' | 'max_completion_tokens';

/** How bodies differ from what the API has, because of the user or because the server refuses it. */
export interface BodyEdits {
  /** Fields that are left out, those of objects by path: `stream_options.include_usage`. */
  readonly omitted: ReadonlySet<string>;
  readonly capField: CapField;
}

/** What a request asks for, beside its text. */
export interface Ask {
  readonly model: string;
  readonly maxTokens: number;
  readonly edits?: BodyEdits;
}

/** Fields that a server may not know; those it refuses are left out. */
export type OptionalField = 'ignore_eos' | 'min_tokens' | 'continuous_usage_stats';

/** An API shape: request body out, delta in. Pure. */
export interface Dialect extends Kind {
  readonly path: string;
  /** Whether `Ask.edits` are made; not where bodies are those of another tool. */
  readonly editable: boolean;
  /** The body around the JSON-escaped prompt text, which stands between `before` and `after`. */
  frame(
    ask: Ask,
    fields: ReadonlySet<OptionalField>,
    extra: Readonly<Record<string, unknown>>,
  ): { before: string; after: string };
  /** What stands in a body between a question and its answer, and between that and the next question; texts are escaped. */
  readonly turns: { readonly answer: string; readonly question: string };
  /**
   * Reads one event's data into `delta`, which holds nothing of an earlier event afterwards. Throws SyntaxError on what
   * is no chunk. Non-empty texts and counts of 0 or more are handed on as they are, never looked at: what another text
   * or count in the same place gives follows from this one (see ChunkTemplate).
   */
  read(data: string, delta: Delta): void;
}

export function emptyDelta(): Delta {
  return {
    text: '',
    isWhole: false,
    hasChoice: false,
    finishReason: null,
    responseId: null,
    promptTokens: -1,
    completionTokens: -1,
    cachedTokens: -1,
    done: false,
    error: null,
    isCertain: false,
    other: null,
  };
}
