import type { GateResult } from '../core/gate.ts';
import type { Check } from '../core/gate-check.ts';
import { checkName } from './gate-words.ts';
import { harmless } from './page-style.ts';

/**
 * The gate as JUnit XML, a test case for each check. What is inconclusive is skipped, or a failure where `failInconclusive`: a
 * reader of such files knows no third outcome.
 */
export function gateJunit({ checks }: GateResult, failInconclusive: boolean): string {
  const outcomeOf = (check: Check): 'pass' | 'failure' | 'skipped' => {
    if (check.verdict === 'inconclusive') return failInconclusive ? 'failure' : 'skipped';
    return check.verdict === 'fail' ? 'failure' : 'pass';
  };
  const count = (outcome: string): number => checks.filter((check) => outcomeOf(check) === outcome).length;
  const totals = `tests="${checks.length}" failures="${count('failure')}" errors="0" skipped="${count('skipped')}"`;
  const cases = checks.map((check) => {
    const outcome = outcomeOf(check);
    const head = `    <testcase classname="bench.gate.${check.against}" name="${escaped(checkName(check))}" time="0"`;
    if (outcome === 'pass') return `${head}/>`;
    const message = escaped(`${check.verdict}: ${check.why} (asked: ${check.asked})`);
    const type = outcome === 'failure' ? ` type="${check.verdict}"` : '';
    return `${head}>\n      <${outcome} message="${message}"${type}/>\n    </testcase>`;
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="bench gate" ${totals} time="0">`,
    `  <testsuite name="bench gate" ${totals} time="0">`,
    ...cases,
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

/** Text for an attribute; no control character can stand in XML. */
function escaped(text: string): string {
  return harmless(text).replace(/[&<>"]/g, (character) => ENTITIES[character]!);
}
