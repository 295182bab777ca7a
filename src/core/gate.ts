import { type Change, type CompareOptions, type Comparison, compareRuns, MARGIN_RATIO } from './compare.ts';
import { usageError } from './errors.ts';
import { ALPHA, adjusted, type Check, type GateVerdict, meanOf, percentText, pText } from './gate-check.ts';
import { limitChecks } from './gate-limits.ts';
import { runChecks } from './gate-runs.ts';
import { GROSS_RATIO, HISTORY_GROSS_RANGES, HISTORY_GROSS_RATIO } from './grounds.ts';
import { lessIsBetter } from './metric-ids.ts';
import { agrees, noSuchLevel, type Policy } from './policy.ts';
import type { Repeat } from './repeat.ts';
import { LEAST_REPEATS } from './welch.ts';

/** What a gate came to. */
export interface GateResult {
  readonly verdict: GateVerdict;
  readonly checks: readonly Check[];
  /** Single levels that became worse and that no rule names. */
  readonly advisory: readonly Change[];
  /** With the baseline, and with the anchor where there is one. */
  readonly baseline: Comparison;
  readonly anchor: Comparison | null;
}

/** What a candidate is held against. */
export interface Sides {
  readonly baseline: readonly Repeat[];
  /** A baseline that stays, so that small losses cannot add up unseen; null where there is none. */
  readonly anchor: readonly Repeat[] | null;
  readonly candidate: readonly Repeat[];
}

/**
 * Judges a candidate. A change fails when it is there (Holm's p of all changes at most ALPHA, or a gross one: `Change.gross`) and
 * its estimate is beyond the margin; it passes when its one-sided 95 % bound is within. A limit likewise, against the limit itself.
 * Anything else is inconclusive. Throws (exit 2) where the sides are not comparable, a rule names a level that is not there, or
 * nothing fails and there are too few runs to judge any change.
 */
export function judgeGate(sides: Sides, policy: Policy): GateResult {
  const baseline = compareFor(sides.baseline, sides.candidate, policy);
  const anchor = sides.anchor === null ? null : compareFor(sides.anchor, sides.candidate, policy);
  const drafts = [
    ...changeDrafts(baseline, 'baseline', policy),
    ...(anchor === null ? [] : changeDrafts(anchor, 'anchor', policy)),
  ];
  const changes = adjusted(drafts).map(({ draft, p }) => changeCheck(draft, p));
  const checks = [...runChecks(sides.candidate, policy), ...changes, ...limitChecks(sides.candidate, policy)];
  const verdict = worstOf(checks.map(({ verdict }) => verdict));
  if (verdict !== 'fail' && drafts.length > 0) {
    refuseTooFew(baseline, 'baseline');
    if (anchor !== null) refuseTooFew(anchor, 'anchor');
  }
  return {
    verdict,
    checks,
    advisory: baseline.changes.filter(
      (change) =>
        change.level !== null &&
        change.verdict === 'worse' &&
        !drafts.some((draft) => draft.change === change),
    ),
    baseline,
    anchor,
  };
}

function worstOf(verdicts: readonly GateVerdict[]): GateVerdict {
  return (['fail', 'inconclusive'] as const).find((one) => verdicts.includes(one)) ?? 'pass';
}

/** Runs that no change could be seen in, however great, must not pass for runs in which none was seen (exit 2). */
function refuseTooFew({ tooFew }: Comparison, against: ChangeDraft['against']): void {
  if (tooFew === null) return;
  throw usageError(
    `too few runs to judge a change from the ${against}: ${tooFew}`,
    `measure each side with --repeats ${LEAST_REPEATS} or more (5 show smaller changes), or add runs of other days: bench gate --update --add`,
  );
}

function compareFor(base: readonly Repeat[], cand: readonly Repeat[], policy: Policy): Comparison {
  const metrics = policy.rules.flatMap(({ metric, worseRatio }) => (worseRatio === null ? [] : metric));
  const options: CompareOptions = {
    metrics: [...new Set(metrics)],
    marginRatio: MARGIN_RATIO,
    anyway: false,
    maxFailureRatio: policy.maxFailureRatio,
  };
  return compareRuns(base, cand, options);
}

interface ChangeDraft {
  readonly against: 'baseline' | 'anchor';
  readonly worseRatio: number;
  readonly change: Change;
  /** Runs of each side, of which some may have no value. */
  readonly repeats: Comparison['repeats'];
  readonly p: number | null;
}

function changeDrafts(
  { changes, repeats }: Comparison,
  against: ChangeDraft['against'],
  { rules }: Policy,
): ChangeDraft[] {
  return rules.flatMap(({ metric, level, worseRatio }) => {
    if (worseRatio === null) return [];
    const meant = changes.filter(
      (change) =>
        change.metric === metric &&
        (level === null ? change.level === null : change.level !== null && agrees(change.level, level)),
    );
    if (meant.length === 0) throw noSuchLevel(level!);
    return meant.map((change) => ({ against, worseRatio, change, repeats, p: change.pWorse }));
  });
}

/** How far apart the runs of a gross change are. */
function grossText({ grounds }: Change, against: ChangeDraft['against']): string {
  return grounds === 'history'
    ? `it is beyond every time of the ${against} by more than ${percentText(HISTORY_GROSS_RATIO)}, and by more than ${HISTORY_GROSS_RANGES} times their range of logs`
    : `every run is beyond every run of the ${against} by more than ${percentText(GROSS_RATIO)}`;
}

function changeCheck({ against, worseRatio, change, repeats }: ChangeDraft, pAdjusted: number | null): Check {
  const { metric, level, base, cand, changeRatio, lowRatio, highRatio, gross, reason } = change;
  const isLess = lessIsBetter(metric);
  const worse = changeRatio === null ? null : isLess ? changeRatio : -changeRatio;
  // A fall by 5 % is worse than the margin of 4 %, whatever the ratio the other way round.
  const bound = isLess ? highRatio : lowRatio === null ? null : -lowRatio;
  const common = {
    against,
    name: metric,
    level,
    asked: `${isLess ? 'rise' : 'fall'} by at most ${percentText(worseRatio)}`,
    base: meanOf(base),
    cand: meanOf(cand),
    change,
    pAdjusted,
  };
  const margin = percentText(worseRatio);
  if (base.length > 0 && cand.length === 0)
    return {
      ...common,
      verdict: 'fail',
      why: `no run of the candidate has a value, those of the ${against} have`,
    };
  const without = repeats.cand - cand.length;
  if (base.length === repeats.base && 2 * without > repeats.cand)
    return {
      ...common,
      verdict: 'fail',
      why: `${without} of ${repeats.cand} runs of the candidate have no value, all of the ${against} have`,
    };
  if (gross === 'worse' && worse! > worseRatio)
    return {
      ...common,
      verdict: 'fail',
      why: `worse by ${percentText(worse!)}: ${grossText(change, against)}`,
    };
  if (pAdjusted === null || bound === null) return { ...common, verdict: 'inconclusive', why: reason! };
  if (pAdjusted <= ALPHA && worse! > worseRatio)
    return {
      ...common,
      verdict: 'fail',
      why: `worse by ${percentText(worse!)}, which is beyond ${margin} and no chance (p ${pText(pAdjusted)})`,
    };
  if (bound < worseRatio)
    return { ...common, verdict: 'pass', why: `worse by less than ${percentText(Math.max(bound, 0))}` };
  return {
    ...common,
    verdict: 'inconclusive',
    why:
      worse! > worseRatio
        ? `worse by ${percentText(worse!)}, which may be chance (p ${pText(pAdjusted)})`
        : `may be worse by up to ${percentText(bound)}, beyond ${margin}`,
  };
}
