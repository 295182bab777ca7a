import type { LevelReport } from '../core/report.ts';
import { figure, grouped } from './figures.ts';
import type { Cell } from './histogram-cells.ts';
import { timelineCells } from './histograms-csv.ts';
import { readingMark } from './marks.ts';
import { type PageStyle, paint } from './page-style.ts';

const HEIGHT = 6;
const LEVELS = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** Output tokens per second over the level's time, from the first send: a column per second or per some seconds. */
export function throughputChart(level: LevelReport, style: PageStyle): string[] {
  const cells = mergeShortEnd(timelineCells(level));
  if (cells.every((cell) => cell.count === 0)) return [];
  const end = cells.at(-1)!.to;
  const top = niceAbove(Math.max(...cells.map((cell) => cell.count / (cell.to - cell.from))));
  const labels = [grouped(top), '0'];
  const labelWidth = Math.max(...labels.map((label) => label.length));
  const room = Math.max(8, style.width - labelWidth - 6);
  const perColumn = Math.ceil(cells.length / room);
  const each = perColumn > 1 ? 1 : Math.min(4, Math.floor(room / cells.length));
  const rates = columns(cells, perColumn).flatMap((rate) => new Array<number>(each).fill(rate));
  const rows = Array.from({ length: HEIGHT }, (_, row) => {
    const label = row === 0 ? labels[0]! : '';
    const floor = HEIGHT - 1 - row;
    const blocks = rates.map(
      (rate) => LEVELS[Math.min(8, Math.max(0, Math.round((rate / top) * HEIGHT * 8) - floor * 8))]!,
    );
    return `  ${label.padStart(labelWidth)} ${row === 0 ? '┤' : '│'}${blocks.join('')}`;
  });
  const until = `${figure(end)} s`;
  const axis = `  ${labels[1]!.padStart(labelWidth)} └${'─'.repeat(rates.length)}`;
  const times = `${' '.repeat(labelWidth + 4)}0 s${until.padStart(Math.max(until.length + 1, rates.length - 3))}`;
  const grain = perColumn > 1 ? `, each column ${perColumn} s` : '';
  const mark = readingMark(level, 'outputTokensPerS');
  return [`  ${mark}output tok/s over time${paint(style, 'dim', grain)}`, ...rows, axis, times];
}

/** Joins a last bucket of less than half a second with the one before it: its rate would be noise. */
function mergeShortEnd(cells: readonly Cell[]): readonly Cell[] {
  const last = cells.at(-1);
  const before = cells.at(-2);
  if (!last || !before || last.to - last.from >= 0.5) return cells;
  return [...cells.slice(0, -2), { from: before.from, to: last.to, count: before.count + last.count }];
}

/** Tokens per second of each `perColumn` neighbouring cells. */
function columns(cells: readonly Cell[], perColumn: number): number[] {
  return Array.from({ length: Math.ceil(cells.length / perColumn) }, (_, i) => {
    const group = cells.slice(i * perColumn, (i + 1) * perColumn);
    const tokens = group.reduce((sum, cell) => sum + cell.count, 0);
    return tokens / (group.at(-1)!.to - group[0]!.from);
  });
}

/** The next of 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8 times a power of ten. */
function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  const digit = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((one) => one * power >= value) ?? 10;
  return digit * power;
}
