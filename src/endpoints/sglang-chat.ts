import type { Ask, Delta, Dialect, OptionalField } from './dialect.ts';
import { openaiChat, ownUsage, PLACE, readChat, splitAtPrompt } from './openai-chat.ts';
import { type Fields, isFields } from './output-text.ts';

/** What sglang.bench_serving's chat requests were like at one time. */
interface Era {
  readonly layout: string;
  readonly capField: 'max_tokens' | 'max_completion_tokens';
  readonly ignoresEos: boolean;
  /** Reasoning is output, and a chunk without choices is no error: both since 2026. */
  readonly readsReasoning: boolean;
}

const ERAS: readonly Era[] = [
  { layout: '2025-08', capField: 'max_tokens', ignoresEos: false, readsReasoning: false },
  { layout: '2025-11', capField: 'max_completion_tokens', ignoresEos: true, readsReasoning: false },
  { layout: '2026-01', capField: 'max_completion_tokens', ignoresEos: true, readsReasoning: false },
  { layout: '2026-06', capField: 'max_completion_tokens', ignoresEos: true, readsReasoning: true },
];

/** Name of the dialect that speaks as sglang.bench_serving of that layout does. */
export function sglangChatName(layout: string): string {
  return `sglang-chat-${layout}`;
}

/**
 * Chat completions as sglang.bench_serving asks for and reads them: usage is not asked for, and in the
 * older eras reasoning is no output and a usage-only chunk is an error. For series that must go on; what a
 * server refuses stays in the body.
 */
export const SGLANG_CHATS: readonly Dialect[] = ERAS.map((era) => ({
  name: sglangChatName(era.layout),
  about: `chat completions as sglang.bench_serving of ${era.layout} asks for and reads them`,
  path: openaiChat.path,
  editable: false,
  turns: openaiChat.turns,

  frame(ask: Ask, _fields: ReadonlySet<OptionalField>, extra: Readonly<Record<string, unknown>>) {
    return splitAtPrompt({
      model: ask.model,
      messages: [{ role: 'user', content: PLACE }],
      temperature: 0,
      [era.capField]: ask.maxTokens,
      stream: true,
      ...(era.ignoresEos ? { ignore_eos: true } : {}),
      ...extra,
    });
  },

  read(data: string, delta: Delta): void {
    const textOf = era.readsReasoning ? reasoningAndContent : contentOnly;
    const readText = (choice: Fields, into: Delta): void => {
      if (isFields(choice['delta'])) into.text = textOf(choice['delta']);
    };
    readChat(data, delta, readText, ownUsage);
    if (!era.readsReasoning && !delta.done && delta.error === null && lacksChoice(data))
      throw new SyntaxError('list index out of range');
  },
}));

function contentOnly({ content }: Fields): string {
  return typeof content === 'string' ? content : '';
}

function reasoningAndContent({ content, reasoning_content, reasoning }: Fields): string {
  const thought = [reasoning_content, reasoning].find((text) => typeof text === 'string' && text !== '');
  return `${typeof thought === 'string' ? thought : ''}${typeof content === 'string' ? content : ''}`;
}

/** Whether the chunk's list of choices is there and cannot give a first one, which the older eras trip over. */
function lacksChoice(data: string): boolean {
  // The text of an answer may look like this as well, so the parser has the last word.
  if (!/"choices"\s*:\s*(?:\[\s*\]|null)/.test(data)) return false;
  const { choices } = JSON.parse(data) as { choices?: readonly unknown[] | null };
  return choices === null || (Array.isArray(choices) && choices.length === 0);
}
