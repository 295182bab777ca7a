import { isBent } from '../core/bursts.ts';
import { isEstimated } from '../core/estimates.ts';
import type { LevelReport } from '../core/report.ts';
import { isDoubtful } from '../core/validity.ts';

/** Stands before a value that events in groups bent. */
export const BENT = '*';
/** Stands before a value that is an estimate. */
export const ESTIMATED = '≈';

/** What stands before a level's metric that says nothing of the model, or is an estimate. */
export function readingMark(level: LevelReport, id: string): string {
  return (isBent(level, id) ? BENT : '') + (isEstimated(level, id) ? ESTIMATED : '');
}

/** The same, behind `?` where the value is not valid. */
export function valueMark(level: LevelReport, id: string): string {
  return (isDoubtful(level.validity, id) ? '?' : '') + readingMark(level, id);
}
