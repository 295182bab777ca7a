import type { SglangGoodput } from './goodput.ts';
import {
  cacheHits,
  type Entry,
  entriesIn,
  isIn,
  LATENCIES,
  type Layout,
  LINE_HEAD,
  LINE_TAIL,
  type SglangRun,
  statisticMs,
} from './layouts.ts';
import { fixed } from './python-format.ts';
import { jsonArray, jsonFloat, jsonInt, jsonObject, jsonText } from './python-json.ts';
import type { SglangRow } from './rows.ts';

type Pair = readonly [key: string, json: string];

/**
 * The line that sglang.bench_serving appends to its result file, without the newline: `json.dumps` of Python, with
 * the bare token `Infinity` for an infinite rate. `details` adds the arrays of `--output-details`, a value per row.
 */
export function sglangLine(run: SglangRun, layout: Layout, details: boolean): string {
  return jsonObject([
    ...pairs(LINE_HEAD, run, layout),
    ...latencyPairs(run, layout),
    ...pairs(LINE_TAIL, run, layout),
    ...(run.goodput === null ? [] : goodputPairs(run.goodput)),
    ...(run.cacheReport ? [cachePair(run.rows)] : []),
    ...(details ? detailPairs(run, layout) : []),
  ]);
}

function pairs(entries: readonly Entry[], run: SglangRun, layout: Layout): Pair[] {
  return entriesIn(entries, layout).map(({ name, text }) => [name, text(run)]);
}

function latencyPairs(run: SglangRun, layout: Layout): Pair[] {
  return LATENCIES.flatMap(({ group, statistics }) =>
    statistics.flatMap(([statistic, since]): Pair[] =>
      since !== null && isIn(since, layout)
        ? [[`${statistic}_${group}_ms`, jsonFloat(statisticMs(run.metrics, statistic, group))]]
        : [],
    ),
  );
}

function goodputPairs(goodput: SglangGoodput): Pair[] {
  const floats = (values: object): string =>
    jsonObject(Object.entries(values).map(([metric, value]) => [metric, jsonFloat(value)]));
  return [
    ['goodput_slos_ms', floats(goodput.goodput_slos_ms)],
    ['request_goodput', jsonFloat(goodput.request_goodput)],
    ['slo_attainment', jsonFloat(goodput.slo_attainment)],
    ['slo_attainment_by_metric', floats(goodput.slo_attainment_by_metric)],
  ];
}

/** An OpenAI answer tells how many tokens were cached, not where. */
function cachePair(rows: readonly SglangRow[]): Pair {
  const hits = cacheHits(rows);
  return [
    'cache_report',
    jsonObject([
      ['total_prompt_tokens', jsonInt(hits.promptTokens)],
      ['total_cached_tokens', jsonInt(hits.cachedTokens)],
      ['cache_hit_rate_pct', jsonFloat(Number(fixed(hits.percent, 2)))],
      ['device_cached_tokens', 'null'],
      ['host_cached_tokens', 'null'],
      ['storage_cached_tokens', 'null'],
      ['storage_backend', 'null'],
    ]),
  ];
}

function detailPairs({ rows, cacheReport }: SglangRun, layout: Layout): Pair[] {
  const serverCounts = isIn('2026-06', layout);
  const cached: Pair[] = [
    ['cached_tokens', jsonArray(rows, (row) => jsonInt(row.cachedTokens))],
    ['cached_tokens_details', jsonArray(rows, () => 'null')],
  ];
  return [
    ['input_lens', jsonArray(rows, (row) => jsonInt(serverCounts ? row.serverPromptLen : row.promptLen))],
    ['output_lens', jsonArray(rows, (row) => jsonInt(row.outputLen))],
    ['ttfts', jsonArray(rows, (row) => jsonFloat(row.ttftS))],
    ['itls', jsonArray(rows, (row) => jsonArray(row.itlS, jsonFloat))],
    ['generated_texts', jsonArray(rows, (row) => jsonText(row.text))],
    ['errors', jsonArray(rows, (row) => jsonText(row.error))],
    ...(cacheReport ? cached : []),
  ];
}
