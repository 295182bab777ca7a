import { describe, expect, it } from 'vitest';
import { emptyDelta } from '../../src/endpoints/dialect.ts';
import { findDialect } from '../../src/endpoints/index.ts';
import { sglangChatName } from '../../src/endpoints/sglang-chat.ts';

const dialect = (layout: string) => findDialect(sglangChatName(layout));

function body(layout: string, extra: Record<string, unknown> = {}): unknown {
  const { before, after } = dialect(layout).frame(
    { model: 'm', maxTokens: 7 },
    new Set(['ignore_eos']),
    extra,
  );
  return JSON.parse(`${before}hello${after}`);
}

function read(layout: string, chunk: unknown): { text: string; completionTokens: number } {
  const delta = emptyDelta();
  dialect(layout).read(typeof chunk === 'string' ? chunk : JSON.stringify(chunk), delta);
  return { text: delta.text, completionTokens: delta.completionTokens };
}

const thought = { choices: [{ delta: { reasoning_content: 'hm', content: null } }] };
const usageOnly = { choices: [], usage: { prompt_tokens: 3, completion_tokens: 9 } };

describe('the request of each era', () => {
  const common = { model: 'm', messages: [{ role: 'user', content: 'hello' }], temperature: 0, stream: true };

  it('asks for usage in none, and caps as that era did', () => {
    expect(body('2025-08')).toEqual({ ...common, max_tokens: 7 });
    expect(body('2025-11')).toEqual({ ...common, max_completion_tokens: 7, ignore_eos: true });
    expect(body('2026-01')).toEqual({ ...common, max_completion_tokens: 7, ignore_eos: true });
    expect(body('2026-06')).toEqual({ ...common, max_completion_tokens: 7, ignore_eos: true });
  });

  it('lets the extra body win', () => {
    expect(body('2026-01', { ignore_eos: false, temperature: 0.5 })).toEqual({
      ...common,
      temperature: 0.5,
      max_completion_tokens: 7,
      ignore_eos: false,
    });
  });
});

describe('reading a chunk', () => {
  it('takes reasoning for output in the newest era alone', () => {
    expect(read('2025-08', thought).text).toBe('');
    for (const layout of ['2025-11', '2026-01']) expect(read(layout, thought).text).toBe('');
    expect(read('2026-06', thought).text).toBe('hm');
  });

  it('fails on a usage-only chunk in the older eras, as they did', () => {
    expect(() => read('2025-08', usageOnly)).toThrow('list index out of range');
    expect(() => read('2026-01', usageOnly)).toThrow('list index out of range');
    expect(read('2026-06', usageOnly).completionTokens).toBe(9);
  });

  it('does not take text for an empty list of choices', () => {
    const quoting = { choices: [{ delta: { content: '{"choices": []}' } }] };
    expect(read('2025-08', quoting).text).toBe('{"choices": []}');
  });

  it('reads the end mark', () => {
    const delta = emptyDelta();
    dialect('2025-08').read('[DONE]', delta);
    expect(delta.done).toBe(true);
  });
});
