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
    throw usageError(`${where}: not JSON (${jsonComplaint(error)})`, `write a row as ${example}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw usageError(`${where}: ${shownValue(value)} is no JSON object`, `write a row as ${example}`);
  return value as Readonly<Record<string, unknown>>;
}

/** The start of a value as it stands in a file, for a message. */
export function shownValue(value: unknown): string {
  return value === undefined ? '(missing)' : visible(JSON.stringify(value).slice(0, 60));
}

/** The message of JSON.parse about a text, with invisible characters written as escapes. */
export function jsonComplaint(error: unknown): string {
  return visible(errorText(error));
}

function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escaped);
}

/** The escape of the first half of a surrogate pair that stands alone, which UTF-8 cannot carry; null for a text without. */
export function loneSurrogate(text: string): string | null {
  const found = /\p{Cs}/u.exec(text);
  return found === null ? null : escaped(found[0]);
}

/** A character as JSON escapes it: `\ud800`. */
function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, i) => character.charCodeAt(i))
    .map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`)
    .join('');
}
