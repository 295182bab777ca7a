import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { errorText, usageError } from '../core/errors.ts';
import { REPORT_SCHEMA, type Report } from '../core/report.ts';
import { decodeText } from '../core/utf8.ts';

/** Reads the report of a run's folder, or of the file itself. Exit 2 when it is none. */
export function readReport(place: string): Report {
  let file = place;
  try {
    if (statSync(place).isDirectory()) file = path.join(place, 'report.json');
    return asReport(file, JSON.parse(decodeText(readFileSync(file), file)));
  } catch (error) {
    if (error instanceof SyntaxError || (error instanceof Error && 'code' in error))
      throw unreadable(file, error);
    throw error;
  }
}

/** The document as a report of this version of bench. Exit 2 when it is none. */
export function asReport(file: string, document: unknown): Report {
  const report = document as Report | null;
  if (!Array.isArray(report?.levels))
    throw usageError(`${file} is no report of bench`, 'name the folder of a run');
  if (report.schema !== REPORT_SCHEMA) {
    throw usageError(
      `${file} has schema ${String(report.schema)}, this bench reads ${REPORT_SCHEMA}`,
      'use the bench that wrote it',
    );
  }
  const parts = ['spec', 'target', 'prompts', 'provenance', 'origin', 'tags', 'definitions'] as const;
  const lacking = parts.find((part) => typeof report[part] !== 'object' || report[part] === null);
  if (lacking !== undefined)
    throw usageError(`${file} is a report without ${lacking}`, 'it was cut or changed by something else');
  return report;
}

export function isFile(place: string): boolean {
  return statSync(place, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** The bytes of a file. Exit 2 where it cannot be read. */
export function readBytes(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): Error {
  return usageError(
    `cannot read ${file} (${errorText(error)})`,
    'name the folder of a run, as in results/sample',
  );
}
