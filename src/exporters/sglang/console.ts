import type { SglangGoodput } from './goodput.ts';
import {
  CONSOLE_HEAD,
  cacheHits,
  entriesIn,
  isIn,
  LATENCIES,
  type Latency,
  type Layout,
  type SglangRun,
  statisticMs,
} from './layouts.ts';
import type { SglangMetrics } from './metrics.ts';
import type { NumpyStatistics } from './numpy-statistics.ts';
import { centred, fixed, general } from './python-format.ts';
import type { SglangRow } from './rows.ts';

const WIDTH = 50;

/** The block that sglang.bench_serving prints after a run: an empty line first, a newline at the end. */
export function sglangConsole(run: SglangRun, layout: Layout): string {
  const head = entriesIn(CONSOLE_HEAD, layout).map(({ name, text }) => line(name, text(run)));
  const lines = [
    '',
    heading(' Serving Benchmark Result ', '='),
    ...head,
    ...(run.acceptLength ? [line('Accept length', fixed(run.acceptLength, 2))] : []),
    ...(run.goodput === null ? [] : goodputLines(run.goodput)),
    ...LATENCIES.flatMap((latency) => latencyLines(run.metrics, latency, layout)),
    ...(run.cacheReport ? cacheLines(run.rows) : []),
    '='.repeat(WIDTH),
  ];
  return `${lines.join('\n')}\n`;
}

function latencyLines(metrics: SglangMetrics, latency: Latency, layout: Layout): string[] {
  const lines = latency.statistics.flatMap(([statistic, , since]) =>
    since !== null && isIn(since, layout)
      ? [
          line(
            `${title(statistic)} ${latency.label} (ms)`,
            fixed(statisticMs(metrics, statistic, latency.group), 2),
          ),
        ]
      : [],
  );
  return lines.length === 0 ? [] : [heading(latency.heading, '-'), ...lines];
}

function goodputLines(goodput: SglangGoodput): string[] {
  const slos = Object.entries(goodput.goodput_slos_ms).map(([metric, slo]) => `${metric}:${general(slo)}`);
  return [
    heading('Goodput', '-'),
    line('SLOs (ms)', slos.join(' ')),
    line('Request goodput (req/s)', fixed(goodput.request_goodput, 2)),
    line('SLO attainment (%)', fixed(goodput.slo_attainment * 100, 2)),
    ...Object.entries(goodput.slo_attainment_by_metric).map(([metric, share]) =>
      line(`${metric.toUpperCase()} SLO attainment (%)`, fixed(share * 100, 2)),
    ),
  ];
}

function cacheLines(rows: readonly SglangRow[]): string[] {
  const hits = cacheHits(rows);
  return [
    heading('Cache Hit Details', '-'),
    line('Total prompt tokens', String(hits.promptTokens)),
    line('Total cached tokens', String(hits.cachedTokens)),
    `${'Cache hit rate:'.padEnd(40)} ${fixed(hits.percent, 1)}%`,
  ];
}

/** Python's `{:<40} {:<10}`: spaces at the end stay. */
function line(label: string, value: string): string {
  return `${`${label}:`.padEnd(40)} ${value.padEnd(10)}`;
}

function heading(text: string, fill: string): string {
  return centred(text, fill, WIDTH);
}

function title(statistic: keyof NumpyStatistics): string {
  return statistic[0]!.toUpperCase() + statistic.slice(1);
}
