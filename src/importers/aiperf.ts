import type { ForeignPoint, ForeignStats } from '../core/foreign.ts';
import { listAt, numberAt, objectAt, objectOf, textAt } from './fields.ts';
import type { ImportKind } from './import-kind.ts';
import type { JsonObject } from './json-objects.ts';

/** Milliseconds in each unit of time that AIPerf writes. */
const MS_PER_UNIT: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, ms: 1, s: 1_000, sec: 1_000 };
const STATS = ['min', 'max', 'std', 'p1', 'p5', 'p10', 'p25', 'p50', 'p75', 'p90', 'p95', 'p99'] as const;

/** The summary of AIPerf, and of GenAI-Perf before it. */
export const aiperfImport: ImportKind = {
  name: 'aiperf',
  about: 'profile_export_aiperf.json of AIPerf',
  definitions: {
    good: '`request_count`: requests without an error.',
    failed: '`error_request_count`; AIPerf leaves it out when there was none.',
    ttftMs: 'Send to the first chunk with text or reasoning, in ms.',
    itlMs:
      '`inter_chunk_latency`: gap between two chunks with text or reasoning, pooled over all requests, in ms. AIPerf calls something else inter-token latency: see tpotMs.',
    tpotMs:
      '`inter_token_latency`: (E2E − TTFT) ÷ (output tokens − 1), one value per request, in ms; with --per-chunk-usage the tokens of the first chunk are taken off instead of 1. AIPerf calls it inter-token latency; it is what the other tools call TPOT.',
    e2eMs: '`request_latency`: send to the last chunk with text or reasoning, in ms.',
    requestsPerS:
      '`request_throughput`: good requests ÷ (last response − first request); since 2026 ÷ the whole measured phase, which is longer than `benchmark_duration`.',
    goodputPerS: '`goodput`: requests that met all objectives given with --goodput, per second.',
    inputTokensPerS: "`input_token_throughput`: by the client's tokenizer, the chat template left out.",
    outputTokensPerS:
      "`output_token_throughput`: output and reasoning tokens by the client's tokenizer (by the server where --use-server-token-count was given) ÷ the time of requestsPerS.",
    totalTokensPerS: '`total_token_throughput`: input and output tokens, as above, per second.',
    std: "The population's standard deviation (ddof 0), though AIPerf's own manual calls it the sample's.",
  },
  owns: (result) =>
    ['request_throughput', 'request_latency', 'request_count', 'error_request_count'].some(
      (tag) => textAt(objectAt(result, tag), 'unit') !== null,
    ),
  point,
  notes: (results) => [
    ...(results.some((result) => result['was_cancelled'] === true) ? ['the run was cut off'] : []),
    ...new Set(
      results.flatMap((result) => {
        const maker = textAt(result, 'made_by');
        return maker === null ? [] : [`not written by AIPerf: ${maker}`];
      }),
    ),
  ],
};

function point(result: JsonObject): ForeignPoint {
  const config = objectAt(result, 'input_config');
  const phase = profilingPhase(config);
  const load = objectAt(config, 'loadgen');
  const lengths = askedLengths(config);
  const good = average(result, 'request_count') ?? 0;
  const failed = average(result, 'error_request_count') ?? (hasNoErrors(result) ? 0 : null);
  const durationMs = timeStats(result, 'benchmark_duration')['mean'];
  return {
    concurrency: numberAt(phase, 'concurrency') ?? numberAt(load, 'concurrency') ?? sweptConcurrency(result),
    requestRate: numberAt(phase, 'rate') ?? numberAt(load, 'request_rate'),
    model: modelOf(config),
    ...lengths,
    sent: failed === null ? null : good + failed,
    good,
    failed,
    durationS: durationMs === undefined ? null : durationMs / 1_000,
    inputTokens: average(result, 'total_isl'),
    outputTokens: average(result, 'total_osl'),
    requestsPerS: average(result, 'request_throughput'),
    goodputPerS: average(result, 'goodput'),
    inputTokensPerS: average(result, 'input_token_throughput'),
    outputTokensPerS: average(result, 'output_token_throughput'),
    totalTokensPerS: average(result, 'total_token_throughput'),
    ttftMs: timeStats(result, 'time_to_first_token'),
    itlMs: timeStats(result, 'inter_chunk_latency'),
    tpotMs: timeStats(result, 'inter_token_latency'),
    e2eMs: timeStats(result, 'request_latency'),
  };
}

function average(result: JsonObject, tag: string): number | null {
  return numberAt(objectAt(result, tag), 'avg');
}

/** A metric of time in ms, whatever its unit; empty where the file has none. */
function timeStats(result: JsonObject, tag: string): ForeignStats {
  const block = objectAt(result, tag);
  const msPerUnit = MS_PER_UNIT[textAt(block, 'unit') ?? ''];
  if (msPerUnit === undefined) return {};
  const stats: Record<string, number> = {};
  for (const [from, to] of [['avg', 'mean'], ...STATS.map((name) => [name, name])] as [string, string][]) {
    const value = numberAt(block, from);
    if (value !== null) stats[to] = value * msPerUnit;
  }
  return stats;
}

function hasNoErrors(result: JsonObject): boolean {
  return Array.isArray(result['error_summary']) && result['error_summary'].length === 0;
}

/** The phase that was measured; null in a file from before 2026, which has `loadgen` instead. */
function profilingPhase(config: JsonObject | null): JsonObject | null {
  const phases = listAt(config, 'phases').map(objectOf);
  return phases.find((phase) => phase?.['name'] === 'profiling') ?? phases[0] ?? null;
}

/** A run of a sweep names its point in `run_info`. */
function sweptConcurrency(result: JsonObject): number | null {
  const values = objectAt(objectAt(result, 'run_info'), 'variation_values');
  const key = Object.keys(values ?? {}).find((name) => name.split('.').at(-1) === 'concurrency');
  return key === undefined ? null : numberAt(values, key);
}

function modelOf(config: JsonObject | null): string | null {
  const item = objectOf(listAt(objectAt(config, 'models'), 'items')[0]);
  const legacy = listAt(objectAt(config, 'endpoint'), 'model_names')[0];
  return textAt(item, 'name') ?? (typeof legacy === 'string' ? legacy : null);
}

function askedLengths(config: JsonObject | null): { isl: number | null; osl: number | null } {
  const prompts = objectAt(objectOf(listAt(config, 'datasets')[0]), 'prompts');
  const legacy = objectAt(objectAt(config, 'input'), 'prompt');
  const mean = (now: string, before: string): number | null =>
    numberAt(objectAt(prompts, now), 'mean') ?? numberAt(objectAt(legacy, before), 'mean');
  return { isl: mean('isl', 'input_tokens'), osl: mean('osl', 'output_tokens') };
}
