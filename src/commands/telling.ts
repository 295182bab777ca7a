import path from 'node:path';
import type { ExitCode } from '../core/errors.ts';
import type { Report } from '../core/report.ts';
import type { ExportKind } from '../exporters/export-kind.ts';
import { exportDirectory } from './exports.ts';
import type { RunEnd } from './one-run.ts';
import { pageOf } from './page.ts';
import type { RunSet } from './sets/run-set.ts';
import { print, printPage } from './terminal.ts';
import { withAdvice } from './unfinished.ts';

/** How the results of a command are told. */
export interface Telling {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly exports: readonly ExportKind[];
  readonly exportDir: string | undefined;
}

/** Tells one run on stdout, and writes its exports. */
export async function tellRun(end: RunEnd, how: Telling): Promise<ExitCode> {
  const { report, directory } = end;
  if (how.json) print(`${JSON.stringify(report)}\n`);
  else if (!how.quiet) {
    printPage(`${pageOf(withAdvice(report, directory), 'heaviest')}\n`);
    print(`results: ${directory}\n`);
  }
  tellExports(await exportRun(end, how, how.exportDir), how);
  return end.exitCode;
}

/** Prints the repeats of one folder as one page, or as a line of JSON each, and writes their exports. */
export async function tellRuns(
  ends: readonly RunEnd[],
  set: RunSet,
  directory: string,
  how: Telling,
): Promise<void> {
  const reports = ends.map(({ report }) => report);
  if (how.json) print(set.json());
  else if (!how.quiet) {
    printPage(`${set.text()}\n`);
    print(`${howToGoOn(reports, directory)}results: ${directory}\n`);
  }
  await exportRuns(ends, directory, how);
}

/** What to do where not all repeats are complete. */
function howToGoOn(reports: readonly Report[], directory: string): string {
  const complete = reports.filter(({ status }) => status === 'complete').length;
  const of = reports[0]?.spec.repeat?.of ?? complete;
  return complete >= of ? '' : `go on with it: bench sweep --resume ${directory}\n`;
}

/** Writes the exports of several runs of one folder, below `--export-dir` as the runs lie in that folder. */
export async function exportRuns(ends: readonly RunEnd[], directory: string, how: Telling): Promise<void> {
  for (const end of ends) {
    const below = how.exportDir && path.join(how.exportDir, path.relative(directory, end.directory));
    tellExports(await exportRun(end, how, below), how);
  }
}

function exportRun(
  { report, directory, whole }: RunEnd,
  how: Telling,
  folder: string | undefined,
): Promise<string[]> {
  return exportDirectory(whole ? how.exports : [], report, directory, folder);
}

function tellExports(files: readonly string[], { json, quiet }: Telling): void {
  if (!json && !quiet) print(files.map((file) => `export: ${file}\n`).join(''));
}
