export const TRUTH_SCHEMA = 'bench-serving.truth/1';

/** First line of a truth log. */
export interface TruthHead {
  readonly schema: typeof TRUTH_SCHEMA;
  /** CLOCK_MONOTONIC of the host at the log's instant 0. */
  readonly monotonicNs: string;
}

/** A further line of a truth log: one answer as the server sent it. Instants are ms since the log's 0, to the µs. */
export interface TruthLine {
  readonly requestId: string | null;
  readonly responseId: string;
  /** `good`, the fault that the server played, or `client-gone`. */
  readonly outcome: string;
  readonly promptTokens: number;
  readonly arrivedAtMs: number;
  /** Each event with output tokens: just before the write that carried the last of its bytes. */
  readonly eventAtMs: readonly number[];
  /** Tokens of each of them. */
  readonly tokens: readonly number[];
}
