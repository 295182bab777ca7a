import type { Capacity } from '../../core/capacity.ts';
import type { Report } from '../../core/report.ts';
import { answerText, capacityColumns, capacityNotes, limitsText } from '../capacity-table.ts';
import { pageOf } from './document.ts';
import { columnsTable, escapeHtml, facts, listOf, section } from './markup.ts';
import { percentilesSection, runsSection, tradeSection, validitySection } from './side-sections.ts';

/** A search for capacity: the answer and how sure it is, every level, and each run. */
export function renderHtmlCapacity(capacity: Capacity, reports: readonly Report[]): string {
  const [first] = reports;
  const sides = [{ name: first?.name ?? '', reports }];
  const parts = [
    section('levels', 'Levels', columnsTable(capacityColumns(capacity))),
    section(
      'certainty',
      'How sure it is',
      listOf(capacityNotes(capacity).map(([label, text]) => `${label}: ${text}`)),
    ),
    tradeSection(sides),
    percentilesSection(sides),
    validitySection(sides),
    runsSection(sides),
    section('definitions', 'Definitions', facts(Object.entries(first?.definitions ?? {}))),
  ];
  const title = `capacity: ${answerText(capacity)}`;
  const target = first === undefined ? '' : `, ${first.target.model} at ${first.target.urls.join(', ')}`;
  return pageOf(
    title,
    `<h1>${escapeHtml(title)}</h1><p class="dim">${escapeHtml(`${limitsText(capacity)}${target}`)}</p>`,
    parts,
  );
}
