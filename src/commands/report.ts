import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { InferredOptionTypes, Options } from 'yargs';
import { EXIT, type ExitCode, errorText, usageError } from '../core/errors.ts';
import { REPORT_SCHEMA, type Report } from '../core/report.ts';
import { EXPORTERS } from '../exporters/index.ts';
import { HISTOGRAM_CHOICES, type HistogramChoice, pageOf } from './page.ts';

export const REPORT_OPTIONS = {
  format: {
    choices: ['table', ...EXPORTERS.map((kind) => kind.name)],
    default: 'table',
    describe: 'what to print on stdout',
  },
  histograms: {
    choices: HISTOGRAM_CHOICES,
    default: 'heaviest',
    describe: 'levels whose histograms are drawn',
  },
} as const satisfies Record<string, Options>;

/** `bench report DIR`: renders a recorded run. */
export function runReport(args: InferredOptionTypes<typeof REPORT_OPTIONS> & { dir: string }): ExitCode {
  const report = readReport(args.dir);
  const exporter = EXPORTERS.find((kind) => kind.name === args.format);
  process.stdout.write(exporter?.render(report) ?? pageOf(report, args.histograms as HistogramChoice));
  return EXIT.ok;
}

/** Reads the report of a run's folder, or of the file itself. Exit 2 when it is none. */
export function readReport(place: string): Report {
  let file = place;
  try {
    if (statSync(place).isDirectory()) file = path.join(place, 'report.json');
    const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
    if (!Array.isArray(report.levels))
      throw usageError(`${file} is no report of bench`, 'name the folder of a run');
    if (report.schema !== REPORT_SCHEMA) {
      throw usageError(
        `${file} has schema ${String(report.schema)}, this bench reads ${REPORT_SCHEMA}`,
        'use the bench that wrote it',
      );
    }
    return report;
  } catch (error) {
    if (error instanceof SyntaxError || (error instanceof Error && 'code' in error)) {
      throw usageError(
        `cannot read ${file} (${errorText(error)})`,
        'name the folder of a run, as in results/sample',
      );
    }
    throw error;
  }
}
