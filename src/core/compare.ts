import { geometricMean, sum } from './distribution.ts';
import { usageError } from './errors.ts';
import {
  type GroundedChange,
  type Grounds,
  groundedChange,
  groundsOf,
  type Sides,
  type Values,
} from './grounds.ts';
import { lessIsBetter } from './metric-ids.ts';
import { differences, type FactDifference, obstaclesTo } from './provenance-differences.ts';
import { keyOf, type LevelKey, type Repeat, type RepeatLevel, refuseTwice, sameLevel } from './repeat.ts';
import { ENOUGH_SAMPLES } from './stats.ts';
import { boundLevel } from './welch.ts';

/** A change below this is of no interest unless another margin is given. */
export const MARGIN_RATIO = 0.02;

export type ChangeVerdict = 'better' | 'worse' | 'same' | 'cannot tell';

/** How one metric changed, at one level or over all of them. */
export interface Change {
  readonly metric: string;
  /** null: the geometric mean over all levels that both sides have. */
  readonly level: LevelKey | null;
  /** One value per repeat, in the metric's own unit; of the geometric mean over levels where `level` is null. */
  readonly base: readonly number[];
  readonly cand: readonly number[];
  /** Geometric mean of the candidate's values ÷ that of the baseline's − 1; null where there is none. */
  readonly changeRatio: number | null;
  /** One-sided bounds of it, each at `Comparison.boundLevelRatio`; null where the repeats do not tell. */
  readonly lowRatio: number | null;
  readonly highRatio: number | null;
  /** The smallest rise of a time, or fall of a rate, that these repeats would have shown 90 times in 100. */
  readonly smallestRatio: number | null;
  /** One-sided p value of so great a change for the worse where there is none; null where the repeats do not tell. */
  readonly pWorse: number | null;
  /**
   * Which way every run of the candidate is beyond every run of the baseline by more than GROSS_RATIO, or beyond every time of a
   * history by more than HISTORY_GROSS_RATIO and HISTORY_GROSS_RANGES; null where they are not.
   */
  readonly gross: 'better' | 'worse' | null;
  readonly grounds: Grounds | null;
  readonly verdict: ChangeVerdict;
  /** Why it cannot be told; null otherwise. */
  readonly reason: string | null;
  /** Levels with too few requests for this percentile, which the mean over levels leaves out. */
  readonly thinLevels: number;
}

/** What came of comparing two sides. */
export interface Comparison {
  readonly repeats: { readonly base: number; readonly cand: number };
  readonly marginRatio: number;
  /** How often each one-sided bound holds: 0.95, or more where several candidates were held against the baseline. */
  readonly boundLevelRatio: number;
  /** Over all levels, one per metric; then per level. */
  readonly changes: readonly Change[];
  /** What is not alike on both sides. */
  readonly differences: readonly FactDifference[];
  /** Whether at most one thing was changed between both sides. */
  readonly singleVariable: boolean;
  /** What forbids a comparison, which was allowed all the same. */
  readonly overruled: readonly string[];
  /** Why no change has bounds: too few runs, with the number that is needed; null where there are enough. */
  readonly tooFew: string | null;
}

export interface CompareOptions {
  /** Ids of `report.json`. */
  readonly metrics: readonly string[];
  readonly marginRatio: number;
  /** Compare what is not comparable. */
  readonly anyway: boolean;
  /** The share of failed requests up to which a level is compared by its good ones; 0 where left out. */
  readonly maxFailureRatio?: number;
  /** How many candidates are held against the same baseline, of which none shall be told wrong by chance; 1 where left out. */
  readonly family?: number;
}

/**
 * Compares runs, each being one repeat of all its levels. Statistics stand on the repeats alone: the variance
 * within a run says nothing of that between runs. Throws (exit 2) for runs that do not measure the same thing.
 */
export function compareRuns(
  base: readonly Repeat[],
  cand: readonly Repeat[],
  options: CompareOptions,
): Comparison {
  for (const metric of options.metrics) lessIsBetter(metric);
  refuseTwice(base, 'baseline');
  refuseTwice(cand, 'candidate');
  const found = differences(base, cand);
  const obstacles = obstaclesTo(base, cand);
  if (obstacles.length > 0 && !options.anyway)
    throw usageError(`not comparable: ${obstacles.join('; ')}`, 'compare like with like, or say --anyway');
  const keys = commonLevels([...base, ...cand]);
  if (keys.length === 0)
    throw usageError('no level is on both sides', 'compare runs with a shape and load in common');
  const sides: JudgedSides = { base, cand, by: groundsOf({ base, cand }) };
  const perLevel = options.metrics.map((metric) => keys.map((key) => changeAt(metric, key, sides, options)));
  const overall = options.metrics.map((metric, nth) => overLevels(metric, perLevel[nth]!, sides, options));
  return {
    repeats: { base: base.length, cand: cand.length },
    marginRatio: options.marginRatio,
    boundLevelRatio: boundLevel(options.family ?? 1),
    changes: [...overall, ...perLevel.flat().map(({ change }) => change)],
    differences: found,
    singleVariable: found.filter(({ incidental }) => !incidental).length <= 1,
    overruled: obstacles,
    tooFew: 'tooFew' in sides.by ? sides.by.tooFew : null,
  };
}

/** Levels that every run has, in the order of the first. */
function commonLevels(runs: readonly Repeat[]): LevelKey[] {
  return runs[0]!.levels.map(keyOf).filter((key) => runs.every((run) => levelOf(run, key) !== undefined));
}

function levelOf(run: Repeat, key: LevelKey): RepeatLevel | undefined {
  return run.levels.find((level) => sameLevel(level, key));
}

/** Both sides with what they can be judged by. */
interface JudgedSides extends Sides {
  readonly by: ReturnType<typeof groundsOf>;
}

/** A change at one level, and what speaks against its values whatever the number of repeats. */
interface AtLevel {
  readonly change: Change;
  readonly obstacle: string | null;
  readonly isThin: boolean;
}

function changeAt(metric: string, key: LevelKey, sides: JudgedSides, options: CompareOptions): AtLevel {
  const base = sides.base.map((run) => levelOf(run, key)!);
  const cand = sides.cand.map((run) => levelOf(run, key)!);
  const values = { base: valuesOf(metric, base), cand: valuesOf(metric, cand) };
  const mayFail = options.maxFailureRatio ?? 0;
  const thin = tooThin(metric, [base, cand]);
  const cut = notWhole(base, 'baseline', mayFail) ?? notWhole(cand, 'candidate', mayFail);
  const obstacle =
    cut ??
    thin ??
    without(base.length - values.base.length, base.length, 'baseline') ??
    without(cand.length - values.cand.length, cand.length, 'candidate');
  const change = judged(metric, key, values, sides, obstacle, options);
  return { change, obstacle, isThin: cut === null && thin !== null };
}

function valuesOf(metric: string, levels: readonly RepeatLevel[]): number[] {
  return levels.flatMap((level) => level.values[metric] ?? []);
}

function without(count: number, repeats: number, side: string): string | null {
  return count === 0 ? null : `${count} of ${repeats} repeats of the ${side} without a value`;
}

function notWhole(levels: readonly RepeatLevel[], side: string, maxFailureRatio: number): string | null {
  const broken = levels.filter((level) => isBroken(level, maxFailureRatio)).length;
  return broken === 0
    ? null
    : `${broken} of ${levels.length} repeats of the ${side} are partial or had failures`;
}

/** Whether a level is partial, or had more failures than it may have. */
export function isBroken({ status, sent, failed }: RepeatLevel, maxFailureRatio: number): boolean {
  return status !== 'complete' || failed > maxFailureRatio * sent;
}

/** Why a percentile of these levels is none: it stands on all good requests of a side, which are too few. null when they are not. */
export function tooThin(metric: string, sides: readonly (readonly RepeatLevel[])[]): string | null {
  const percentile = /\.(p90|p95|p99|p999)$/.exec(metric)?.[1] as keyof typeof ENOUGH_SAMPLES | undefined;
  if (percentile === undefined) return null;
  const least = ENOUGH_SAMPLES[percentile];
  const few = Math.min(...sides.map((levels) => sum(levels.map(({ good }) => good))));
  return few >= least ? null : `${percentile} needs ${least} good requests a side, there are ${few}`;
}

/** The geometric mean over levels of each repeat, compared as one number; without those too thin for it, while there are others. */
function overLevels(
  metric: string,
  all: readonly AtLevel[],
  sides: JudgedSides,
  options: CompareOptions,
): Change {
  const thick = all.filter(({ isThin }) => !isThin);
  const levels = thick.length === 0 ? all : thick;
  const obstacle = levels.find((one) => one.obstacle !== null)?.obstacle ?? null;
  const over = (side: 'base' | 'cand'): number[] => {
    const repeats = Math.min(...levels.map(({ change }) => change[side].length));
    return Array.from({ length: repeats }, (_, nth) =>
      geometricMean(levels.map(({ change }) => change[side][nth]!)),
    );
  };
  const change = judged(metric, null, { base: over('base'), cand: over('cand') }, sides, obstacle, options);
  return { ...change, thinLevels: all.length - levels.length };
}

function judged(
  metric: string,
  level: LevelKey | null,
  values: Values,
  sides: JudgedSides,
  obstacle: string | null,
  { marginRatio, family = 1 }: CompareOptions,
): Change {
  const { base, cand } = values;
  const { by } = sides;
  const reason = obstacle ?? (base.length === 0 ? 'no value' : 'tooFew' in by ? by.tooFew : null);
  const { log: change, gross }: GroundedChange =
    reason !== null || 'tooFew' in by
      ? { log: null, gross: null }
      : groundedChange(values, sides, by.grounds, boundLevel(family));
  const estimate =
    change?.log ?? logOfMeans(base, cand) ?? (gross === 'fall' ? Number.NEGATIVE_INFINITY : null);
  const isLess = lessIsBetter(metric);
  return {
    metric,
    level,
    base,
    cand,
    changeRatio: estimate === null ? null : Math.expm1(estimate),
    lowRatio: change === null ? null : Math.expm1(change.low),
    highRatio: change === null ? null : Math.expm1(change.high),
    smallestRatio: change === null ? null : worsening(change.smallest, metric),
    pWorse: change === null ? null : isLess ? change.pRise : change.pFall,
    gross: gross === null ? null : (gross === 'rise') === isLess ? 'worse' : 'better',
    grounds: (change === null && gross === null) || 'tooFew' in by ? null : by.grounds,
    verdict: estimate === null ? 'cannot tell' : verdictOf({ change, estimate, gross }, isLess, marginRatio),
    reason: reason ?? (change === null && gross === null ? 'a value is not positive' : null),
    thinLevels: 0,
  };
}

/** A change of a log for the worse as a share: of a rise for times, of a fall for rates. */
function worsening(log: number, metric: string): number {
  return lessIsBetter(metric) ? Math.expm1(log) : -Math.expm1(-log);
}

/** The change where bounds of it are not known. */
function logOfMeans(base: readonly number[], cand: readonly number[]): number | null {
  if (base.length === 0 || cand.length === 0) return null;
  const log = Math.log(geometricMean(cand) / geometricMean(base));
  return Number.isFinite(log) ? log : null;
}

/**
 * `worse` only when a bound, or how far apart all runs are, says that there is a change and the estimate that it matters; `same`
 * when both bounds are within the margin.
 */
function verdictOf(
  {
    change,
    estimate,
    gross,
  }: { change: GroundedChange['log']; estimate: number; gross: GroundedChange['gross'] },
  isLess: boolean,
  marginRatio: number,
): ChangeVerdict {
  const rise = Math.log1p(marginRatio);
  const fall = Math.log1p(-marginRatio);
  const rose = gross === 'rise' || (change !== null && change.low > 0);
  const fell = gross === 'fall' || (change !== null && change.high < 0);
  if (rose && estimate > rise) return isLess ? 'worse' : 'better';
  if (fell && estimate < fall) return isLess ? 'better' : 'worse';
  return change !== null && change.low > fall && change.high < rise ? 'same' : 'cannot tell';
}
