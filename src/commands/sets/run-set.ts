import path from 'node:path';
import { EXIT, type ExitCode, errorText } from '../../core/errors.ts';
import type { Report } from '../../core/report.ts';
import { HTML_FILE } from '../../exporters/html/export.ts';
import { writeAtomic } from '../../host/store.ts';
import { VERSION } from '../about.ts';
import type { RunEnd } from '../one-run.ts';
import { printError } from '../terminal.ts';

/** A run of a command that makes several. */
export interface SetRun {
  /** Its folder, from that of the command. */
  readonly folder: string;
  readonly report: Report;
}

/** How far the command came. */
export type SetStatus = Report['status'];

/** The results of a command that makes several runs, as far as these have ended. */
export interface RunSet {
  /** The name of the document in the command's folder. */
  readonly file: string;
  /** What the document says beside its status and its runs; the first key is its schema. */
  readonly content: { readonly schema: string };
  readonly runs: readonly SetRun[];
  /** Whether nothing is missing. */
  readonly complete: boolean;
  /** What the command prints at its end, and the same as JSON. */
  text(): string;
  json(): string;
  /** What it prints on stderr beside that, a line each. */
  readonly notes: readonly string[];
  /** The page to look at; null where there is nothing to show. */
  page(): Promise<string | null>;
}

/** The runs that have ended, as those of the command's folder. */
export function setRuns(ends: readonly RunEnd[], directory: string): SetRun[] {
  return ends.map((end) => ({ folder: path.relative(directory, end.directory), report: end.report }));
}

/** The document of a set. */
function documentText({ content: { schema, ...content }, runs }: RunSet, status: SetStatus): string {
  const document = {
    schema,
    bench: VERSION,
    status,
    updatedUtc: new Date().toISOString(),
    runs: runs.map(({ folder, report }) => ({ folder, status: report.status, utc: report.origin.utc })),
    ...content,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Writes the document while the command is running, after each run; what the disk refuses is reported at the end. */
export function saveRunning(set: RunSet, directory: string): void {
  try {
    writeAtomic(path.join(directory, set.file), documentText(set, 'running'));
  } catch {
    // `saveEnd` tries again.
  }
}

/** Writes the document and the page at the command's end. Exit 2 where the disk refuses the document; a missing page is no failure. */
export async function saveEnd(set: RunSet, directory: string, exitCode: ExitCode): Promise<ExitCode> {
  const interrupted = exitCode === EXIT.interrupted || exitCode === EXIT.terminated;
  const status = set.complete ? 'complete' : interrupted ? 'interrupted' : 'failed';
  try {
    writeAtomic(path.join(directory, set.file), documentText(set, status));
  } catch (error) {
    printError(
      `bench: --out: ${set.file} in ${directory} is not on disk (${errorText(error)})\n` +
        '  make room on that disk; the runs in that folder can be compared all the same\n',
    );
    return EXIT.usage;
  }
  await savePage(set, directory);
  return EXIT.ok;
}

/** Writes the page into `directory` and gives its path; null where there is nothing to show, or the disk refuses (reported on stderr). */
export async function savePage(set: RunSet, directory: string): Promise<string | null> {
  const file = path.join(directory, HTML_FILE);
  try {
    const page = await set.page();
    if (page === null) return null;
    writeAtomic(file, page);
    return file;
  } catch (error) {
    printError(`bench: ${file} was not made (${errorText(error)})\n`);
    return null;
  }
}
