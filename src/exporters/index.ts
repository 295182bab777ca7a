import type { Kind } from '../core/kind.ts';
import type { Report } from '../core/report.ts';
import { histogramsCsv } from './histograms-csv.ts';
import { reportJson } from './json.ts';
import { summaryCsv } from './summary-csv.ts';

/** A file that is made from a report. */
export interface FormatKind extends Kind {
  /** Where the file lies, below the results directory. */
  readonly file: string;
  /** The file's whole text. Pure. */
  render(report: Report): string;
}

/** All exports, in the order of `--help`. */
export const EXPORTERS: readonly FormatKind[] = [
  {
    name: 'json',
    about: 'the whole report, with definitions and provenance',
    file: 'report.json',
    render: reportJson,
  },
  {
    name: 'csv',
    about: 'a row per level, a column per metric',
    file: 'summary.csv',
    render: summaryCsv,
  },
  {
    name: 'histograms',
    about: 'a row per bucket of each latency distribution, and tokens per second over time',
    file: 'histograms.csv',
    render: histogramsCsv,
  },
];
