import { loadNumber } from '../core/load.ts';
import type { Report } from '../core/report.ts';
import type { PageStyle } from '../exporters/page-style.ts';
import { renderReport } from '../exporters/terminal.ts';
import { isRich } from './terminal.ts';

/** Which levels' histograms stand below the table. */
export const HISTOGRAM_CHOICES = ['heaviest', 'all', 'none'] as const;
export type HistogramChoice = (typeof HISTOGRAM_CHOICES)[number];

/** How standard output is drawn on: as wide as it is, and in colour on a terminal that wants it. */
export function pageStyle(): PageStyle {
  return { colour: isRich(process.stdout), width: process.stdout.columns || 120 };
}

/** The report as a page for standard output. */
export function pageOf(report: Report, histograms: HistogramChoice): string {
  const heaviest = report.levels.toSorted((a, b) => loadNumber(b) - loadNumber(a))[0];
  return renderReport(report, {
    ...pageStyle(),
    histograms: histograms !== 'none',
    ...(histograms === 'heaviest' && heaviest !== undefined ? { histogramPoints: [heaviest.point] } : {}),
  });
}
