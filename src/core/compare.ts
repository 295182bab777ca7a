import { geometricMean, sum } from './distribution.ts';
import { usageError } from './errors.ts';
import { metricValue } from './metric-ids.ts';
import { differences, type FactDifference, obstaclesTo } from './provenance-differences.ts';
import type { LevelReport, Report } from './report.ts';
import { ENOUGH_SAMPLES } from './stats.ts';
import { LEAST_REPEATS, type WelchChange, welchChange } from './welch.ts';

/** Metrics that are compared unless others are named. */
export const COMPARED = [
  'ttftMs.p50',
  'ttftMs.p99',
  'tpotMs.p50',
  'tokenItlMs.p50',
  'tokenItlMs.p99',
  'e2eMs.p50',
  'outputTokensPerS',
  'requestsPerS',
] as const;

/** A change below this is of no interest unless another margin is given. */
export const MARGIN_RATIO = 0.02;

export type ChangeVerdict = 'better' | 'worse' | 'same' | 'cannot tell';

/** Shape and concurrency, by which levels of different runs belong together. */
export interface LevelKey {
  readonly isl: number;
  readonly osl: number;
  readonly concurrency: number;
}

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
  /** One-sided bounds of it, at 95 % each; null where the repeats do not tell. */
  readonly lowRatio: number | null;
  readonly highRatio: number | null;
  /** The smallest rise of a time, or fall of a rate, that these repeats would have shown 90 times in 100. */
  readonly smallestRatio: number | null;
  readonly verdict: ChangeVerdict;
  /** Why it cannot be told; null otherwise. */
  readonly reason: string | null;
}

/** What came of comparing two sides. */
export interface Comparison {
  readonly repeats: { readonly base: number; readonly cand: number };
  readonly marginRatio: number;
  /** Over all levels, one per metric; then per level. */
  readonly changes: readonly Change[];
  /** What is not alike on both sides. */
  readonly differences: readonly FactDifference[];
  /** Whether at most one thing was changed between both sides. */
  readonly singleVariable: boolean;
  /** What forbids a comparison, which was allowed all the same. */
  readonly overruled: readonly string[];
}

export interface CompareOptions {
  /** Ids of `report.json`. */
  readonly metrics: readonly string[];
  readonly marginRatio: number;
  /** Compare what is not comparable. */
  readonly anyway: boolean;
}

/** Whether less of the metric is better: times are, rates are not. Throws (exit 2) for a metric that is neither. */
export function lessIsBetter(metric: string): boolean {
  if (/^(steady\.)?(ttft|itl|tokenItl|tpot|e2e)Ms\./.test(metric) && !metric.endsWith('.count')) return true;
  if (/PerS(PerGpu|PerUser)?(\.|$)/.test(metric) && !metric.endsWith('.count')) return false;
  throw usageError(
    `"${metric}" has no better and no worse`,
    'name a latency (ttftMs.p50) or a rate (outputTokensPerS)',
  );
}

/**
 * Compares runs, each report being one repeat of all its levels. Statistics stand on the repeats alone: the variance
 * within a run says nothing of that between runs. Throws (exit 2) for runs that do not measure the same thing.
 */
export function compareRuns(
  base: readonly Report[],
  cand: readonly Report[],
  options: CompareOptions,
): Comparison {
  for (const metric of options.metrics) lessIsBetter(metric);
  const found = differences(base, cand);
  const obstacles = obstaclesTo(base, cand);
  if (obstacles.length > 0 && !options.anyway)
    throw usageError(`not comparable: ${obstacles.join('; ')}`, 'compare like with like, or say --anyway');
  const keys = commonLevels([...base, ...cand]);
  if (keys.length === 0)
    throw usageError('no level is on both sides', 'compare runs with a shape and concurrency in common');
  const sides = { base, cand };
  const perLevel = options.metrics.map((metric) => keys.map((key) => changeAt(metric, key, sides, options)));
  const overall = options.metrics.map((metric, nth) => overLevels(metric, perLevel[nth]!, options));
  return {
    repeats: { base: base.length, cand: cand.length },
    marginRatio: options.marginRatio,
    changes: [...overall, ...perLevel.flat().map(({ change }) => change)],
    differences: found,
    singleVariable: found.filter(({ incidental }) => !incidental).length <= 1,
    overruled: obstacles,
  };
}

/** Levels that every report has, in the order of the first. */
function commonLevels(reports: readonly Report[]): LevelKey[] {
  return reports[0]!.levels
    .map(({ isl, osl, concurrency }) => ({ isl, osl, concurrency }))
    .filter((key) => reports.every((report) => levelOf(report, key) !== undefined));
}

function levelOf(report: Report, key: LevelKey): LevelReport | undefined {
  return report.levels.find(
    ({ isl, osl, concurrency }) => isl === key.isl && osl === key.osl && concurrency === key.concurrency,
  );
}

interface Sides {
  readonly base: readonly Report[];
  readonly cand: readonly Report[];
}

/** A change at one level, and what speaks against its values whatever the number of repeats. */
interface AtLevel {
  readonly change: Change;
  readonly obstacle: string | null;
}

function changeAt(metric: string, key: LevelKey, sides: Sides, options: CompareOptions): AtLevel {
  const base = sides.base.map((report) => levelOf(report, key)!);
  const cand = sides.cand.map((report) => levelOf(report, key)!);
  const values = { base: valuesOf(metric, base), cand: valuesOf(metric, cand) };
  const obstacle =
    notWhole(base, 'baseline') ??
    notWhole(cand, 'candidate') ??
    tooThin(metric, base, cand) ??
    (values.base.length < base.length || values.cand.length < cand.length ? 'a repeat has no value' : null);
  const change = judged(metric, key, values.base, values.cand, obstacle, options);
  return { change, obstacle };
}

function valuesOf(metric: string, levels: readonly LevelReport[]): number[] {
  return levels.flatMap((level) => {
    const value = metricValue(level, metric);
    return typeof value === 'number' ? [value] : [];
  });
}

function notWhole(levels: readonly LevelReport[], side: string): string | null {
  const broken = levels.filter(({ status, requests }) => status !== 'complete' || requests.failed > 0).length;
  return broken === 0
    ? null
    : `${broken} of ${levels.length} repeats of the ${side} are partial or had failures`;
}

/** A percentile stands on all good requests of a side. */
function tooThin(metric: string, base: readonly LevelReport[], cand: readonly LevelReport[]): string | null {
  const percentile = /\.(p90|p95|p99|p999)$/.exec(metric)?.[1] as keyof typeof ENOUGH_SAMPLES | undefined;
  if (percentile === undefined) return null;
  const least = ENOUGH_SAMPLES[percentile];
  const good = [base, cand].map((side) => sum(side.map(({ requests }) => requests.good)));
  const few = Math.min(...good);
  return few >= least ? null : `${percentile} needs ${least} good requests a side, there are ${few}`;
}

/** The geometric mean over levels of each repeat, compared as one number. */
function overLevels(metric: string, levels: readonly AtLevel[], options: CompareOptions): Change {
  const obstacle = levels.find((one) => one.obstacle !== null)?.obstacle ?? null;
  const over = (side: 'base' | 'cand'): number[] => {
    const repeats = Math.min(...levels.map(({ change }) => change[side].length));
    return Array.from({ length: repeats }, (_, nth) =>
      geometricMean(levels.map(({ change }) => change[side][nth]!)),
    );
  };
  return judged(metric, null, over('base'), over('cand'), obstacle, options);
}

function judged(
  metric: string,
  level: LevelKey | null,
  base: readonly number[],
  cand: readonly number[],
  obstacle: string | null,
  { marginRatio }: CompareOptions,
): Change {
  const change = welchChange(base, cand);
  const few = Math.min(base.length, cand.length);
  const reason =
    obstacle ??
    (few === 0 ? 'no value' : null) ??
    (few < LEAST_REPEATS
      ? `at least ${LEAST_REPEATS} repeats a side are needed, there are ${base.length} and ${cand.length}`
      : null) ??
    (change === null ? 'a value is not positive' : null);
  const estimate = change?.log ?? logOfMeans(base, cand);
  return {
    metric,
    level,
    base,
    cand,
    changeRatio: estimate === null ? null : Math.expm1(estimate),
    lowRatio: change === null ? null : Math.expm1(change.low),
    highRatio: change === null ? null : Math.expm1(change.high),
    smallestRatio: change === null ? null : worsening(change.smallest, metric),
    verdict: reason === null && change !== null ? verdictOf(change, metric, marginRatio) : 'cannot tell',
    reason,
  };
}

/** A change of a log for the worse as a share: of a rise for times, of a fall for rates. */
function worsening(log: number, metric: string): number {
  return lessIsBetter(metric) ? Math.expm1(log) : -Math.expm1(-log);
}

/** The change where a side has one value alone. */
function logOfMeans(base: readonly number[], cand: readonly number[]): number | null {
  if (base.length === 0 || cand.length === 0) return null;
  const log = Math.log(geometricMean(cand) / geometricMean(base));
  return Number.isFinite(log) ? log : null;
}

/** `worse` only when a bound says that there is a change and the estimate that it matters; `same` when both bounds are within the margin. */
function verdictOf(change: WelchChange, metric: string, marginRatio: number): ChangeVerdict {
  const margin = Math.log1p(marginRatio);
  const sign = lessIsBetter(metric) ? 1 : -1;
  // Towards worse is up.
  const [low, high] = sign === 1 ? [change.low, change.high] : [-change.high, -change.low];
  const estimate = sign * change.log;
  if (low > 0 && estimate > margin) return 'worse';
  if (high < 0 && estimate < -margin) return 'better';
  return low > -margin && high < margin ? 'same' : 'cannot tell';
}
