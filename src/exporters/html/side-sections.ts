import type { Report } from '../../core/report.ts';
import { showsTokenItl } from '../level-names.ts';
import { type Latency, percentilesChart } from './comparison-charts.ts';
import { percentilesTable, sidesValidityTable } from './comparison-tables.ts';
import { tradeCharts } from './latency-charts.ts';
import { escapeHtml, section } from './markup.ts';
import { notesOf } from './notes-list.ts';
import type { HtmlSide } from './sides.ts';
import { levelsTable } from './tables.ts';

/** Parts of a page that several runs have in common, on one side or on several. */

export function tradeSection(sides: readonly HtmlSide[]): string {
  const charts = tradeCharts(sides);
  return section(
    'trade',
    'Throughput against latency',
    charts === '' ? '' : `<div class="charts">${charts}</div>`,
  );
}

export function percentilesSection(sides: readonly HtmlSide[]): string {
  const latencies = latenciesOf(sides.flatMap(({ reports }) => reports));
  return section(
    'percentiles',
    'Latency percentiles',
    [
      `<div class="charts">${latencies.map((one) => percentilesChart(one, sides)).join('')}</div>`,
      ...latencies.map(
        (one) =>
          `<details><summary>${escapeHtml(one.title)}</summary>${percentilesTable(one, sides)}</details>`,
      ),
    ].join(''),
  );
}

function latenciesOf(reports: readonly Report[]): Latency[] {
  const perToken = reports.some(showsTokenItl);
  return [
    { title: 'TTFT', of: ({ ttftMs }) => ttftMs },
    perToken
      ? { title: 'token ITL', of: ({ tokenItlMs }) => tokenItlMs }
      : { title: 'ITL', of: ({ itlMs }) => itlMs },
    { title: 'TPOT', of: ({ tpotMs }) => tpotMs },
    { title: 'E2E', of: ({ e2eMs }) => e2eMs },
  ];
}

export function validitySection(sides: readonly HtmlSide[]): string {
  return section('validity', 'Was the harness the bottleneck?', sidesValidityTable(sides));
}

export function runsSection(sides: readonly HtmlSide[]): string {
  return section('runs', 'Each run', sides.map(runsOf).join(''));
}

function runsOf({ name, reports }: HtmlSide): string {
  return reports
    .map(
      (report) =>
        `<details><summary>${escapeHtml(`${name}: ${report.name}, ${report.origin.utc}`)}</summary>${levelsTable(report)}${notesOf(report)}</details>`,
    )
    .join('');
}
