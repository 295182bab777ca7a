import { usageError } from './errors.ts';
import { FAILURE_CLASSES } from './record.ts';
import type { LevelReport } from './report.ts';
import { COUNTERS, SPANS } from './server-look.ts';
import { WATERFALL_PARTS } from './waterfall.ts';

const STATS = ['mean', 'std', 'min', 'p50', 'p90', 'p95', 'p99', 'p999', 'max', 'count'] as const;

function stats(metric: string): string[] {
  return STATS.map((name) => `${metric}.${name}`);
}

/**
 * Names of all single values of a level, in the order of `summary.csv`. A name is the value's path below
 * `levels[i]` in `report.json`, with two exceptions: `failures.<class>` is that class's count, `estimated` a list in one text.
 */
export const METRIC_IDS: readonly string[] = [
  'point',
  'concurrency',
  'ratePerS',
  'isl',
  'osl',
  'status',
  'requests.sent',
  'requests.good',
  'requests.failed',
  'requests.goodWithoutText',
  'requests.warmup',
  'requests.warmupFailed',
  'requests.hold',
  'requests.resent',
  'failureRatio',
  'durationS',
  ...stats('ttftMs'),
  ...stats('itlMs'),
  ...stats('tokenItlMs'),
  ...stats('tpotMs'),
  ...stats('e2eMs'),
  'tokensPerChunk.mean',
  'requestsPerS',
  'inputTokensPerS',
  'outputTokensPerS',
  'totalTokensPerS',
  'outputTokensPerSPerGpu',
  'totalTokensPerSPerGpu',
  ...stats('tokensPerSPerUser'),
  ...stats('requestTokensPerS'),
  'goodput.met',
  'goodput.attainmentRatio',
  'goodput.requestsPerS',
  'open.dueRatePerS',
  ...stats('open.ttftFromDueMs'),
  ...stats('open.e2eFromDueMs'),
  'open.maxInFlight',
  'open.held.count',
  'open.held.maxMs',
  'open.lag.ratio',
  'open.lag.low',
  'open.lag.high',
  'open.lag.verdict',
  'steady.shareRatio',
  'steady.outputTokensPerS',
  'steady.ttftMs.p50',
  'steady.ttftMs.p99',
  'steady.tokenItlMs.p50',
  'steady.tokenItlMs.p99',
  'achievedConcurrency',
  'inputTokens',
  'outputTokens',
  'cachedTokens',
  'wastedOutputTokens',
  'unseenTokens.count',
  'unseenTokens.requests',
  'unseenTokens.unknown',
  'bursts.events',
  'bursts.everyMs',
  'estimated',
  ...FAILURE_CLASSES.map((name) => `failures.${name}`),
  ...['islProof', 'oslProof'].flatMap((proof) => [
    `${proof}.counted.min`,
    `${proof}.counted.mean`,
    `${proof}.counted.max`,
    `${proof}.provenByUsage`,
    `${proof}.deviations`,
    `${proof}.unknown`,
    `${proof}.estimated`,
  ]),
  'connections.opened',
  'connections.meanMs',
  'connections.maxMs',
  'audit.sendLagMs.p50',
  'audit.sendLagMs.p99',
  'audit.sendLagMs.max',
  'audit.eventLoopDelayMs.p50',
  'audit.eventLoopDelayMs.p99',
  'audit.eventLoopDelayMs.max',
  'audit.eventLoopUtilizationRatio',
  'audit.cpuRatio',
  'audit.rssMaxBytes',
  'audit.involuntarySwitches',
  'audit.gc.count',
  'audit.gc.totalMs',
  'audit.gc.maxMs',
  'audit.reads.count',
  'audit.reads.eventsPerRead',
  'audit.reads.fullRatio',
  'audit.reads.waitMs.p50',
  'audit.reads.waitMs.p99',
  'audit.reads.waitMs.max',
  'audit.stampErrorMs.p50',
  'audit.stampErrorMs.p99',
  'audit.stampErrorMs.max',
  'audit.reads.sharedEvents',
  'audit.reads.unstamped',
  'audit.ring.stalls',
  'audit.otherCpuRatio',
  'validity.verdict',
  ...['frontend', 'prefill', 'engine'].flatMap((layer) =>
    ['running', 'waiting'].flatMap((name) => [`server.${layer}.${name}.mean`, `server.${layer}.${name}.max`]),
  ),
  ...['prefill', 'engine'].flatMap((layer) => [
    `server.${layer}.kvUseRatio.mean`,
    `server.${layer}.kvUseRatio.max`,
    ...COUNTERS.map((name) => `server.${layer}.${name}.count`),
  ]),
  ...['preprocessMs', 'ttftMs', 'itlMs', 'e2eMs'].map((name) => `server.frontend.${name}.meanMs`),
  ...['queueMs', 'prefillMs', 'workerMs', 'kvTransferMs'].map((name) => `server.prefill.${name}.meanMs`),
  ...SPANS.filter((name) => name !== 'preprocessMs').map((name) => `server.engine.${name}.meanMs`),
  ...WATERFALL_PARTS.map((part) => `server.waterfall.partsMs.${part}`),
];

const KNOWN = new Set(METRIC_IDS);

/**
 * The value of metric `id` in one level, in the unit that the id names; null when the level has none.
 * Throws a usage error (exit 2) for an id that is not in METRIC_IDS.
 */
export function metricValue(level: LevelReport, id: string): number | string | null {
  if (!KNOWN.has(id)) {
    throw usageError(`"${id}" is not a metric`, 'the headers of summary.csv are the names of all metrics');
  }
  if (id.startsWith('failures.')) {
    const failed = level.failures[id.slice('failures.'.length) as keyof LevelReport['failures']];
    return failed?.count ?? 0;
  }
  if (id === 'estimated') return level.estimated?.join(' ') ?? null;
  let value: unknown = level;
  for (const key of id.split('.')) {
    if (typeof value !== 'object' || value === null) return null;
    value = (value as Record<string, unknown>)[key];
  }
  return typeof value === 'number' || typeof value === 'string' ? value : null;
}

/** Whether less of the metric is better: times are, rates are not. Throws (exit 2) for a metric that is neither. */
export function lessIsBetter(metric: string): boolean {
  const direction = directionOf(metric);
  if (direction === null || !KNOWN.has(metric))
    throw usageError(
      `"${metric}" has no better and no worse`,
      'name a latency (ttftMs.p50) or a rate (outputTokensPerS)',
    );
  return direction === 'less';
}

function directionOf(metric: string): 'less' | 'more' | null {
  if (metric.endsWith('.count') || metric.endsWith('.std')) return null;
  if (metric === 'ratePerS' || metric === 'open.dueRatePerS') return null;
  if (/^((steady\.)?(ttft|itl|tokenItl|tpot|e2e)|open\.(ttft|e2e)FromDue)Ms\./.test(metric)) return 'less';
  return /PerS(PerGpu|PerUser)?(\.|$)/.test(metric) ? 'more' : null;
}

/** All metrics that have a better and a worse: latencies and rates. */
export const JUDGED_IDS: readonly string[] = METRIC_IDS.filter((id) => directionOf(id) !== null);
