import type { GateResult } from '../core/gate.ts';
import type { Check } from '../core/gate-check.ts';
import { boundsText, differenceTexts, levelName, scopeName, signed, variableText } from './change-words.ts';
import { figure } from './figures.ts';
import { checkName, countsText, sidesText, unshownText } from './gate-words.ts';
import { hanging, harmless, type PageStyle, paint } from './page-style.ts';
import { type Column, fittedTable, NOTHING, tablePage } from './text-table.ts';

const NOTES = { indent: 16, least: 30 };
const KINDS = { pass: 'dim', fail: 'red', inconclusive: 'yellow' } as const;

/** The page of a gate: its verdict, each check, why what did not pass did not, and what differs between both sides. */
export function renderGate(result: GateResult, style: PageStyle): string {
  const { verdict, checks, baseline, advisory } = result;
  const hang = (label: string, text: string): string[] => hanging(label, harmless(text), NOTES, style);
  const word =
    verdict === 'pass' ? paint(style, 'bold', 'PASS') : paint(style, KINDS[verdict], verdict.toUpperCase());
  const table = fittedTable(columnsOf(checks, style), style);
  const unshown = unshownText(result);
  const notes = [
    ...checks
      .filter((check) => check.verdict !== 'pass')
      .flatMap((check) =>
        hang(check.verdict === 'fail' ? '! failed' : 'inconclusive', `${checkName(check)}: ${check.why}`),
      ),
    ...(unshown === null ? [] : hang('! not shown', unshown)),
    ...advisory.flatMap(({ metric, level, changeRatio }) =>
      hang(
        'advisory',
        `${metric} at ${levelName(level)}: ${signed(changeRatio)}; no rule names this level by itself`,
      ),
    ),
    ...(table.dropped.length === 0
      ? []
      : hang('left out', `${table.dropped.join(', ')}, for the width; see --format json`)),
    ...hang('one variable', variableText(baseline)),
    ...differenceTexts(baseline).flatMap((text) => hang('differs', text)),
  ];
  const head = `  ${paint(style, 'bold', 'gate')}  ${word}  ${sidesText(result)}: ${countsText(checks)}`;
  return tablePage([head], table, notes, style);
}

function columnsOf(checks: readonly Check[], style: PageStyle): Column[] {
  const column = (head: string, cell: (check: Check) => string, rank: number, left = false): Column => ({
    group: '',
    head,
    name: head,
    cells: checks.map(cell),
    rank,
    left,
  });
  const value = (amount: number | null): string => (amount === null ? NOTHING : figure(amount));
  return [
    column('verdict', ({ verdict }) => paint(style, KINDS[verdict], verdict), 0, true),
    column('what', ({ name }) => name, 0, true),
    column(
      'level',
      ({ against, level, change }) =>
        against === 'runs' ? 'all runs' : scopeName(change ?? { level, thinLevels: 0 }),
      1,
      true,
    ),
    column('against', ({ against }) => (against === 'runs' ? NOTHING : against), 2, true),
    column('baseline', ({ base }) => value(base), 4),
    column('candidate', ({ cand }) => value(cand), 3),
    column('change', ({ change }) => (change === null ? NOTHING : signed(change.changeRatio)), 0),
    column('bounds', ({ change }) => (change === null ? NOTHING : boundsText(change)), 3),
    column('asked', ({ asked }) => asked, 0, true),
  ];
}
