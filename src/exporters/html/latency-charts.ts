import type { LevelReport, Report } from '../../core/report.ts';
import { isOpen, levelsRun, loadCell, loadHead, loadName, shapeName } from '../level-names.ts';
import { readingMark } from '../marks.ts';
import { axis, drawChart, INK, legend, RUN_COLOURS, span } from './charts.ts';
import { escapeHtml, figureOf } from './markup.ts';
import { type HtmlSide, levelsOf, markOf, meanOf } from './sides.ts';

const SIZE = { width: 560, height: 360 };
const GRID = { left: 66, right: 28, top: 36, bottom: 52 };

/** A level as a point of two numbers, each the geometric mean of the runs. */
interface Point {
  readonly x: number;
  readonly y: number;
  /** Above the point. */
  readonly label: string;
  /** Those of the single runs, where there are several. */
  readonly runs: readonly (readonly [number, number])[];
  /** A level that no front may stand on. */
  readonly doubtful: boolean;
}

interface Trade {
  readonly name: string;
  readonly unit: string;
  /** Whether the smaller or the larger x is the better one. */
  readonly better: 'smaller' | 'larger';
  /** Metrics whose marks stand before a point's label. */
  readonly ids: readonly string[];
  readonly x: (level: LevelReport) => number | null;
  readonly yName: string;
  readonly y: (level: LevelReport) => number | null;
}

/** What is bought with throughput: latencies, and the speed that one user sees. */
export function tradeCharts(named: readonly HtmlSide[]): string {
  const sides = named.flatMap(byShape);
  const due = named.every(({ reports }) => reports.every(({ levels }) => isOpen(levels))) ? ' from due' : '';
  const gpus = sides.every(({ reports }) => reports.every(({ spec }) => spec.gpus !== null));
  const perGpu = gpus ? 'output tok/s per GPU' : 'output tok/s';
  const trades: Trade[] = [
    {
      name: `TTFT p50${due}`,
      unit: 'ms',
      better: 'smaller',
      ids: ['outputTokensPerS'],
      x: ({ ttftMs, open }) => (open?.ttftFromDueMs ?? ttftMs).p50,
      yName: 'output tok/s',
      y: ({ outputTokensPerS }) => outputTokensPerS,
    },
    {
      name: `E2E p50${due}`,
      unit: 'ms',
      better: 'smaller',
      ids: ['outputTokensPerS'],
      x: ({ e2eMs, open }) => (open?.e2eFromDueMs ?? e2eMs).p50,
      yName: 'output tok/s',
      y: ({ outputTokensPerS }) => outputTokensPerS,
    },
    {
      name: 'tok/s per user, p50',
      unit: '',
      better: 'larger',
      ids: ['tokensPerSPerUser.p50', 'outputTokensPerS'],
      x: ({ tokensPerSPerUser }) => tokensPerSPerUser.p50,
      yName: perGpu,
      y: (level) => (gpus ? level.outputTokensPerSPerGpu : level.outputTokensPerS),
    },
  ];
  return trades.map((trade) => tradeChart(trade, sides)).join('');
}

/** Levels of other lengths are another question: each shape has a front of its own. */
function byShape({ name, reports }: HtmlSide, _nth: number, all: readonly HtmlSide[]): HtmlSide[] {
  const shapes = [...new Set(reports.flatMap(({ levels }) => levels.map(shapeName)))];
  if (shapes.length < 2) return [{ name, reports }];
  return shapes.map((shape) => ({
    name: all.length > 1 ? `${name}, ${shape}` : shape,
    reports: reports.map((report) => ({
      ...report,
      levels: report.levels.filter((level) => shapeName(level) === shape),
    })),
  }));
}

function tradeChart(trade: Trade, named: readonly HtmlSide[]): string {
  const sides = named.map((side) => pointsOf(side, trade));
  const names = named.map(({ name }) => name);
  if (sides.every((points) => points.length === 0)) return '';
  const front = sides.map((points) =>
    paretoFront(
      points.filter(({ doubtful }) => !doubtful),
      trade.better,
    ),
  );
  const title = `${trade.yName} against ${trade.name}`;
  const svg = drawChart(
    {
      grid: GRID,
      ...(named.length > 1 ? { legend: { ...legend(), data: [...names] } } : {}),
      xAxis: axis(
        {
          name: trade.unit === '' ? trade.name : `${trade.name}, ${trade.unit}`,
          ...span(sides.flat().flatMap(({ x, runs }) => [x, ...runs.map(([across]) => across)])),
        },
        32,
      ),
      yAxis: axis({ name: trade.yName }, 48),
      series: sides.flatMap((points, nth) => {
        const { colour, symbol } = markOf(nth);
        return [
          {
            type: 'scatter',
            silent: true,
            symbol,
            symbolSize: 5,
            itemStyle: { color: colour, opacity: 0.4 },
            data: points.flatMap(({ runs }) => runs),
          },
          {
            type: 'line',
            silent: true,
            symbol: 'none',
            lineStyle: { color: colour, width: 2, opacity: 0.55 },
            data: front[nth]!.map(({ x, y }) => [x, y]),
          },
          {
            type: 'scatter',
            name: names[nth],
            symbol,
            symbolSize: 9,
            itemStyle: { color: colour },
            label: {
              show: true,
              position: 'top',
              color: INK.dim,
              fontSize: 11,
              formatter: ({ dataIndex }: { dataIndex: number }) => points[dataIndex]!.label,
            },
            labelLayout: { hideOverlap: true },
            data: points.map(({ x, y }) => [x, y]),
          },
        ];
      }),
    },
    SIZE,
    escapeHtml(title),
  );
  const toward = trade.better === 'smaller' ? 'up and left' : 'up and right';
  return figureOf(
    svg,
    `${escapeHtml(title)}. Better is ${toward}; the line is the Pareto front${named.length > 1 ? ' of each' : ''}, each point a level with its ${loadHead(named.flatMap(({ reports }) => reports.flatMap(levelsRun))).word}${sides.flat().some(({ runs }) => runs.length > 0) ? ', the mean of its runs, which are the faint ones' : ''}${sides.flat().some(({ doubtful }) => doubtful) ? '; those with ⚠ are not whole, had failures or are not valid, and are on no front' : ''}.`,
  );
}

function pointsOf(side: HtmlSide, { x, y, ids }: Trade): Point[] {
  return levelsOf(side).flatMap(({ runs }) => {
    const [across, up] = [meanOf(runs, x), meanOf(runs, y)];
    if (across === null || up === null || across <= 0) return [];
    const single = runs.length > 1 ? runs.map((level) => [x(level)!, y(level)!] as const) : [];
    const doubtful = runs.some(isDoubtful);
    const marks = runs.flatMap((level) => ids.map((id) => readingMark(level, id)));
    const mark = [...new Set(marks.join(''))].join('');
    const label = `${mark}${loadCell(runs[0]!)}${doubtful ? ' ⚠' : ''}`;
    return [{ x: across, y: up, label, runs: single, doubtful }];
  });
}

function isDoubtful({ status, requests, validity }: LevelReport): boolean {
  return status !== 'complete' || requests.failed > 0 || validity.verdict === 'client-bound';
}

/** Points that no other beats in both numbers, from the best x on. */
export function paretoFront<T extends { readonly x: number; readonly y: number }>(
  points: readonly T[],
  better: 'smaller' | 'larger',
): T[] {
  const sign = better === 'smaller' ? 1 : -1;
  const sorted = [...points].sort((a, b) => sign * (a.x - b.x) || b.y - a.y);
  let highest = Number.NEGATIVE_INFINITY;
  return sorted.filter(({ y }) => {
    if (y <= highest) return false;
    highest = y;
    return true;
  });
}

/** Where the time of a request goes in the mean: to its first token, and from there on. */
export function phasesChart(report: Report): string {
  const levels = levelsRun(report).filter(({ ttftMs, e2eMs }) => ttftMs.mean !== null && e2eMs.mean !== null);
  if (levels.length === 0) return '';
  const names = levels.map((level) => `${shapeName(level)} ${loadName(level)}`);
  const bar = (name: string, colour: string, data: number[]) => ({
    type: 'bar',
    stack: 'time',
    name,
    itemStyle: { color: colour },
    data,
  });
  const svg = drawChart(
    {
      grid: { ...GRID, left: 130 },
      legend: legend(),
      xAxis: axis({ name: 'ms, mean' }, 30),
      yAxis: { ...axis({ name: '', type: 'category', data: names }, 0), inverse: true },
      series: [
        bar(
          'send to first token',
          RUN_COLOURS[1],
          levels.map(({ ttftMs }) => ttftMs.mean!),
        ),
        bar(
          'first to last token',
          RUN_COLOURS[0],
          levels.map(({ ttftMs, e2eMs }) => e2eMs.mean! - ttftMs.mean!),
        ),
      ],
    },
    { width: SIZE.width, height: 100 + 24 * levels.length },
    'prefill against decode time',
  );
  return figureOf(
    svg,
    'Time to the first token (queue, prefill, transfer) and from there to the last (decode), mean of good requests.',
  );
}
