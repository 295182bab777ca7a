import type { Ask, Delta, Dialect, OptionalField } from './dialect.ts';

/** Stands where the prompt goes while a body is made; no user's text holds it. */
export const PLACE = '\u0001prompt\u0001';

/** A chunk of a streamed chat completion, as far as it is read. Any field may be of any type. */
export interface ChatChunk {
  readonly id?: unknown;
  readonly object?: unknown;
  readonly message?: unknown;
  readonly error?: unknown;
  readonly choices?:
    | readonly {
        readonly delta?: ChatDelta | null;
        readonly finish_reason?: unknown;
      }[]
    | null;
  readonly usage?: {
    readonly prompt_tokens?: unknown;
    readonly completion_tokens?: unknown;
    readonly prompt_tokens_details?: { readonly cached_tokens?: unknown } | null;
  } | null;
}

export interface ChatDelta {
  readonly content?: unknown;
  readonly reasoning_content?: unknown;
  readonly reasoning?: unknown;
  readonly tool_calls?: readonly { readonly function?: { readonly arguments?: unknown } | null }[] | null;
}

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
        ...(fields.has('continuous_usage_stats') ? { continuous_usage_stats: true } : {}),
      },
      ...(fields.has('ignore_eos') ? { ignore_eos: true } : {}),
      ...(fields.has('min_tokens') ? { min_tokens: Math.min(ask.maxTokens, capOf(extra)) } : {}),
      ...extra,
    };
    return splitAtPrompt(body);
  },

  read(data: string, delta: Delta): void {
    readChat(data, delta, outputText);
  },
};

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

/** Reads one event of a chat stream into `delta`; `textOf` says what of a choice is output. */
export function readChat(data: string, delta: Delta, textOf: (delta: ChatDelta) => string): void {
  delta.text = '';
  delta.finishReason = null;
  delta.responseId = null;
  delta.promptTokens = -1;
  delta.completionTokens = -1;
  delta.cachedTokens = -1;
  delta.error = null;
  delta.done = data === '[DONE]';
  if (delta.done) return;
  const chunk = JSON.parse(data) as ChatChunk | null;
  if (typeof chunk !== 'object' || chunk === null) throw new SyntaxError('chunk is not an object');
  if (chunk.error !== undefined && chunk.error !== null) {
    delta.error = errorMessage(chunk.error);
    return;
  }
  if (chunk.object === 'error') {
    delta.error = errorMessage(chunk);
    return;
  }
  if (typeof chunk.id === 'string') delta.responseId = chunk.id;
  const choice = chunk.choices?.[0];
  if (choice !== undefined) {
    if (choice.delta) delta.text = textOf(choice.delta);
    if (typeof choice.finish_reason === 'string') delta.finishReason = choice.finish_reason;
  }
  const usage = chunk.usage;
  if (usage) {
    delta.promptTokens = count(usage.prompt_tokens);
    delta.completionTokens = count(usage.completion_tokens);
    delta.cachedTokens = count(usage.prompt_tokens_details?.cached_tokens);
  }
}

function outputText(delta: ChatDelta): string {
  const { content, reasoning_content, reasoning, tool_calls } = delta;
  let text = typeof content === 'string' ? content : '';
  if (typeof reasoning_content === 'string') text = reasoning_content + text;
  else if (typeof reasoning === 'string') text = reasoning + text;
  if (tool_calls) {
    for (const call of tool_calls) {
      if (typeof call.function?.arguments === 'string') text += call.function.arguments;
    }
  }
  return text;
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : -1;
}

/** The message of an OpenAI error object, or the error as the server wrote it. */
export function errorMessage(error: unknown): string {
  if (typeof error === 'string') return error;
  if (
    typeof error === 'object' &&
    error !== null &&
    'message' in error &&
    typeof error.message === 'string'
  ) {
    return error.message;
  }
  return JSON.stringify(error);
}
