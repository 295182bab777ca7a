import type { Stats } from './stats.ts';

/** Three points of a distribution, in the unit of the name that it stands under. */
export interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** How bytes came off the sockets. */
export interface ReadAudit {
  readonly count: number;
  readonly bytes: number;
  /** Events ÷ reads; null without a read. */
  readonly eventsPerRead: number | null;
  /** Share of the reads that filled the buffer: more was waiting than it holds. */
  readonly fullRatio: number;
  /**
   * How long bytes may have waited at most because the loop was busy with others: from the loop's last look
   * at all sockets to the time stamp. Over a sample of the loop's turns, weighted by bytes; null without one.
   */
  readonly waitMs: Spread | null;
}

/** Pauses of the garbage collector. */
export interface GcAudit {
  readonly count: number;
  readonly totalMs: number;
  readonly maxMs: number;
}

/** Bytes that lay unread in the receive queues of this process's sockets, all together, at a few looks. */
export interface QueueAudit {
  readonly looks: number;
  /** Share of the looks that found any. */
  readonly waitingRatio: number;
  readonly meanBytes: number;
  readonly maxBytes: number;
}

/** How late this process stamped what was written at known instants. */
export interface StampError extends Spread {
  readonly count: number;
}

/** What this host's client came to against a mock server whose writes are known, after the level. */
export interface Calibration {
  readonly concurrency: number;
  /** Events per second that came, of all streams. */
  readonly eventsPerS: number;
  readonly durationS: number;
  readonly stampErrorMs: StampError;
}

/** What the harness saw of itself while the level ran. Fields that may be missing are left out by older versions. */
export interface Audit {
  /** Due to sent, measured requests. */
  readonly sendLagMs: Stats;
  readonly eventLoopDelayMs: Spread;
  /** Share of the level that the event loop was busy. */
  readonly eventLoopUtilizationRatio: number;
  /** CPU seconds of the process per second of the level; 1 is a whole core. */
  readonly cpuRatio: number;
  readonly rssMaxBytes: number;
  /** Times that the system took the processor away from this process. */
  readonly involuntarySwitches?: number;
  readonly gc?: GcAudit;
  readonly reads?: ReadAudit;
  /** By a second process that writes the time into a pipe at random instants; null where it told nothing. */
  readonly stampErrorMs?: StampError | null;
  /** How late that process itself woke, which runs on the same processors; null where it told nothing. */
  readonly wakeMs?: StampError | null;
  /** null where the system does not tell, or telling takes it too long. */
  readonly receiveQueue?: QueueAudit | null;
  /** null where none was made. */
  readonly calibration?: Calibration | null;
}

/** Metrics that a verdict is about, as users name them (`--require-valid=tpot`). */
export const HEADLINE_METRICS = ['ttft', 'itl', 'tpot', 'e2e', 'throughput'] as const;
export type HeadlineMetric = (typeof HEADLINE_METRICS)[number];

export interface Validity {
  /**
   * `valid`: all headline metrics are. `suspect`: those in `doubtful` are not, the others are.
   * `client-bound`: the harness could not keep up, so no metric is.
   */
  readonly verdict: 'valid' | 'suspect' | 'client-bound';
  /** One sentence each; empty when valid. */
  readonly reasons: readonly string[];
  /**
   * Ids of the metrics that are not valid (`itlMs.p99`, `outputTokensPerS`). Left out by older versions, which judged
   * a level as a whole.
   */
  readonly doubtful?: readonly string[];
}

/** A metric's value cannot lie outside [lower, upper], in its unit, whatever the harness did. */
export interface ValueBound {
  readonly lower: number;
  readonly upper: number;
}

export const BOUNDED_STATS = ['mean', 'p50', 'p90', 'p95', 'p99'] as const;
export type BoundedStat = (typeof BOUNDED_STATS)[number];
export type DistributionBounds = Readonly<Record<BoundedStat, ValueBound>>;

/** Bounds of a level's metrics by the arrival intervals of its events; null for a metric without a value. */
export interface LevelBounds {
  readonly ttftMs: DistributionBounds | null;
  readonly itlMs: DistributionBounds | null;
  readonly tokenItlMs: DistributionBounds | null;
  readonly tpotMs: DistributionBounds | null;
  readonly e2eMs: DistributionBounds | null;
  readonly requestsPerS: ValueBound | null;
  readonly outputTokensPerS: ValueBound | null;
}
