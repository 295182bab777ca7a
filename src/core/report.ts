import type { Audit, LevelBounds, Validity } from './audit-facts.ts';
import type { Bursts } from './bursts.ts';
import type { OpenLoop } from './open-loop.ts';
import type { PromptFacts } from './prompt-facts.ts';
import type { FailureClass } from './record.ts';
import type { ServerSide } from './server-side.ts';
import type { Goodput } from './slo.ts';
import type { RunSpec } from './spec.ts';
import type { Stats } from './stats.ts';
import type { TurnReport } from './turn-stats.ts';

/** Version of the report's shape; raised when a field changes its meaning or goes away. */
export const REPORT_SCHEMA = 1;

/** Numbers of the steady window; `share` is its part of the level's duration. */
export type Steady =
  | {
      readonly fromAtMs: number;
      readonly toAtMs: number;
      readonly shareRatio: number;
      readonly outputTokensPerS: number;
      readonly ttftMs: Stats;
      readonly tokenItlMs: Stats;
      readonly reason: null;
    }
  | { readonly reason: string };

/** A count of the server and ours. */
export interface WitnessCount {
  readonly server: number;
  readonly ours: number;
  /** What of `ours` the server may have counted twice: that of requests sent a second time. Left out where there were none. */
  readonly resent?: number;
}

/** Server's own count against ours over one level. */
export interface Witness {
  readonly source: string;
  readonly inputTokens: WitnessCount | null;
  readonly outputTokens: WitnessCount | null;
  readonly requests: WitnessCount | null;
  /** Why there is nothing to compare; null when there is. */
  readonly reason: string | null;
}

/** How lengths came out against what was asked, over good measured requests. */
export interface LengthProof {
  readonly asked: number | null;
  /** Good requests whose length was not known beforehand: whatever was counted proves nothing. Left out where there are none. */
  readonly unasked?: number;
  readonly counted: { readonly min: number; readonly mean: number; readonly max: number } | null;
  /** Requests that the server itself counted. */
  readonly provenByUsage: number;
  /** Good requests whose count is known and differs from what was asked. */
  readonly deviations: number;
  /** Good requests whose length nobody counted. */
  readonly unknown: number;
  /** Good requests whose length a tokenizer that is not the model's counted, which proves and refutes nothing. Left out where there are none. */
  readonly estimated?: number;
}

/** Ends of good requests that prove less of their outputs than others do. */
export interface WeakEnds {
  /** Requests by finish reasons that are not known; their outputs are as long as requested, or may be shorter. */
  readonly unknownReasons: Readonly<Record<string, number>>;
  /** Requests with neither finish reason nor usage, and fewer chunks than tokens requested. */
  readonly unproven: number;
}

/** One of several load generators that sent a level together. */
export interface RankReport {
  readonly rank: number;
  readonly host: string;
  /** Its share of the level. */
  readonly concurrency: number;
  /** Measured requests that it sent. */
  readonly requests: number;
  /** How far its clock is ahead of the run's; its instants are corrected by it, its latencies need not be. */
  readonly clockOffsetMs: number;
  /** The offset is right within so much. */
  readonly clockErrorMs: number;
  /** Its first measured send by its own clock; null when it sent none. */
  readonly startedUtc: string | null;
  /** What it saw of itself; null when it did not come to the end of the level. */
  readonly audit: Audit | null;
}

export interface LevelReport {
  readonly point: number;
  /** Requests in flight; in an open loop at most. */
  readonly concurrency: number;
  /** Mean arrivals per second of an open loop, as asked; absent in a closed loop. */
  readonly ratePerS?: number;
  readonly isl: number;
  readonly osl: number;
  readonly status: 'complete' | 'partial' | 'skipped';
  /** Why it is not complete, where that is known; left out by older versions. */
  readonly statusReason?: string | null;
  readonly requests: {
    readonly sent: number;
    readonly good: number;
    readonly failed: number;
    /** Good by the counts, yet no text was visible: TTFT unknown. */
    readonly goodWithoutText: number;
    readonly warmup: number;
    readonly warmupFailed: number;
    readonly hold: number;
    /** Measured requests that were sent a second time, on a new connection; left out by older versions. */
    readonly resent?: number;
  };
  /** Left out where there were none, and by older versions. */
  readonly ends?: WeakEnds;
  readonly failureRatio: number;
  readonly failures: Readonly<
    Partial<Record<FailureClass, { readonly count: number; readonly first: string }>>
  >;
  /** First measured send, and last end of a measured response. */
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
  readonly durationS: number | null;
  readonly ttftMs: Stats;
  readonly itlMs: Stats;
  readonly tokenItlMs: Stats;
  readonly tpotMs: Stats;
  readonly e2eMs: Stats;
  readonly tokensPerChunk: Stats;
  /** Where the tokens per chunk came from, requests by source. */
  readonly chunkTokensBy: Readonly<Record<string, number>>;
  readonly requestsPerS: number | null;
  readonly inputTokensPerS: number | null;
  readonly outputTokensPerS: number | null;
  readonly totalTokensPerS: number | null;
  readonly outputTokensPerSPerGpu: number | null;
  readonly totalTokensPerSPerGpu: number | null;
  /** Decode speed that one user sees: 1000 ÷ TPOT, per request. */
  readonly tokensPerSPerUser: Stats;
  /** Completion tokens, but those counted behind the last chunk, ÷ E2E, per request. */
  readonly requestTokensPerS: Stats;
  /** Only where the run has limits of latencies. */
  readonly goodput?: Goodput;
  /** Only of an open loop that sent anything. */
  readonly open?: OpenLoop;
  /** Only of conversations. */
  readonly turns?: readonly TurnReport[];
  readonly steady: Steady;
  /** Time-weighted requests in flight between first send and last end. */
  readonly achievedConcurrency: number | null;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedTokens: number | null;
  readonly wastedOutputTokens: number;
  /**
   * Output tokens of good requests that came in no chunk of their own: how many, of how many requests, and the requests that had some
   * of which the number is unknown. Left out where there are none, and by older versions.
   */
  readonly unseenTokens?: { readonly count: number; readonly requests: number; readonly unknown: number };
  /** Ids of metrics that are estimates, since a tokenizer that is not the model's counted for them; left out where none is. */
  readonly estimated?: readonly string[];
  /** Only where most chunks came in groups. */
  readonly bursts?: Bursts;
  readonly islProof: LengthProof;
  readonly oslProof: LengthProof;
  readonly connections: {
    readonly opened: number;
    readonly meanMs: number | null;
    readonly maxMs: number | null;
  };
  readonly witness: Witness | null;
  /** What the server's own metrics told; left out where nobody looked, and by older versions. */
  readonly server?: ServerSide;
  readonly audit: Audit | null;
  /** What the harness may have added to each metric; null where events have no arrival intervals, left out by older versions. */
  readonly bounds?: LevelBounds | null;
  readonly validity: Validity;
  /** The load generators, where there were several; `audit` is then the worst of theirs. */
  readonly ranks?: readonly RankReport[];
  /** Output tokens per 1 s bucket from the first measured send; the last bucket may be shorter. */
  readonly timeline: {
    readonly bucketS: 1;
    readonly outputTokens: readonly number[];
    /** Requests in flight, in the mean of the bucket; left out by older versions. */
    readonly inFlight?: readonly number[];
    /** Measured requests that failed, by their end; left out by older versions. */
    readonly failures?: readonly number[];
  };
  /** HDR histograms, compressed (V2, deflate) and base64, in microseconds (rates: milli-tokens per second). */
  readonly histograms: Readonly<Record<HistogramName, string>>;
}

export const HISTOGRAM_NAMES = [
  'ttftMs',
  'itlMs',
  'tokenItlMs',
  'tpotMs',
  'e2eMs',
  'requestTokensPerS',
] as const;
export type HistogramName = (typeof HISTOGRAM_NAMES)[number];

/** Where and with what the run was made. */
export interface Provenance {
  readonly command: string;
  readonly bench: string;
  readonly node: string;
  readonly os: string;
  readonly arch: string;
  readonly host: string;
  readonly cpus: number;
  readonly cpuModel: string;
  readonly memoryBytes: number;
  readonly git: { readonly commit: string; readonly dirty: boolean } | null;
  readonly slurm: Readonly<Record<string, string>> | null;
}

/** The target as the probes before the run found it. */
export interface TargetFacts {
  readonly urls: readonly string[];
  readonly model: string;
  readonly endpoint: string;
  /** The quirks in force (`dynamo`, `vllm`, …). */
  readonly server: string;
  readonly serverBy: 'flag' | 'probe';
  readonly modelsListed: readonly string[] | null;
  /** Fields that the server refused and that were left out. */
  readonly refusedFields: readonly string[];
  /** Those of them that were sent under another name, by that of the API; left out where there is none. */
  readonly renamedFields?: Readonly<Record<string, string>>;
  readonly metricsUrl: string | null;
  readonly canary: { readonly ttftMs: number | null; readonly e2eMs: number; readonly usage: boolean };
  /**
   * A round trip between the measuring process and the first of the targets: median of five TCP connects before the
   * first level. null where it could not be measured (a Unix socket, a proxy); left out by older versions.
   */
  readonly roundTripMs?: number | null;
}

/** The stack under test, where bench launched it: how it came up, and what became of it. */
export interface StackFacts {
  readonly name: string;
  readonly run: string;
  /** sha256 of the stack file and of the engine files that it names, as they were launched; left out by older versions. */
  readonly fileHash?: string;
  /** Folder with its state, events, logs and resolved plan. */
  readonly dir: string;
  readonly mode: string;
  readonly jobId: string | null;
  readonly nodes: readonly string[];
  readonly gpus: number | null;
  /** Seconds from the launch to each state, by `step.state`; `stack.ready` is the whole start-up. */
  readonly startupS: Readonly<Record<string, number>>;
  /** Why it failed in one line; null when it did not. */
  readonly failure: string | null;
  readonly warnings: readonly string[];
  readonly versions: Readonly<Record<string, string>>;
  readonly drivers: Readonly<Record<string, string>>;
  /** Clocks and power limit of the GPUs by node, in words, before anything was started; left out by older versions. */
  readonly gpuClocks?: Readonly<Record<string, string>>;
  readonly image: {
    readonly reference: string;
    readonly digest: string | null;
    readonly bytes: number | null;
    readonly modified: string | null;
  } | null;
}

/** The one document of a run: `report.json`. Everything that is shown or exported is made from it. */
export interface Report {
  readonly schema: typeof REPORT_SCHEMA;
  readonly name: string;
  readonly status: 'running' | 'complete' | 'interrupted' | 'failed';
  /** Why it is not complete; null when it is. */
  readonly statusDetail: string | null;
  /** The same instant on both clocks; `monotonicNs` is CLOCK_MONOTONIC. */
  readonly origin: { readonly utc: string; readonly monotonicNs: string };
  readonly finishedUtc: string | null;
  readonly spec: RunSpec;
  readonly target: TargetFacts;
  readonly prompts: PromptFacts;
  readonly tags: Readonly<Record<string, string>>;
  readonly provenance: Provenance;
  /** null when the target was not launched by bench; left out by older versions. */
  readonly stack?: StackFacts | null;
  readonly warnings: readonly string[];
  readonly definitions: Readonly<Record<string, string>>;
  /** A whole number by term, raised when its meaning changes; left out by older versions, where all are 1. */
  readonly definitionVersions?: Readonly<Record<string, number>>;
  readonly levels: readonly LevelReport[];
}
