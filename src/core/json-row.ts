import { errorText, usageError } from './errors.ts';

/**
 * One line of a file as a JSON object; `where` is its place and `example` a right one. Throws a usage error (exit 2) that names
 * the place and the value.
 */
export function jsonRow(line: string, where: string, example: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw usageError(`${where}: not JSON (${errorText(error)})`, `write a row as ${example}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw usageError(`${where}: ${shownValue(value)} is no JSON object`, `write a row as ${example}`);
  return value as Readonly<Record<string, unknown>>;
}

/** The start of a value as it stands in a file, for a message. */
export function shownValue(value: unknown): string {
  return value === undefined ? '(missing)' : JSON.stringify(value).slice(0, 60);
}
