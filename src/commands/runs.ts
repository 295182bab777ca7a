import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { BenchError, errorText, usageError } from '../core/errors.ts';
import { type Repeat, repeatOf } from '../core/repeat.ts';
import type { Report } from '../core/report.ts';
import { decodeText } from '../core/utf8.ts';
import { isBaseline, runsOf } from '../gate/baseline.ts';
import { asReport, readReport } from './read-report.ts';

const REPORT_FILE = 'report.json';

/** The run of a folder or file, or all runs that a folder holds, in the order of their names. Exit 2 when there is none. */
export function readRuns(place: string): Report[] {
  if (!isFolder(place)) return [readReport(place)];
  const folders = runFolders(place);
  if (folders.length === 0) throw usageError(`${place} holds no run`, 'name a run, or a folder of runs');
  return folders.map(readReport);
}

/** What a place holds for a comparison: runs, and their reports where it is no baseline. */
export interface ReadRepeats {
  readonly repeats: readonly Repeat[];
  /** null for a baseline, which holds of each run its figures alone. */
  readonly reports: readonly Report[] | null;
}

/** As `readRuns`, for a comparison; the file of a baseline gives the runs in it. */
export function readRepeats(place: string): ReadRepeats {
  if (isFolder(place)) return withRepeats(readRuns(place));
  const document = readDocument(place);
  return isBaseline(document)
    ? { repeats: runsOf(document, place), reports: null }
    : withRepeats([asReport(place, document)]);
}

function withRepeats(reports: readonly Report[]): ReadRepeats {
  return { repeats: reports.map(repeatOf), reports };
}

/** The folder itself where it is that of a run, else those inside of it that are; `10` comes behind `9`. */
export function runFolders(place: string): string[] {
  const holds = (dir: string): boolean => existsSync(path.join(dir, REPORT_FILE));
  if (holds(place)) return [place];
  return readdirSync(place)
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .map((name) => path.join(place, name))
    .filter(holds);
}

/** A JSON file. Exit 2 where there is none. */
export function readDocument(file: string): unknown {
  try {
    return JSON.parse(decodeText(readFileSync(file), file));
  } catch (error) {
    if (error instanceof BenchError) throw error;
    throw usageError(
      `cannot read ${file} (${errorText(error)})`,
      'name the folder of a run, or a baseline that bench gate --update has made',
    );
  }
}

export function isFolder(place: string): boolean {
  return statSync(place, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
