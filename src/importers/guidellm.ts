import type { ForeignPoint, ForeignStats } from '../core/foreign.ts';
import { listAt, numberAt, objectAt, objectOf, textAt } from './fields.ts';
import type { ImportKind } from './import-kind.ts';
import type { JsonObject } from './json-objects.ts';

const MS_PER_S = 1_000;
const PERCENTILES: Readonly<Record<string, string>> = {
  p001: 'p0.1',
  p01: 'p1',
  p05: 'p5',
  p10: 'p10',
  p25: 'p25',
  p50: 'p50',
  p75: 'p75',
  p90: 'p90',
  p95: 'p95',
  p99: 'p99',
  p999: 'p99.9',
};

/** benchmarks.json of guidellm; a benchmark of it is a result. */
export const guidellmImport: ImportKind = {
  name: 'guidellm',
  about: 'benchmarks.json of guidellm',
  definitions: {
    good: '`successful`: requests that came to their end without an error.',
    failed: '`errored`; those cut off at the end of the benchmark (`incomplete`) are sent and in neither.',
    ttftMs: '`time_to_first_token_ms`: send to the first chunk with text or reasoning, in ms.',
    itlMs:
      '`inter_token_latency_ms`: (last chunk − first chunk) ÷ (output tokens − 1), one value per request, which the other tools call TPOT; guidellm has no gaps of single chunks.',
    tpotMs:
      '`time_per_output_token_ms`: (last chunk − send) ÷ output tokens, one value per request: the first token, and so the prefill, is in it.',
    e2eMs: '`request_latency`: send to the end of the stream, in ms (seconds in the file).',
    requestsPerS: '`requests_per_second`: mean over the time measured.',
    outputTokensPerS:
      '`output_tokens_per_second`: mean over the time measured, by the server’s usage, else chunks as tokens.',
    inputTokensPerS: '`prompt_tokens_per_second`: mean over the time measured.',
    totalTokensPerS: '`tokens_per_second`: mean over the time measured.',
    std: 'Standard deviation of the weighted distribution.',
  },
  owns: (result) => listAt(result, 'benchmarks').some((one) => objectAt(objectOf(one), 'metrics') !== null),
  split: (result) =>
    listAt(result, 'benchmarks')
      .map(objectOf)
      .filter((one) => one !== null),
  point,
  notes: () => ['percentiles of times per token are weighted by the tokens of a request'],
};

function point(benchmark: JsonObject): ForeignPoint {
  const metrics = objectAt(benchmark, 'metrics');
  const totals = objectAt(metrics, 'request_totals');
  const strategy = objectAt(objectAt(benchmark, 'config'), 'strategy');
  return {
    concurrency: numberAt(strategy, 'streams') ?? numberAt(strategy, 'max_concurrency'),
    requestRate: numberAt(strategy, 'rate') ?? textAt(strategy, 'type_'),
    model: null,
    isl: null,
    osl: null,
    sent: numberAt(totals, 'total'),
    good: numberAt(totals, 'successful') ?? 0,
    failed: numberAt(totals, 'errored'),
    durationS: numberAt(benchmark, 'duration'),
    inputTokens: numberAt(good(metrics, 'prompt_token_count'), 'total_sum'),
    outputTokens: numberAt(good(metrics, 'output_token_count'), 'total_sum'),
    requestsPerS: numberAt(good(metrics, 'requests_per_second'), 'mean'),
    goodputPerS: numberAt(good(metrics, 'request_goodput'), 'mean'),
    inputTokensPerS: numberAt(good(metrics, 'prompt_tokens_per_second'), 'mean'),
    outputTokensPerS: numberAt(good(metrics, 'output_tokens_per_second'), 'mean'),
    totalTokensPerS: numberAt(good(metrics, 'tokens_per_second'), 'mean'),
    ttftMs: stats(good(metrics, 'time_to_first_token_ms'), 1),
    itlMs: stats(good(metrics, 'inter_token_latency_ms'), 1),
    tpotMs: stats(good(metrics, 'time_per_output_token_ms'), 1),
    e2eMs: stats(good(metrics, 'request_latency'), MS_PER_S),
  };
}

/** The distribution over requests that went well. */
function good(metrics: JsonObject | null, name: string): JsonObject | null {
  return objectAt(objectAt(metrics, name), 'successful');
}

/** Empty where nothing was counted: guidellm then writes zeros. */
function stats(distribution: JsonObject | null, msPerUnit: number): ForeignStats {
  if ((numberAt(distribution, 'count') ?? 0) === 0) return {};
  const found: Record<string, number> = {};
  const take = (name: string, value: number | null): void => {
    if (value !== null) found[name] = value * msPerUnit;
  };
  for (const [from, to] of [
    ['mean', 'mean'],
    ['std_dev', 'std'],
    ['min', 'min'],
    ['max', 'max'],
  ] as const)
    take(to, numberAt(distribution, from));
  const percentiles = objectAt(distribution, 'percentiles');
  for (const [from, to] of Object.entries(PERCENTILES)) take(to, numberAt(percentiles, from));
  return found;
}
