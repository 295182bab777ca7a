import { FOREIGN_METRICS, type ForeignMetric, type ForeignPoint, type ForeignRun } from '../core/foreign.ts';
import { columnFigures, grouped, latencyUnit } from './figures.ts';
import { asDrawn, hanging, harmless, type PageStyle, paint, wrap } from './page-style.ts';
import { type Column, fittedTable, NOTHING } from './text-table.ts';

const NAMES: Readonly<Record<ForeignMetric, string>> = {
  ttftMs: 'TTFT',
  itlMs: 'ITL',
  tpotMs: 'TPOT',
  e2eMs: 'E2E',
};
const STATISTICS = ['mean', 'p50', 'p99'] as const;
/** Where a definition's text begins, and the least room for it. */
const NOTES = { indent: 20, least: 30 };

/** The page of another tool's results: a row per result by concurrency, what to know of them, and what each number means there. */
export function renderForeign(run: ForeignRun, style: PageStyle): string {
  const points = run.points.toSorted((a, b) => (a.concurrency ?? 0) - (b.concurrency ?? 0));
  const table = fittedTable(columnsOf(points), style);
  const models = [...new Set(points.flatMap(({ model }) => model ?? []))].map(harmless).join(', ');
  const count = `${grouped(points.length)} ${points.length === 1 ? 'result' : 'results'}`;
  const { tool, lookalike } = run;
  const writers = lookalike === null ? tool : `${tool} or ${lookalike.tool}`;
  const head = [
    `  ${paint(style, 'bold', harmless(writers))}  ${harmless(run.source)}, ${count}`,
    ...(models === '' ? [] : wrap(models, style.width - 2).map((line) => `  ${line}`)),
  ];
  const dropped =
    table.dropped.length === 0
      ? []
      : [`left out for the width: ${table.dropped.join(', ')}; see --format json`];
  const notes = [...run.notes.map(harmless), ...dropped].flatMap((note) =>
    hanging('note', note, NOTES, style),
  );
  const meanings = Object.entries(run.definitions).flatMap(([field, text]) =>
    hanging(field, text, NOTES, style),
  );
  const heading =
    lookalike === null
      ? `What the numbers mean in ${tool}, which is not what they mean in bench:`
      : `${lookalike.means} What the numbers mean where ${tool} wrote them:`;
  const title = wrap(harmless(heading), style.width - 2).map((line) => `  ${paint(style, 'bold', line)}`);
  return asDrawn(
    style,
    `${[head, table.lines, notes, [...title, ...meanings]]
      .filter((part) => part.length > 0)
      .map((part) => part.join('\n'))
      .join('\n\n')}\n`,
  );
}

function columnsOf(points: readonly ForeignPoint[]): Column[] {
  const plain = (head: string, name: string, cells: readonly (string | null)[], rank: number): Column => ({
    group: '',
    head,
    name,
    cells: cells.map((cell) => cell ?? NOTHING),
    rank,
  });
  const whole = (value: number | null): string | null => (value === null ? null : grouped(value));
  const columns = [
    plain(
      'isl×osl',
      'shape',
      points.map(({ isl, osl }) =>
        isl === null && osl === null ? null : `${whole(isl) ?? '?'}×${whole(osl) ?? '?'}`,
      ),
      6,
    ),
    plain(
      'rate',
      'request rate',
      points.map(({ requestRate }) =>
        typeof requestRate === 'number' ? String(requestRate) : requestRate && harmless(requestRate),
      ),
      7,
    ),
    {
      ...plain(
        'conc',
        'concurrency',
        points.map(({ concurrency }) => whole(concurrency)),
        0,
      ),
    },
    plain(
      'good',
      'good',
      points.map(({ good }) => whole(good)),
      0,
    ),
    plain(
      'failed',
      'failed',
      points.map(({ failed }) => whole(failed)),
      1,
    ),
    ...FOREIGN_METRICS.flatMap((metric) => latencyColumns(points, metric)),
    rate(
      'req/s',
      points.map(({ requestsPerS }) => requestsPerS),
      3,
    ),
    rate(
      'output tok/s',
      points.map(({ outputTokensPerS }) => outputTokensPerS),
      0,
    ),
    rate(
      'total tok/s',
      points.map(({ totalTokensPerS }) => totalTokensPerS),
      5,
    ),
  ];
  return columns.filter(({ rank, cells }) => rank === 0 || cells.some((cell) => cell !== NOTHING));
}

function latencyColumns(points: readonly ForeignPoint[], metric: ForeignMetric): Column[] {
  const { unit, perMs } = latencyUnit(
    points.flatMap((point) => STATISTICS.map((statistic) => point[metric][statistic] ?? null)),
  );
  return STATISTICS.map((statistic) => {
    const values = points
      .map((point) => point[metric][statistic])
      .map((ms) => (ms === undefined ? null : ms * perMs));
    const format = columnFigures(values);
    return {
      group: `${NAMES[metric]} ${unit}`,
      head: statistic,
      name: `${NAMES[metric]} ${statistic}`,
      cells: values.map((value) => (value === null ? NOTHING : format(value))),
      rank: statistic === 'mean' ? 8 : metric === 'e2eMs' ? 2 : 1,
    };
  });
}

function rate(head: string, values: readonly (number | null)[], rank: number): Column {
  const format = columnFigures(values);
  return {
    group: '',
    head,
    name: head,
    cells: values.map((value) => (value === null ? NOTHING : format(value))),
    rank,
  };
}
