import { closeSync, openSync, readSync } from 'node:fs';
import { BenchError, usageError } from '../core/errors.ts';
import { jsonComplaint, loneSurrogate } from '../core/json-row.ts';
import { datasetLines, reading, rowOrder } from './dataset-file.ts';
import { type GivenRow, type GivenRows, openGivenPrompts, refuseNoRows } from './given-prompts.ts';
import { readJsonList } from './json-array.ts';
import type { PrepareJob } from './prepare.ts';
import type { LoadedTokenizer } from './tokenizer.ts';

/** Shorter prompts and answers are left out, as sglang and vLLM do. */
const LEAST_TOKENS = 4;
const QUESTIONERS = ['human', 'user'];
const ANSWERERS = ['gpt', 'assistant', 'chatgpt', 'bing', 'bard', 'model'];

/** First questions of recorded conversations, with answers as long as theirs. */
export const openShareGptPrompts = (job: PrepareJob): ReturnType<typeof openGivenPrompts> =>
  openGivenPrompts(job, readRows);

/** A first question and its answer. */
interface Exchange {
  readonly question: string;
  readonly answer: string;
}

/** Rows that are left out, by the reason. */
class LeftOut {
  readonly #counts = new Map<string, number>();

  add(why: string): void {
    this.#counts.set(why, (this.#counts.get(why) ?? 0) + 1);
  }

  get counts(): GivenRows['leftOut'] {
    return Object.fromEntries(this.#counts);
  }
}

function readRows({ prompts }: PrepareJob, tokenizer: LoadedTokenizer, wanted: number): GivenRows {
  const { path, osl, order, mostTokens } = prompts.file!;
  const leftOut = new LeftOut();
  const exchanges: Exchange[] = [];
  for (const found of readShareGpt(path)) {
    if (typeof found === 'string') leftOut.add(found);
    else exchanges.push(found);
  }
  const rows: GivenRow[] = [];
  // Counting tokens takes long: no more are looked at than are wanted.
  for (const at of rowOrder(exchanges.length, order, prompts.seed)) {
    if (rows.length === wanted) break;
    const { question, answer } = exchanges[at]!;
    const input = tokenizer.encode(question).length;
    const output = osl ?? tokenizer.encode(answer).length;
    if (input < LEAST_TOKENS || output < LEAST_TOKENS) leftOut.add(`shorter than ${LEAST_TOKENS} tokens`);
    else if (input + output > mostTokens) leftOut.add(`longer than ${mostTokens} tokens`);
    else rows.push({ text: question, osl: output, isl: null });
  }
  return { rows, leftOut: leftOut.counts };
}

/** Exit 2 for a file that cannot be read, and for one without a single conversation of use. */
export function checkShareGpt(path: string): void {
  const leftOut = new LeftOut();
  let usable = 0;
  for (const found of readShareGpt(path)) {
    if (typeof found === 'string') leftOut.add(found);
    else usable++;
  }
  if (usable === 0) throw refuseNoRows(path, leftOut.counts);
}

/**
 * The first question and its answer of each conversation of a ShareGPT file, or why it has none: a JSON list of
 * `{"conversations": [{"from", "value"}, …]}`, or such an object a line; `role` and `content` are read as well, and empty
 * lines passed over. Exit 2 with the place of what is no JSON.
 */
function* readShareGpt(path: string): Generator<Exchange | string> {
  for (const entry of firstByte(path) === '[' ? listEntries(path) : lineEntries(path))
    yield firstExchange(entry);
}

function* listEntries(path: string): Generator<unknown> {
  let number = 1;
  try {
    for (const entry of readJsonList(path)) {
      yield entry;
      number++;
    }
  } catch (error) {
    throw unreadable(path, `conversation ${number}`, error);
  }
}

function* lineEntries(path: string): Generator<unknown> {
  for (const { number, text } of datasetLines(path)) {
    if (text.trim() === '') continue;
    let entry: unknown;
    try {
      entry = JSON.parse(text);
    } catch (error) {
      throw unreadable(path, `line ${number}`, error);
    }
    yield entry;
  }
}

function unreadable(path: string, place: string, error: unknown): BenchError {
  return error instanceof BenchError
    ? error
    : usageError(
        `--dataset-path: cannot read ${path} at ${place} (${jsonComplaint(error)})`,
        'name a ShareGPT JSON: a list of {"conversations": [{"from": "human", "value": …}, …]}',
      );
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

/** What a turn of a conversation says, and who: null where it names no speaker. */
interface Turn {
  readonly by: string | null;
  readonly text: unknown;
  /** It calls a tool: what answers the question comes later. */
  readonly isCall: boolean;
}

/** Of a row that cannot be used, why. */
function firstExchange(entry: unknown): Exchange | string {
  const { conversations, conversation } = (entry ?? {}) as {
    conversations?: unknown;
    conversation?: unknown;
  };
  const list = conversations ?? conversation;
  if (!Array.isArray(list)) return 'without a list "conversations"';
  const turns = list.map(turnOf);
  const asked = turns.findIndex(({ by }) => by === null || QUESTIONERS.includes(by));
  const question = turns[asked]?.text;
  const reply = turns
    .slice(asked + 1)
    .find(({ by, isCall }) => !isCall && (by === null || ANSWERERS.includes(by)));
  if (asked < 0 || reply === undefined) return 'without a question and an answer';
  const answer = reply.text;
  if (typeof question !== 'string' || typeof answer !== 'string') return 'with a turn without text';
  return loneSurrogate(question + answer) === null ? { question, answer } : 'with half of a surrogate pair';
}

function turnOf(turn: unknown): Turn {
  const said = (turn ?? {}) as Readonly<Record<string, unknown>>;
  const { from, role, value, content, tool_calls: calls, function_call: call } = said;
  const by = from ?? role;
  return {
    by: typeof by === 'string' ? by.toLowerCase() : null,
    text: value ?? content,
    isCall: (Array.isArray(calls) && calls.length > 0) || (typeof call === 'object' && call !== null),
  };
}
