import { sum } from './distribution.ts';
import { type Check, percentText } from './gate-check.ts';
import { doubtAt, type Policy } from './policy.ts';
import { keyText, type Repeat } from './repeat.ts';

/** What of the candidate's runs is looked at whatever they measured. */
export function runChecks(cand: readonly Repeat[], policy: Policy): Check[] {
  const levels = cand.flatMap((run) => run.levels.map((level) => ({ run, level })));
  const check = (name: string, asked: string, wrong: readonly string[], right: string): Check => ({
    against: 'runs',
    name,
    level: null,
    asked,
    verdict: wrong.length === 0 ? 'pass' : 'fail',
    why:
      wrong.length === 0
        ? right
        : wrong.length <= 3
          ? wrong.join('; ')
          : `${wrong.slice(0, 3).join('; ')} and ${wrong.length - 3} more`,
    base: null,
    cand: null,
    change: null,
    pAdjusted: null,
  });
  const broken = [
    ...cand.flatMap(({ status, utc }) => (status === 'complete' ? [] : [`the run of ${utc} is ${status}`])),
    ...levels.flatMap(({ level }) =>
      level.status === 'complete' ? [] : [`${keyText(level)} is ${level.status}`],
    ),
  ];
  const failing = levels.flatMap(({ level }) =>
    level.failed > policy.maxFailureRatio * level.sent
      ? [`${level.failed} of ${level.sent} failed at ${keyText(level)}`]
      : [],
  );
  const doubts = levels.flatMap(({ level }) => doubtAt(level, policy) ?? []);
  const inexact = levels.flatMap(({ level }) =>
    level.inexact === 0 ? [] : [`${level.inexact} lengths at ${keyText(level)}`],
  );
  const failed = sum(levels.map(({ level }) => level.failed));
  const sent = sum(levels.map(({ level }) => level.sent));
  return [
    check(
      'complete',
      'every level measured',
      broken,
      `${cand.length} runs of ${levels.length} levels in all`,
    ),
    check(
      'failures',
      `at most ${percentText(policy.maxFailureRatio)} of a level`,
      failing,
      `${failed} of ${sent} requests failed`,
    ),
    ...(policy.requireValid
      ? [check('valid', 'every metric of the policy valid', doubts, 'all of them are')]
      : []),
    ...(policy.requireExact
      ? [check('exact', 'every length proven to be as asked', inexact, 'all lengths are')]
      : []),
  ];
}
