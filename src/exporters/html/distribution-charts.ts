import type { HistogramName, LevelReport, Report } from '../../core/report.ts';
import { rebin } from '../histogram-bins.ts';
import { decodeCells, middle } from '../histogram-cells.ts';
import { levelsRun, loadName, shapeName, showsTokenItl } from '../level-names.ts';
import { axis, drawChart, INK, levelColour, RUN_COLOURS, short, span } from './charts.ts';
import { figureOf } from './markup.ts';

const SIZE = { width: 560, height: 340 };
const GRID = { left: 56, right: 24, top: 46, bottom: 52 };
/** Points of one curve at most: finer than a screen shows. */
const CURVE_POINTS = 80;
/** A legend of more lines hides the chart. */
const LEGEND_LINES = 10;
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
      ...(curves.length > LEGEND_LINES
        ? {}
        : { legend: { top: 4, itemWidth: 14, textStyle: { color: INK.text, fontSize: 11 } } }),
      xAxis: axis(
        { name: `${title}, ms`, ...span(curves.flatMap(({ data }) => data.map(([ms]) => ms))) },
        32,
      ),
      yAxis: axis({ name: 'share', max: 1 }, 38),
      series: curves.map(({ level, colour, data }) => ({
        type: 'line',
        step: 'end',
        symbol: 'none',
        name: `${hasShapes ? `${shapeName(level)} ` : ''}${loadName(level)}`,
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
    `${title}: share of ${name.startsWith('tokenItl') || name === 'itlMs' ? 'gaps' : 'requests'} that took at most so long, a curve per level.`,
  );
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

/** The histograms of one level in a row. */
export function levelHistograms(report: Report, level: LevelReport): string {
  const shown = distributionsOf(report)
    .map(({ name, title }) => ({ title, bins: rebin(decodeCells(level.histograms[name])) }))
    .filter(({ bins }) => bins.length > 0);
  if (shown.length === 0) return '';
  const width = 1_120;
  const each = width / shown.length;
  const svg = drawChart(
    {
      title: shown.map(({ title }, nth) => ({
        text: `${title}, ms`,
        left: nth * each + 40,
        top: 0,
        textStyle: { fontSize: 12, color: INK.text, fontWeight: 'normal' },
      })),
      grid: shown.map((_, nth) => ({ left: nth * each + 44, width: each - 70, top: 26, bottom: 46 })),
      xAxis: shown.map(({ bins }, nth) => ({
        ...axis({ name: '', type: 'category', data: bins.map(({ from }) => short(from / PER_MS)) }, 0),
        gridIndex: nth,
        axisLabel: { color: INK.dim, fontSize: 10, hideOverlap: true, rotate: 40 },
      })),
      yAxis: shown.map((_, nth) => ({ ...axis({ name: '' }, 0), gridIndex: nth, splitNumber: 3 })),
      series: shown.map(({ bins }, nth) => ({
        type: 'bar',
        xAxisIndex: nth,
        yAxisIndex: nth,
        barCategoryGap: '6%',
        itemStyle: { color: RUN_COLOURS[0] },
        data: bins.map(({ count }) => count),
      })),
    },
    { width, height: 190 },
    `histograms of ${loadName(level)}`,
  );
  return figureOf(svg, 'Bars are named by their lower bound.');
}
