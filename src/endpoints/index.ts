import type { Dialect } from './dialect.ts';
import { openaiChat } from './openai-chat.ts';

/** The API shapes that `--endpoint` knows. */
export const ENDPOINTS: readonly Dialect[] = [openaiChat];
