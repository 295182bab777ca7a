import type { LevelReport, Report } from '../../core/report.ts';
import { levelsRun, loadCell, loadHead, loadName, shapeName } from '../level-names.ts';
import { axis, drawChart, INK, RUN_COLOURS, span } from './charts.ts';
import { escapeHtml, figureOf } from './markup.ts';

const SIZE = { width: 560, height: 360 };
const GRID = { left: 66, right: 28, top: 36, bottom: 52 };

/** Runs that are drawn in one colour. */
interface Side {
  readonly name: string;
  readonly reports: readonly Report[];
}

/** A level as a point of two numbers. */
interface Point {
  readonly x: number;
  readonly y: number;
  readonly level: LevelReport;
}

interface Trade {
  readonly name: string;
  readonly unit: string;
  /** Whether the smaller or the larger x is the better one. */
  readonly better: 'smaller' | 'larger';
  readonly x: (level: LevelReport) => number | null;
  readonly yName: string;
  readonly y: (level: LevelReport) => number | null;
}

/** What is bought with throughput: latencies, and the speed that one user sees. */
export function tradeCharts(sides: readonly Side[]): string {
  const gpus = sides.every(({ reports }) => reports.every(({ spec }) => spec.gpus !== null));
  const perGpu = gpus ? 'output tok/s per GPU' : 'output tok/s';
  const trades: Trade[] = [
    {
      name: 'TTFT p50',
      unit: 'ms',
      better: 'smaller',
      x: ({ ttftMs }) => ttftMs.p50,
      yName: 'output tok/s',
      y: ({ outputTokensPerS }) => outputTokensPerS,
    },
    {
      name: 'E2E p50',
      unit: 'ms',
      better: 'smaller',
      x: ({ e2eMs }) => e2eMs.p50,
      yName: 'output tok/s',
      y: ({ outputTokensPerS }) => outputTokensPerS,
    },
    {
      name: 'tok/s per user, p50',
      unit: '',
      better: 'larger',
      x: ({ tokensPerSPerUser }) => tokensPerSPerUser.p50,
      yName: perGpu,
      y: (level) => (gpus ? level.outputTokensPerSPerGpu : level.outputTokensPerS),
    },
  ];
  return trades.map((trade) => tradeChart(trade, sides)).join('');
}

function tradeChart(trade: Trade, named: readonly Side[]): string {
  const sides = named.map(({ reports }) => reports.flatMap((report) => pointsOf(report, trade)));
  const names = named.map(({ name }) => name);
  if (sides.every((points) => points.length === 0)) return '';
  const front = sides.map((points) => paretoFront(points, trade.better));
  const title = `${trade.yName} against ${trade.name}`;
  const svg = drawChart(
    {
      grid: GRID,
      ...(named.length > 1 ? { legend: { top: 4, textStyle: { color: INK.text }, data: [...names] } } : {}),
      xAxis: axis(
        {
          name: trade.unit === '' ? trade.name : `${trade.name}, ${trade.unit}`,
          ...span(sides.flat().map(({ x }) => x)),
        },
        32,
      ),
      yAxis: axis({ name: trade.yName }, 48),
      series: sides.flatMap((points, nth) => {
        const colour = RUN_COLOURS[nth % RUN_COLOURS.length]!;
        return [
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
            symbolSize: 9,
            itemStyle: { color: colour },
            label: {
              show: true,
              position: 'top',
              color: INK.dim,
              fontSize: 11,
              formatter: ({ dataIndex }: { dataIndex: number }) => loadCell(points[dataIndex]!.level),
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
    `${escapeHtml(title)}. Better is ${toward}; the line is the Pareto front, each point a level with its ${loadHead(sides.flat().map(({ level }) => level)).word}.`,
  );
}

function pointsOf(report: Report, { x, y }: Trade): Point[] {
  return levelsRun(report).flatMap((level) => {
    const [across, up] = [x(level), y(level)];
    return across === null || up === null || across <= 0 ? [] : [{ x: across, y: up, level }];
  });
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
      legend: { top: 4, textStyle: { color: INK.text } },
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
    { width: 1_160, height: 100 + 24 * levels.length },
    'prefill against decode time',
  );
  return figureOf(
    svg,
    'Time to the first token (queue, prefill, transfer) and from there to the last (decode), mean of good requests.',
  );
}
