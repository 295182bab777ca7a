import { sum } from '../../core/distribution.ts';
import type { LevelReport } from '../../core/report.ts';
import { levelName } from '../change-words.ts';
import { loadName } from '../level-names.ts';
import { axis, drawChart, INK, legend, RUN_COLOURS } from './charts.ts';
import { escapeHtml, figureOf } from './markup.ts';

const [TOKENS, IN_FLIGHT] = RUN_COLOURS;
const FAILED = '#d0342c';

/** A level second by second: output tokens, requests in flight, failures, and the steady window shaded. */
export function timelineChart(level: LevelReport): string {
  const { outputTokens, inFlight = [], failures = [] } = level.timeline;
  const { durationS, startedAtMs, steady } = level;
  if (durationS === null || startedAtMs === null || outputTokens.length === 0) return '';
  const seconds = cellsOf(outputTokens.length, durationS);
  const rates = seconds.map(
    ({ from, to, buckets }) => sum(buckets.map((at) => outputTokens[at]!)) / (to - from),
  );
  const loads = seconds.map(({ from, to, buckets }) => {
    const held = buckets.map((at) => (inFlight[at] ?? 0) * (Math.min(at + 1, durationS) - at));
    return sum(held) / (to - from);
  });
  const failed = failures.some((count) => count > 0);
  const steadyS =
    'fromAtMs' in steady
      ? ([steady.fromAtMs - startedAtMs, steady.toAtMs - startedAtMs] as const).map((ms) => ms / 1_000)
      : null;
  const line = (name: string, colour: string, yAxisIndex: number, values: readonly number[]) => ({
    type: 'line',
    name,
    yAxisIndex,
    symbol: 'none',
    step: 'start',
    lineStyle: { color: colour, width: 1.8 },
    itemStyle: { color: colour },
    // Each value lasts from the beginning of its second to the end of it.
    data: [[0, values[0]!], ...values.map((value, nth) => [seconds[nth]!.to, value])],
  });
  const svg = drawChart(
    {
      grid: { left: 64, right: 56, top: 36, bottom: 46 },
      legend: legend(),
      // Bars would widen it beyond the first send.
      xAxis: {
        ...axis({ name: 's since the first send', min: 0, max: Number(durationS.toPrecision(4)) }, 28),
        containShape: false,
      },
      yAxis: [
        axis({ name: 'output tok/s', min: 0 }, 46),
        {
          ...axis({ name: 'requests', min: 0 }, 36),
          splitLine: { show: false },
          position: 'right',
          minInterval: 1,
        },
      ],
      series: [
        {
          ...line('output tok/s', TOKENS, 0, rates),
          areaStyle: { color: TOKENS, opacity: 0.15 },
          ...(steadyS === null
            ? {}
            : {
                markArea: {
                  silent: true,
                  itemStyle: { color: INK.shade, opacity: 0.14 },
                  data: [[{ xAxis: steadyS[0] }, { xAxis: steadyS[1] }]],
                },
              }),
        },
        ...(inFlight.length === 0 ? [] : [line('in flight', IN_FLIGHT, 1, loads)]),
        ...(failed
          ? [
              {
                type: 'bar',
                name: 'failed',
                yAxisIndex: 1,
                barMaxWidth: 6,
                itemStyle: { color: FAILED },
                data: failures.map((count, nth) => [Math.min(nth + 0.5, durationS), count]),
              },
            ]
          : []),
      ],
    },
    { width: 560, height: 260 },
    `timeline of ${loadName(level)}`,
  );
  const shaded =
    steadyS === null ? `no steady window: ${escapeHtml(steady.reason ?? '')}` : 'shaded: the steady window';
  return figureOf(svg, `${escapeHtml(levelName(level))}; ${shaded}.`);
}

/** A time of the level, in s since its first send, and the buckets in it. */
interface Cell {
  readonly from: number;
  readonly to: number;
  readonly buckets: readonly number[];
}

/** Each bucket of a second; a last one of less than half a second goes with the one before it: its rate would be noise. */
function cellsOf(count: number, durationS: number): Cell[] {
  const cells = Array.from({ length: count }, (_, nth) => ({
    from: nth,
    to: Math.max(nth + 1e-3, Math.min(nth + 1, durationS)),
    buckets: [nth],
  }));
  const [before, last] = [cells.at(-2), cells.at(-1)];
  if (before === undefined || last === undefined || last.to - last.from >= 0.5) return cells;
  return [...cells.slice(0, -2), { ...before, to: last.to, buckets: [...before.buckets, ...last.buckets] }];
}
