import type { GateResult } from '../core/gate.ts';
import { checkName } from './gate-words.ts';

/** What did not pass as workflow commands of GitHub Actions, a line each; empty where all passed. */
export function gateAnnotations({ checks }: GateResult, failInconclusive: boolean): string {
  return checks
    .filter(({ verdict }) => verdict !== 'pass')
    .map((check) => {
      const level = check.verdict === 'fail' || failInconclusive ? 'error' : 'warning';
      const title = `bench gate: ${check.verdict}`;
      return `::${level} title=${property(title)}::${data(`${checkName(check)}: ${check.why}`)}\n`;
    })
    .join('');
}

/** A message: the runner ends it at a line's end. */
function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

/** A value among properties, which a colon or a comma would end. */
function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
