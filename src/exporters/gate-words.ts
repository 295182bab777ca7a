import type { GateResult } from '../core/gate.ts';
import type { Check, GateVerdict } from '../core/gate-check.ts';
import { levelName, runs, scopeName } from './change-words.ts';

/** What a check is called: `ttftMs.p50, all levels, against the baseline`. */
export function checkName({ against, name, level, change }: Check): string {
  switch (against) {
    case 'runs':
      return `runs: ${name}`;
    case 'limit':
      return `${name}, ${levelName(level)}, limit`;
    default:
      return `${name}, ${scopeName(change ?? { level, thinLevels: 0 })}, against the ${against}`;
  }
}

/** Both sides in a sentence. */
export function sidesText({ baseline, anchor }: GateResult): string {
  const against = anchor === null ? '' : `, and an anchor of ${runs(anchor.repeats.base)}`;
  return `candidate of ${runs(baseline.repeats.cand)} against a baseline of ${runs(baseline.repeats.base)}${against}`;
}

/** How many checks came to each verdict: `7 passed, 1 failed`. */
export function countsText(checks: readonly Check[]): string {
  const words: readonly (readonly [GateVerdict, string])[] = [
    ['pass', 'passed'],
    ['fail', 'failed'],
    ['inconclusive', 'inconclusive'],
  ];
  return words
    .flatMap(([verdict, word]) => {
      const count = checks.filter((check) => check.verdict === verdict).length;
      return count === 0 ? [] : [`${count} ${word}`];
    })
    .join(', ');
}

/** What it means that a gate is inconclusive, for whoever reads its exit code of 0; null where it is not. */
export function unshownText({ verdict, checks }: GateResult): string | null {
  if (verdict !== 'inconclusive') return null;
  const count = checks.filter((check) => check.verdict === 'inconclusive').length;
  return `nothing was shown by ${count} of ${checks.length} checks: neither that something became worse nor that it did not (exit 0, or 6 with --fail-inconclusive); more repeats show smaller changes`;
}
