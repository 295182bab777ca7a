import type { LevelReport, Report } from '../../core/report.ts';
import { LAYERS, SPANS, type SpanName } from '../../core/server-look.ts';
import type { ServerGauge, ServerSide } from '../../core/server-side.ts';
import type { Between } from '../../core/server-spans.ts';
import { WATERFALL_PARTS, type WaterfallPart } from '../../core/waterfall.ts';
import { figure, grouped, percent } from '../figures.ts';
import { levelsRun, shapeName } from '../level-names.ts';
import { PART_WORDS } from '../server-words.ts';
import { axis, drawChart, INK, RUN_COLOURS } from './charts.ts';
import { escapeHtml, figureOf, table } from './markup.ts';

const [RUNNING, WAITING, KV_USE] = RUN_COLOURS;
const PART_COLOURS: Readonly<Record<WaterfallPart, string>> = {
  connect: '#8a8f98',
  preprocess: '#5c6bc0',
  queue: '#d9822b',
  prefill: '#3b7dd8',
  prefillWorker: '#2a62ad',
  kvTransfer: '#b4509c',
  firstDecode: '#3a9d5d',
  engine: '#3b7dd8',
  serverOther: '#8a7f2c',
  unexplained: '#b9bec7',
};
const SPAN_WORDS: Readonly<Record<SpanName, string>> = {
  preprocessMs: 'preprocess',
  queueMs: 'queue',
  prefillMs: 'prefill',
  workerMs: 'in the worker',
  kvTransferMs: 'KV transfer',
  firstDecodeMs: 'first decode',
  decodeMs: 'decode',
  ttftMs: 'TTFT',
  itlMs: 'ITL',
  tpotMs: 'TPOT',
  e2eMs: 'E2E',
};

interface Watched {
  readonly level: LevelReport;
  readonly server: ServerSide;
}

/** What the server told of itself: second by second, the TTFT taken apart, and its histograms. Empty where nobody looked. */
export function serverSection(report: Report): string {
  const watched = levelsRun(report).flatMap((level) =>
    level.server === undefined ? [] : [{ level, server: level.server }],
  );
  if (watched.length === 0) return '';
  const charts = watched.map(secondsChart).join('');
  const notes = watched.flatMap(({ level, server }) => remarksOf(level, server));
  const list = notes.map((text) => `<li>${escapeHtml(text)}</li>`).join('');
  const chartsOf = (body: string): string => (body === '' ? '' : `<div class="charts">${body}</div>`);
  return [
    chartsOf(waterfallChart(watched)),
    chartsOf(charts),
    spansTable(watched),
    list === '' ? '' : `<ul class="notes">${list}</ul>`,
  ].join('');
}

/** Running, waiting and KV cache use of the innermost layer that tells them. */
function secondsChart({ level, server }: Watched): string {
  const layer = [...LAYERS].reverse().find((one) => server[one]?.running ?? server[one]?.waiting);
  const { durationS } = level;
  if (layer === undefined || durationS === null) return '';
  const { running, waiting } = server[layer]!;
  const kvUseRatio = server.engine?.kvUseRatio;
  const line = (name: string, colour: string, gauge: ServerGauge | undefined, yAxisIndex: number) =>
    gauge === undefined
      ? []
      : [
          {
            type: 'line',
            name,
            yAxisIndex,
            symbol: 'none',
            connectNulls: true,
            lineStyle: { color: colour, width: 1.8 },
            itemStyle: { color: colour },
            data: gauge.perS.map((value, nth) => [
              Math.min(nth + 0.5, durationS),
              value === null ? null : yAxisIndex === 1 ? value * 100 : value,
            ]),
          },
        ];
  const svg = drawChart(
    {
      grid: { left: 64, right: 56, top: 36, bottom: 46 },
      legend: { top: 2, textStyle: { color: INK.text } },
      xAxis: axis({ name: 's since the first send', max: Number(durationS.toPrecision(4)) }, 28),
      yAxis: [
        axis({ name: 'requests', min: 0 }, 46),
        { ...axis({ name: 'KV cache, %', min: 0 }, 36), splitLine: { show: false }, position: 'right' },
      ],
      series: [
        ...line('running', RUNNING, running, 0),
        ...line('waiting', WAITING, waiting, 0),
        ...line('KV cache use', KV_USE, kvUseRatio, 1),
      ],
    },
    { width: 560, height: 260 },
    `server at concurrency ${level.concurrency}`,
  );
  const metrics = [running, waiting, kvUseRatio].flatMap((gauge) => gauge?.metric ?? []);
  return figureOf(
    svg,
    `Concurrency ${grouped(level.concurrency)}; ${layer}: ${escapeHtml(metrics.join(', '))}.`,
  );
}

function waterfallChart(watched: readonly Watched[]): string {
  const known = watched.filter(({ server }) => server.waterfall.reason === null);
  if (known.length === 0) return '';
  const parts = WATERFALL_PARTS.filter((part) => known.some(({ server }) => server.waterfall.partsMs[part]));
  const svg = drawChart(
    {
      grid: { left: 130, right: 28, top: 44, bottom: 52 },
      legend: { top: 4, textStyle: { color: INK.text } },
      xAxis: axis({ name: 'TTFT in ms, mean' }, 30),
      yAxis: {
        ...axis(
          {
            name: '',
            type: 'category',
            data: known.map(({ level }) => `${shapeName(level)} C=${grouped(level.concurrency)}`),
          },
          0,
        ),
        inverse: true,
      },
      series: parts.map((part) => ({
        type: 'bar',
        stack: 'ttft',
        name: PART_WORDS[part],
        itemStyle: { color: PART_COLOURS[part] },
        data: known.map(({ server }) => server.waterfall.partsMs[part] ?? 0),
      })),
    },
    { width: 1_160, height: 110 + 24 * known.length },
    'where the time to the first token went',
  );
  return figureOf(
    svg,
    'Means over the same requests, by the client and by the server. Unexplained: network, HTTP, what the server does before its clock starts, and how late the client stamped.',
  );
}

function spansTable(watched: readonly Watched[]): string {
  const rows = watched.flatMap(({ level, server }) =>
    LAYERS.flatMap((layer) =>
      SPANS.flatMap((name) => {
        const span = server[layer]?.[name];
        return span === undefined ? [] : [{ level, layer, name, span }];
      }),
    ),
  );
  if (rows.length === 0) return '';
  const of = (head: string, cell: (row: (typeof rows)[number]) => string, left = false) => ({
    head,
    cells: rows.map(cell),
    left,
  });
  return table(
    [
      of('conc', ({ level }) => grouped(level.concurrency)),
      of('where', ({ layer }) => layer, true),
      of('what', ({ name }) => SPAN_WORDS[name], true),
      of('count', ({ span }) => grouped(span.count)),
      of('mean, ms', ({ span }) => figure(span.meanMs)),
      of('p50, ms', ({ span }) => betweenText(span.p50)),
      of('p90, ms', ({ span }) => betweenText(span.p90)),
      of('p99, ms', ({ span }) => betweenText(span.p99)),
      of('metric', ({ span }) => escapeHtml(span.metric), true),
    ],
    'What histograms of the server took up over the level. A percentile lies somewhere between two bounds of buckets.',
  );
}

/** `100 … 250`, `above 100` */
function betweenText(bounds: Between | null): string {
  if (bounds === null) return '–';
  return bounds.toMs === null
    ? `above ${figure(bounds.fromMs)}`
    : `${figure(bounds.fromMs)} … ${figure(bounds.toMs)}`;
}

function remarksOf(level: LevelReport, { waterfall, engine, prefill }: ServerSide): string[] {
  const at = `concurrency ${grouped(level.concurrency)}`;
  const { doubt, reason, left } = waterfall;
  const work = engine?.cacheLookups === undefined ? prefill : engine;
  const { cacheHits, cacheLookups } = work ?? {};
  return [
    ...(reason === null ? [] : [`${at}: the TTFT is not taken apart: ${reason}`]),
    ...(doubt === null ? [] : [`${at}: doubtful: ${doubt}`]),
    ...left.map((one) => `${at}: not used, ${one.metric}: ${one.reason}`),
    ...(cacheHits && cacheLookups?.count
      ? [`${at}: prefix cache hits ${percent(cacheHits.count / cacheLookups.count)} (${cacheHits.metric})`]
      : []),
  ];
}
