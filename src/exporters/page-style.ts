import { printableLine } from '../core/printable.ts';

/** How a terminal page is drawn. */
export interface PageStyle {
  /** ANSI colours; without, the page is plain text. */
  readonly colour: boolean;
  /** Columns that a line may take. */
  readonly width: number;
  /** Draw with ASCII characters alone. */
  readonly ascii?: boolean;
}

export type Paint = 'bold' | 'dim' | 'red' | 'yellow';

const CODES: Readonly<Record<Paint, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  yellow: [33, 39],
};

/** The numbers of all colour escapes that `paint` writes. */
export const PAINT_CODES: readonly number[] = [...new Set(Object.values(CODES).flat())];

/** Paints `text` when colours are wanted. Padding belongs outside: escapes count no column. */
export function paint(style: PageStyle, kind: Paint, text: string): string {
  if (!style.colour || text === '') return text;
  const [on, off] = CODES[kind];
  return `\u001b[${on}m${text}\u001b[${off}m`;
}

/** Text from outside on one line and with its control characters as escapes, so that no server or tag draws on the page. */
export function harmless(text: string): string {
  return printableLine(text).trim();
}

const ASCII: Readonly<Record<string, string>> = {
  '─': '-',
  '│': '|',
  '└': '+',
  '┤': '+',
  '×': 'x',
  '–': '-',
  '≈': '=',
  '▏': '.',
  '▎': '.',
  '▍': '.',
  '▌': '#',
  '▋': '#',
  '▊': '#',
  '▉': '#',
  '█': '#',
  '▁': '.',
  '▂': '.',
  '▃': ':',
  '▄': ':',
  '▅': '#',
  '▆': '#',
  '▇': '#',
};

/** The page's own drawing characters as ASCII, when the style asks for it. Each stays one column wide. */
export function asDrawn(style: PageStyle, text: string): string {
  return style.ascii === true
    ? text.replace(/[─│└┤×–≈▁-▏]/g, (character) => ASCII[character] ?? character)
    : text;
}

/** Breaks `text` at blanks into lines of at most `width` columns; a longer word gets its own line. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines;
}

/** A dim word and its text, broken to the width: the text begins at column `indent` and has at least `least` columns. */
export function hanging(
  word: string,
  text: string,
  { indent, least }: { readonly indent: number; readonly least: number },
  style: PageStyle,
): string[] {
  return wrap(text, Math.max(least, style.width - indent)).map(
    (line, row) => paint(style, 'dim', `  ${(row === 0 ? word : '').padEnd(indent - 2)}`) + line,
  );
}
