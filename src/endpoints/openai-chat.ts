import type { Ask, BodyEdits, Delta, Dialect, OptionalField } from './dialect.ts';
import { type Fields, isFields, outputText } from './output-text.ts';
import { errorIn, hasError, isPlainError, otherKind } from './stream-error.ts';

/** Stands where the prompt goes while a body is made; no user's text holds it. */
export const PLACE = '\u0001prompt\u0001';

/** A chunk of a streamed chat completion, as far as it is read. Any field may be of any type. */
export interface ChatChunk extends Fields {
  readonly usage?: ChatUsage | null;
}

interface ChatUsage {
  readonly prompt_tokens?: unknown;
  readonly completion_tokens?: unknown;
  readonly prompt_tokens_details?: { readonly cached_tokens?: unknown } | null;
}

/** An end mark with blanks around it is no longer than this. */
const SHORT_CHARS = 32;

/** Between the texts of a conversation's messages. */
const CHAT_TURNS = {
  answer: '"},{"role":"assistant","content":"',
  question: '"},{"role":"user","content":"',
} as const;

/** `POST /v1/chat/completions` with `stream: true`. */
export const openaiChat: Dialect = {
  name: 'openai-chat',
  about: 'OpenAI chat completions, streamed',
  path: '/v1/chat/completions',
  editable: true,
  turns: CHAT_TURNS,

  frame(ask: Ask, fields: ReadonlySet<OptionalField>, extra: Readonly<Record<string, unknown>>) {
    const body: Record<string, unknown> = {
      model: ask.model,
      messages: [{ role: 'user', content: PLACE }],
      temperature: 0,
      max_tokens: ask.maxTokens,
      stream: true,
      stream_options: {
        include_usage: true,
        ...(fields.has('continuous_usage_stats') && !ask.edits?.omitted.has('stream_options.include_usage')
          ? { continuous_usage_stats: true }
          : {}),
      },
      ...(fields.has('ignore_eos') ? { ignore_eos: true } : {}),
      ...(fields.has('min_tokens') ? { min_tokens: Math.min(ask.maxTokens, capOf(extra)) } : {}),
      ...extra,
    };
    return splitAtPrompt(edited(body, ask.edits ?? NO_EDITS));
  },

  read(data: string, delta: Delta): void {
    readChat(data, delta, readOutput);
  },
};

const NO_EDITS: BodyEdits = { omitted: new Set(), capField: 'max_tokens' };

/** The body without what is null in it or is to be left out, an object that has nothing left included. */
function edited(
  body: Readonly<Record<string, unknown>>,
  { omitted, capField }: BodyEdits,
): Record<string, unknown> {
  const kept = Object.entries(body).flatMap(([name, value]): [string, unknown][] => {
    if (value === null || omitted.has(name)) return [];
    if (!isFields(value)) return [[name, value]];
    const rest = Object.entries(value).filter(([part]) => !omitted.has(`${name}.${part}`));
    if (rest.length === Object.keys(value).length) return [[name, value]];
    return rest.length === 0 ? [] : [[name, Object.fromEntries(rest)]];
  });
  const { max_tokens: cap, ...others } = Object.fromEntries(kept);
  if (cap === undefined || capField === 'max_tokens') return Object.fromEntries(kept);
  return omitted.has(capField) ? others : { ...others, [capField]: others[capField] ?? cap };
}

/** The user's own limit of output tokens, which no minimum may exceed; Infinity for none. */
function capOf({ max_tokens, max_completion_tokens }: Readonly<Record<string, unknown>>): number {
  const caps = [max_tokens, max_completion_tokens].filter((cap) => typeof cap === 'number');
  return Math.min(...caps);
}

/** The body as JSON around the place of the prompt. */
export function splitAtPrompt(body: Readonly<Record<string, unknown>>): { before: string; after: string } {
  const text = JSON.stringify(body);
  const mark = JSON.stringify(PLACE).slice(1, -1);
  const at = text.indexOf(mark);
  // Someone whose --extra-body brings its own messages sends those, whatever the prompt.
  return at < 0
    ? { before: text, after: '' }
    : { before: text.slice(0, at), after: text.slice(at + mark.length) };
}

/**
 * Reads one event of a chat stream into `delta`; `readText` takes the output out of a choice, `usagesOf` says where
 * counts are read.
 */
export function readChat(
  data: string,
  delta: Delta,
  readText: (choice: Fields, into: Delta) => void,
  usagesOf: (chunk: ChatChunk) => readonly ChatUsage[] = everyUsage,
): void {
  delta.text = '';
  delta.isWhole = false;
  delta.hasChoice = false;
  delta.finishReason = null;
  delta.responseId = null;
  delta.promptTokens = -1;
  delta.completionTokens = -1;
  delta.cachedTokens = -1;
  delta.error = null;
  delta.isCertain = false;
  delta.other = null;
  delta.done = data.length < SHORT_CHARS && data.trim() === '[DONE]';
  if (delta.done) return;
  const parsed = JSON.parse(data) as unknown;
  const chunk: unknown = Array.isArray(parsed) ? parsed[0] : parsed;
  if (!isFields(chunk)) throw new SyntaxError('chunk is not an object');
  const { choices, id } = chunk;
  const choice: unknown = Array.isArray(choices) ? (choices[0] ?? choices.find(isFields)) : undefined;
  if (!isFields(choice)) delta.error = errorIn(chunk);
  else if (hasError(chunk)) delta.error = errorIn(chunk);
  else if (hasError(choice)) delta.error = errorIn(choice);
  else {
    readText(choice, delta);
    if (delta.text === '' && isPlainError(chunk)) delta.error = errorIn(chunk);
  }
  if (delta.error !== null) {
    delta.isCertain = isFields(choice) || isPlainError(chunk);
    return;
  }
  if (typeof id === 'string') delta.responseId = id;
  if (isFields(choice)) {
    delta.hasChoice = true;
    delta.finishReason = finishReason(choice['finish_reason']);
  }
  for (const usage of usagesOf(chunk as ChatChunk)) {
    if (delta.promptTokens < 0) delta.promptTokens = count(usage.prompt_tokens);
    if (delta.completionTokens < 0) delta.completionTokens = count(usage.completion_tokens);
    if (delta.cachedTokens < 0) delta.cachedTokens = count(usage.prompt_tokens_details?.cached_tokens);
  }
  if (!delta.hasChoice && delta.completionTokens < 0) delta.other = otherKind(chunk);
}

/** The usage of the chunk itself. */
export function ownUsage({ usage }: ChatChunk): readonly ChatUsage[] {
  return usage ? [usage] : [];
}

/** Usage wherever servers put it: in the chunk, in a choice (Moonshot), in a vendor's extension (`x_groq`). */
function everyUsage(chunk: ChatChunk): readonly ChatUsage[] {
  const choices: readonly unknown[] = Array.isArray(chunk.choices) ? chunk.choices : [];
  const extensions = Object.entries(chunk).flatMap(([key, value]) => (key.startsWith('x_') ? [value] : []));
  return [chunk, ...choices, ...extensions].flatMap((holder) => ownUsage((holder ?? {}) as ChatChunk));
}

/** The output of a choice: its delta; in place of one its `text`, or its `message`. */
function readOutput({ delta, text, message }: Fields, into: Delta): void {
  into.text = outputText(delta);
  if (into.text === '' && typeof text === 'string') into.text = text;
  if (into.text !== '' || message === undefined) return;
  into.text = outputText(message);
  into.isWhole = into.text !== '';
}

/** The reason as a string, with its message where it is an object. Some servers have `""` where others have null. */
function finishReason(reason: unknown): string | null {
  if (typeof reason === 'string') return reason === '' || reason === 'null' ? null : reason;
  if (!isFields(reason)) return null;
  const { type, message } = reason;
  if (typeof type !== 'string') return Object.keys(reason)[0] ?? null;
  return typeof message === 'string' ? `${type}: ${message}` : type;
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : -1;
}
