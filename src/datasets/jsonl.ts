import { usageError } from '../core/errors.ts';
import { jsonRow, loneSurrogate, shownValue } from '../core/json-row.ts';
import type { TextLine } from '../core/utf8.ts';
import { datasetLines, rowOrder } from './dataset-file.ts';
import { type GivenRow, type GivenRows, openGivenPrompts } from './given-prompts.ts';
import type { PrepareJob } from './prepare.ts';

const EXAMPLE = '{"prompt": "Why is the sky blue?", "osl": 200}';
const OSL_KEYS = ['osl', 'output_tokens', 'max_tokens'] as const;
const MOST_TOKENS = 10_000_000;

/** Prompts of one's own, one JSON object a line. */
export const openJsonlPrompts = (job: PrepareJob): ReturnType<typeof openGivenPrompts> =>
  openGivenPrompts(job, readRows);

function readRows({ prompts }: PrepareJob): GivenRows {
  const { path, osl, order } = prompts.file!;
  const rows = parseJsonl(datasetLines(path), path, osl);
  return { rows: Array.from(rowOrder(rows.length, order, prompts.seed), (i) => rows[i]!), leftOut: {} };
}

/**
 * Reads prompts, one JSON object a line: `prompt`, `text`, or `messages` with one user message; `osl` (`output_tokens`,
 * `max_tokens`), else `osl` of the call; `isl` where the file states it. Other keys and empty lines are passed over.
 * Throws usage errors (exit 2) that name file, line and value.
 */
export function parseJsonl(lines: Iterable<TextLine>, file: string, osl: number | null): GivenRow[] {
  const rows: GivenRow[] = [];
  for (const { number, text } of lines)
    if (text.trim() !== '') rows.push(parseRow(text, `${file}, line ${number}`, osl));
  if (rows.length === 0)
    throw usageError(`${file} has no rows`, `give one JSON object a line, as in ${EXAMPLE}`);
  return rows;
}

function parseRow(line: string, where: string, osl: number | null): GivenRow {
  const row = jsonRow(line, where, EXAMPLE);
  const own = OSL_KEYS.find((key) => row[key] !== undefined && row[key] !== null);
  if (own === undefined && osl === null)
    throw usageError(
      `${where}: it has no output length`,
      'add "osl" to the row, or give --osl for all that have none',
    );
  return {
    text: textOf(row, where),
    osl: own === undefined ? osl! : lengthOf(row[own], own, where),
    isl: row['isl'] === undefined || row['isl'] === null ? null : lengthOf(row['isl'], 'isl', where),
  };
}

function textOf(row: Readonly<Record<string, unknown>>, where: string): string {
  const { messages } = row;
  const [key, text] =
    messages === undefined
      ? row['prompt'] === undefined
        ? (['text', row['text']] as const)
        : (['prompt', row['prompt']] as const)
      : (['messages', onlyUserMessage(messages, where)] as const);
  if (text === undefined)
    throw usageError(
      `${where}: it has no prompt`,
      `give it as "prompt", "text" or "messages", as in ${EXAMPLE}`,
    );
  if (typeof text !== 'string' || text.trim() === '')
    throw usageError(`${where}: ${key} ${shownValue(text)} is no text`, `write a row as ${EXAMPLE}`);
  const lone = loneSurrogate(text);
  if (lone !== null)
    throw usageError(
      `${where}: ${key} has ${lone} without the other half of its pair, which cannot be sent as UTF-8`,
      'correct the row or leave it out',
    );
  return text;
}

function onlyUserMessage(messages: unknown, where: string): unknown {
  const list = Array.isArray(messages)
    ? (messages as readonly ({ role?: unknown; content?: unknown } | null)[])
    : [];
  const [first] = list;
  if (list.length !== 1 || first?.role !== 'user')
    throw usageError(
      `${where}: messages ${shownValue(messages)} is not one user message`,
      'a prompt is one message of the user: leave conversations and system messages out',
    );
  return first.content;
}

function lengthOf(value: unknown, key: string, where: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > MOST_TOKENS)
    throw usageError(
      `${where}: ${key} ${shownValue(value)} is no whole number of tokens from 1 to ${MOST_TOKENS}`,
      'correct the row or leave it out',
    );
  return value;
}
