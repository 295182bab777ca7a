import { metricValue } from '../core/metric-ids.ts';
import type { LevelReport, Report } from '../core/report.ts';
import type { PercentileName, Stats } from '../core/stats.ts';
import { columnFigures, grouped, latencyUnit, percent } from './figures.ts';
import { hasShapes, loadCell, loadHead, shapeName, showsTokenItl } from './level-names.ts';
import { BENT, ESTIMATED, valueMark } from './marks.ts';
import { type PageStyle, paint } from './page-style.ts';
import { type Column, fittedTable, NOTHING } from './text-table.ts';

/** The summary of all levels as a table, and what had to be left out of it. */
export interface SummaryTable {
  readonly lines: readonly string[];
  /** Names of the columns that the page was too narrow for. */
  readonly dropped: readonly string[];
  /** Whether some percentile carries a `~`. */
  readonly marked: boolean;
  /** Whether some value carries a `?`. */
  readonly doubtful: boolean;
  /** Whether some value carries a `*`. */
  readonly bent: boolean;
  /** Whether some value carries a `≈`. */
  readonly estimated: boolean;
}

/** The marks before a number. */
const MARKS = /^[?*≈~]+(?=[<>\d])/;

/** A row per level. Columns give way from the least important one until the table fits `style.width`. */
export function summaryTable(report: Report, style: PageStyle): SummaryTable {
  const { lines, dropped, columns } = fittedTable(columnsOf(report, style), style);
  const marks = columns.flatMap(({ cells }) => cells.map((cell) => MARKS.exec(cell)?.[0] ?? ''));
  const has = (mark: string): boolean => marks.some((all) => all.includes(mark));
  return {
    lines,
    dropped,
    marked: has('~'),
    doubtful: has('?'),
    bent: has(BENT),
    estimated: has(ESTIMATED),
  };
}

function columnsOf(report: Report, style: PageStyle): Column[] {
  const { levels } = report;
  const itl = (level: LevelReport): LatencyId =>
    showsTokenItl(report) && level.tokenItlMs.count > 0 ? 'tokenItlMs' : 'itlMs';
  const shape: Column = {
    group: '',
    head: 'isl×osl',
    name: 'shape',
    cells: levels.map((level, i) =>
      i > 0 && shapeName(levels[i - 1]!) === shapeName(level) ? '' : shapeName(level),
    ),
    rank: 0,
    left: true,
  };
  const notes: Column = {
    group: '',
    head: 'notes',
    name: 'notes',
    cells: levels.map((level) => paint(style, 'yellow', noteOf(level))),
    rank: 1,
    left: true,
  };
  const perGpu = rates(report, ['output tok/s', '/GPU', 'tok/s/GPU'], 5, 'outputTokensPerSPerGpu');
  return [
    ...(hasShapes(report) ? [shape] : []),
    {
      group: '',
      head: loadHead(levels).head,
      name: loadHead(levels).word,
      cells: levels.map(loadCell),
      rank: 0,
    },
    {
      group: 'good',
      head: '/sent',
      name: 'good/sent',
      cells: levels.map((level) => goodOfSent(level, style)),
      rank: 0,
    },
    ...latency(report, 'TTFT', () => 'ttftMs', { p50: 0, p99: 0 }),
    ...latency(report, showsTokenItl(report) ? 'token ITL' : 'ITL', itl, { p50: 0, p99: 2 }),
    ...latency(report, 'TPOT', () => 'tpotMs', { p50: 7 }),
    ...latency(report, 'E2E', () => 'e2eMs', { p50: 3, p99: 6 }),
    rates(report, ['output tok/s', 'all', 'output tok/s'], 0, 'outputTokensPerS'),
    rates(report, ['output tok/s', '/user', 'tok/s/user'], 4, 'tokensPerSPerUser.p50'),
    ...(perGpu.cells.some((cell) => cell !== NOTHING) ? [perGpu] : []),
    rates(report, ['total', 'tok/s', 'total tok/s'], 8, 'totalTokensPerS'),
    ...(levels.some(({ goodput }) => goodput !== undefined)
      ? [
          rates(report, ['goodput', 'req/s', 'goodput'], 1, 'goodput.requestsPerS'),
          {
            group: 'goodput',
            head: 'met',
            name: 'SLO attainment',
            cells: levels.map(attainment),
            rank: 1,
          },
        ]
      : []),
    ...(levels.some((level) => noteOf(level) !== '') ? [notes] : []),
  ];
}

function goodOfSent(level: LevelReport, style: PageStyle): string {
  const { good, sent } = level.requests;
  const text = sent === 0 ? NOTHING : `${grouped(good)}/${grouped(sent)}`;
  return good < sent ? paint(style, 'red', text) : text;
}

function attainment(level: LevelReport): string {
  const ratio = level.goodput?.attainmentRatio ?? null;
  return ratio === null ? NOTHING : valueMark(level, 'goodput.attainmentRatio') + percent(ratio);
}

function noteOf(level: LevelReport): string {
  const [why] = (level.statusReason ?? '').split(':', 1);
  if (level.status === 'skipped') return why ? `skipped: ${why}` : 'skipped';
  const verdict = level.validity.verdict === 'valid' ? '' : level.validity.verdict;
  return [level.status === 'partial' ? 'partial' : '', verdict].filter((word) => word !== '').join('\n');
}

type LatencyId = 'ttftMs' | 'itlMs' | 'tokenItlMs' | 'tpotMs' | 'e2eMs';

/** Columns of one latency, in one unit, with the marks of `valueMark` before values and `~` before percentiles that are thin. */
function latency(
  report: Report,
  name: string,
  of: (level: LevelReport) => LatencyId,
  ranks: Partial<Record<PercentileName, number>>,
): Column[] {
  const percentiles = Object.keys(ranks) as PercentileName[];
  const all = report.levels.map((level): Stats => level[of(level)]);
  const { unit, perMs } = latencyUnit(
    all.flatMap((stats) => percentiles.map((percentile) => stats[percentile])),
  );
  return percentiles.map((percentile) => {
    const values = all.map((stats) => (stats[percentile] === null ? null : stats[percentile] * perMs));
    const format = columnFigures(values);
    const cells = values.map((value, i) => {
      if (value === null) return NOTHING;
      const level = report.levels[i]!;
      const mark = valueMark(level, `${of(level)}.${percentile}`);
      return mark + (all[i]!.thin.includes(percentile) ? '~' : '') + format(value);
    });
    return {
      group: `${name} ${unit}`,
      head: percentile,
      name: `${name} ${percentile}`,
      cells,
      rank: ranks[percentile] ?? 0,
    };
  });
}

function rates(
  report: Report,
  [group, head, name]: readonly [string, string, string],
  rank: number,
  id: string,
): Column {
  const values = report.levels.map((level) => {
    const value = metricValue(level, id);
    return typeof value === 'number' ? value : null;
  });
  const format = columnFigures(values);
  return {
    group,
    head,
    name,
    cells: values.map((value, i) =>
      value === null ? NOTHING : valueMark(report.levels[i]!, id) + format(value),
    ),
    rank,
  };
}
