import type { Change, Comparison } from '../core/compare.ts';
import {
  boundsText,
  differenceTexts,
  groundsText,
  meanText,
  runs,
  scopeName,
  signed,
  VERDICT_TEXT,
  variableText,
} from './change-words.ts';
import { grouped, percent } from './figures.ts';
import { hanging, harmless, type PageStyle, paint } from './page-style.ts';
import { type Column, fittedTable, NOTHING, tablePage } from './text-table.ts';

/** Where a note's text begins, and the least room for it. */
const NOTES = { indent: 16, least: 30 };

/** The page of a comparison: what changed over all levels, then level by level, what differs, and what the words mean. */
export function renderComparison(comparison: Comparison, style: PageStyle): string {
  const { changes, repeats, marginRatio, overruled } = comparison;
  const told = changes.filter(({ base, cand }) => base.length + cand.length > 0);
  const perLevel = told.filter(({ level }) => level !== null);
  const moved = perLevel.filter(({ verdict }) => verdict === 'better' || verdict === 'worse');
  const shown = [...told.filter(({ level }) => level === null), ...moved];
  const table = fittedTable(columnsOf(shown, style), style);
  const head = `  ${paint(style, 'bold', 'compare')}  baseline of ${runs(repeats.base)}, candidate of ${runs(repeats.cand)}, margin ${percent(marginRatio)}`;
  const hang = (label: string, text: string): string[] => hanging(label, harmless(text), NOTES, style);
  const notes = [
    ...overruled.flatMap((what) => hang('! not alike', what)),
    ...[...new Set(shown.flatMap(({ reason }) => reason ?? []))].flatMap((why) => hang('cannot tell', why)),
    ...hang(
      'levels',
      `${moved.length === 0 ? 'none' : grouped(moved.length)} of ${grouped(perLevel.length)} single changes stand out; all are in the JSON`,
    ),
    ...(table.dropped.length === 0
      ? []
      : hang('left out', `${table.dropped.join(', ')}, for the width; see --format json`)),
    ...hang('one variable', variableText(comparison)),
    ...differenceTexts(comparison).flatMap((text) => hang('differs', text)),
    ...(shown.some(({ thinLevels }) => thinLevels > 0)
      ? hang('all levels but', 'those with too few requests for this percentile')
      : []),
    ...hang('change', 'geometric mean of the candidate’s repeats ÷ that of the baseline’s − 1'),
    ...hang('bounds', `${groundsText(shown)}; each bound holds 95 times in 100`),
    ...hang('would show', 'the smallest change for the worse that so many repeats show 90 times in 100'),
    ...hang('worse', VERDICT_TEXT),
  ];
  return tablePage([head], table, notes, style);
}

function columnsOf(changes: readonly Change[], style: PageStyle): Column[] {
  const plain = (
    head: string,
    name: string,
    cell: (change: Change) => string,
    rank: number,
    left = false,
  ): Column => ({
    group: '',
    head,
    name,
    cells: changes.map(cell),
    rank,
    left,
  });
  return [
    plain('level', 'level', scopeName, 0, true),
    plain('metric', 'metric', ({ metric }) => metric, 0, true),
    plain('baseline', 'baseline', ({ base }) => meanText(base), 2),
    plain('candidate', 'candidate', ({ cand }) => meanText(cand), 2),
    plain('change', 'change', ({ changeRatio }) => signed(changeRatio), 0),
    plain('bounds', 'bounds', boundsText, 1),
    plain(
      'would show',
      'smallest change that would show',
      ({ smallestRatio }) => (smallestRatio === null ? NOTHING : percent(smallestRatio)),
      3,
    ),
    plain(
      'verdict',
      'verdict',
      ({ verdict }) => (verdict === 'worse' ? paint(style, 'red', verdict) : verdict),
      0,
      true,
    ),
  ];
}
