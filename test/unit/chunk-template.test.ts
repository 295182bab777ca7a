import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChunkTemplate } from '../../src/endpoints/chunk-template.ts';
import { type Delta, type Dialect, emptyDelta } from '../../src/endpoints/dialect.ts';
import { openaiChat } from '../../src/endpoints/openai-chat.ts';
import { SGLANG_CHATS } from '../../src/endpoints/sglang-chat.ts';

/** A chunk as JSON text: its keys in any order, with spaces anywhere, and with what servers add. */
interface Shape {
  readonly order: readonly number[];
  readonly space: string;
  readonly role: boolean;
  readonly key: string;
  readonly logprobs: boolean;
  readonly twice: boolean;
  readonly tool: boolean;
  readonly usage: 'none' | 'null' | 'each' | 'details' | 'choice' | 'extension';
  readonly ending: 'null' | 'stop' | 'absent';
}

const seldom = fc.nat(4).map((n) => n === 0);

const shapes: fc.Arbitrary<Shape> = fc.record({
  order: fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5, maxLength: 5 }),
  space: fc.constantFrom('', ' ', '\t', '  '),
  role: fc.boolean(),
  key: fc.constantFrom('content', 'content', 'content', 'reasoning_content', 'reasoning', 'text'),
  logprobs: seldom,
  twice: seldom,
  tool: seldom,
  usage: fc.constantFrom('none', 'null', 'each', 'details', 'choice', 'extension'),
  ending: fc.constantFrom('null', 'stop', 'absent'),
});

/** `inside` is what stands between the quotes of the text. */
function chunk(shape: Shape, inside: string, n: number): string {
  const sp = shape.space;
  const pair = (key: string, value: string): string => `"${key}"${sp}:${sp}${value}`;
  const object = (pairs: readonly string[]): string => `{${sp}${pairs.join(`${sp},${sp}`)}${sp}}`;
  const delta = [
    ...(shape.role ? [pair('role', '"assistant"')] : []),
    ...(shape.twice ? [pair(shape.key, '"once"')] : []),
    pair(shape.key, `"${inside}"`),
    ...(shape.tool ? [pair('tool_calls', `[{"function":{"arguments":"${inside}"}}]`)] : []),
  ];
  const counts = [
    pair('prompt_tokens', '32'),
    pair('completion_tokens', String(n)),
    pair('total_tokens', String(32 + n)),
    pair('prompt_tokens_details', shape.usage === 'details' ? object([pair('cached_tokens', '16')]) : 'null'),
  ];
  const choice = [
    pair('index', '0'),
    ...(shape.usage === 'choice' ? [pair('usage', object(counts))] : []),
    pair('delta', object(delta)),
    ...(shape.logprobs ? [pair('logprobs', object([pair('token', `"${inside}"`), pair('p', '-0.25')]))] : []),
    ...(shape.ending === 'absent'
      ? []
      : [pair('finish_reason', shape.ending === 'null' ? 'null' : '"stop"')]),
  ];
  const usage = shape.usage === 'null' ? 'null' : object(counts);
  const fields = [
    pair('id', `"chatcmpl-${n % 7}"`),
    pair('created', String(1_700_000_000 + (n >> 2))),
    pair('model', '"ünï"'),
    pair('choices', `[${object(choice)}]`),
    shape.usage === 'none' || shape.usage === 'choice'
      ? pair('object', '"chat.completion.chunk"')
      : shape.usage === 'extension'
        ? pair('x_groq', object([pair('usage', usage)]))
        : pair('usage', usage),
  ];
  return object(shape.order.map((i) => fields[i]!));
}

/** What stands between the quotes of a JSON string: as JSON.stringify has it, or with escapes where none are needed. */
const insides = fc.oneof(
  fc.constantFrom(
    ' word',
    'a',
    '',
    'content',
    'null',
    '{\\"content\\":\\"x\\"}',
    '\\u0041',
    '\\ud800',
    '日本',
    '😀',
  ),
  fc.string({ unit: 'binary', maxLength: 8 }).map((text) => JSON.stringify(text).slice(1, -1)),
  fc
    .string({ unit: 'grapheme', maxLength: 6 })
    .map((text) =>
      [...Array(text.length).keys()]
        .map((i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`)
        .join(''),
    ),
);

/** Bytes put in, taken out or changed somewhere. */
const wounds = fc.oneof(
  fc.constant([]),
  fc.array(
    fc.record({
      at: fc.nat(),
      cut: fc.nat({ max: 3 }),
      put: fc.oneof(
        fc.constantFrom(
          '"',
          '\\',
          ',',
          '0',
          '00',
          '-',
          '1e3',
          '.5',
          '\n',
          '\r',
          '\0',
          'x',
          'null',
          '}',
          '"content":"z",',
        ),
        fc.constantFrom(
          '"error":{"message":"m"},',
          '"usage":{"completion_tokens":7},',
          '"finish_reason":"length",',
        ),
      ),
    }),
    { maxLength: 2 },
  ),
);

function wound(bytes: Buffer, { at, cut, put }: { at: number; cut: number; put: string }): Buffer {
  const where = at % bytes.length;
  return Buffer.concat([bytes.subarray(0, where), Buffer.from(put), bytes.subarray(where + cut)]);
}

function reading(dialect: Dialect, data: string): Delta | null {
  const delta = emptyDelta();
  try {
    dialect.read(data, delta);
    return delta;
  } catch {
    return null;
  }
}

/** The template's reading of an event's bytes as a delta, with the index behind it; null when it declined. */
function matched(template: ChunkTemplate, event: Buffer): { delta: Delta; end: number } | null {
  const end = template.match(event, 0, event.length);
  if (end < 0) return null;
  const { promptTokens, completionTokens, cachedTokens, finishReason } = template;
  const responseId = template.responseId(event);
  const text = template.text(event);
  if (!template.escaped) expect(event.toString('utf8', template.textStart, template.textEnd)).toBe(text);
  return {
    end,
    delta: {
      text,
      promptTokens,
      completionTokens,
      cachedTokens,
      responseId,
      finishReason,
      done: false,
      error: null,
      isCertain: false,
      isWhole: false,
      hasChoice: true,
      other: null,
    },
  };
}

function learn(dialect: Dialect, data: string): ChunkTemplate | null {
  const delta = reading(dialect, data);
  return delta === null ? null : ChunkTemplate.learn(data, delta, dialect.read);
}

const DIALECTS = [openaiChat, ...SGLANG_CHATS];
const dialects = fc.constantFrom(...DIALECTS);
const event = (data: string): Buffer => Buffer.from(`data: ${data}\n\n`);

describe('a template', () => {
  it('reads what JSON.parse and the dialect read, or declines: any other chunk of any shape', () => {
    let accepted = 0;
    fc.assert(
      fc.property(dialects, shapes, shapes, seldom, insides, insides, fc.nat(1e7), wounds, (...drawn) => {
        const [dialect, shape, other, changed, first, second, n, hurts] = drawn;
        const template = learn(dialect, chunk(shape, first, 1));
        if (template === null) return;
        const bytes = hurts.reduce(wound, event(chunk(changed ? other : shape, second, n)));
        const found = matched(template, bytes);
        if (found === null) return;
        accepted++;
        const whole = bytes.toString('utf8', 0, found.end);
        expect(whole.startsWith('data: ') && whole.endsWith('\n\n')).toBe(true);
        const data = whole.slice(6, -2);
        expect(data).not.toMatch(/[\r\n]/);
        expect(found.delta).toEqual(reading(dialect, data));
      }),
      { numRuns: 6_000 },
    );
    expect(accepted).toBeGreaterThan(600);
  });

  it('declines bytes that are not well-formed UTF-8, and takes those that are', () => {
    const template = learn(openaiChat, chunk(plain, 'a', 1))!;
    const [before, after] = event(chunk(plain, '|', 1))
      .toString('latin1')
      .split('|') as [string, string];
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ minLength: 1, maxLength: 5 }),
          fc.array(fc.constantFrom(0xc3, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf), {
            minLength: 1,
            maxLength: 4,
          }),
          fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }).map((text) => Buffer.from(text)),
        ),
        (inside) => {
          const raw = Buffer.from(inside);
          const bytes = Buffer.concat([Buffer.from(before, 'latin1'), raw, Buffer.from(after, 'latin1')]);
          const found = matched(template, bytes);
          const text = raw.toString('utf8');
          const good =
            Buffer.from(text).equals(raw) && raw.every((byte) => byte >= 0x20) && !/["\\]/.test(text);
          if (good) accepted++;
          // An escape or a quote within may be well-formed too.
          if (good || !/["\\]/.test(text)) expect(found !== null).toBe(good);
          if (good) expect(found?.delta.text).toBe(text);
        },
      ),
      { numRuns: 5_000 },
    );
    expect(accepted).toBeGreaterThan(500);
  });

  it('takes the usual chunk with every kind of text, and its counts', () => {
    const template = learn(openaiChat, chunk({ ...plain, usage: 'details' }, 'a', 1))!;
    for (const inside of [' word', '日本', '😀', '\\n', '\\"', '\\ud83d\\ude00', 'x'.repeat(500)]) {
      const found = matched(template, event(chunk({ ...plain, usage: 'details' }, inside, 41)));
      expect(found?.delta).toEqual({
        text: JSON.parse(`"${inside}"`),
        promptTokens: 32,
        completionTokens: 41,
        cachedTokens: 16,
        responseId: 'chatcmpl-6',
        finishReason: null,
        done: false,
        isCertain: false,
        error: null,
        isWhole: false,
        hasChoice: true,
        other: null,
      });
    }
  });

  it.each(['choice', 'extension'] as const)('reads counts in a vendor’s place: %s', (usage) => {
    const template = learn(openaiChat, chunk({ ...plain, usage }, 'a', 1))!;
    for (const n of [2, 41, 7_000]) {
      const found = matched(template, event(chunk({ ...plain, usage }, ' word', n)));
      expect(found?.delta).toMatchObject({ text: ' word', promptTokens: 32, completionTokens: n });
    }
  });

  it.each([
    ['an event that is cut', (text: string) => text.slice(0, -1)],
    ['no text', (text: string) => text.replace('"word"', '""')],
    ['null for a text', (text: string) => text.replace('"word"', 'null')],
    ['another order', (text: string) => text.replace(/("index":0),("delta":\{[^}]*\})/, '$2,$1')],
    ['another ending', (text: string) => text.replace('"finish_reason":null', '"finish_reason":"stop"')],
    [
      'a number with an exponent',
      (text: string) => text.replace('"completion_tokens":1', '"completion_tokens":1e1'),
    ],
    [
      'a number with a point',
      (text: string) => text.replace('"completion_tokens":1', '"completion_tokens":1.0'),
    ],
    ['a negative number', (text: string) => text.replace('"completion_tokens":1', '"completion_tokens":-1')],
    [
      'a number with a zero too many',
      (text: string) => text.replace('"completion_tokens":1', '"completion_tokens":01'),
    ],
    [
      'a number too large',
      (text: string) => text.replace('"completion_tokens":1', '"completion_tokens":1234567890123456'),
    ],
    ['a bad escape', (text: string) => text.replace('word', '\\x')],
    ['a cut escape', (text: string) => text.replace('word', '\\u12')],
    ['a control character', (text: string) => text.replace('word', 'a\tb')],
    ['a line end of another kind', (text: string) => text.replace('\n\n', '\r\n\r\n')],
    ['an event with a type', (text: string) => `event: error\n${text}`],
    ['a comment before it', (text: string) => `: ping\n${text}`],
  ])('declines %s', (_, change) => {
    const usual = event(chunk({ ...plain, usage: 'each' }, 'word', 1)).toString();
    const template = learn(openaiChat, usual.slice(6, -2))!;
    expect(matched(template, Buffer.from(usual))).not.toBeNull();
    expect(change(usual)).not.toBe(usual);
    expect(matched(template, Buffer.from(change(usual)))).toBeNull();
  });

  it.each([
    ['an error', '{"error":{"message":"a"},"choices":[{"delta":{"content":"a"}}]}'],
    ['a role alone', '{"choices":[{"delta":{"role":"assistant","content":""}}]}'],
    ['the end mark', '[DONE]'],
    ['two texts in one', '{"choices":[{"delta":{"content":"b","reasoning_content":"a"}}]}'],
    ['data of several lines', '{"choices":\n[{"delta":{"content":"a"}}]}'],
  ])('is not made of %s', (_, data) => {
    expect(reading(openaiChat, data)).not.toBeNull();
    expect(learn(openaiChat, data)).toBeNull();
  });
});

const plain: Shape = {
  order: [0, 1, 2, 3, 4],
  space: '',
  role: false,
  key: 'content',
  logprobs: false,
  twice: false,
  tool: false,
  usage: 'null',
  ending: 'null',
};
