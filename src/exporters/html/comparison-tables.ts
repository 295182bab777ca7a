import type { Change } from '../../core/compare.ts';
import { type ChangeRow, changeRows, type ManyComparison } from '../../core/compare-many.ts';
import { greatest, sum } from '../../core/distribution.ts';
import type { LevelReport } from '../../core/report.ts';
import { isDoubtful } from '../../core/validity.ts';
import { boundsText, levelName, meanText, scopeName, signed } from '../change-words.ts';
import { figure, grouped, percent } from '../figures.ts';
import type { Latency } from './comparison-charts.ts';
import { escapeHtml, type HtmlColumn, table } from './markup.ts';
import { allLevelNames, type HtmlSide, levelsOf, markOf, meanOf } from './sides.ts';

const NOTHING = '–';
const VERDICT_CLASSES = { better: 'good', worse: 'bad', same: '', 'cannot tell': 'dim' } as const;
const VALIDITY_CLASSES = { valid: 'good', suspect: 'warn', 'client-bound': 'bad' } as const;

/** A side's name with the colour that the charts draw it in. */
function sideHead(name: string, nth: number): string {
  return `<span class="side"><span class="swatch" style="background:${markOf(nth).colour}"></span>${escapeHtml(name)}</span>`;
}

/** What each side is. */
export function sidesTable(sides: readonly (HtmlSide & { readonly place: string })[]): string {
  const of = (head: string, cell: (side: (typeof sides)[number]) => string, left = true): HtmlColumn => ({
    head,
    cells: sides.map(cell),
    left,
  });
  const all = (side: HtmlSide, tell: (report: HtmlSide['reports'][number]) => string): string =>
    escapeHtml([...new Set(side.reports.map(tell))].join(', '));
  return table([
    { head: 'side', cells: sides.map(({ name }, nth) => sideHead(name, nth)), left: true },
    of('runs', ({ reports }) => grouped(reports.length), false),
    of('complete', ({ reports }) => completeText(reports), false),
    of('model', (side) => all(side, ({ target }) => target.model)),
    of('server', (side) => all(side, ({ target }) => target.server)),
    of('tags', (side) =>
      all(side, ({ tags }) =>
        Object.entries(tags)
          .map(([name, value]) => `${name}=${value}`)
          .join(' '),
      ),
    ),
    of('begun, UTC', ({ reports }) => begunText(reports.map(({ origin }) => origin.utc))),
    { ...of('place', ({ place }) => escapeHtml(place)), text: true },
  ]);
}

function completeText(reports: HtmlSide['reports']): string {
  const complete = reports.filter(({ status }) => status === 'complete').length;
  const text = `${grouped(complete)} of ${grouped(reports.length)}`;
  return complete === reports.length ? text : `<span class="bad">${text}</span>`;
}

function begunText(utcs: readonly string[]): string {
  const times = [...utcs].sort().map((utc) => utc.slice(0, 16).replace('T', ' '));
  const [first, last] = [times[0] ?? NOTHING, times.at(-1) ?? NOTHING];
  return escapeHtml(first === last ? first : `${first} … ${last}`);
}

/** Over all levels: each side's value of each metric, and its change from the baseline. */
export function overallTable(compared: ManyComparison): string {
  const rows = changeRows(compared).filter(({ level }) => level === null);
  const scopeOf = (row: ChangeRow): string =>
    row.thinLevels === 0 ? '' : `<br><span class="dim">${scopeName(row)}</span>`;
  return changesTable(rows, compared, () => '', [
    { head: 'metric', cells: rows.map((row) => `${escapeHtml(row.metric)}${scopeOf(row)}`), left: true },
  ]);
}

/** Level by level, a table for each metric. */
export function levelTables(compared: ManyComparison, sides: readonly HtmlSide[]): string {
  const rows = changeRows(compared).filter(({ level }) => level !== null);
  const levels = sides.map((side) => new Map(levelsOf(side).map(({ name, runs }) => [name, runs])));
  const mark = ({ level, metric }: ChangeRow, nth: number): string => {
    const runs = levels[nth]!.get(levelName(level)) ?? [];
    return runs.every((run) => isSound(run, metric)) ? '' : ' <span class="warn">⚠</span>';
  };
  const tables = [...new Set(rows.map(({ metric }) => metric))].map((metric) => {
    const ones = rows.filter((row) => row.metric === metric);
    const names: HtmlColumn = {
      head: 'level',
      cells: ones.map(({ level }) => escapeHtml(levelName(level))),
      left: true,
    };
    return `<div><h3>${escapeHtml(metric)}</h3>${changesTable(ones, compared, mark, [names])}</div>`;
  });
  return `<div class="tables">${tables.join('')}</div>`;
}

function isSound({ status, requests, validity }: LevelReport, metric: string): boolean {
  return status === 'complete' && requests.failed === 0 && !isDoubtful(validity, metric);
}

/** A column for each side; `mark` says of a row what is to be known of a side in it. */
function changesTable(
  rows: readonly ChangeRow[],
  { sides }: ManyComparison,
  mark: (row: ChangeRow, nth: number) => string,
  first: readonly HtmlColumn[],
): string {
  if (rows.length === 0) return '';
  return table([
    ...first,
    ...sides.map(({ name }, nth) => ({
      head: sideHead(name, nth),
      cells: rows.map((row) => {
        if (nth === 0) return `${meanText(row.base)}${mark(row, 0)}`;
        const change = row.changes[nth - 1]!;
        return change === null ? NOTHING : `${meanText(change.cand)}${mark(row, nth)}${changeText(change)}`;
      }),
    })),
  ]);
}

/** The change, its verdict, and the bounds where there are any. */
function changeText(change: Change): string {
  const { changeRatio, verdict, lowRatio } = change;
  const bounds = lowRatio === null ? '' : `<br><span class="dim">${boundsText(change)}</span>`;
  return `<br><span class="${VERDICT_CLASSES[verdict]}">${signed(changeRatio)} ${verdict}</span>${bounds}`;
}

/** Percentiles of a latency, a line for each level and side. */
export function percentilesTable({ title, of }: Latency, sides: readonly HtmlSide[]): string {
  const rows = allLevelNames(sides).flatMap((name) =>
    sides.flatMap((side, nth) => {
      const level = levelsOf(side).find((one) => one.name === name);
      return level === undefined ? [] : [{ level, side, nth }];
    }),
  );
  const cell = (runs: readonly LevelReport[], percentile: 'p50' | 'p90' | 'p95' | 'p99'): string => {
    const value = meanOf(runs, (level) => of(level)[percentile]);
    if (value === null) return NOTHING;
    const thin = runs.some((level) => of(level).thin.some((one) => one === percentile));
    return `${thin ? '~' : ''}${figure(value)}`;
  };
  return table(
    [
      {
        head: 'level',
        cells: rows.map(({ level }, at) =>
          rows[at - 1]?.level.name === level.name ? '' : escapeHtml(level.name),
        ),
        left: true,
      },
      { head: 'side', cells: rows.map(({ side, nth }) => sideHead(side.name, nth)), left: true },
      ...(['p50', 'p90', 'p95', 'p99'] as const).map((percentile) => ({
        head: `${title} ${percentile}`,
        cells: rows.map(({ level }) => cell(level.runs, percentile)),
      })),
    ],
    'In ms, geometric mean of the runs. ~ marks a percentile that stands on too few requests of a run: take it as rough.',
  );
}

/** The harness's verdict, cut levels and failures, of all runs of each side. */
export function sidesValidityTable(sides: readonly HtmlSide[]): string {
  const names = allLevelNames(sides);
  return table([
    { head: 'level', cells: names.map(escapeHtml), left: true },
    ...sides.map((side, nth) => {
      const levels = new Map(levelsOf(side).map(({ name, runs }) => [name, runs]));
      return {
        head: sideHead(side.name, nth),
        cells: names.map((name) => validityText(levels.get(name) ?? [])),
        left: true,
      };
    }),
  ]);
}

function validityText(runs: readonly LevelReport[]): string {
  if (runs.length === 0) return NOTHING;
  const parts = (['valid', 'suspect', 'client-bound'] as const).flatMap((verdict) => {
    const count = runs.filter(({ validity }) => validity.verdict === verdict).length;
    return count === 0
      ? []
      : [`<span class="${VALIDITY_CLASSES[verdict]}">${grouped(count)} ${verdict}</span>`];
  });
  const cut = runs.filter(({ status }) => status !== 'complete').length;
  const failed = sum(runs.map(({ requests }) => requests.failed));
  const sent = sum(runs.map(({ requests }) => requests.sent));
  const most = greatest(runs.map(({ failureRatio }) => failureRatio));
  return [
    ...parts,
    ...(cut === 0 ? [] : [`<span class="bad">${grouped(cut)} not complete</span>`]),
    ...(failed === 0
      ? []
      : [
          `<span class="bad">${grouped(failed)} of ${grouped(sent)} failed${runs.length > 1 ? `, up to ${percent(most)} of a run` : ''}</span>`,
        ]),
  ].join(', ');
}

/** What is not alike on all sides. */
export function differencesTable({ sides, differences }: ManyComparison): string {
  if (differences.length === 0) return '<p>Nothing that the runs tell of.</p>';
  return table([
    {
      head: 'what',
      cells: differences.map(
        ({ fact, incidental }) =>
          `${escapeHtml(fact)}${incidental ? ' <span class="dim">(where or when)</span>' : ''}`,
      ),
      left: true,
    },
    ...sides.map(({ name }, nth) => ({
      head: sideHead(name, nth),
      cells: differences.map(({ values }) => escapeHtml(values[nth]!.join(', '))),
      left: true,
      text: true,
    })),
  ]);
}
