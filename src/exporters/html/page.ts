import type { Change, Comparison } from '../../core/compare.ts';
import { geometricMean, greatest, sum } from '../../core/distribution.ts';
import type { Report } from '../../core/report.ts';
import {
  boundsText,
  differenceTexts,
  levelName,
  runs,
  scopeName,
  signed,
  variableText,
} from '../change-words.ts';
import { figure, grouped, percent } from '../figures.ts';
import { levelsRun } from '../level-names.ts';
import { runNotes } from '../notes.ts';
import { ecdfCharts, levelHistograms } from './distribution-charts.ts';
import { phasesChart, tradeCharts } from './latency-charts.ts';
import { escapeHtml, facts, section, table } from './markup.ts';
import { STYLE } from './style.ts';
import { failuresTable, lengthsTable, levelsTable, provenanceTable, validityTable } from './tables.ts';
import { timelineChart } from './timeline-chart.ts';

/** One run as a page to look at: a file of its own that asks for nothing over the network. */
export function renderHtml(report: Report): string {
  const levels = levelsRun(report);
  const charts = (body: string): string => (body === '' ? '' : `<div class="charts">${body}</div>`);
  const parts = [
    section('levels', 'Levels', levelsTable(report)),
    section('notes', 'What to know', notesOf(report)),
    section(
      'trade',
      'Throughput against latency',
      charts(tradeCharts([{ name: report.name, reports: [report] }])),
    ),
    section('distributions', 'Distributions', charts(ecdfCharts(report))),
    section('phases', 'Prefill against decode', charts(phasesChart(report))),
    section('timeline', 'Timeline', charts(levels.map(timelineChart).join(''))),
    section(
      'histograms',
      'Histograms',
      levels
        .map(
          (level) =>
            `<details${levels.length <= 8 ? ' open' : ''}><summary>${escapeHtml(levelName(level))}</summary>${levelHistograms(report, level)}</details>`,
        )
        .join(''),
    ),
    section('lengths', 'Lengths asked and proven', lengthsTable(report)),
    section('failures', 'Failures', failuresTable(report)),
    section('validity', 'Was the harness the bottleneck?', validityTable(report)),
    section('provenance', 'Provenance', provenanceTable(report)),
    section('definitions', 'Definitions', facts(Object.entries(report.definitions))),
  ];
  return pageOf(`${report.name}: ${report.target.model}`, headOf(report), parts);
}

/** A side of a comparison and its runs. */
export interface HtmlSide {
  readonly name: string;
  readonly reports: readonly Report[];
}

/** Two sides beside each other, with what changed between them and the bounds of it. */
export function renderHtmlComparison(sides: readonly HtmlSide[], comparison: Comparison): string {
  const parts = [
    section(
      'changes',
      'What changed',
      changesTable(comparison.changes.filter(({ level }) => level === null)),
    ),
    section('trade', 'Throughput against latency', `<div class="charts">${tradeCharts(sides)}</div>`),
    section(
      'levels',
      'Level by level',
      changesTable(comparison.changes.filter(({ level }) => level !== null)),
    ),
    section('differs', 'What differs', differencesOf(comparison)),
    ...sides.map(({ name, reports }, nth) =>
      section(
        `side-${nth}`,
        escapeHtml(name),
        reports
          .map(
            (report) =>
              `<details><summary>${escapeHtml(`${report.name}, ${report.origin.utc}`)}</summary>${levelsTable(report)}${notesOf(report)}</details>`,
          )
          .join(''),
      ),
    ),
  ];
  const title = sides.map(({ name }) => name).join(' → ');
  const { base, cand } = comparison.repeats;
  const lead = `<p class="dim">${escapeHtml(`baseline of ${runs(base)}, candidate of ${runs(cand)}, margin ${percent(comparison.marginRatio)}`)}</p>`;
  return pageOf(title, `<h1>${escapeHtml(title)}</h1>${lead}`, parts);
}

const VERDICT_CLASSES = { better: 'good', worse: 'bad', same: '', 'cannot tell': 'dim' } as const;

function changesTable(changes: readonly Change[]): string {
  const mean = (values: readonly number[]): string =>
    values.length === 0 ? '–' : figure(geometricMean(values));
  const reasons = changes.map(({ reason }) => escapeHtml(reason ?? ''));
  return table([
    { head: 'level', cells: changes.map((change) => escapeHtml(scopeName(change))), left: true },
    { head: 'metric', cells: changes.map(({ metric }) => escapeHtml(metric)), left: true },
    { head: 'baseline', cells: changes.map(({ base }) => mean(base)) },
    { head: 'candidate', cells: changes.map(({ cand }) => mean(cand)) },
    { head: 'change', cells: changes.map(({ changeRatio }) => signed(changeRatio)) },
    { head: '95 % bounds', cells: changes.map(boundsText) },
    {
      head: 'verdict',
      cells: changes.map(({ verdict }) => `<span class="${VERDICT_CLASSES[verdict]}">${verdict}</span>`),
      left: true,
    },
    ...(reasons.every((reason) => reason === '') ? [] : [{ head: 'why', cells: reasons, left: true }]),
  ]);
}

function differencesOf(comparison: Comparison): string {
  const items = [...comparison.overruled.map((what) => `not alike: ${what}`), ...differenceTexts(comparison)];
  const list = items.map((text) => `<li>${escapeHtml(text)}</li>`).join('');
  return `<p>Single-variable comparison: ${escapeHtml(variableText(comparison))}</p><ul class="notes">${list}</ul>`;
}

function pageOf(title: string, head: string, parts: readonly string[]): string {
  const shown = parts.filter((part) => part !== '');
  const links = shown.map((part) => {
    const [, id, name] = /^<section id="([^"]+)"><h2>(.*?)<\/h2>/.exec(part)!;
    return `<a href="#${id}">${name}</a>`;
  });
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width,initial-scale=1">',
    '<link rel="icon" href="data:,">',
    `<title>${escapeHtml(title)}</title>`,
    `<style>${STYLE}</style></head><body>`,
    `<header>${head}<nav>${links.join('')}</nav></header>`,
    `<main>${shown.join('\n')}</main>`,
    '</body></html>',
    '',
  ].join('\n');
}

function headOf(report: Report): string {
  const { target, origin, status, statusDetail, tags } = report;
  const levels = levelsRun(report);
  const sent = sum(levels.map(({ requests }) => requests.sent));
  const good = sum(levels.map(({ requests }) => requests.good));
  const valid = levels.filter(({ validity }) => validity.verdict === 'valid').length;
  const best = greatest(levels.map(({ outputTokensPerS }) => outputTokensPerS ?? 0).concat(0));
  const card = (value: string, name: string): string =>
    `<div class="card"><b>${value}</b><span>${name}</span></div>`;
  const words = Object.entries(tags).map(([name, value]) => `${name}=${value}`);
  const state =
    status === 'complete'
      ? ''
      : ` <span class="bad">${escapeHtml(`${status}${statusDetail === null ? '' : `: ${statusDetail}`}`)}</span>`;
  return [
    `<h1>${escapeHtml(report.name)}${state}</h1>`,
    `<p>${escapeHtml(`${target.model} on ${target.server} at ${target.urls.join(', ')}`)}</p>`,
    `<p class="dim">${escapeHtml([`${origin.utc.slice(0, 16).replace('T', ' ')} UTC`, ...words].join(', '))}</p>`,
    '<div class="cards">',
    card(grouped(levels.length), 'levels'),
    card(`${grouped(good)} / ${grouped(sent)}`, 'good of sent'),
    card(sent === 0 ? '–' : percent((sent - good) / sent), 'failed'),
    card(figure(best), 'output tok/s, most'),
    card(`${grouped(valid)} / ${grouped(levels.length)}`, 'levels valid'),
    '</div>',
  ].join('');
}

function notesOf(report: Report): string {
  const notes = runNotes(report);
  if (notes.length === 0) return '';
  const items = notes.map(
    ({ topic, text, loud }) =>
      `<li${loud ? ' class="warn"' : ''}><b>${escapeHtml(topic)}</b> ${escapeHtml(text)}</li>`,
  );
  return `<ul class="notes">${items.join('')}</ul>`;
}
