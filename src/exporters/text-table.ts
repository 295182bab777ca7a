import Table from 'cli-table3';
import { asDrawn, type PageStyle, paint } from './page-style.ts';

/** What stands in a cell without a value. */
export const NOTHING = '–';
const GAP = 2;

/** A column of a table with two lines of headings. */
export interface Column {
  /** Neighbours of one group share a heading. */
  readonly group: string;
  readonly head: string;
  /** The column's name in a sentence. */
  readonly name: string;
  readonly cells: readonly string[];
  /** On a narrow page the column with the highest rank goes first; 0 stays. */
  readonly rank: number;
  readonly left?: boolean;
}

/** A table as lines, the columns in it, and the names of those that the page was too narrow for. */
export interface FittedTable {
  readonly lines: readonly string[];
  readonly columns: readonly Column[];
  readonly dropped: readonly string[];
}

/** A page of a heading, a table and notes, each part behind an empty line; a heading line that no group fills is left out. */
export function tablePage(
  head: readonly string[],
  table: FittedTable,
  notes: readonly string[],
  style: PageStyle,
): string {
  const lines = table.lines.filter((line) => line.trim() !== '');
  return asDrawn(style, `${[head, lines, notes].map((part) => part.join('\n')).join('\n\n')}\n`);
}

/** Draws the columns; they give way from the highest rank down until the table fits `style.width`. */
export function fittedTable(all: readonly Column[], style: PageStyle): FittedTable {
  let columns = all;
  const dropped: string[] = [];
  let lines = draw(columns, style);
  while (Math.max(...lines.map((line) => visibleLength(line))) > style.width) {
    const rank = Math.max(...columns.map((column) => column.rank));
    if (rank === 0) break;
    dropped.push(...columns.filter((column) => column.rank === rank).map((column) => column.name));
    columns = columns.filter((column) => column.rank !== rank);
    lines = draw(columns, style);
  }
  return { lines, columns, dropped };
}

/** Two heading lines, a rule, and the rows. */
function draw(columns: readonly Column[], style: PageStyle): string[] {
  const table = new Table({
    chars: NO_BORDERS,
    colAligns: columns.map((column) => (column.left ? 'left' : 'right')),
    style: { 'padding-left': GAP, 'padding-right': 0, head: [], border: [] },
  });
  const groups: { content: string; colSpan: number; hAlign: 'center' | 'right' }[] = [];
  for (const [i, column] of columns.entries()) {
    const last = groups.at(-1);
    if (last && column.group !== '' && columns[i - 1]!.group === column.group) {
      groups[groups.length - 1] = { content: column.group, colSpan: last.colSpan + 1, hAlign: 'center' };
    } else {
      groups.push({ content: column.group, colSpan: 1, hAlign: 'right' });
    }
  }
  table.push(groups);
  table.push(columns.map((column) => column.head));
  for (let row = 0; row < columns[0]!.cells.length; row++)
    table.push(columns.map((column) => column.cells[row]!));
  const lines = table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
  const rule = ' '.repeat(GAP) + '─'.repeat(Math.max(...lines.map(visibleLength)) - GAP);
  const heading = lines.slice(0, 2).map((line) => paint(style, 'bold', line));
  return [...heading, paint(style, 'dim', rule), ...lines.slice(2)];
}

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};

/** Columns that a line takes; colour escapes take none. */
function visibleLength(line: string): number {
  return line.replaceAll(ESCAPE, '').length;
}

const ESCAPE = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g');
