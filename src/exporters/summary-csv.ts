import { METRIC_IDS, metricValue } from '../core/metric-ids.ts';
import type { Report } from '../core/report.ts';
import { csvLine } from './csv.ts';

/**
 * `summary.csv`: a row per level. Headers are metric ids with their units, then one `tag.<key>` column
 * per tag of the run. A value that the level does not have is an empty cell.
 */
export function summaryCsv(report: Report): string {
  const tags = Object.entries(report.tags);
  const header = csvLine([...METRIC_IDS, ...tags.map(([key]) => `tag.${key}`)]);
  const rows = report.levels.map((level) =>
    csvLine([...METRIC_IDS.map((id) => metricValue(level, id)), ...tags.map(([, value]) => value)]),
  );
  return header + rows.join('');
}
