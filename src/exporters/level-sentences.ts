import type { LevelReport, Report } from '../core/report.ts';
import { groupBy, levelNames, levelsRun } from './level-names.ts';

/**
 * The same sentence of several levels once, with the levels' names where it does not hold for all that ran.
 * `word` stands before all: `WARNING at concurrency 64: …`.
 */
export function sentences(report: Report, of: (level: LevelReport) => string | null, word = ''): string[] {
  const run = levelsRun(report);
  const said = groupBy(run, (level) => of(level) ?? '');
  return [...said]
    .filter(([text]) => text !== '')
    .map(([text, levels]) => {
      const where = levels.length === run.length ? '' : levelNames(report, levels);
      const start = [word, where].filter((part) => part !== '').join(' at ');
      return start === '' ? text : `${start}: ${text}`;
    });
}
