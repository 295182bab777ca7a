import { closeSync, openSync, readSync } from 'node:fs';
import { BenchError, errorText, usageError } from '../core/errors.ts';
import { readDatasetText, reading, rowOrder } from './dataset-file.ts';
import { type GivenRow, type GivenRows, openGivenPrompts } from './given-prompts.ts';
import { readJsonList } from './json-array.ts';
import type { PrepareJob } from './prepare.ts';
import type { LoadedTokenizer } from './tokenizer.ts';

/** Shorter prompts and answers are left out, as sglang and vLLM do. */
const LEAST_TOKENS = 4;
const QUESTIONERS = ['human', 'user'];

/** First questions of recorded conversations, with answers as long as theirs. */
export const openShareGptPrompts = (job: PrepareJob): ReturnType<typeof openGivenPrompts> =>
  openGivenPrompts(job, readRows);

/** A first question and its answer. */
interface Exchange {
  readonly question: string;
  readonly answer: string;
}

function readRows({ prompts }: PrepareJob, tokenizer: LoadedTokenizer, wanted: number): GivenRows {
  const { path, osl, order, mostTokens } = prompts.file!;
  const leftOut = new Map<string, number>();
  const leave = (why: string): void => void leftOut.set(why, (leftOut.get(why) ?? 0) + 1);
  const exchanges: Exchange[] = [];
  for (const exchange of readShareGpt(path)) {
    if (exchange === null) leave('without a question and an answer');
    else exchanges.push(exchange);
  }
  const rows: GivenRow[] = [];
  // Counting tokens takes long: no more are looked at than are wanted.
  for (const at of rowOrder(exchanges.length, order, prompts.seed)) {
    if (rows.length === wanted) break;
    const { question, answer } = exchanges[at]!;
    const input = tokenizer.encode(question).length;
    const output = osl ?? tokenizer.encode(answer).length;
    if (input < LEAST_TOKENS || output < LEAST_TOKENS) leave(`shorter than ${LEAST_TOKENS} tokens`);
    else if (input + output > mostTokens) leave(`longer than ${mostTokens} tokens`);
    else rows.push({ text: question, osl: output, isl: null });
  }
  return { rows, leftOut: Object.fromEntries(leftOut) };
}

/**
 * The first question and answer of each conversation of a ShareGPT file, null for one that has none: a JSON list of
 * `{"conversations": [{"from", "value"}, …]}`, or such an object a line; `role` and `content` are read as well. Exit 2
 * with the number of the conversation, from 1, for what cannot be read.
 */
export function* readShareGpt(path: string): Generator<Exchange | null> {
  const isList = firstByte(path) === '[';
  let number = 1;
  try {
    for (const entry of isList ? readJsonList(path) : readLines(path)) {
      yield firstExchange(entry, `${path}, ${isList ? 'conversation' : 'line'} ${number}`);
      number++;
    }
  } catch (error) {
    if (error instanceof BenchError) throw error;
    throw usageError(
      `--dataset-path: cannot read ${path} at ${isList ? 'conversation' : 'line'} ${number} (${errorText(error)})`,
      'name a ShareGPT JSON: a list of {"conversations": [{"from": "human", "value": …}, …]}',
    );
  }
}

function* readLines(path: string): Generator<unknown> {
  for (const line of readDatasetText(path).trimEnd().split('\n')) yield JSON.parse(line) as unknown;
}

function firstByte(path: string): string {
  return reading(path, () => {
    const handle = openSync(path, 'r');
    try {
      const start = Buffer.alloc(256);
      return start.toString('utf8', 0, readSync(handle, start)).trimStart().charAt(0);
    } finally {
      closeSync(handle);
    }
  });
}

function firstExchange(entry: unknown, where: string): Exchange | null {
  const { conversations, conversation } = (entry ?? {}) as {
    conversations?: unknown;
    conversation?: unknown;
  };
  const turns = conversations ?? conversation;
  if (!Array.isArray(turns))
    throw usageError(
      `${where}: ${(JSON.stringify(entry) ?? '').slice(0, 60)} has no list "conversations"`,
      'correct the conversation or leave it out',
    );
  const spoken = (turns as readonly unknown[]).map((turn) => said(turn, where));
  const at = spoken.findIndex(({ by }) => by === null || QUESTIONERS.includes(by));
  const [question, answer] = at < 0 ? [] : spoken.slice(at, at + 2);
  return question === undefined || answer === undefined
    ? null
    : { question: question.text, answer: answer.text };
}

function said(turn: unknown, where: string): { readonly by: string | null; readonly text: string } {
  const { from, role, value, content } = (turn ?? {}) as Readonly<Record<string, unknown>>;
  const text = value ?? content;
  if (typeof text !== 'string')
    throw usageError(
      `${where}: the turn ${(JSON.stringify(turn) ?? '').slice(0, 60)} has no text`,
      'give each turn a "value" that is a string, or leave the conversation out',
    );
  const by = from ?? role;
  return { by: typeof by === 'string' ? by : null, text };
}
