import { describe, expect, it } from 'vitest';
import { openaiChat } from '../../src/endpoints/openai-chat.ts';

function body(extra: Record<string, unknown>): Record<string, unknown> {
  const { before, after } = openaiChat.frame({ model: 'm', maxTokens: 10 }, new Set(['min_tokens']), extra);
  return JSON.parse(`${before}${after}`) as Record<string, unknown>;
}

describe('the least output asked for', () => {
  it.each([
    [{}, 10],
    [{ max_tokens: 5 }, 5],
    [{ max_completion_tokens: 4 }, 4],
    [{ max_tokens: 20 }, 10],
    [{ max_tokens: null }, 10],
    [{ max_tokens: 5, min_tokens: 7 }, 7],
  ])('is never above a limit of the user, who has the last word: %j', (extra, least) => {
    expect(body(extra)).toMatchObject({ max_tokens: 10, ...extra, min_tokens: least });
  });
});
