import { harmless } from '../page-style.ts';
import type { Column } from '../text-table.ts';

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text as HTML, for an element or an attribute in quotes. */
export function escapeHtml(text: string): string {
  return harmless(text).replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

export interface HtmlColumn {
  readonly head: string;
  /** Cells hold HTML. */
  readonly cells: readonly string[];
  /** Words, not numbers. */
  readonly left?: boolean;
  /** Sentences, which are broken into lines. */
  readonly text?: boolean;
}

/** A table that scrolls by itself where it is too wide; its caption does not. */
export function table(columns: readonly HtmlColumn[], caption = ''): string {
  const attribute = ({ left = false, text = false }: HtmlColumn): string => {
    const classes = [...(left ? ['left'] : []), ...(text ? ['text'] : [])].join(' ');
    return classes === '' ? '' : ` class="${classes}"`;
  };
  const head = columns.map((column) => `<th${attribute(column)}>${column.head}</th>`).join('');
  const rows = (columns[0]?.cells ?? []).map(
    (_, row) =>
      `<tr>${columns.map((column) => `<td${attribute(column)}>${column.cells[row]!}</td>`).join('')}</tr>`,
  );
  const title = caption === '' ? '' : `<p class="lead">${caption}</p>`;
  return `${title}<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

/** The columns of a table for standard output, all of them. */
export function columnsTable(columns: readonly Column[]): string {
  return table(
    columns.map(({ name, cells, left = false }) => ({
      head: escapeHtml(name),
      cells: cells.map(escapeHtml),
      left,
    })),
  );
}

/** Names and their values, a line each. */
export function facts(entries: readonly (readonly [name: string, value: string])[]): string {
  const rows = entries.map(
    ([name, value]) =>
      `<tr><th class="left">${escapeHtml(name)}</th><td class="left">${escapeHtml(value)}</td></tr>`,
  );
  return `<div class="scroll"><table class="facts"><tbody>${rows.join('')}</tbody></table></div>`;
}

/** A part of the page with its heading. */
export function section(id: string, title: string, body: string, lead = ''): string {
  if (body === '') return '';
  const said = lead === '' ? '' : `<p class="lead">${lead}</p>`;
  return `<section id="${id}"><h2>${title}</h2>${said}${body}</section>`;
}

/** A chart with what it shows written below. */
export function figureOf(svg: string, caption: string): string {
  return `<figure>${svg}<figcaption>${caption}</figcaption></figure>`;
}

/** Sentences as a list; nothing for none. */
export function listOf(texts: readonly string[]): string {
  if (texts.length === 0) return '';
  return `<ul class="notes">${texts.map((text) => `<li>${escapeHtml(text)}</li>`).join('')}</ul>`;
}
