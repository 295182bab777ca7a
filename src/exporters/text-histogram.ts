import type { LevelReport, Report } from '../core/report.ts';
import { fixed, grouped, latencyUnit, percent } from './figures.ts';
import { rebin } from './histogram-bins.ts';
import { type Cell, decodeCells } from './histogram-cells.ts';
import { levelNames, levelsRun, showsTokenItl } from './level-names.ts';
import { readingMark } from './marks.ts';
import { asDrawn, type PageStyle, paint } from './page-style.ts';
import { throughputChart } from './throughput-chart.ts';

const US_PER_MS = 1_000;
/** Two histograms stand side by side from this width on. */
const SIDE_BY_SIDE = 100;
const BETWEEN = 4;
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/**
 * TTFT, ITL and throughput over time of each level that ran, drawn as text. `points` picks levels by
 * their `point`; without, all are drawn. Empty when no level has anything to draw.
 */
export function renderHistograms(report: Report, style: PageStyle, points?: readonly number[]): string {
  const levels = levelsRun(report).filter((level) => points === undefined || points.includes(level.point));
  const pages = levels.flatMap((level) => {
    const lines = levelLines(report, level, style);
    return lines.length === 0
      ? []
      : [[paint(style, 'bold', levelNames(report, [level])), '', ...lines].join('\n')];
  });
  return pages.length === 0 ? '' : asDrawn(style, `${pages.join('\n\n')}\n`);
}

function levelLines(report: Report, level: LevelReport, style: PageStyle): string[] {
  const perToken = showsTokenItl(report) && level.tokenItlMs.count > 0;
  const [itl, itlTitle, itlThings] = perToken
    ? (['tokenItlMs', 'token ITL', 'tokens'] as const)
    : (['itlMs', 'ITL', 'gaps'] as const);
  const beside = style.width >= SIDE_BY_SIDE;
  const width = beside ? Math.floor((style.width - BETWEEN) / 2) : style.width;
  const ttft = histogram('TTFT', 'requests', decodeCells(level.histograms.ttftMs), width, style);
  const title = readingMark(level, `${itl}.p50`) + itlTitle;
  const gaps = histogram(title, itlThings, decodeCells(level.histograms[itl]), width, style);
  const chart = throughputChart(level, style);
  const blocks = beside ? [sideBySide(ttft, gaps, width)] : [ttft, gaps];
  return [...blocks, chart]
    .filter((block) => block.length > 0)
    .flatMap((block, i) => (i === 0 ? block : ['', ...block]))
    .map((line) => line.trimEnd());
}

/** Lines of one histogram of µs cells: a title with unit and count, then a bar per bin. */
function histogram(
  title: string,
  things: string,
  cells: readonly Cell[],
  width: number,
  style: PageStyle,
): string[] {
  const total = cells.reduce((sum, cell) => sum + cell.count, 0);
  if (total === 0) return [];
  const bins = rebin(cells);
  const { unit, perMs } = latencyUnit(bins.map((bin) => bin.to / US_PER_MS));
  const edges = edgeTexts(bins, (us) => (us / US_PER_MS) * perMs);
  const fromWidth = Math.max(...edges.map(([from]) => from!.length));
  const toWidth = Math.max(...edges.map(([, to]) => to!.length));
  const shares = bins.map((bin) => percent(bin.count / total));
  const shareWidth = Math.max(...shares.map((share) => share.length));
  const room = Math.max(8, width - fromWidth - toWidth - shareWidth - 8);
  const most = Math.max(...bins.map((bin) => bin.count));
  const rows = bins.map((bin, i) => {
    const [from, to] = edges[i]!;
    const label = `  ${from!.padStart(fromWidth)} – ${to!.padStart(toWidth)} `;
    return `${label} ${bar(bin.count / most, room).padEnd(room)} ${shares[i]!.padStart(shareWidth)}`;
  });
  const thing = total === 1 ? things.replace(/s$/, '') : things;
  return [`  ${title}, ${unit} ${paint(style, 'dim', `(${grouped(total)} ${thing})`)}`, ...rows];
}

/** A bar of `ratio` of `room` columns in eighths; anything above nothing shows. */
function bar(ratio: number, room: number): string {
  const eighths = ratio === 0 ? 0 : Math.max(1, Math.round(ratio * room * 8));
  return '█'.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8]!;
}

/**
 * Both edges of each bin. All get the decimals that the round inner edges need; where these differ by
 * too much for that, each edge gets its own.
 */
function edgeTexts(bins: readonly Cell[], scaled: (us: number) => number): [string, string][] {
  const all = bins.flatMap((bin) => [scaled(bin.from), scaled(bin.to)]);
  const inner = bins.length > 2 ? all.slice(1, -1) : all;
  const decimals = Math.max(0, ...inner.map((value) => decimalsOf(value)));
  const text = (us: number): string => fixed(scaled(us), decimals <= 2 ? decimals : decimalsOf(scaled(us)));
  return bins.map(({ from, to }) => [text(from), text(to)]);
}

/** Decimals that a value needs, of its first four digits. */
function decimalsOf(value: number): number {
  return String(Number(value.toPrecision(4))).split('.')[1]?.length ?? 0;
}

/** Two blocks next to each other. Escapes are counted out, so that the right block stands straight. */
function sideBySide(left: readonly string[], right: readonly string[], width: number): string[] {
  if (left.length === 0 || right.length === 0) return [...left, ...right];
  return Array.from({ length: Math.max(left.length, right.length) }, (_, i) => {
    const line = left[i] ?? '';
    const escapes = line.length - withoutEscapes(line).length;
    return line.padEnd(width + BETWEEN + escapes) + (right[i] ?? '');
  });
}

const ESCAPE = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g');

function withoutEscapes(line: string): string {
  return line.replaceAll(ESCAPE, '');
}
