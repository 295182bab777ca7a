import type { Change } from '../../core/compare.ts';
import { changeRows, type ManyComparison } from '../../core/compare-many.ts';
import type { LevelReport } from '../../core/report.ts';
import { signed } from '../change-words.ts';
import { percent } from '../figures.ts';
import { axis, cut, drawChart, INK, legend } from './charts.ts';
import { figureOf } from './markup.ts';
import { allLevelNames, type HtmlSide, levelsOf, markOf, meanOf } from './sides.ts';

/** A line of the chart of changes. */
interface Line {
  readonly name: string;
  /** Number of the side. */
  readonly side: number;
  readonly change: Change & { readonly changeRatio: number };
}

/** The change of each metric over all levels with its bounds, a line for each candidate, and the margin shaded. */
export function changesChart(compared: ManyComparison): string {
  const { sides, comparisons } = compared;
  const lines = changeRows(compared)
    .filter(({ level }) => level === null)
    .flatMap(({ metric, changes }) =>
      changes.flatMap((change, nth): Line[] => {
        if (change === null || change.changeRatio === null) return [];
        const name = comparisons.length === 1 ? metric : `${metric}  ${cut(sides[nth + 1]!.name, 16)}`;
        return [{ name, side: nth + 1, change: { ...change, changeRatio: change.changeRatio } }];
      }),
    );
  if (lines.length === 0) return '';
  const { marginRatio } = comparisons[0]!;
  const svg = drawChart(
    {
      grid: { left: 190, right: 40, top: 14, bottom: 46 },
      xAxis: axis({ name: 'change from the baseline, %' }, 30),
      yAxis: {
        ...axis({ name: '', type: 'category', data: lines.map(({ name }) => name) }, 0),
        inverse: true,
        axisLabel: { color: INK.text, interval: 0, fontSize: 11 },
      },
      series: [
        {
          // Nothing to be seen: the axis shows the whole margin.
          type: 'line',
          symbol: 'none',
          lineStyle: { opacity: 0 },
          data: [-150, 150].map((percents) => [percents * marginRatio, 0]),
          markArea: {
            silent: true,
            itemStyle: { color: INK.shade, opacity: 0.16 },
            data: [[{ xAxis: -100 * marginRatio }, { xAxis: 100 * marginRatio }]],
          },
        },
        ...lines.flatMap(({ side, change }, row) =>
          change.lowRatio === null || change.highRatio === null
            ? []
            : [
                {
                  type: 'line',
                  symbol: 'rect',
                  symbolSize: [2, 13],
                  z: 4,
                  itemStyle: { color: markOf(side).colour },
                  lineStyle: { color: markOf(side).colour, width: 2 },
                  data: [
                    [100 * change.lowRatio, row],
                    [100 * change.highRatio, row],
                  ],
                },
              ],
        ),
        ...lines.map(({ side, change }, row) => ({
          type: 'scatter',
          symbol: markOf(side).symbol,
          symbolSize: 9,
          itemStyle: { color: markOf(side).colour },
          label: {
            show: true,
            position: 'top',
            distance: 6,
            color: INK.text,
            fontSize: 10,
            formatter: signed(change.changeRatio),
          },
          data: [[100 * change.changeRatio, row]],
        })),
      ],
    },
    { width: 620, height: 70 + 30 * lines.length },
    'changes over all levels',
  );
  const shown = figureOf(
    svg,
    `Change over all levels, a sign for each candidate; the line through it ends at its bounds, a sign without ends has none. Shaded: the margin of ${percent(marginRatio)} to both sides.`,
  );
  return `<div class="charts wide">${shown}</div>`;
}

/** A latency whose percentiles are shown. */
export interface Latency {
  readonly title: string;
  readonly of: (level: LevelReport) => LevelReport['ttftMs'];
}

/** Median and p99 of a latency from level to level, a colour for each side. */
export function percentilesChart({ title, of }: Latency, sides: readonly HtmlSide[]): string {
  const names = allLevelNames(sides);
  const at = (side: HtmlSide, percentile: 'p50' | 'p99'): (number | null)[] => {
    const levels = new Map(levelsOf(side).map(({ name, runs }) => [name, runs]));
    return names.map((name) => meanOf(levels.get(name) ?? [], (level) => of(level)[percentile]));
  };
  const series = sides.flatMap((side, nth) =>
    (['p50', 'p99'] as const).map((percentile) => ({
      type: 'line',
      name: side.name,
      ...markOf(nth),
      percentile,
      data: at(side, percentile),
    })),
  );
  const values = series.flatMap(({ data }) => data.filter((value) => value !== null));
  if (values.length === 0) return '';
  const svg = drawChart(
    {
      grid: { left: 66, right: 28, top: 40, bottom: 76 },
      legend: { ...legend(), data: sides.map(({ name }) => name) },
      xAxis: {
        ...axis({ name: '', type: 'category', data: names }, 0),
        axisLabel: { color: INK.dim, fontSize: 10, rotate: 30, hideOverlap: true },
      },
      yAxis: axis({ name: `${title}, ms`, ...(isWide(values) ? { type: 'log' as const } : {}) }, 48),
      series: series.map(({ colour, percentile, ...rest }) => ({
        ...rest,
        symbolSize: percentile === 'p50' ? 8 : 5,
        lineStyle: { color: colour, width: 1.8, type: percentile === 'p50' ? 'solid' : 'dashed' },
        itemStyle: { color: colour },
      })),
    },
    { width: 560, height: 340 },
    `${title} by level`,
  );
  return figureOf(svg, `${title}: median (solid) and p99 (dashed) of each level, in ms.`);
}

function isWide(values: readonly number[]): boolean {
  const low = Math.min(...values);
  return low > 0 && Math.max(...values) / low > 20;
}
