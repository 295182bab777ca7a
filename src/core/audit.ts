import {
  type Audit,
  BOUNDED_STATS,
  type BoundedStat,
  type LevelBounds,
  type Validity,
  type ValueBound,
} from './audit-facts.ts';
import type { LevelReport, Witness, WitnessCount } from './report.ts';

/** By how much a metric may be off, for the harness's sake, and still be valid. */
export const LIMITS = {
  /** Of the metric's value. */
  ratio: 0.01,
  /** Of a percentile of ITL. */
  itlPercentileRatio: 0.05,
  /** In ms: a smaller error is none, of any value. */
  ms: 0.1,
  /** An event loop busier than this leaves no room for the next burst. */
  busyRatio: 0.9,
  /** Share of the level that the receiver waited because what it had read was not taken. */
  stalledRatio: 0.01,
  /** Without the kernel's stamps, share of reads that filled their buffer. A server that is not throttled by us fills none. */
  fullReadRatio: 0.01,
  /** Without bounds, share of the level that the event loop may stand still at once. */
  standstillRatio: 0.01,
  /** Share of the load of a closed loop that turnaround may cost. */
  turnaroundRatio: 0.02,
  /** Of the mean gap between two arrivals of an open loop: how late requests may be sent at p99. */
  lagRatio: 0.05,
  lagMs: 1,
} as const;

/** Token counts of the server and ours may differ by this share. */
export const WITNESS_RATIO = 0.001;

/** How much more (less, where negative) the server counted than can be; 0 where both counts may be right. */
export function witnessGap({ server, ours, resent = 0 }: WitnessCount): number {
  return Math.max(0, server - ours - resent) + Math.min(0, server - ours);
}

/** What of a level its verdict depends on. */
type Judged = Pick<
  LevelReport,
  | 'ttftMs'
  | 'itlMs'
  | 'tokenItlMs'
  | 'tpotMs'
  | 'e2eMs'
  | 'requestsPerS'
  | 'outputTokensPerS'
  | 'durationS'
  | 'concurrency'
  | 'ratePerS'
  | 'achievedConcurrency'
  | 'requests'
  | 'outputTokens'
  | 'unseenTokens'
  | 'bounds'
>;

const LATENCIES = [
  ['ttftMs', 'TTFT'],
  ['itlMs', 'ITL'],
  ['tokenItlMs', 'token ITL'],
  ['tpotMs', 'TPOT'],
  ['e2eMs', 'E2E'],
] as const;
type Latency = (typeof LATENCIES)[number][0];
const THROUGHPUT = ['requestsPerS', 'outputTokensPerS', 'totalTokensPerS'] as const;

/** A metric that may be off by more than it should. */
interface Doubt {
  readonly id: string;
  /** The metric's name, and the value in question. */
  readonly name: string;
  readonly value: string;
  /** How far off it may be ÷ how far it may be. */
  readonly excess: number;
}

/**
 * Which metrics of a level can be trusted. `bounds` prove by how much each may be off; without them the delays of the event loop
 * estimate it. The server's own counters speak for or against counts and rates.
 */
export function judgeLevel(level: Judged, audit: Audit | null, witness: Witness | null): Validity {
  const bound = audit === null ? [] : boundReasons(audit, level.durationS);
  const stamps = level.bounds
    ? provenDoubts(level, level.bounds)
    : audit === null
      ? []
      : estimatedDoubts(level, audit);
  const counted = witnessReasons(witness);
  const doubtful = [...stamps.map(({ id }) => id), ...(counted.length > 0 ? THROUGHPUT : [])];
  const reasons = [...bound, ...(stamps.length > 0 ? [stampReason(level, stamps)] : []), ...counted];
  const load = audit === null ? [] : loadRemarks(level, audit);
  return {
    verdict: bound.length > 0 ? 'client-bound' : reasons.length > 0 ? 'suspect' : 'valid',
    reasons,
    doubtful: [...new Set(doubtful)],
    ...(load.length === 0 ? {} : { load }),
  };
}

function boundReasons(
  { stampedBy, eventLoopUtilizationRatio, reads, ring }: Audit,
  durationS: number | null,
): string[] {
  const reasons: string[] = [];
  if (eventLoopUtilizationRatio > LIMITS.busyRatio)
    reasons.push(`the harness's event loop was busy ${percent(eventLoopUtilizationRatio)} of the time`);
  if (ring !== undefined && durationS !== null && ring.stalledMs > LIMITS.stalledRatio * durationS * 1_000)
    reasons.push(
      `the receiver waited ${millis(ring.stalledMs)} ms for the event loop to take what it had read`,
    );
  if (stampedBy !== 'kernel' && reads !== undefined && reads.fullRatio > LIMITS.fullReadRatio)
    reasons.push(`${percent(reads.fullRatio)} of the reads filled their buffer, so more came than was read`);
  return reasons;
}

function allowedMs(latency: Latency, stat: BoundedStat, value: number): number {
  const isGap = latency === 'itlMs' || latency === 'tokenItlMs';
  const ratio = isGap && stat !== 'mean' ? LIMITS.itlPercentileRatio : LIMITS.ratio;
  return Math.max(LIMITS.ms, ratio * value);
}

/** By how much the value may be off. */
function errorOf(value: number, { lower, upper }: ValueBound): number {
  return Math.max(value - lower, upper - value);
}

function provenDoubts(level: Judged, bounds: LevelBounds): Doubt[] {
  const latencies = LATENCIES.flatMap(([latency, name]) => {
    const all = bounds[latency];
    return BOUNDED_STATS.flatMap((stat): Doubt[] => {
      const value = level[latency][stat];
      if (value === null || all === null) return [];
      return doubt(latency, name, stat, value, errorOf(value, all[stat]));
    });
  });
  const rates = (['requestsPerS', 'outputTokensPerS'] as const).flatMap((id): Doubt[] => {
    const value = level[id];
    const bound = bounds[id];
    if (value === null || value === 0) return [];
    const errorRatio = bound === null ? Number.POSITIVE_INFINITY : errorOf(value, bound) / value;
    if (errorRatio <= LIMITS.ratio) return [];
    const error = bound === null ? 'unbounded' : `± ${percent(errorRatio)}`;
    return [{ id, name: 'throughput', value: error, excess: errorRatio / LIMITS.ratio }];
  });
  return [...latencies, ...rates];
}

/**
 * What the event loop was late by, as if it had been so for each event. A standstill is one late timer, however long it took: where
 * it took a hundredth of the level, so many events came late.
 */
function estimatedDoubts(level: Judged, { eventLoopDelayMs: delay, reads }: Audit): Doubt[] {
  const isLong = level.durationS !== null && delay.max > LIMITS.standstillRatio * level.durationS * 1_000;
  const lateMs = {
    p50: Math.max(delay.p50, reads?.waitMs?.p50 ?? 0),
    p99: Math.max(delay.p99, reads?.waitMs?.p99 ?? 0, isLong ? delay.max : 0),
  };
  const shown = level.outputTokens - (level.unseenTokens?.count ?? 0);
  const tokens = level.requests.good === 0 ? 1 : shown / level.requests.good;
  return LATENCIES.flatMap(([latency, name]) =>
    BOUNDED_STATS.flatMap((stat): Doubt[] => {
      const value = level[latency][stat];
      const perRequestMs = stat === 'mean' || stat === 'p50' ? lateMs.p50 : lateMs.p99;
      const errorMs = latency === 'tpotMs' ? perRequestMs / Math.max(1, tokens - 1) : perRequestMs;
      return value === null ? [] : doubt(latency, name, stat, value, errorMs);
    }),
  );
}

function doubt(latency: Latency, name: string, stat: BoundedStat, value: number, errorMs: number): Doubt[] {
  const excess = errorMs / allowedMs(latency, stat, value);
  if (excess <= 1) return [];
  return [
    { id: `${latency}.${stat}`, name, value: `${stat} ${millis(value)} ± ${millis(errorMs)} ms`, excess },
  ];
}

/** One sentence for all doubts of time stamps; of each metric the worst. */
function stampReason(level: Judged, doubts: readonly Doubt[]): string {
  const worst = [...new Set(doubts.map(({ name }) => name))].map((metric) =>
    doubts.filter(({ name }) => name === metric).reduce((a, b) => (b.excess > a.excess ? b : a)),
  );
  const others = worst.length < LATENCIES.length + 1;
  const by = level.bounds ? 'error bound of time stamps' : 'estimated error of time stamps';
  const texts = worst.map(({ name, value }) => `${name} (${value})`).join(', ');
  return `${by}: ${texts}${others ? '; the other metrics stand' : ''}`;
}

/** Where the load was not quite what was asked: the numbers are right for the load that was. */
function loadRemarks(level: Judged, { sendLagMs }: Audit): string[] {
  const { mean, p99 } = sendLagMs;
  if (mean === null || p99 === null) return [];
  if (level.ratePerS !== undefined) {
    const most = Math.max(LIMITS.lagMs, (LIMITS.lagRatio * 1_000) / level.ratePerS);
    return p99 > most ? [`requests were sent ${millis(p99)} ms late at p99`] : [];
  }
  const requestMs = level.e2eMs.mean;
  if (requestMs === null || mean <= LIMITS.turnaroundRatio * (mean + requestMs)) return [];
  return [
    `a slot took ${millis(mean)} ms from a response to the next request in the mean, ${percent(mean / (mean + requestMs))} of its time`,
  ];
}

function witnessReasons(witness: Witness | null): string[] {
  return (
    [
      ['input tokens', witness?.inputTokens],
      ['output tokens', witness?.outputTokens],
      ['requests', witness?.requests],
    ] as const
  ).flatMap(([what, pair]) =>
    pair && Math.abs(witnessGap(pair)) > WITNESS_RATIO * Math.max(pair.server, pair.ours)
      ? `the server counted ${pair.server} ${what}, this run ${pair.ours}`
      : [],
  );
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(0)} %`;
}

function millis(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}
