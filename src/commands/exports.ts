import fs, { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Options } from 'yargs';
import { errorText, usageError } from '../core/errors.ts';
import { makeFolders } from '../core/folders.ts';
import { loadText } from '../core/load.ts';
import type { RequestRecord } from '../core/record.ts';
import type { Report } from '../core/report.ts';
import type { ExportFile, ExportKind } from '../exporters/export-kind.ts';
import { EXPORTS } from '../exporters/exports.ts';
import { RECORDS_FILE, readRecords } from '../host/records-file.ts';
import { writeAtomic } from '../host/store.ts';

/** The folder of exports inside that of the run. */
const FOLDER = 'exports';

const NAMES = EXPORTS.map(({ name }) => name).join(', ');

export const EXPORT_OPTIONS = {
  export: {
    type: 'array',
    string: true,
    default: [] as string[],
    describe: `write the results in another form, too: ${NAMES} (repeatable, or with commas)`,
  },
  'export-dir': {
    type: 'string',
    describe: `folder of the exported files [default: ${FOLDER} in the folder of the run]`,
  },
} as const satisfies Record<string, Options>;

/** The exports named by `--export`, each once, in the order of naming. Exit 2 for a name that is none. */
export function parseExports(values: readonly string[]): ExportKind[] {
  const names = values.flatMap((value) => value.split(',')).map((name) => name.trim());
  return [...new Set(names)].map((name) => {
    const kind = EXPORTS.find((one) => one.name === name);
    if (kind === undefined) throw usageError(`--export: "${name}" is not known`, `give one of ${NAMES}`);
    return kind;
  });
}

/** Writes the files below `folder` and gives their paths. Exit 2 when the disk refuses. */
function writeFiles(files: readonly ExportFile[], folder: string): string[] {
  return files.map(({ file, text }) => {
    const place = path.join(folder, file);
    try {
      makeFolders(path.dirname(place), fs);
      writeAtomic(place, text);
    } catch (error) {
      throw usageError(
        `--export: cannot write ${place} (${errorText(error)})`,
        'choose a folder that can be written: --export-dir',
      );
    }
    return place;
  });
}

/** What the run in `directory` itself wrote in the form of `kind`; null when it wrote nothing. */
function keptFile({ kept }: ExportKind, directory: string): ExportFile | null {
  if (kept === undefined) return null;
  const place = path.join(directory, kept);
  return existsSync(place) ? { file: kept, text: readFileSync(place, 'utf8') } : null;
}

/**
 * Writes the exports of the run in `directory`, made of its records or kept by it, and gives their paths. Exit 2 when the
 * records are missing or the disk refuses.
 */
export async function exportDirectory(
  kinds: readonly ExportKind[],
  report: Report,
  directory: string,
  given: string | undefined,
): Promise<string[]> {
  if (kinds.length === 0) return [];
  const file = path.join(directory, RECORDS_FILE);
  const isTold = kinds.every(({ fromReport }) => fromReport === true);
  if (!isTold && !existsSync(file)) {
    throw usageError(
      `--export: ${directory} holds no ${RECORDS_FILE}, which exports are made of`,
      'name the folder of a run with its records',
    );
  }
  const records = isTold ? [] : readRecords(file).records;
  const recordsOf = (point: number): RequestRecord[] => records.filter((record) => record.point === point);
  const files: ExportFile[] = [];
  for (const kind of kinds) {
    const kept = keptFile(kind, directory);
    files.push(...(kept === null ? await kind.files(report, recordsOf) : [kept]));
  }
  return writeFiles(files, given ?? path.join(directory, FOLDER));
}

/** Says which levels are not in every export; null when all are. */
export function leftOut(report: Report): string | null {
  const empty = report.levels.filter(({ requests }) => requests.good === 0);
  if (empty.length === 0) return null;
  const names = empty.map((level) => `${loadText(level)} of ${level.isl}×${level.osl}`).join(', ');
  return `no good request at ${names}: only a form that can tell of errors has a file for it`;
}
