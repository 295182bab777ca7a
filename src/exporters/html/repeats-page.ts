import type { Report } from '../../core/report.ts';
import { cutTexts, REPEATS_TEXTS, repeatsColumns, repeatsText, warningsOf } from '../repeats-table.ts';
import { pageOf } from './document.ts';
import { columnsTable, escapeHtml, facts, listOf, section } from './markup.ts';
import { percentilesSection, runsSection, tradeSection, validitySection } from './side-sections.ts';

/** The repeats of one sweep: per level the mean and how far the runs spread, charts of all of them, and each run. */
export function renderHtmlRepeats(reports: readonly Report[]): string {
  const [first] = reports;
  const name = first?.name ?? '';
  const sides = [{ name, reports }];
  const parts = [
    section(
      'levels',
      'Levels',
      columnsTable(repeatsColumns(reports)),
      `Mean: ${REPEATS_TEXTS.mean}. CV: ${REPEATS_TEXTS.CV}.`,
    ),
    section('notes', 'What to know', listOf([...cutTexts(reports), ...warningsOf(reports)])),
    tradeSection(sides),
    percentilesSection(sides),
    validitySection(sides),
    runsSection(sides),
    section('definitions', 'Definitions', facts(Object.entries(first?.definitions ?? {}))),
  ];
  const title = `${name}: ${repeatsText(reports)}`;
  const target = first === undefined ? '' : `${first.target.model} at ${first.target.urls.join(', ')}`;
  return pageOf(title, `<h1>${escapeHtml(title)}</h1><p class="dim">${escapeHtml(target)}</p>`, parts);
}
