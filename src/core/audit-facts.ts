import type { Stats } from './stats.ts';

/** Three points of a distribution, in the unit of the name that it stands under. */
export interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** How bytes came off the sockets. Fields that may be missing are left out by older versions. */
export interface ReadAudit {
  readonly count: number;
  readonly bytes: number;
  /** Events ÷ reads; null without a read. */
  readonly eventsPerRead: number | null;
  /** Share of the reads that filled their buffer: more was waiting than it holds. */
  readonly fullRatio: number;
  /**
   * How long bytes waited for the reader, over all reads: read − stamp with the kernel's stamps. Without them an upper bound
   * of it in a sample of the event loop's turns, weighted by bytes. null without one.
   */
  readonly waitMs: Spread | null;
  /** Events that shared a read with others. */
  readonly sharedEvents?: number;
  /** Comments, heartbeats and events of other kinds, which hold nothing of a completion; left out where there were none. */
  readonly passedOver?: number;
  /** Responses that the server held open after [DONE]; left out where there were none. */
  readonly heldOpen?: number;
  /** Reads without a usable stamp of the kernel: their bytes have the reading time. */
  readonly unstamped?: number;
  /** Of these, reads whose segments came out of order. */
  readonly reordered?: number;
}

/** The receiver's thread, where one reads. */
export interface RingAudit {
  /** Times that it waited because JavaScript did not take what it had read, and for how long. */
  readonly stalls: number;
  readonly stalledMs: number;
  /** Times that the system clock was set. */
  readonly clockSteps: number;
}

/** Pauses of the garbage collector. */
export interface GcAudit {
  readonly count: number;
  readonly totalMs: number;
  readonly maxMs: number;
}

/** How far time stamps may be from the arrival, over all output chunks. */
export interface StampError extends Spread {
  readonly count: number;
}

/** What the harness saw of itself while the level ran. Fields that may be missing are left out by older versions. */
export interface Audit {
  /** Who stamped the events: the kernel as they arrived, or this process as it read them. */
  readonly stampedBy?: 'kernel' | 'process';
  /** Due to sent, measured requests; in a closed loop the time from a response's end to the next send (turnaround). */
  readonly sendLagMs: Stats;
  readonly eventLoopDelayMs: Spread;
  /** Share of the level that the event loop was busy. */
  readonly eventLoopUtilizationRatio: number;
  /** CPU seconds of the process per second of the level; 1 is a whole core. */
  readonly cpuRatio: number;
  /** Share of all cores that other processes of this host had; null where the system does not say. */
  readonly otherCpuRatio?: number | null;
  /** Most memory of the process; null where the system does not say. */
  readonly rssMaxBytes: number | null;
  /** Times that the system took the processor away from this process. */
  readonly involuntarySwitches?: number;
  readonly gc?: GcAudit;
  readonly reads?: ReadAudit;
  /** Upper end − lower end of the arrival of each output chunk; null where events have no arrival intervals. */
  readonly stampErrorMs?: StampError | null;
  readonly ring?: RingAudit;
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
  /** Where the load was not quite what was asked; one sentence each. Left out where it was. */
  readonly load?: readonly string[];
}

/** A metric's value cannot lie outside [lower, upper], in its unit. */
export interface ValueBound {
  readonly lower: number;
  readonly upper: number;
}

export const BOUNDED_STATS = ['mean', 'p50', 'p90', 'p95', 'p99'] as const;
export type BoundedStat = (typeof BOUNDED_STATS)[number];
export type DistributionBounds = Readonly<Record<BoundedStat, ValueBound>>;

/** Bounds of a level's metrics by the arrival intervals of its events; null for a metric without a value, and for a rate whose error has no bound. */
export interface LevelBounds {
  readonly ttftMs: DistributionBounds | null;
  readonly itlMs: DistributionBounds | null;
  readonly tokenItlMs: DistributionBounds | null;
  readonly tpotMs: DistributionBounds | null;
  readonly e2eMs: DistributionBounds | null;
  readonly requestsPerS: ValueBound | null;
  readonly outputTokensPerS: ValueBound | null;
}
