import type { GateResult } from '../core/gate.ts';
import type { Check } from '../core/gate-check.ts';
import { boundsText, differenceTexts, levelName, scopeName, signed, variableText } from './change-words.ts';
import { figure } from './figures.ts';
import { countsText, sidesText, unshownText } from './gate-words.ts';
import { harmless } from './page-style.ts';
import { NOTHING } from './text-table.ts';

const MARKS = { pass: '✅ pass', fail: '❌ fail', inconclusive: '❔ inconclusive' } as const;

/** The gate as Markdown, for the summary of a CI job or a comment. */
export function gateMarkdown(result: GateResult): string {
  const { verdict, checks, advisory, baseline } = result;
  const value = (amount: number | null): string => (amount === null ? NOTHING : figure(amount));
  const row = (cells: readonly string[]): string => `| ${cells.map(escaped).join(' | ')} |`;
  const cellsOf = (check: Check): string[] => [
    MARKS[check.verdict],
    check.name,
    check.against === 'runs' ? 'all runs' : scopeName(check.change ?? { level: check.level, thinLevels: 0 }),
    check.against === 'runs' ? NOTHING : check.against,
    value(check.base),
    value(check.cand),
    check.change === null ? NOTHING : `${signed(check.change.changeRatio)} (${boundsText(check.change)})`,
    check.asked,
    check.why,
  ];
  const unshown = unshownText(result);
  return [
    `### bench gate: ${MARKS[verdict]}`,
    '',
    `${escaped(sidesText(result))}: ${countsText(checks)}.`,
    '',
    '| verdict | what | level | against | baseline | candidate | change (95 % bounds) | asked | why |',
    '|---|---|---|---|--:|--:|--:|---|---|',
    ...checks.map((check) => row(cellsOf(check))),
    '',
    ...(unshown === null ? [] : [`- ${escaped(unshown)}`]),
    ...advisory.map(
      ({ metric, level, changeRatio }) =>
        `- advisory: ${escaped(metric)} at ${levelName(level)} ${signed(changeRatio)}; no rule names this level by itself`,
    ),
    `- single-variable comparison: ${escaped(variableText(baseline))}`,
    ...differenceTexts(baseline).map((text) => `- differs: ${code(text)}`),
    '',
  ].join('\n');
}

/** Text from outside in a code span, where an address or a name makes no link. */
function code(text: string): string {
  return `\`${harmless(text).replaceAll('`', "'")}\``;
}

/** Text in a cell that draws no table, emphasis or tag of its own. */
function escaped(text: string): string {
  return harmless(text)
    .replace(/[\\`*_[\]|~]/g, '\\$&')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
}
