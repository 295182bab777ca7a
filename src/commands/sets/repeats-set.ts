import { loadOf } from '../../core/load.ts';
import { JUDGED_IDS, metricValue } from '../../core/metric-ids.ts';
import type { LevelReport } from '../../core/report.ts';
import { levelsOfRuns, runSpread } from '../../core/run-spread.ts';
import { renderRepeats } from '../../exporters/repeats-table.ts';
import { pageStyle } from '../page.ts';
import type { RunSet, SetRun } from './run-set.ts';

export const REPEATS_FILE = 'repeats.json';
export const REPEATS_SCHEMA = 'bench-serving.repeats/1';

/** The repeats of `--repeats`; `repeats` is how many were requested. */
export function repeatsSet(runs: readonly SetRun[], repeats: number): RunSet {
  const reports = runs.map(({ report }) => report);
  return {
    file: REPEATS_FILE,
    content: { schema: REPEATS_SCHEMA, ...{ repeats, levels: levelsOfRuns(reports).map(levelResult) } },
    runs,
    complete: reports.length === repeats && reports.every(({ status }) => status === 'complete'),
    text: () => renderRepeats(reports, pageStyle()),
    json: () => reports.map((report) => `${JSON.stringify(report)}\n`).join(''),
    notes: [],
    async page() {
      const { renderHtmlRepeats } = await import('../../exporters/html/repeats-page.ts');
      return renderHtmlRepeats(reports);
    },
  };
}

/** A level over its complete runs: of each metric the geometric mean in its own unit, and how far the runs spread. */
function levelResult(runs: readonly LevelReport[]) {
  const [first] = runs;
  const complete = runs.filter(({ status }) => status === 'complete').length;
  const metrics = JUDGED_IDS.flatMap((id) => {
    const spread = runSpread(runs, (level) => {
      const value = metricValue(level, id);
      return typeof value === 'number' ? value : null;
    });
    return spread === null ? [] : [[id, spread] as const];
  });
  const { isl, osl } = first!;
  return { isl, osl, ...loadOf(first!), complete, metrics: Object.fromEntries(metrics) };
}
