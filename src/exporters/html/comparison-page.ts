import type { Change } from '../../core/compare.ts';
import type { ManyComparison } from '../../core/compare-many.ts';
import { familyText, groundsText, reasonTexts, runs, VERDICT_TEXT, variableText } from '../change-words.ts';
import { percent } from '../figures.ts';
import { changesChart } from './comparison-charts.ts';
import { differencesTable, levelTables, overallTable, sidesTable } from './comparison-tables.ts';
import { pageOf } from './document.ts';
import { escapeHtml, facts, listOf, section } from './markup.ts';
import { percentilesSection, runsSection, tradeSection, validitySection } from './side-sections.ts';
import type { HtmlSide } from './sides.ts';

/** A side with the place that it was read from. */
export interface ComparedSide extends HtmlSide {
  readonly place: string;
}

/** Two or more sides beside each other, the baseline first: what changed from it, and the bounds of that. */
export function renderHtmlComparison(sides: readonly ComparedSide[], compared: ManyComparison): string {
  const parts = [
    section('sides', 'Sides', sidesTable(sides)),
    section(
      'changes',
      'What changed',
      `${overallTable(compared)}${listOf(reasonsOf(compared, ({ level }) => level === null))}${changesChart(compared)}`,
      'Over all levels: the geometric mean of the levels that a candidate shares with the baseline.',
    ),
    section('reading', 'How to read it', readingOf(compared)),
    tradeSection(sides),
    section(
      'levels',
      'Level by level',
      `${levelTables(compared, sides)}${whyOf(compared)}`,
      '⚠ marks a metric that in some run was not valid, or whose level was cut short or had failures: see below.',
    ),
    percentilesSection(sides),
    section('differs', 'What differs', `${variablesOf(compared)}${differencesTable(compared)}`),
    validitySection(sides),
    runsSection(sides),
    section('definitions', 'Definitions', facts(definitionsOf(sides, compared))),
  ];
  const [base, ...candidates] = sides.map(({ name }) => name);
  const title = `${base} → ${candidates.join(', ')}`;
  const counts = compared.sides.map(({ name, repeats }) => `${name} of ${runs(repeats)}`);
  const lead = `<p class="dim">${escapeHtml(`baseline ${counts.join(', ')}; margin ${percent(compared.comparisons[0]!.marginRatio)}`)}</p>`;
  return pageOf(title, `<h1>${escapeHtml(title)}</h1>${lead}`, parts);
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
    `Worse and better: ${VERDICT_TEXT}.`,
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
