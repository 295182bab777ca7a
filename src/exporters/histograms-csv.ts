import { HISTOGRAM_NAMES, type LevelReport, type Report } from '../core/report.ts';
import { csvLine } from './csv.ts';
import { type Cell, decimalBuckets, decodeCells } from './histogram-cells.ts';

/**
 * `histograms.csv`: a row per non-empty bucket `[from, to)` of each level's distributions, in the unit that
 * the metric's name ends with, and how many of all samples lie below `to`. Rows of the metric
 * `timeline.outputTokens` are the level's seconds: `from` and `to` in seconds since the first measured
 * send, `count` the output tokens that arrived.
 */
export function histogramsCsv(report: Report): string {
  const header = csvLine([
    'point',
    'concurrency',
    'ratePerS',
    'isl',
    'osl',
    'metric',
    'from',
    'to',
    'count',
    'cumulativeRatio',
  ]);
  return header + report.levels.map(levelRows).join('');
}

function levelRows(level: LevelReport): string {
  const distributions = HISTOGRAM_NAMES.map((name) =>
    rows(level, name, decimalBuckets(decodeCells(level.histograms[name]))),
  );
  return distributions.join('') + rows(level, 'timeline.outputTokens', timelineCells(level));
}

function rows(level: LevelReport, metric: string, cells: readonly Cell[]): string {
  const total = cells.reduce((sum, cell) => sum + cell.count, 0);
  let below = 0;
  return cells
    .map(({ from, to, count }) => {
      below += count;
      const ratio = total === 0 ? null : Number((below / total).toFixed(6));
      return csvLine([
        level.point,
        level.concurrency,
        level.ratePerS ?? null,
        level.isl,
        level.osl,
        metric,
        from,
        to,
        count,
        ratio,
      ]);
    })
    .join('');
}

/** The level's seconds as cells; the last one ends where the level ended. Empty seconds are kept. */
export function timelineCells(level: LevelReport): Cell[] {
  const { bucketS, outputTokens } = level.timeline;
  return outputTokens.map((count, index) => {
    const from = index * bucketS;
    const end = level.durationS ?? Number.POSITIVE_INFINITY;
    const to =
      index === outputTokens.length - 1 && end > from ? Math.min(from + bucketS, end) : from + bucketS;
    return { from, to, count };
  });
}
