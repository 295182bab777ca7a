import { floatRepr } from './python-format.ts';

/**
 * Pieces of a line that is equal to `json.dumps` of Python with its defaults: `, ` and `: ` between, all but printable
 * ASCII escaped, floats always with a point or an exponent, and the bare tokens `Infinity`, `-Infinity` and `NaN`.
 * JavaScript does not tell 1 from 1.0, so the caller says which of its numbers are floats.
 */
export function jsonFloat(value: number | null): string {
  if (value === null) return 'null';
  if (Number.isFinite(value)) return floatRepr(value);
  if (Number.isNaN(value)) return 'NaN';
  return value > 0 ? 'Infinity' : '-Infinity';
}

/** A whole number, or null. */
export function jsonInt(value: number | null): string {
  return value === null ? 'null' : String(value);
}

export function jsonText(value: string | null): string {
  // JSON.stringify has escaped what is below the space and lone surrogates already.
  return JSON.stringify(value).replace(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

export function jsonArray<T>(values: readonly T[], write: (value: T) => string): string {
  return `[${values.map(write).join(', ')}]`;
}

/** An object from its keys and their values as JSON text. */
export function jsonObject(entries: readonly (readonly [string, string])[]): string {
  return `{${entries.map(([key, text]) => `${jsonText(key)}: ${text}`).join(', ')}}`;
}

/**
 * Any value that `JSON.parse` gives. A float that is a whole number was read as 1 from 1.0 and is written as 1; whole
 * numbers beyond 2^53 are written as floats, since their last digits are lost.
 */
export function jsonValue(value: unknown): string {
  if (typeof value === 'string') return jsonText(value);
  if (typeof value === 'number')
    return Number.isSafeInteger(value) && !Object.is(value, -0) ? jsonInt(value) : jsonFloat(value);
  if (Array.isArray(value)) return jsonArray(value, jsonValue);
  if (typeof value === 'object' && value !== null)
    return jsonObject(Object.entries(value).map(([key, one]) => [key, jsonValue(one)]));
  return typeof value === 'boolean' ? String(value) : 'null';
}
