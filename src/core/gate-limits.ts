import { isBroken, tooThin } from './compare.ts';
import { ALPHA, adjusted, type Check, limitText, meanOf, pText } from './gate-check.ts';
import { lessIsBetter } from './metric-ids.ts';
import { agrees, noSuchLevel, type Policy } from './policy.ts';
import { keyOf, type LevelKey, type Repeat, type RepeatLevel, sameLevel } from './repeat.ts';
import { changeFrom } from './welch.ts';

/** Of fewer runs each is compared with a limit individually. */
const LEAST_RUNS = 4;

/**
 * The candidate against the limits of a policy, each at each level that it means. Of at least LEAST_RUNS runs: fails when their
 * mean is beyond the limit and that is no chance, passes when its one-sided 95 % bound is within. Of fewer, each must keep it.
 */
export function limitChecks(cand: readonly Repeat[], policy: Policy): Check[] {
  return adjusted(limitDrafts(cand, policy)).map(({ draft, p }) => limitCheck(draft, p));
}

interface LimitDraft {
  readonly metric: string;
  readonly limit: number;
  readonly level: LevelKey;
  readonly values: readonly number[];
  /** Why the values say nothing; null when they do. */
  readonly reason: string | null;
  readonly change: ReturnType<typeof changeFrom>;
  readonly p: number | null;
  /** Levels that the rule means as well and that have too few requests for it. */
  readonly thinLevels: number;
}

/**
 * Each rule with a limit, at each level that it means. A rule for all levels leaves out those with too few requests for its
 * percentile, as long as there are others.
 */
function limitDrafts(cand: readonly Repeat[], { rules, maxFailureRatio }: Policy): LimitDraft[] {
  return rules.flatMap(({ metric, level, limit }) => {
    if (limit === null) return [];
    const keys = cand[0]!.levels.filter((one) => level === null || agrees(one, level));
    if (keys.length === 0) throw noSuchLevel(level!);
    const isThin = (levels: readonly RepeatLevel[]): boolean =>
      tooThin(metric, [levels]) !== null && !levels.some((one) => isBroken(one, maxFailureRatio));
    const thick = level === null ? keys.filter((key) => !isThin(levelsAt(cand, key))) : keys;
    const judged = thick.length === 0 ? keys : thick;
    const thinLevels = keys.length - judged.length;
    return judged.map((key) => ({
      ...limitDraft(metric, limit, key, levelsAt(cand, key), maxFailureRatio),
      thinLevels,
    }));
  });
}

function levelsAt(runs: readonly Repeat[], key: LevelKey): RepeatLevel[] {
  return runs.flatMap(({ levels }) => levels.find((level) => sameLevel(level, key)) ?? []);
}

function limitDraft(
  metric: string,
  limit: number,
  level: LevelKey,
  levels: readonly RepeatLevel[],
  maxFailureRatio: number,
): Omit<LimitDraft, 'thinLevels'> {
  const values = levels.flatMap(({ values }) => values[metric] ?? []);
  const broken = levels.some((level) => isBroken(level, maxFailureRatio));
  const reason =
    (broken ? 'a repeat is partial or had failures' : null) ??
    tooThin(metric, [levels]) ??
    (values.length < levels.length || values.length === 0 ? 'a repeat has no value' : null);
  const change = reason !== null || values.length < LEAST_RUNS ? null : changeFrom(limit, values);
  const p = change === null ? null : lessIsBetter(metric) ? change.pRise : change.pFall;
  return { metric, limit, level: keyOf(level), values, reason, change, p };
}

function limitCheck(draft: LimitDraft, pAdjusted: number | null): Check {
  const { metric, limit, level, values, reason, change, thinLevels } = draft;
  const thin = thinLevels === 0 ? '' : ` (${thinLevels} levels have too few requests)`;
  const isLess = lessIsBetter(metric);
  const within = (value: number): boolean => (isLess ? value <= limit : value >= limit);
  const mean = meanOf(values);
  const common = {
    against: 'limit' as const,
    name: metric,
    level,
    asked: `${isLess ? 'at most' : 'at least'} ${limitText(metric, limit)}${thin}`,
    base: null,
    cand: mean,
    change: null,
    pAdjusted,
  };
  if (reason !== null) return { ...common, verdict: 'inconclusive', why: reason };
  const told = `${limitText(metric, mean!)}`;
  if (change === null || pAdjusted === null) {
    // Of few runs each is held against the limit by itself: no claim is made beyond what was measured.
    const inside = values.filter(within).length;
    const verdict = inside === values.length ? 'pass' : inside === 0 ? 'fail' : 'inconclusive';
    return { ...common, verdict, why: `${inside} of ${values.length} runs kept it, as measured` };
  }
  if (pAdjusted <= ALPHA && !within(mean!))
    return { ...common, verdict: 'fail', why: `${told}, which is no chance (p ${pText(pAdjusted)})` };
  const bound = limit * Math.exp(isLess ? change.high : change.low);
  if (within(bound))
    return { ...common, verdict: 'pass', why: `${told}, its bound ${limitText(metric, bound)}` };
  return {
    ...common,
    verdict: 'inconclusive',
    why: `${told}, its bound ${limitText(metric, bound)} beyond the limit`,
  };
}
