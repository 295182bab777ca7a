import { sum } from '../core/distribution.ts';
import { metricValue } from '../core/metric-ids.ts';
import type { LevelReport, Report } from '../core/report.ts';
import { levelsOfRuns, runSpread } from '../core/run-spread.ts';
import { figure, grouped, percent } from './figures.ts';
import { loadCell, loadHead, shapeName } from './level-names.ts';
import { readingMark } from './marks.ts';
import { hanging, harmless, type PageStyle, paint } from './page-style.ts';
import { type Column, fittedTable, NOTHING, tablePage } from './text-table.ts';

const NOTES = { indent: 14, least: 30 };

/** What the page tells of each level, in order; `rank` as of a column. */
const SHOWN: readonly {
  readonly head: string;
  readonly rank: number;
  readonly id: string;
}[] = [
  { head: 'TTFT p50 ms', rank: 0, id: 'ttftMs.p50' },
  { head: 'token ITL p50 ms', rank: 3, id: 'tokenItlMs.p50' },
  { head: 'TPOT p50 ms', rank: 0, id: 'tpotMs.p50' },
  { head: 'E2E p50 ms', rank: 2, id: 'e2eMs.p50' },
  { head: 'output tok/s', rank: 0, id: 'outputTokensPerS' },
];

/** What the columns of repeats are. */
export const REPEATS_TEXTS = {
  mean: 'geometric mean over the repeats, of complete levels alone',
  CV: 'standard deviation between the repeats ÷ their mean: what a change must stand out from',
} as const;

/** Per level the geometric mean of each number, and how far its runs spread. */
export function repeatsColumns(reports: readonly Report[]): Column[] {
  const levels = levelsOfRuns(reports);
  const plain = (group: string, head: string, cells: string[], rank: number): Column => ({
    group,
    head,
    name: group === '' ? head : `${group} ${head}`,
    cells,
    rank,
  });
  const hasShapes = new Set(levels.map(([first]) => shapeName(first!))).size > 1;
  return [
    ...(hasShapes
      ? [
          plain(
            '',
            'shape',
            levels.map(([first]) => shapeName(first!)),
            0,
          ),
        ]
      : []),
    plain(
      '',
      loadHead(levels.map(([first]) => first!)).head,
      levels.map(([first]) => loadCell(first!)),
      0,
    ),
    plain('', 'good/sent', levels.map(goodOf), 1),
    ...SHOWN.flatMap(({ head, rank, id }) => [
      plain(
        head,
        'mean',
        levels.map((ones) => spread(ones, id).mean),
        rank,
      ),
      plain(
        head,
        'CV',
        levels.map((ones) => spread(ones, id).variation),
        rank,
      ),
    ]),
    plain('', 'valid', levels.map(validOf), 2),
  ];
}

/** How many of the repeats are complete. */
export function repeatsText(reports: readonly Report[]): string {
  const complete = reports.filter(({ status }) => status === 'complete').length;
  const of = reports[0]?.spec.repeat?.of ?? reports.length;
  return `${grouped(complete)} of ${grouped(of)} repeats complete`;
}

/** Each run that did not end as planned, in a sentence. */
export function cutTexts(reports: readonly Report[]): string[] {
  return reports.flatMap(({ status, statusDetail, origin }) =>
    status === 'complete' ? [] : [`the run of ${origin.utc} is ${status}: ${statusDetail ?? ''}`],
  );
}

/** What was warned of in any of the runs, each once. */
export function warningsOf(reports: readonly Report[]): string[] {
  return [...new Set(reports.flatMap(({ warnings }) => warnings))];
}

/** The page of several runs of the same levels. */
export function renderRepeats(reports: readonly Report[], style: PageStyle): string {
  const table = fittedTable(repeatsColumns(reports), style);
  const head = `  ${paint(style, 'bold', harmless(reports[0]?.name ?? ''))}  ${repeatsText(reports)}`;
  const hang = (label: string, text: string): string[] => hanging(label, harmless(text), NOTES, style);
  const notes = [
    ...cutTexts(reports).flatMap((text) => hang('! not whole', text)),
    ...warningsOf(reports).flatMap((warning) => hang('! note', warning)),
    ...(table.dropped.length === 0 ? [] : hang('left out', `${table.dropped.join(', ')}, for the width`)),
    ...hang('mean', REPEATS_TEXTS.mean),
    ...hang('CV', REPEATS_TEXTS.CV),
  ];
  return tablePage([head], table, notes, style);
}

function goodOf(levels: readonly LevelReport[]): string {
  const good = sum(levels.map(({ requests }) => requests.good));
  return `${grouped(good)}/${grouped(sum(levels.map(({ requests }) => requests.sent)))}`;
}

function validOf(levels: readonly LevelReport[]): string {
  const valid = levels.filter(
    ({ validity, status }) => status === 'complete' && validity.verdict === 'valid',
  );
  return `${valid.length}/${levels.length}`;
}

function spread(
  levels: readonly LevelReport[],
  id: string,
): { readonly mean: string; readonly variation: string } {
  const found = runSpread(levels, (level) => {
    const value = metricValue(level, id);
    return typeof value === 'number' ? value : null;
  });
  const complete = levels.filter(({ status }) => status === 'complete');
  const [mark = ''] = complete.map((level) => readingMark(level, id)).filter((one) => one !== '');
  return {
    mean: found === null ? NOTHING : mark + figure(found.mean),
    variation: found === null || found.variationRatio === null ? NOTHING : percent(found.variationRatio),
  };
}
