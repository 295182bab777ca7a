/** A percentile needs at least this many samples (MLPerf's early-stopping table, c = 0.99). */
export const ENOUGH_SAMPLES = { p90: 64, p95: 130, p99: 662, p999: 6_636 } as const;

export type PercentileName = 'p50' | 'p90' | 'p95' | 'p99' | 'p999';

/** A distribution. All null when nothing was counted. */
export interface Stats {
  readonly mean: number | null;
  /** Population standard deviation (ddof 0). */
  readonly std: number | null;
  readonly min: number | null;
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  readonly p999: number | null;
  readonly max: number | null;
  readonly count: number;
  /** Percentiles that stand on too few samples (see ENOUGH_SAMPLES). */
  readonly thin: readonly PercentileName[];
}
