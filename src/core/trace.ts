import { usageError } from './errors.ts';
import { jsonRow, shownValue } from './json-row.ts';
import type { TextLine } from './utf8.ts';

/** What names a block of text; it is only ever compared. A whole number beyond 2^53 is its digits. */
export type BlockId = number | string;

/** One request of a recorded load. */
export interface TraceRow {
  /** Its line in the file, from 1. */
  readonly line: number;
  /** When it came, in ms since the trace's own origin. */
  readonly timestampMs: number;
  /** Input length in tokens, template included. */
  readonly isl: number;
  /** Output length in tokens. */
  readonly osl: number;
  /**
   * One id for each block of the input's tokens, the last block maybe a part of one: where two rows have the same id they
   * have the same text. Blocks behind the last id are shared with no other row.
   */
  readonly hashIds: readonly BlockId[];
}

/** The units that timestamps may have. */
export const TRACE_UNITS = ['ms', 's'] as const;
export type TraceUnit = (typeof TRACE_UNITS)[number];

const UNIT_MS: Readonly<Record<TraceUnit, number>> = { ms: 1, s: 1_000 };
const EXAMPLE = '{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]}';
const MOST_TOKENS = 10_000_000;

/**
 * The rows of a trace in the format of Mooncake's, one at a time: one JSON object a line, with `timestamp` (in `unit`),
 * `input_length`, `output_length` (tokens) and `hash_ids`; other keys are passed over, empty lines too. `file` is its name
 * in errors. Throws usage errors (exit 2) that name file, line and value.
 */
export function* traceRows(
  lines: Iterable<TextLine>,
  file: string,
  unit: TraceUnit = 'ms',
): Generator<TraceRow> {
  let earlier: number | null = null;
  for (const { number, text } of lines) {
    if (text.trim() === '') continue;
    const where = `${file}, line ${number}`;
    const row = jsonRow(withExactIds(text), where, EXAMPLE);
    const timestamp = timestampOf(row, where);
    if (earlier !== null && timestamp < earlier)
      throw usageError(
        `${where}: timestamp ${timestamp} is before that of the row above, ${earlier}`,
        'sort the rows by timestamp',
      );
    earlier = timestamp;
    yield {
      line: number,
      timestampMs: timestamp * UNIT_MS[unit],
      isl: lengthOf(row, 'input_length', where),
      osl: lengthOf(row, 'output_length', where),
      hashIds: hashIdsOf(row, where),
    };
  }
  if (earlier === null)
    throw usageError(`${file} has no rows`, `give one JSON object a line, as in ${EXAMPLE}`);
}

/** Digits of a number that JSON.parse may round. */
const LONG_NUMBER = /\d{16}/;

/** The line with the long whole numbers of its `hash_ids` as texts: as numbers they would be rounded to 53 bits. */
function withExactIds(line: string): string {
  if (!LONG_NUMBER.test(line)) return line;
  return line.replace(
    /("hash_ids"\s*:\s*\[)([^\]]*)/g,
    (_, key: string, ids: string) =>
      key + ids.replace(/"[^"]*"|[-+.\w]+/g, (id) => (/^-?\d{16,}$/.test(id) ? `"${id}"` : id)),
  );
}

function timestampOf(row: Readonly<Record<string, unknown>>, where: string): number {
  const value = row['timestamp'];
  if (typeof value === 'number' && value >= 0) return value;
  throw usageError(
    `${where}: timestamp ${shownValue(value)} is no number from 0 on`,
    `write a row as ${EXAMPLE}`,
  );
}

function lengthOf(row: Readonly<Record<string, unknown>>, key: string, where: string): number {
  const value = row[key];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > MOST_TOKENS)
    throw usageError(
      `${where}: ${key} ${shownValue(value)} is no whole number of tokens from 1 to ${MOST_TOKENS}`,
      'correct the row or leave it out',
    );
  return value;
}

function hashIdsOf(row: Readonly<Record<string, unknown>>, where: string): readonly BlockId[] {
  const ids = row['hash_ids'] ?? [];
  if (!Array.isArray(ids))
    throw usageError(
      `${where}: hash_ids ${shownValue(ids)} is no list of whole numbers or texts`,
      `write a row as ${EXAMPLE}`,
    );
  return ids.map((id: unknown) => blockIdOf(id, where));
}

/** The same id has one form, whether a file writes it as a number or as a text. */
function blockIdOf(id: unknown, where: string): BlockId {
  if (Number.isSafeInteger(id)) return id as number;
  if (typeof id === 'string' && id !== '') {
    const number = /^-?\d{1,16}$/.test(id) ? Number(id) : Number.NaN;
    return Number.isSafeInteger(number) && String(number) === id ? number : id;
  }
  // Two such ids may have been different ones before they were rounded.
  const rounded = Number.isInteger(id) ? ': it was rounded to a float' : '';
  throw usageError(
    `${where}: hash_ids ${shownValue(id)} is no whole number and no text${rounded}`,
    `write a row as ${EXAMPLE}`,
  );
}
