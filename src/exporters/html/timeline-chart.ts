import type { LevelReport } from '../../core/report.ts';
import { loadName } from '../level-names.ts';
import { axis, drawChart, INK, RUN_COLOURS } from './charts.ts';
import { escapeHtml, figureOf } from './markup.ts';

const [TOKENS, IN_FLIGHT] = RUN_COLOURS;
const FAILED = '#d0342c';

/** A level second by second: output tokens, requests in flight, failures, and the steady window shaded. */
export function timelineChart(level: LevelReport): string {
  const { outputTokens, inFlight = [], failures = [] } = level.timeline;
  const { durationS, startedAtMs, steady } = level;
  if (durationS === null || startedAtMs === null || outputTokens.length === 0) return '';
  const at = (nth: number): number => Math.min(nth + 0.5, durationS);
  // The last bucket may be shorter than a second.
  const lengthOf = (nth: number): number => Math.max(1e-3, Math.min(1, durationS - nth));
  const failed = failures.some((count) => count > 0);
  const steadyS =
    'fromAtMs' in steady
      ? ([steady.fromAtMs - startedAtMs, steady.toAtMs - startedAtMs] as const).map((ms) => ms / 1_000)
      : null;
  const line = (name: string, colour: string, yAxisIndex: number, data: (readonly [number, number])[]) => ({
    type: 'line',
    name,
    yAxisIndex,
    symbol: 'none',
    lineStyle: { color: colour, width: 1.8 },
    itemStyle: { color: colour },
    data,
  });
  const svg = drawChart(
    {
      grid: { left: 64, right: 56, top: 36, bottom: 46 },
      legend: { top: 2, textStyle: { color: INK.text } },
      xAxis: axis({ name: 's since the first send', max: Number(durationS.toPrecision(4)) }, 28),
      yAxis: [
        axis({ name: 'output tok/s', min: 0 }, 46),
        { ...axis({ name: 'requests', min: 0 }, 36), splitLine: { show: false }, position: 'right' },
      ],
      series: [
        {
          ...line(
            'output tok/s',
            TOKENS,
            0,
            outputTokens.map((count, nth) => [at(nth), count / lengthOf(nth)]),
          ),
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
        line(
          'in flight',
          IN_FLIGHT,
          1,
          inFlight.map((count, nth) => [at(nth), count]),
        ),
        ...(failed
          ? [
              {
                type: 'bar',
                name: 'failed',
                yAxisIndex: 1,
                barMaxWidth: 6,
                itemStyle: { color: FAILED },
                data: failures.map((count, nth) => [at(nth), count]),
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
  return figureOf(svg, `${loadName(level)}; ${shaded}.`);
}
