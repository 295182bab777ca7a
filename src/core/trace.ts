import { usageError } from './errors.ts';
import { jsonRow, shownValue } from './json-row.ts';

/** Tokens of one block of `TraceRow.hashIds`. */
export const TRACE_BLOCK_TOKENS = 512;

/** One request of a recorded load. */
export interface TraceRow {
  /** When it came, in ms since the trace's own origin. */
  readonly timestampMs: number;
  /** Input length in tokens, template included. */
  readonly isl: number;
  /** Output length in tokens. */
  readonly osl: number;
  /**
   * One id for each block of `TRACE_BLOCK_TOKENS` input tokens, the last block maybe a part of one: where two rows have
   * the same id they have the same text. Blocks behind the last id are shared with nobody.
   */
  readonly hashIds: readonly number[];
}

const EXAMPLE = '{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]}';
const MOST_TOKENS = 10_000_000;

/**
 * Reads a trace in the format of Mooncake's: one JSON object a line, with `timestamp` (ms), `input_length`,
 * `output_length` (tokens) and `hash_ids`; other keys are passed over, empty lines too. `file` is its name in errors.
 * Throws usage errors (exit 2) that name file, line and value.
 */
export function parseTrace(text: string, file: string): TraceRow[] {
  const rows: TraceRow[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const row = parseRow(line, `${file}, line ${i + 1}`);
    const earlier = rows.at(-1);
    if (earlier !== undefined && row.timestampMs < earlier.timestampMs)
      throw usageError(
        `${file}, line ${i + 1}: timestamp ${row.timestampMs} is before that of the row above, ${earlier.timestampMs}`,
        'sort the rows by timestamp',
      );
    rows.push(row);
  }
  if (rows.length === 0)
    throw usageError(`${file} has no rows`, `give one JSON object a line, as in ${EXAMPLE}`);
  return rows;
}

function parseRow(line: string, where: string): TraceRow {
  const row = jsonRow(line, where, EXAMPLE);
  const timestampMs = row['timestamp'];
  if (typeof timestampMs !== 'number' || !(timestampMs >= 0))
    throw usageError(
      `${where}: timestamp ${shownValue(timestampMs)} is no number of milliseconds from 0 on`,
      `write a row as ${EXAMPLE}`,
    );
  const isl = lengthOf(row, 'input_length', where);
  return {
    timestampMs,
    isl,
    osl: lengthOf(row, 'output_length', where),
    hashIds: hashIdsOf(row, isl, where),
  };
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

function hashIdsOf(row: Readonly<Record<string, unknown>>, isl: number, where: string): readonly number[] {
  const ids = row['hash_ids'] ?? [];
  const bad = Array.isArray(ids) ? ids.find((id: unknown) => !Number.isSafeInteger(id)) : ids;
  if (!Array.isArray(ids) || bad !== undefined)
    throw usageError(
      `${where}: hash_ids ${shownValue(bad)} is no ${Array.isArray(ids) ? 'whole number' : 'list of whole numbers'}`,
      `write a row as ${EXAMPLE}`,
    );
  const blocks = Math.ceil(isl / TRACE_BLOCK_TOKENS);
  if (ids.length > blocks)
    throw usageError(
      `${where}: ${ids.length} hash_ids for an input_length of ${isl}, which has ${blocks} blocks of ${TRACE_BLOCK_TOKENS} tokens`,
      'the trace counts in blocks of another size, or the row is wrong: convert it to blocks of 512',
    );
  return ids as number[];
}
