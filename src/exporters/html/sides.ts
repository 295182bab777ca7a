import { geometricMean } from '../../core/distribution.ts';
import type { LevelReport, Report } from '../../core/report.ts';
import { levelName } from '../change-words.ts';
import { levelsRun } from '../level-names.ts';
import { RUN_COLOURS, SYMBOLS } from './charts.ts';

/** A side of a comparison and its runs. */
export interface HtmlSide {
  readonly name: string;
  readonly reports: readonly Report[];
}

/** A level of a side in all of its runs. */
export interface SideLevel {
  readonly name: string;
  readonly runs: readonly LevelReport[];
}

/** Levels of a side that sent anything, those of the same name together, in the order of its first run. */
export function levelsOf({ reports }: HtmlSide): SideLevel[] {
  const found = new Map<string, LevelReport[]>();
  for (const level of reports.flatMap(levelsRun)) {
    const name = levelName(level);
    found.set(name, [...(found.get(name) ?? []), level]);
  }
  return [...found].map(([name, runs]) => ({ name, runs }));
}

/** Names of the levels of all sides, each once. */
export function allLevelNames(sides: readonly HtmlSide[]): string[] {
  return [...new Set(sides.flatMap((side) => levelsOf(side).map(({ name }) => name)))];
}

/** A number of a level over the runs: their geometric mean, or null where one of them has none. */
export function meanOf(
  runs: readonly LevelReport[],
  value: (level: LevelReport) => number | null,
): number | null {
  const values = runs.map(value);
  if (!values.every((one) => one !== null) || values.length === 0) return null;
  if (values.length === 1) return values[0]!;
  return values.every((one) => one > 0) ? geometricMean(values) : null;
}

/** What a side is drawn with; a sign of its own as well, for those who see colours otherwise. */
export function markOf(nth: number): { readonly colour: string; readonly symbol: string } {
  return { colour: RUN_COLOURS[nth % RUN_COLOURS.length]!, symbol: SYMBOLS[nth % SYMBOLS.length]! };
}
