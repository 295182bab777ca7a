import type { Change } from '../../core/compare.ts';
import type { ManyComparison } from '../../core/compare-many.ts';
import type { Report } from '../../core/report.ts';
import { familyText, groundsText, reasonTexts, runs, variableText } from '../change-words.ts';
import { percent } from '../figures.ts';
import { showsTokenItl } from '../level-names.ts';
import { changesChart, type Latency, percentilesChart } from './comparison-charts.ts';
import {
  differencesTable,
  levelTables,
  overallTable,
  percentilesTable,
  sidesTable,
  sidesValidityTable,
} from './comparison-tables.ts';
import { pageOf } from './document.ts';
import { tradeCharts } from './latency-charts.ts';
import { escapeHtml, facts, section } from './markup.ts';
import { notesOf } from './notes-list.ts';
import type { HtmlSide } from './sides.ts';
import { levelsTable } from './tables.ts';

/** A side with the place that it was read from. */
export interface ComparedSide extends HtmlSide {
  readonly place: string;
}

/** Two or more sides beside each other, the baseline first: what changed from it, and the bounds of that. */
export function renderHtmlComparison(sides: readonly ComparedSide[], compared: ManyComparison): string {
  const latencies = latenciesOf(sides.flatMap(({ reports }) => reports));
  const parts = [
    section('sides', 'Sides', sidesTable(sides)),
    section(
      'changes',
      'What changed',
      `${overallTable(compared)}${listOf(reasonsOf(compared, ({ level }) => level === null))}${changesChart(compared)}`,
      'Over all levels: the geometric mean of the levels that a candidate shares with the baseline.',
    ),
    section('reading', 'How to read it', readingOf(compared)),
    section('trade', 'Throughput against latency', `<div class="charts">${tradeCharts(sides)}</div>`),
    section(
      'levels',
      'Level by level',
      `${levelTables(compared, sides)}${whyOf(compared)}`,
      '⚠ marks a metric that in some run was not valid, or whose level was cut short or had failures: see below.',
    ),
    section(
      'percentiles',
      'Latency percentiles',
      [
        `<div class="charts">${latencies.map((one) => percentilesChart(one, sides)).join('')}</div>`,
        ...latencies.map(
          (one) =>
            `<details><summary>${escapeHtml(one.title)}</summary>${percentilesTable(one, sides)}</details>`,
        ),
      ].join(''),
    ),
    section('differs', 'What differs', `${variablesOf(compared)}${differencesTable(compared)}`),
    section('validity', 'Was the harness the bottleneck?', sidesValidityTable(sides)),
    section('runs', 'Each run', sides.map(runsOf).join('')),
    section('definitions', 'Definitions', facts(definitionsOf(sides, compared))),
  ];
  const [base, ...candidates] = sides.map(({ name }) => name);
  const title = `${base} → ${candidates.join(', ')}`;
  const counts = compared.sides.map(({ name, repeats }) => `${name} of ${runs(repeats)}`);
  const lead = `<p class="dim">${escapeHtml(`baseline ${counts.join(', ')}; margin ${percent(compared.comparisons[0]!.marginRatio)}`)}</p>`;
  return pageOf(title, `<h1>${escapeHtml(title)}</h1>${lead}`, parts);
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

function reasonsOf(compared: ManyComparison, isMeant: (change: Change) => boolean): string[] {
  return reasonTexts(compared, isMeant).map((reason) => `cannot tell: ${reason}`);
}

/** Why changes of single levels have no bounds. */
function whyOf(compared: ManyComparison): string {
  const reasons = reasonsOf(compared, ({ level }) => level !== null);
  if (reasons.length === 0) return '';
  return `<details><summary>Why some cannot be told</summary>${listOf(reasons)}</details>`;
}

/** What a change, its bounds and its verdict are. */
function readingOf(compared: ManyComparison): string {
  const changes = compared.comparisons.flatMap((one) => one.changes);
  const single = compared.sides.filter(({ repeats }) => repeats === 1).map(({ name }) => name);
  return listOf([
    'A change is the geometric mean of a candidate’s runs ÷ that of the baseline’s − 1.',
    ...(changes.some(({ lowRatio }) => lowRatio !== null)
      ? [`Its bounds: ${groundsText(changes)}; ${familyText(compared)}.`]
      : []),
    ...(single.length === 0
      ? []
      : [
          `A single run (${single.join(', ')}) says nothing of how runs differ among themselves: a change without bounds may be chance.`,
        ]),
    'Worse and better: its bound says that there is a change, and its estimate is beyond the margin. Same: both bounds are within the margin.',
  ]);
}

function variablesOf({ comparisons, sides }: ManyComparison): string {
  return listOf(
    comparisons.flatMap((comparison, nth) => {
      const { name } = sides[nth + 1]!;
      return [
        ...comparison.overruled.map((what) => `not alike in ${name}: ${what}`),
        `Single-variable comparison of ${name}: ${variableText(comparison)}`,
      ];
    }),
  );
}

function runsOf({ name, reports }: HtmlSide): string {
  return reports
    .map(
      (report) =>
        `<details><summary>${escapeHtml(`${name}: ${report.name}, ${report.origin.utc}`)}</summary>${levelsTable(report)}${notesOf(report)}</details>`,
    )
    .join('');
}

/** Terms of the metrics that were compared, as the baseline's first run has them. */
function definitionsOf(sides: readonly HtmlSide[], { comparisons }: ManyComparison): [string, string][] {
  const terms = new Set(
    comparisons.flatMap(({ changes }) => changes.map(({ metric }) => metric.split('.')[0]!)),
  );
  const always = ['good', 'validity', 'percentiles', 'tokensPerSPerUser'];
  return Object.entries(sides[0]?.reports[0]?.definitions ?? {}).filter(
    ([term]) => terms.has(term) || always.includes(term),
  );
}

function listOf(texts: readonly string[]): string {
  if (texts.length === 0) return '';
  return `<ul class="notes">${texts.map((text) => `<li>${escapeHtml(text)}</li>`).join('')}</ul>`;
}
