import type { Change } from '../core/compare.ts';
import { changeRows, type ManyComparison } from '../core/compare-many.ts';
import {
  boundsText,
  familyText,
  groundsText,
  meanText,
  reasonTexts,
  runs,
  scopeName,
  signed,
  spreadText,
  VERDICT_TEXT,
} from './change-words.ts';
import { grouped, percent } from './figures.ts';
import { hanging, harmless, type PageStyle, paint } from './page-style.ts';
import { type Column, fittedTable, NOTHING, tablePage } from './text-table.ts';

const NOTES = { indent: 16, least: 30 };

/** A line of the table: a side's value of one metric, and how it changed. */
interface Row {
  readonly scope: string;
  readonly metric: string;
  readonly side: string;
  readonly values: readonly number[];
  /** null for the baseline. */
  readonly change: Change | null;
}

/** The page of several candidates against one baseline: over all levels first, then the levels that stand out. */
export function renderManyComparison(compared: ManyComparison, style: PageStyle): string {
  const { sides, comparisons, differences } = compared;
  const [base, ...candidates] = sides;
  const all = comparisons.flatMap(({ changes }) => changes);
  const perLevel = all.filter(({ level }) => level !== null);
  const moved = perLevel.filter(stands);
  const rows = rowsOf(compared);
  const table = fittedTable(columnsOf(rows, style), style);
  const { marginRatio } = comparisons[0]!;
  const head = `  ${paint(style, 'bold', 'compare')}  baseline ${harmless(base!.name)} of ${runs(base!.repeats)}, ${candidates
    .map(({ name, repeats }) => `${harmless(name)} of ${runs(repeats)}`)
    .join(', ')}, margin ${percent(marginRatio)}`;
  const hang = (label: string, text: string): string[] => hanging(label, harmless(text), NOTES, style);
  const shown = rows.flatMap(({ change }) => change ?? []);
  const notes = [
    ...comparisons.flatMap(({ overruled }, nth) =>
      overruled.flatMap((what) => hang('! not alike', `${candidates[nth]!.name}: ${what}`)),
    ),
    ...reasonTexts(compared, ({ level }) => level === null).flatMap((why) => hang('cannot tell', why)),
    ...hang(
      'levels',
      `${moved.length === 0 ? 'none' : grouped(moved.length)} of ${grouped(perLevel.length)} single changes stand out; all are in the JSON and on the page of --html`,
    ),
    ...(table.dropped.length === 0
      ? []
      : hang('left out', `${table.dropped.join(', ')}, for the width; see --format json`)),
    ...differences.flatMap((spread) =>
      hang(
        'differs',
        spreadText(
          spread,
          sides.map(({ name }) => name),
        ),
      ),
    ),
    ...hang('change', 'geometric mean of the repeats ÷ that of the baseline’s − 1'),
    ...hang('bounds', `${groundsText(shown)}; ${familyText(compared)}`),
    ...hang('worse', VERDICT_TEXT),
  ];
  return tablePage([head], table, notes, style);
}

function stands({ verdict }: Change): boolean {
  return verdict === 'better' || verdict === 'worse';
}

/** Of each metric the baseline and all candidates; of single levels the candidates that stand out. */
function rowsOf(compared: ManyComparison): Row[] {
  const [base, ...candidates] = compared.sides;
  return changeRows(compared)
    .filter(({ level, changes }) => level === null || changes.some((one) => one !== null && stands(one)))
    .flatMap((row) => [
      { scope: scopeName(row), metric: row.metric, side: base!.name, values: row.base, change: null },
      ...row.changes.flatMap((change, nth) =>
        change === null || (row.level !== null && !stands(change))
          ? []
          : [{ scope: '', metric: '', side: candidates[nth]!.name, values: change.cand, change }],
      ),
    ]);
}

function columnsOf(rows: readonly Row[], style: PageStyle): Column[] {
  const plain = (head: string, cell: (row: Row) => string, rank: number, left = false): Column => ({
    group: '',
    head,
    name: head,
    cells: rows.map(cell),
    rank,
    left,
  });
  const of = (tell: (change: Change) => string) => (row: Row) =>
    row.change === null ? '' : tell(row.change);
  return [
    plain('level', ({ scope }) => scope, 0, true),
    plain('metric', ({ metric }) => metric, 0, true),
    plain('side', ({ side }) => harmless(side), 0, true),
    plain('value', ({ values }) => meanText(values), 0),
    plain(
      'change',
      of(({ changeRatio }) => signed(changeRatio)),
      0,
    ),
    plain('bounds', of(boundsText), 1),
    plain(
      'would show',
      of(({ smallestRatio }) => (smallestRatio === null ? NOTHING : percent(smallestRatio))),
      2,
    ),
    plain(
      'verdict',
      of(({ verdict }) => (verdict === 'worse' ? paint(style, 'red', verdict) : verdict)),
      0,
      true,
    ),
  ];
}
