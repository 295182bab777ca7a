import { BOUNDED_STATS, HEADLINE_METRICS, type HeadlineMetric, type Validity } from './audit-facts.ts';

/** What a verdict says of metrics. */
export type Verdict = Pick<Validity, 'verdict' | 'doubtful'>;

const RATES = ['requestsPerS', 'inputTokensPerS', 'outputTokensPerS', 'totalTokensPerS'] as const;
const HEADLINES: Readonly<Record<HeadlineMetric, readonly string[]>> = {
  ttft: ['ttftMs'],
  itl: ['itlMs', 'tokenItlMs'],
  tpot: ['tpotMs'],
  e2e: ['e2eMs'],
  throughput: RATES,
};

/** Rates that others are computed from: all have one duration, and a total has its parts. */
const RATE_SOURCES: Readonly<Record<string, readonly string[]>> = {
  inputTokensPerS: ['requestsPerS'],
  totalTokensPerS: RATES.filter((id) => id !== 'totalTokensPerS'),
  outputTokensPerSPerGpu: ['outputTokensPerS'],
  totalTokensPerSPerGpu: ['totalTokensPerS'],
};

/** Distributions of a latency with the wait before the send on top: the same statistic of both has the same error. */
const FROM_DUE: Readonly<Record<string, string>> = {
  'open.ttftFromDueMs': 'ttftMs',
  'open.e2eFromDueMs': 'e2eMs',
};

/** Distributions of speeds, each request's from a latency: a high percentile of one is a low one of the other. */
const SPEEDS: Readonly<Record<string, string>> = { tokensPerSPerUser: 'tpotMs', requestTokensPerS: 'e2eMs' };

const LATENCIES: readonly string[] = ['ttftMs', 'itlMs', 'tokenItlMs', 'tpotMs', 'e2eMs'];
/** Latencies that a request must keep to for goodput. */
const LIMITED = ['ttftMs', 'tpotMs', 'e2eMs'];

/** Whether a level's metric is not valid, by its id in `report.json` (`itlMs.p99`). */
export function isDoubtful({ verdict, doubtful }: Verdict, id: string): boolean {
  if (verdict === 'valid') return false;
  if (verdict === 'client-bound' || doubtful === undefined) return true;
  return includes(doubtful, id);
}

/** The headline metrics of a level that are not valid. */
export function doubtfulHeadlines({ verdict, doubtful }: Verdict): HeadlineMetric[] {
  if (verdict === 'valid') return [];
  if (verdict === 'client-bound' || doubtful === undefined) return [...HEADLINE_METRICS];
  return HEADLINE_METRICS.filter((name) => HEADLINES[name].some((family) => includes(doubtful, family)));
}

/** Whether `ids` has a metric, a statistic of it where it is a distribution, or one that it is computed from. */
function includes(ids: readonly string[], metric: string): boolean {
  return (
    ids.some((id) => id === metric || id.startsWith(`${metric}.`)) ||
    sourcesOf(metric).some((source) => includes(ids, source))
  );
}

/** What a metric without bounds of its own stands on: single metrics, or distributions with all their statistics. */
function sourcesOf(metric: string): readonly string[] {
  const rates = RATE_SOURCES[metric];
  if (rates !== undefined) return rates;
  const at = metric.lastIndexOf('.');
  const [family, stat] = [metric.slice(0, Math.max(at, 0)), metric.slice(at + 1)];
  if (stat === 'count') return [];
  if (family === 'goodput') return stat === 'requestsPerS' ? [...LIMITED, stat] : LIMITED;
  if (metric.startsWith('steady.')) return [family === 'steady' ? stat : family.slice('steady.'.length)];
  const isBounded = (BOUNDED_STATS as readonly string[]).includes(stat);
  if (LATENCIES.includes(family)) return isBounded ? [] : [family];
  const due = FROM_DUE[family];
  if (due !== undefined) return [isBounded ? `${due}.${stat}` : due];
  const slow = SPEEDS[family];
  if (slow !== undefined) return [stat === 'p50' ? `${slow}.p50` : slow];
  return [];
}
