import type { Report } from '../core/report.ts';
import { renderReport } from '../exporters/terminal.ts';

/** Which levels' histograms stand below the table. */
export const HISTOGRAM_CHOICES = ['heaviest', 'all', 'none'] as const;
export type HistogramChoice = (typeof HISTOGRAM_CHOICES)[number];

/** The report as a page for standard output: as wide as it is, and in colour on a terminal that wants it. */
export function pageOf(report: Report, histograms: HistogramChoice): string {
  const { columns, isTTY } = process.stdout;
  const heaviest = report.levels.toSorted((a, b) => b.concurrency - a.concurrency)[0];
  return renderReport(report, {
    colour: isTTY === true && !process.env['NO_COLOR'],
    width: columns || 120,
    histograms: histograms !== 'none',
    ...(histograms === 'heaviest' && heaviest !== undefined ? { histogramPoints: [heaviest.point] } : {}),
  });
}
