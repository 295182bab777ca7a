import type { EngineGauges, Stages } from './engine.ts';

/** Upper bounds in ms: 1, 2.5, 5 of each decade up to 100 s. */
const BOUNDS_MS = [1, 10, 100, 1_000, 10_000].flatMap((ms) => [ms, 2.5 * ms, 5 * ms]).concat(100_000);

/** A Prometheus histogram of spans of time. */
class SpanHistogram {
  readonly #name: string;
  readonly #help: string;
  readonly #counts = BOUNDS_MS.map(() => 0);
  #count = 0;
  #sumMs = 0;

  constructor(name: string, help: string) {
    this.#name = name;
    this.#help = help;
  }

  observe(ms: number): void {
    this.#count++;
    this.#sumMs += ms;
    const bucket = BOUNDS_MS.findIndex((bound) => ms <= bound);
    if (bucket >= 0) this.#counts[bucket]!++;
  }

  text(): string {
    let atMost = 0;
    const buckets = BOUNDS_MS.map((bound, nth) => {
      atMost += this.#counts[nth]!;
      return `bench_mock_${this.#name}_bucket{le="${bound / 1_000}"} ${atMost}\n`;
    });
    return [
      `# HELP bench_mock_${this.#name} ${this.#help}\n# TYPE bench_mock_${this.#name} histogram\n`,
      ...buckets,
      `bench_mock_${this.#name}_bucket{le="+Inf"} ${this.#count}\n`,
      `bench_mock_${this.#name}_sum ${this.#sumMs / 1_000}\nbench_mock_${this.#name}_count ${this.#count}\n`,
    ].join('');
  }
}

/** Counters and histograms of the server. Tokens of an answer count as they are made; spans are those of the simulated time. */
export class Metrics {
  requests = 0;
  promptTokens = 0;
  generationTokens = 0;
  cachedTokens = 0;
  readonly #queue = new SpanHistogram('queue_seconds', 'Arrival to the start of prefill.');
  readonly #prefill = new SpanHistogram('prefill_seconds', 'Prefill.');
  readonly #firstDecode = new SpanHistogram('first_decode_seconds', 'End of prefill to the first token.');
  readonly #ttft = new SpanHistogram('time_to_first_token_seconds', 'Arrival to the first token.');
  readonly #decode = new SpanHistogram('decode_seconds', 'First token to the last.');
  readonly #request = new SpanHistogram('request_seconds', 'Arrival to the last token.');

  /** A request gives its first token. Gives its TTFT in simulated ms. */
  first({ queueMs, prefillMs, firstDecodeMs }: Stages): number {
    this.#queue.observe(queueMs);
    this.#prefill.observe(prefillMs);
    this.#firstDecode.observe(firstDecodeMs);
    const ttftMs = queueMs + prefillMs + firstDecodeMs;
    this.#ttft.observe(ttftMs);
    return ttftMs;
  }

  /** A request gives its last token. */
  ended(decodeMs: number, requestMs: number): void {
    this.#decode.observe(decodeMs);
    this.#request.observe(requestMs);
  }

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
    const spans = [this.#queue, this.#prefill, this.#firstDecode, this.#ttft, this.#decode, this.#request];
    return series
      .map(
        ([name, type, help, value]) =>
          `# HELP bench_mock_${name} ${help}\n# TYPE bench_mock_${name} ${type}\nbench_mock_${name} ${value}\n`,
      )
      .concat(spans.map((span) => span.text()))
      .join('');
  }
}
