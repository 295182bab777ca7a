import type { Change, Comparison } from '../core/compare.ts';
import type { ManyComparison } from '../core/compare-many.ts';
import { geometricMean } from '../core/distribution.ts';
import { GROSS_RATIO, HISTORY_GROSS_RANGES, HISTORY_GROSS_RATIO } from '../core/grounds.ts';
import type { FactSpread } from '../core/provenance-differences.ts';
import type { LevelKey } from '../core/repeat.ts';
import { figure, grouped, percent } from './figures.ts';
import { loadName } from './level-names.ts';
import { NOTHING } from './text-table.ts';

/** `4,000×1,000 C=16`, or `all levels`. */
export function levelName(level: LevelKey | null): string {
  if (level === null) return 'all levels';
  return `${grouped(level.isl)}×${grouped(level.osl)} ${loadName(level)}`;
}

/** What a change is over: one level, all of them, or all but those with too few requests. */
export function scopeName({ level, thinLevels }: Pick<Change, 'level' | 'thinLevels'>): string {
  return thinLevels === 0 ? levelName(level) : `all levels but ${grouped(thinLevels)}`;
}

/** A change with its sign: `+5.2 %`. */
export function signed(ratio: number | null): string {
  if (ratio === null) return NOTHING;
  const hundredths = ratio * 100;
  return `${hundredths < 0 ? '−' : '+'}${Math.abs(hundredths).toFixed(1)} %`;
}

/** Both bounds of a change. */
export function boundsText({
  lowRatio,
  highRatio,
}: {
  readonly lowRatio: number | null;
  readonly highRatio: number | null;
}): string {
  return lowRatio === null ? NOTHING : `${signed(lowRatio)} … ${signed(highRatio)}`;
}

/** `5 runs` */
export function runs(count: number): string {
  return `${grouped(count)} ${count === 1 ? 'run' : 'runs'}`;
}

/** What is not alike on both sides, a sentence each. */
export function differenceTexts({ differences }: Comparison): string[] {
  return differences.map(
    ({ fact, base, cand, incidental }) =>
      `${fact}${incidental ? ' (where or when)' : ''}: ${base.join(', ')} → ${cand.join(', ')}`,
  );
}

/** Whether more than one thing was changed between both sides. */
export function variableText({ singleVariable }: Comparison): string {
  return singleVariable ? 'yes: at most one thing differs' : 'no: several things differ';
}

/** The value of a side: the geometric mean of its repeats. */
export function meanText(values: readonly number[]): string {
  return values.length === 0 ? NOTHING : figure(geometricMean(values));
}

/** What the bounds stand on. */
export function groundsText(changes: readonly Change[]): string {
  const grounds = new Set(changes.flatMap((change) => change.grounds ?? []));
  if (grounds.has('history')) return 'Student’s t, with the variance of a baseline made at different times';
  return grounds.has('sets')
    ? 'Welch’s t on the logs of runs made at different times'
    : 'Welch’s t on the logs of the repeats';
}

/** When a change is called worse, or better, and when the same. */
export const VERDICT_TEXT = `its bound says that there is a change, or every run of it is beyond every run of the baseline by more than ${percent(GROSS_RATIO)} (of a history by more than ${percent(HISTORY_GROSS_RATIO)} and than ${HISTORY_GROSS_RANGES} times its range of logs), and its estimate is beyond the margin; same: both bounds are within it`;

/** For what the bounds hold together, and for what each by itself. */
export function familyText({ comparisons }: ManyComparison): string {
  const count = comparisons.length;
  if (count < 2) return 'each bound holds 95 times in 100; metrics and levels are told each by itself';
  const level = (comparisons[0]!.boundLevelRatio * 100).toFixed(2).replace(/0$/, '');
  return `each bound holds ${level} times in 100 (Bonferroni): at least 95 times in 100 the lower ones of all ${grouped(count)} candidates hold together, and so do the upper ones; metrics and levels are told each by itself`;
}

/** A fact that is not alike on all sides: `tag mtp: tp4 off, tp8 on`. */
export function spreadText({ fact, values, incidental }: FactSpread, names: readonly string[]): string {
  const each = values.map((ones, nth) => `${names[nth]!} ${ones.join(' and ')}`);
  return `${fact}${incidental ? ' (where or when)' : ''}: ${each.join(', ')}`;
}

/** Why changes have no bounds, once for each candidate and reason. */
export function reasonTexts(
  { sides, comparisons }: ManyComparison,
  isMeant: (change: Change) => boolean,
): string[] {
  const texts = comparisons.flatMap(({ changes }, nth) =>
    changes.filter(isMeant).flatMap(({ reason }) => {
      if (reason === null) return [];
      return comparisons.length === 1 ? reason : `${sides[nth + 1]!.name}: ${reason}`;
    }),
  );
  return [...new Set(texts)];
}
