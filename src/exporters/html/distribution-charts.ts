import type { HistogramName, LevelReport, Report } from '../../core/report.ts';
import { rebin } from '../histogram-bins.ts';
import { decodeCells, middle } from '../histogram-cells.ts';
import { levelsRun, loadName, shapeName, showsTokenItl } from '../level-names.ts';
import { readingMark } from '../marks.ts';
import { axis, drawChart, INK, legend, levelColour, RUN_COLOURS, span } from './charts.ts';
import { figureOf } from './markup.ts';

const SIZE = { width: 560, height: 340 };
const GRID = { left: 56, right: 24, top: 46, bottom: 52 };
/** Points of one curve at most: finer than a screen shows. */
const CURVE_POINTS = 80;
/** A legend of more lines hides the chart. */
const LEGEND_LINES = 10;
/** The lowest part of a curve may lie left of the axis. */
const LEFT_OUT = 0.02;
/** Stored units per ms. */
const PER_MS = 1_000;

interface Distribution {
  readonly name: HistogramName;
  readonly title: string;
}

function distributionsOf(report: Report): Distribution[] {
  return [
    { name: 'ttftMs', title: 'TTFT' },
    showsTokenItl(report) ? { name: 'tokenItlMs', title: 'token ITL' } : { name: 'itlMs', title: 'ITL' },
    { name: 'tpotMs', title: 'TPOT' },
    { name: 'e2eMs', title: 'E2E' },
  ];
}

/** Share of requests or gaps that took at most so long: a curve per level, from cold (few in flight) to hot. */
export function ecdfCharts(report: Report): string {
  const levels = levelsRun(report);
  return distributionsOf(report)
    .map(({ name, title }) => ecdfChart(levels, name, title))
    .join('');
}

function ecdfChart(levels: readonly LevelReport[], name: HistogramName, title: string): string {
  const curves = levels
    .map((level, nth) => ({
      level,
      colour: levelColour(nth, levels.length),
      data: ecdf(level.histograms[name]),
    }))
    .filter(({ data }) => data.length > 0);
  if (curves.length === 0) return '';
  const hasShapes = new Set(levels.map(shapeName)).size > 1;
  const svg = drawChart(
    {
      grid: GRID,
      ...(curves.length > LEGEND_LINES ? {} : { legend: legend() }),
      xAxis: axis({ name: `${title}, ms`, ...span(curves.flatMap(({ data }) => shownOf(data))) }, 32),
      yAxis: axis({ name: 'share', max: 1 }, 38),
      series: curves.map(({ level, colour, data }) => ({
        type: 'line',
        step: 'end',
        symbol: 'none',
        name: `${readingMark(level, `${name}.p50`)}${hasShapes ? `${shapeName(level)} ` : ''}${loadName(level)}`,
        lineStyle: { color: colour, width: 1.6 },
        itemStyle: { color: colour },
        data,
      })),
    },
    SIZE,
    `${title}, distribution`,
  );
  return figureOf(
    svg,
    `${title}: share of ${isPooled(name) ? 'gaps' : 'requests'} that took at most so long, a curve per level${curves.length > LEGEND_LINES ? ', from the first (blue) to the last (red)' : ''}.`,
  );
}

/** Values that the axis shows: two chunks of one read would stretch it to nothing else. */
function shownOf(data: readonly (readonly [number, number])[]): number[] {
  return data.flatMap(([ms, share]) => (share >= LEFT_OUT ? [ms] : []));
}

/** Points of the empirical distribution, in ms; zeros stand at the least that a logarithmic axis shows. */
function ecdf(histogram: string): [number, number][] {
  const cells = decodeCells(histogram);
  const total = cells.reduce((sum, { count }) => sum + count, 0);
  const points: [number, number][] = [];
  let below = 0;
  for (const cell of cells) {
    below += cell.count;
    points.push([Math.max(1, middle(cell)) / PER_MS, Number((below / total).toFixed(4))]);
  }
  const first = points[0];
  // A curve begins at 0.
  if (first !== undefined) points.unshift([first[0], 0]);
  if (points.length <= CURVE_POINTS) return points;
  // Evenly by share, so that both tails keep their shape.
  const kept = new Set(
    Array.from({ length: CURVE_POINTS }, (_, nth) =>
      points.findIndex(([, share]) => share >= nth / (CURVE_POINTS - 1) - 1e-9),
    ),
  );
  kept.add(points.length - 1);
  return [...kept]
    .filter((at) => at >= 0)
    .sort((a, b) => a - b)
    .map((at) => points[at]!);
}

const HISTOGRAM_SIZE = { width: 280, height: 190 };

/** The histograms of one level, each a chart of its own. */
export function levelHistograms(report: Report, level: LevelReport): string {
  const figures = distributionsOf(report).flatMap(({ name, title }) => {
    const bins = rebin(decodeCells(level.histograms[name]));
    if (bins.length === 0) return [];
    const svg = drawChart(
      {
        grid: { left: 44, right: 10, top: 12, bottom: 38 },
        xAxis: {
          ...axis({ name: '', type: 'category', data: distinct(bins.map(({ from }) => from / PER_MS)) }, 0),
          axisLabel: { color: INK.dim, fontSize: 10, hideOverlap: true, rotate: 40 },
        },
        yAxis: { ...axis({ name: '' }, 0), splitNumber: 3, minInterval: 1 },
        series: [
          {
            type: 'bar',
            barCategoryGap: '6%',
            itemStyle: { color: RUN_COLOURS[0] },
            data: bins.map(({ count }) => count),
          },
        ],
      },
      HISTOGRAM_SIZE,
      `${title}, histogram`,
    );
    const mark = readingMark(level, `${name}.p50`);
    return figureOf(
      svg,
      `${mark}${title}, ms: ${isPooled(name) ? 'gaps' : 'requests'} from each lower bound on.`,
    );
  });
  return figures.length === 0 ? '' : `<div class="charts small">${figures.join('')}</div>`;
}

/** Numbers with as many digits as tell neighbours apart, three at least. */
function distinct(values: readonly number[]): string[] {
  const told = (digits: number): string[] => values.map((value) => String(Number(value.toPrecision(digits))));
  let digits = 3;
  while (digits < 7 && new Set(told(digits)).size < values.length) digits++;
  return told(digits);
}

/** Whether a distribution is of gaps between chunks, not of requests. */
function isPooled(name: HistogramName): boolean {
  return name === 'itlMs' || name === 'tokenItlMs';
}
