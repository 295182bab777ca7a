import { describe, expect, it } from 'vitest';
import { type CapField, type Delta, emptyDelta } from '../../src/endpoints/dialect.ts';
import { openaiChat } from '../../src/endpoints/openai-chat.ts';
import { SGLANG_CHATS } from '../../src/endpoints/sglang-chat.ts';

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
    [{ max_tokens: 5, min_tokens: 7 }, 7],
  ])('is never above a limit of the user, who has the last word: %j', (extra, least) => {
    expect(body(extra)).toMatchObject({ max_tokens: 10, ...extra, min_tokens: least });
  });
});

function read(event: unknown): Delta {
  const delta = emptyDelta();
  openaiChat.read(typeof event === 'string' ? event : JSON.stringify(event), delta);
  return delta;
}
const chunk = (delta: unknown, choice: object = {}): object => ({
  id: 'x',
  choices: [{ index: 0, delta, ...choice }],
});

describe('the output of a chunk', () => {
  it.each<[string, unknown]>([
    ['hm', { reasoning_content: 'hm', content: null }],
    ['hm', { content: '', reasoning_content: '', reasoning: 'hm' }],
    ['hm', { content: '', reasoning_content: null, reasoning: 'hm' }],
    ['hm', { content: '', reasoning: 'hm', reasoning_details: [{ type: 'reasoning.text', text: 'hm' }] }],
    ['hm', { reasoning_details: [{ type: 'reasoning.summary', summary: 'hm' }] }],
    ['hm', { thinking: 'hm' }],
    ['hm', { thinking_blocks: [{ type: 'thinking', thinking: 'hm', signature: 'x' }] }],
    ['hm so', { reasoning_content: 'hm', content: ' so' }],
    ['so', { content: [{ type: 'text', text: 'so' }] }],
    ['so', { content: { type: 'text', text: { value: 'so' } } }],
    ['hm so', { content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'hm' }, null] }, ' so', 7] }],
    ['no', { refusal: 'no', content: null }],
    ['no', { content: [{ type: 'refusal', refusal: 'no' }] }],
    ['{"a"', { function_call: { name: 'f', arguments: '{"a"' } }],
    ['{"a":1}', { tool_calls: [null, { function: null }, { function: { arguments: { a: 1 } } }] }],
    ['1+1', { tool_calls: [{ type: 'custom', custom: { name: 'calc', input: '1+1' } }] }],
    ['so', 'so'],
    ['', { role: 'assistant', content: '' }],
    ['', { tool_calls: [{ function: { name: 'f', arguments: '' } }] }],
    ['', { tool_calls: [{ function: { arguments: {} } }], function_call: 'x' }],
    ['', { reasoning_details: [{ type: 'reasoning.encrypted', data: 'abc' }], tool_calls: {} }],
    ['', null],
    ['', 7],
  ])('is %j of %j', (text, delta) => {
    expect(read(chunk(delta))).toMatchObject({ text, isWhole: false, error: null, other: null });
  });

  it('is the text of a completion, or a message, where there is no delta with output', () => {
    expect(read({ choices: [{ text: 'so' }] })).toMatchObject({ text: 'so', isWhole: false });
    expect(read(chunk({ content: 'a' }, { text: 'b', message: { content: 'c' } }))).toMatchObject({
      text: 'a',
    });
    expect(read({ choices: [{ message: { content: 'so' } }] })).toMatchObject({ text: 'so', isWhole: true });
    expect(read(chunk({}, { message: { content: 'so' } }))).toMatchObject({ text: 'so', isWhole: true });
    expect(read(chunk({}, { message: { content: '' } }))).toMatchObject({ text: '', isWhole: false });
  });

  it('is that of the first choice that is there', () => {
    expect(read({ choices: [null, ...(chunk('so') as { choices: unknown[] }).choices] }).text).toBe('so');
    for (const choices of [[null], [7], ['x'], {}, 'x', 7])
      expect(read({ id: 'x', choices })).toMatchObject({ text: '', error: null, responseId: 'x' });
  });

  it('may be there where there is a choice', () => {
    for (const event of [chunk({}), chunk(null), chunk({}, { finish_reason: 'stop' })])
      expect(read(event).hasChoice).toBe(true);
    for (const event of [{ id: 'x', choices: [] }, { choices: [null] }, { usage: {} }, { error: 'x' }])
      expect(read(event).hasChoice).toBe(false);
  });

  it('keeps nothing of the event before', () => {
    const delta = emptyDelta();
    for (const event of [{ choices: [{ message: { content: 'a' } }] }, { error: 'x' }, { type: 'ping' }]) {
      openaiChat.read(JSON.stringify(event), delta);
      openaiChat.read(JSON.stringify({ id: 'x', choices: [] }), delta);
      expect(delta).toEqual({ ...emptyDelta(), responseId: 'x' });
    }
  });
});

describe('the end of a stream', () => {
  it('is [DONE], with blanks around it or without', () => {
    for (const done of ['[DONE]', '[DONE] ', ' [DONE]\t', '[DONE]\n']) expect(read(done).done).toBe(true);
    for (const other of ['{}', '{"choices":[]}']) expect(read(other).done).toBe(false);
  });

  it.each<[string | null, unknown]>([
    ['length', 'length'],
    ['abort', { type: 'abort' }],
    ['abort: no memory', { type: 'abort', message: 'no memory' }],
    ['error', { error: 'no memory' }],
    [null, ''],
    [null, 'null'],
    [null, null],
    [null, undefined],
    [null, 7],
    [null, {}],
  ])('has the reason %j where the server writes %j', (finishReason, reason) => {
    expect(read(chunk({}, { finish_reason: reason })).finishReason).toBe(finishReason);
  });
});

describe('usage', () => {
  const usage = { prompt_tokens: 60, completion_tokens: 12, prompt_tokens_details: { cached_tokens: 16 } };
  const counts = (chunk: unknown, dialect = openaiChat): number[] => {
    const delta = emptyDelta();
    dialect.read(JSON.stringify(chunk), delta);
    return [delta.promptTokens, delta.completionTokens, delta.cachedTokens];
  };
  const choice = { index: 0, delta: { content: '' }, finish_reason: 'length' };

  it.each<[string, object]>([
    ['in a chunk without choices', { choices: [], usage }],
    ['in a chunk with text', { choices: [choice], usage }],
    ['in the last choice', { choices: [{ ...choice, usage }] }],
    ['in a choice beside a null of the chunk', { choices: [{ ...choice, usage }], usage: null }],
    ['in a choice beside an empty one', { choices: [{ ...choice, usage }], usage: {} }],
    ['in the second of two choices', { choices: [choice, { ...choice, index: 1, usage }] }],
    ['in x_groq', { choices: [choice], x_groq: { id: 'req', usage } }],
    ['in any extension', { choices: [], x_any: { usage } }],
    ['without choices at all', { x_groq: { usage } }],
  ])('is read %s', (_, chunk) => {
    expect(counts(chunk)).toEqual([60, 12, 16]);
  });

  it('is the chunk’s own before that of a choice and of an extension, count by count', () => {
    const of = (completion_tokens: number) => ({ completion_tokens });
    const chunk = {
      usage: of(1),
      choices: [{ ...choice, usage: of(2) }],
      x_groq: { usage: { ...usage, ...of(3) } },
    };
    expect(counts(chunk)).toEqual([60, 1, 16]);
    expect(counts({ ...chunk, usage: null })).toEqual([60, 2, 16]);
  });

  it.each<[string, object]>([
    ['anywhere else', { choices: [], groq: { usage }, xusage: { usage }, 'x-groq': { usage } }],
    [
      'of another type',
      { choices: [{ ...choice, usage: 'much' }, null, 'x', 7], x_a: null, x_b: 'usage', x_c: [1] },
    ],
    ['in choices that are no list', { choices: { 0: { usage } } }],
    ['of counts that are none', { x_groq: { usage: { prompt_tokens: -1, completion_tokens: '12' } } }],
  ])('is not %s', (_, chunk) => {
    expect(counts(chunk)).toEqual([-1, -1, -1]);
  });

  it('is read from the chunk alone where sglang.bench_serving reads no more', () => {
    for (const dialect of SGLANG_CHATS) {
      expect(counts({ choices: [{ ...choice, usage }], x_groq: { usage } }, dialect)).toEqual([-1, -1, -1]);
      expect(counts({ choices: [choice], usage }, dialect)).toEqual([60, 12, 16]);
    }
  });
});

describe('a body with edits', () => {
  const edited = (
    omitted: readonly string[],
    capField: CapField = 'max_tokens',
    extra: Record<string, unknown> = {},
  ): Record<string, unknown> => {
    const ask = { model: 'm', maxTokens: 10, edits: { omitted: new Set(omitted), capField } };
    const fields = new Set(['ignore_eos', 'continuous_usage_stats'] as const);
    const { before, after } = openaiChat.frame(ask, fields, extra);
    return JSON.parse(`${before}${after}`) as Record<string, unknown>;
  };
  const whole = {
    model: 'm',
    messages: [{ role: 'user', content: '' }],
    temperature: 0,
    max_tokens: 10,
    stream: true,
    stream_options: { include_usage: true, continuous_usage_stats: true },
    ignore_eos: true,
  };
  const without = (...names: string[]): Record<string, unknown> =>
    Object.fromEntries(Object.entries(whole).filter(([name]) => !names.includes(name)));

  it('goes without the fields that are left out, and without an object that has nothing left', () => {
    expect(edited([])).toEqual(whole);
    expect(edited(['temperature', 'ignore_eos'])).toEqual(without('temperature', 'ignore_eos'));
    expect(edited(['stream_options'])).toEqual(without('stream_options'));
    expect(edited(['stream_options.continuous_usage_stats'])).toEqual({
      ...whole,
      stream_options: { include_usage: true },
    });
    // Continuous usage is a way of including it.
    expect(edited(['stream_options.include_usage'])).toEqual(without('stream_options'));
    expect(edited(['a.b'], 'max_tokens', { a: { b: 1, c: null }, d: {} })).toEqual({
      ...whole,
      a: { c: null },
      d: {},
    });
  });

  it('goes without what the user sets to null', () => {
    expect(edited([], 'max_tokens', { stream_options: null, temperature: null, top_p: null })).toEqual(
      without('stream_options', 'temperature'),
    );
  });

  it('limits the output under the name that the server takes', () => {
    const renamed = { ...without('max_tokens'), max_completion_tokens: 10 };
    expect(edited([], 'max_completion_tokens')).toEqual(renamed);
    expect(edited([], 'max_completion_tokens', { max_tokens: 5 })).toEqual({
      ...renamed,
      max_completion_tokens: 5,
    });
    expect(edited([], 'max_completion_tokens', { max_completion_tokens: 4 })).toEqual({
      ...renamed,
      max_completion_tokens: 4,
    });
    expect(edited(['max_tokens'], 'max_completion_tokens')).toEqual(without('max_tokens'));
    expect(edited(['max_completion_tokens'], 'max_completion_tokens')).toEqual(without('max_tokens'));
    expect(edited([], 'max_tokens', { max_tokens: null, max_completion_tokens: 4 })).toEqual({
      ...without('max_tokens'),
      max_completion_tokens: 4,
    });
  });
});
