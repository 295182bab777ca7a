import type { EngineGauges } from './engine.ts';

/** Counters of the server. Tokens of an answer count as they are made. */
export class Metrics {
  requests = 0;
  promptTokens = 0;
  generationTokens = 0;
  cachedTokens = 0;

  /** The Prometheus text; `kvTokens` is the size of the cache, Infinity for no limit. */
  text(gauges: EngineGauges, kvTokens: number): string {
    const series: readonly (readonly [string, 'counter' | 'gauge', string, number])[] = [
      ['requests_total', 'counter', 'Requests taken by the engine.', this.requests],
      ['prompt_tokens_total', 'counter', 'Prompt tokens of these requests.', this.promptTokens],
      ['generation_tokens_total', 'counter', 'Output tokens made.', this.generationTokens],
      ['cached_tokens_total', 'counter', 'Prompt tokens found in the prefix cache.', this.cachedTokens],
      ['requests_running', 'gauge', 'Requests that decode.', gauges.running],
      ['requests_waiting', 'gauge', 'Requests in prefill or waiting.', gauges.waiting],
      ['kv_tokens', 'gauge', 'Tokens that the KV cache keeps room for.', gauges.kvTokens],
      ['kv_usage_ratio', 'gauge', 'Share of the KV cache in use.', gauges.kvTokens / kvTokens],
    ];
    return series
      .map(
        ([name, type, help, value]) =>
          `# HELP bench_mock_${name} ${help}\n# TYPE bench_mock_${name} ${type}\nbench_mock_${name} ${value}\n`,
      )
      .join('');
  }
}
