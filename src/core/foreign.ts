/** Latencies that a result of another tool may hold, each under the name of what bench has that is nearest to it. */
export const FOREIGN_METRICS = ['ttftMs', 'itlMs', 'tpotMs', 'e2eMs'] as const;
export type ForeignMetric = (typeof FOREIGN_METRICS)[number];

/** Statistics that the file holds, in ms: `mean`, `std`, `min`, `max`, and percentiles as `p50` or `p99.9`. */
export type ForeignStats = Readonly<Record<string, number>>;

/** One result of another tool, a level of load. What its file does not hold is null. */
export interface ForeignPoint extends Readonly<Record<ForeignMetric, ForeignStats>> {
  /** Most requests in flight. */
  readonly concurrency: number | null;
  /** Requests per second, `inf` for all at once, or another word of the tool. */
  readonly requestRate: number | string | null;
  readonly model: string | null;
  /** Lengths that were asked for, in tokens. */
  readonly isl: number | null;
  readonly osl: number | null;
  readonly sent: number | null;
  readonly good: number;
  readonly failed: number | null;
  readonly durationS: number | null;
  readonly inputTokens: number | null;
  readonly outputTokens: number | null;
  readonly requestsPerS: number | null;
  /** Requests that met the tool's own objectives. */
  readonly goodputPerS: number | null;
  readonly inputTokensPerS: number | null;
  readonly outputTokensPerS: number | null;
  readonly totalTokensPerS: number | null;
}

/** A tool that writes the same form as another, with numbers that mean something else. */
export interface Lookalike {
  readonly tool: string;
  /** A sentence. */
  readonly means: string;
}

/** A result file of another tool, in that tool's own definitions: its numbers are never bench's. */
export interface ForeignRun {
  readonly tool: string;
  /** A tool whose results cannot be told from these, and what its numbers mean; null where there is none. */
  readonly lookalike: Lookalike | null;
  /** The file that was read. */
  readonly source: string;
  /** What a field of the points means there, a sentence each. */
  readonly definitions: Readonly<Record<string, string>>;
  readonly points: readonly ForeignPoint[];
  /** What a reader has to know of this very file. */
  readonly notes: readonly string[];
}
