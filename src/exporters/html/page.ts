import { greatest, sum } from '../../core/distribution.ts';
import type { Report } from '../../core/report.ts';
import { levelName } from '../change-words.ts';
import { figure, grouped, percent } from '../figures.ts';
import { levelsRun } from '../level-names.ts';
import { readingMark } from '../marks.ts';
import { ecdfCharts, levelHistograms } from './distribution-charts.ts';
import { pageOf } from './document.ts';
import { phasesChart, tradeCharts } from './latency-charts.ts';
import { escapeHtml, facts, section } from './markup.ts';
import { notesOf } from './notes-list.ts';
import { serverSection } from './server-side.ts';
import {
  boundsTable,
  failuresTable,
  lengthsTable,
  levelsTable,
  provenanceTable,
  validityTable,
} from './tables.ts';
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
    section('server', "The server's side", serverSection(report)),
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
    section('validity', 'Was the harness the bottleneck?', validityTable(report) + boundsTable(report)),
    section('provenance', 'Provenance', provenanceTable(report)),
    section('definitions', 'Definitions', facts(Object.entries(report.definitions))),
  ];
  return pageOf(`${report.name}: ${report.target.model}`, headOf(report), parts);
}

function headOf(report: Report): string {
  const { target, origin, status, statusDetail, tags } = report;
  const levels = levelsRun(report);
  const sent = sum(levels.map(({ requests }) => requests.sent));
  const good = sum(levels.map(({ requests }) => requests.good));
  const valid = levels.filter(({ validity }) => validity.verdict === 'valid').length;
  const best = greatest(levels.map(({ outputTokensPerS }) => outputTokensPerS ?? 0).concat(0));
  const mark = levels.map((level) => readingMark(level, 'outputTokensPerS')).find((one) => one !== '') ?? '';
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
    card(`${mark}${figure(best)}`, 'output tok/s, most'),
    card(`${grouped(valid)} / ${grouped(levels.length)}`, 'levels valid'),
    '</div>',
  ].join('');
}
