import type { ForeignMetric, ForeignStats } from '../core/foreign.ts';
import type { JsonObject } from './json-objects.ts';

const METRICS: Readonly<Record<string, ForeignMetric>> = {
  ttft: 'ttftMs',
  itl: 'itlMs',
  tpot: 'tpotMs',
  e2el: 'e2eMs',
  e2e_latency: 'e2eMs',
};

/** The statistics of keys such as `p99_ttft_ms`, which sglang and vLLM share; values are ms already. */
export function latencyStats(result: JsonObject): Record<ForeignMetric, ForeignStats> {
  const stats: Record<ForeignMetric, Record<string, number>> = {
    ttftMs: {},
    itlMs: {},
    tpotMs: {},
    e2eMs: {},
  };
  for (const [key, value] of Object.entries(result)) {
    const match = /^(mean|median|std|min|max|p\d+(?:\.\d+)?)_(ttft|itl|tpot|e2el|e2e_latency)_ms$/.exec(key);
    if (match === null || typeof value !== 'number' || !Number.isFinite(value)) continue;
    stats[METRICS[match[2]!]!][match[1] === 'median' ? 'p50' : match[1]!] = value;
  }
  return stats;
}
