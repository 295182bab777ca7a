import type { SglangGoodput } from './goodput.ts';
import type { SglangGroup, SglangMetrics } from './metrics.ts';
import type { NumpyStatistics } from './numpy-statistics.ts';
import { fixed, floatRepr } from './python-format.ts';
import { jsonFloat, jsonInt, jsonText, jsonValue } from './python-json.ts';
import type { SglangRow } from './rows.ts';

/**
 * The forms that sglang.bench_serving's output had, by the month of a version that wrote it; oldest first. Version 0.5.5
 * wrote 2025-11, 0.5.23 wrote 2026-06.
 */
export const LAYOUTS = ['2025-08', '2025-11', '2026-01', '2026-06'] as const;
export type Layout = (typeof LAYOUTS)[number];

/** A finished run as sglang.bench_serving tells of it. */
export interface SglangRun {
  readonly tag: string | null;
  readonly backend: string;
  readonly datasetName: string;
  /** Requests per second; Infinity when all were sent at once. */
  readonly requestRate: number;
  readonly maxConcurrency: number | null;
  readonly sharegptOutputLen: number | null;
  readonly randomInputLen: number | null;
  readonly randomOutputLen: number | null;
  readonly randomRangeRatio: number | null;
  /** What the server said of itself, as it was parsed from its JSON; null when it said nothing. */
  readonly serverInfo: unknown;
  readonly acceptLength: number | null;
  readonly durationS: number;
  readonly rows: readonly SglangRow[];
  readonly metrics: SglangMetrics;
  /** Shown in any layout when there is one, though sglang had it only in the youngest; so is the cache report. */
  readonly goodput: SglangGoodput | null;
  readonly cacheReport: boolean;
}

/** Whether what came with the layout `since` is in `layout`. */
export function isIn(since: Layout, layout: Layout): boolean {
  return LAYOUTS.indexOf(since) <= LAYOUTS.indexOf(layout);
}

/** Something that a layout shows from `since` on, or in that one `alone`: its name, and its value as text. */
export interface Entry {
  readonly name: string;
  readonly since: Layout;
  readonly alone: boolean;
  readonly text: (run: SglangRun) => string;
}

function entry(
  name: string,
  text: (run: SglangRun) => string,
  since: Layout = '2025-08',
  alone = false,
): Entry {
  return { name, since, alone, text };
}

/** The entries of a list that a layout has. */
export function entriesIn(entries: readonly Entry[], layout: Layout): readonly Entry[] {
  return entries.filter(({ since, alone }) => (alone ? since === layout : isIn(since, layout)));
}

type Counted = 'total_output_tokens_retokenized';
type Metric = Exclude<
  keyof SglangMetrics,
  'max_itl_ms' | 'output_throughput_retokenized' | 'total_throughput_retokenized' | Counted
>;

const float = (key: Metric, since?: Layout): Entry => entry(key, (run) => jsonFloat(run.metrics[key]), since);
const int = (key: Metric | Counted, since?: Layout): Entry =>
  entry(key, (run) => jsonInt(run.metrics[key]), since);

/** Keys of the result line before the latencies. */
export const LINE_HEAD: readonly Entry[] = [
  entry('tag', (run) => jsonText(run.tag), '2025-11'),
  entry('backend', (run) => jsonText(run.backend)),
  entry('dataset_name', (run) => jsonText(run.datasetName)),
  entry('request_rate', (run) => jsonFloat(run.requestRate)),
  entry('max_concurrency', (run) => jsonInt(run.maxConcurrency)),
  entry('sharegpt_output_len', (run) => jsonInt(run.sharegptOutputLen)),
  entry('random_input_len', (run) => jsonInt(run.randomInputLen)),
  entry('random_output_len', (run) => jsonInt(run.randomOutputLen)),
  entry('random_range_ratio', (run) => jsonFloat(run.randomRangeRatio)),
  entry('server_info', (run) => jsonValue(run.serverInfo), '2025-11'),
  entry('duration', (run) => jsonFloat(run.durationS)),
  int('completed'),
  int('total_input_tokens'),
  entry('total_input_text_tokens', (run) => jsonInt(run.metrics.total_input_tokens), '2025-11'),
  entry('total_input_vision_tokens', () => jsonInt(0), '2025-11'),
  int('total_output_tokens'),
  int('total_output_tokens_retokenized'),
  float('request_throughput'),
  float('input_throughput'),
  float('output_throughput'),
  float('total_throughput', '2026-01'),
];

/** Keys of the result line after the latencies. */
export const LINE_TAIL: readonly Entry[] = [
  float('concurrency'),
  entry('accept_length', (run) => jsonFloat(run.acceptLength)),
  float('max_output_tokens_per_s', '2026-01'),
  int('max_concurrent_requests', '2026-01'),
];

const shown = (name: string, key: Metric, since?: Layout): Entry =>
  entry(name, (run) => fixed(run.metrics[key], 2), since);
const counted = (name: string, key: Metric | Counted, since?: Layout): Entry =>
  entry(name, (run) => String(run.metrics[key] ?? 'unknown'), since);

/** Lines of the console block before the latencies. */
export const CONSOLE_HEAD: readonly Entry[] = [
  entry('Backend', (run) => run.backend),
  entry('Traffic request rate', (run) => floatRepr(run.requestRate)),
  entry('Max request concurrency', (run) => (run.maxConcurrency ? String(run.maxConcurrency) : 'not set')),
  counted('Successful requests', 'completed'),
  entry('Benchmark duration (s)', (run) => fixed(run.durationS, 2)),
  counted('Total input tokens', 'total_input_tokens'),
  counted('Total input text tokens', 'total_input_tokens', '2025-11'),
  entry('Total input vision tokens', () => '0', '2025-11', true),
  counted('Total generated tokens', 'total_output_tokens'),
  counted('Total generated tokens (retokenized)', 'total_output_tokens_retokenized'),
  shown('Request throughput (req/s)', 'request_throughput'),
  shown('Input token throughput (tok/s)', 'input_throughput'),
  shown('Output token throughput (tok/s)', 'output_throughput'),
  shown('Peak output token throughput (tok/s)', 'max_output_tokens_per_s', '2026-01'),
  counted('Peak concurrent requests', 'max_concurrent_requests', '2026-01'),
  shown('Total token throughput (tok/s)', 'total_throughput'),
  shown('Concurrency', 'concurrency'),
];

/** Since which layout the line has a statistic of a latency, and since which the console shows it; null: never. */
type Since = readonly [line: Layout | null, console: Layout | null];

/** A latency: its heading and its name on the console, and its statistics in their order. */
export interface Latency {
  readonly group: SglangGroup;
  readonly heading: string;
  readonly label: string;
  readonly statistics: readonly (readonly [keyof NumpyStatistics, ...Since])[];
}

const A = '2025-08';
const B = '2026-01';
const C = '2026-06';

export const LATENCIES: readonly Latency[] = [
  {
    group: 'e2e_latency',
    heading: 'End-to-End Latency',
    label: 'E2E Latency',
    statistics: [
      ['mean', A, A],
      ['median', A, A],
      ['std', A, null],
      ['p90', B, B],
      ['p95', C, C],
      ['p99', A, B],
    ],
  },
  {
    group: 'ttft',
    heading: 'Time to First Token',
    label: 'TTFT',
    statistics: [
      ['mean', A, A],
      ['median', A, A],
      ['std', A, null],
      ['p90', C, C],
      ['p95', C, C],
      ['p99', A, A],
    ],
  },
  {
    group: 'tpot',
    heading: 'Time per Output Token (excl. 1st token)',
    label: 'TPOT',
    statistics: [
      ['mean', A, B],
      ['median', A, B],
      ['std', A, null],
      ['p90', C, C],
      ['p95', C, C],
      ['p99', A, B],
    ],
  },
  {
    group: 'itl',
    heading: 'Inter-Token Latency',
    label: 'ITL',
    statistics: [
      ['mean', A, A],
      ['median', A, A],
      ['std', A, null],
      ['p90', C, C],
      ['p95', A, A],
      ['p99', A, A],
      ['max', null, A],
    ],
  },
];

/** A statistic of a latency in ms. Of maxima sglang has only the longest gap. */
export function statisticMs(
  metrics: SglangMetrics,
  statistic: keyof NumpyStatistics,
  group: SglangGroup,
): number {
  return statistic === 'max' ? metrics.max_itl_ms : metrics[`${statistic}_${group}_ms`];
}

/** Prompt tokens of the successes, how many of them the server took from its cache, and their share in percent. */
export function cacheHits(rows: readonly SglangRow[]): {
  promptTokens: number;
  cachedTokens: number;
  percent: number;
} {
  let promptTokens = 0;
  let cachedTokens = 0;
  for (const row of rows) {
    if (!row.success) continue;
    promptTokens += row.serverPromptLen;
    cachedTokens += row.cachedTokens;
  }
  return {
    promptTokens,
    cachedTokens,
    percent: promptTokens === 0 ? 0 : (cachedTokens / promptTokens) * 100,
  };
}
