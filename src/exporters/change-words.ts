import type { Change, Comparison } from '../core/compare.ts';
import type { LevelKey } from '../core/repeat.ts';
import { grouped } from './figures.ts';
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
