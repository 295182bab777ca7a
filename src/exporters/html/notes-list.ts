import type { Report } from '../../core/report.ts';
import { runNotes } from '../notes.ts';
import { escapeHtml } from './markup.ts';

/** All that has to be said of a run beside its tables. */
export function notesOf(report: Report): string {
  const notes = runNotes(report);
  if (notes.length === 0) return '';
  const items = notes.map(
    ({ topic, text, loud }) =>
      `<li${loud ? ' class="warn"' : ''}><b>${escapeHtml(topic)}</b> ${escapeHtml(text)}</li>`,
  );
  return `<ul class="notes">${items.join('')}</ul>`;
}
