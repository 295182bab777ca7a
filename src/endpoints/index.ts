import type { Dialect } from './dialect.ts';
import { openaiChat } from './openai-chat.ts';
import { SGLANG_CHATS } from './sglang-chat.ts';

/** The API shapes that `--endpoint` knows. */
export const ENDPOINTS: readonly Dialect[] = [openaiChat];

/** The dialect of that name, those that only `bench serving` speaks included. */
export function findDialect(name: string): Dialect {
  return [...ENDPOINTS, ...SGLANG_CHATS].find((dialect) => dialect.name === name)!;
}
