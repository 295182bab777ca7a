import { Random } from '../../src/core/random.ts';

/** What a client must make of a stream. Of a truncated one it is the most that it may make of it. */
export interface Expected {
  readonly outcome: string;
  readonly finishReason: string | null;
  readonly responseId: string | null;
  readonly texts: readonly string[];
  readonly counted: number | null;
  readonly promptTokens: number | null;
  readonly cachedTokens: number | null;
}

export interface FuzzStream {
  readonly bytes: Buffer;
  /** The server ends the connection behind the bytes. */
  readonly closes: boolean;
  readonly expected: Expected;
}

class Draws {
  readonly #random: Random;

  constructor(...parts: readonly (string | number)[]) {
    this.#random = new Random(...parts);
  }

  upTo(high: number): number {
    return this.#random.integer(0, high);
  }

  oneOf<T>(some: readonly T[]): T {
    return some[this.upTo(some.length - 1)]!;
  }

  oneIn(times: number): boolean {
    return this.upTo(times - 1) === 0;
  }
}

// biome-ignore format: a list
const WORDS = [
  'a', ' the', 'β', ' 你好', '🎲', '👩‍👩‍👧', 'é', '"', '\\', '\n', '\r\n', '\t', '\u0001', '\u2028', 'ÿ', '\u{10ffff}',
  ' data: ', '0\r\n\r\n', '}', '{"', 'null', '[DONE]', ' x'.repeat(40),
];
const LINE_ENDS = ['\n', '\n', '\n', '\n', '\r\n', '\r\n', '\r', 'mixed'] as const;
const FIELDS = [': ping', ':', 'id: 7', 'retry: 10', 'event: message', 'event:', 'unknown: x', 'lonely'];
const FAULTS = ['truncated', 'error-event', 'malformed', 'http', 'empty', 'aborted', 'filtered'] as const;
/** As a server writes it: a word, or with its message. */
type Reason = string | { readonly type: string; readonly message: string };
const REASONS: Readonly<Record<'aborted' | 'filtered', readonly Reason[]>> = {
  aborted: ['abort', 'error', 'cancelled', 'timeout', { type: 'abort', message: 'gone' }],
  filtered: ['content_filter', 'SAFETY'],
};
const ERRORS = [
  { error: { message: 'the engine died', code: 500 } },
  { error: 'the engine died' },
  { code: 500, message: 'the engine died' },
  { detail: 'the engine died' },
  { errors: [{ message: 'the engine died' }] },
  { type: 'error', message: 'the engine died' },
  { object: 'error', message: 'the engine died', code: 500 },
  { choices: [{ index: 0, error: { message: 'the engine died' } }] },
];
const HEARTBEATS = [
  ['data:'],
  ['data: '],
  ['event: ping', 'data:'],
  ['event: ping', 'data: {"type": "ping"}'],
  ['event: heartbeat', 'data: still here'],
  ['data: {"type":"ping"}'],
  ['data: {}'],
];
const FRAMINGS = [...Array<'chunked'>(6).fill('chunked'), 'length', 'length', 'close'] as const;
/** So many streams in a row have one shape, as those of one server have. */
const STREAMS_PER_SHAPE = 64;

/** Where the text of a chunk stands. */
const PLACES = [
  'content',
  'content',
  'content',
  'reasoning_content',
  'tool_calls',
  'reasoning',
  'reasoning_details',
  'parts',
  'refusal',
  'function_call',
  'message',
  'text',
] as const;

interface Shape {
  readonly lineEnd: (typeof LINE_ENDS)[number];
  /** Between `data:` and the data. */
  readonly gap: string;
  /** Spaces in the JSON. */
  readonly isSpaced: boolean;
  /** Escapes in the JSON instead of UTF-8. */
  readonly isEscaped: boolean;
  readonly usage: 'none' | 'last' | 'each';
  readonly textIn: (typeof PLACES)[number];
  readonly hasId: boolean;
}

function shapeOf(seed: number, id: number): Shape {
  const draws = new Draws('shape', seed, Math.floor(id / STREAMS_PER_SHAPE));
  return {
    lineEnd: draws.oneOf(LINE_ENDS),
    gap: draws.oneIn(6) ? '' : ' ',
    isSpaced: draws.oneIn(5),
    isEscaped: draws.oneIn(6),
    usage: draws.oneOf(['none', 'last', 'last', 'each']),
    textIn: draws.oneOf(PLACES),
    hasId: !draws.oneIn(8),
  };
}

/** Stream number `id`: the same for the same seed, in the server and in the client. */
export function fuzzStream(seed: number, id: number): FuzzStream {
  const draws = new Draws('stream', seed, id);
  const shape = shapeOf(seed, id);
  let fault = draws.oneIn(10) ? draws.oneOf(FAULTS) : null;
  if (fault === 'http') return errorStatus(draws);
  // Whether an event is over with its last CR is known with the next byte, and a cut stream has none.
  if (fault === 'truncated' && !shape.lineEnd.endsWith('\n')) fault = null;
  const events = new Events(draws, shape, id);
  const chunks = fault === 'empty' ? 0 : 1 + draws.upTo(draws.oneIn(60) ? 200 : 9);
  events.addChunks(chunks, fault === null || fault === 'truncated');
  if (fault === 'error-event') events.add(events.json(draws.oneOf(ERRORS)));
  else if (fault === 'aborted' || fault === 'filtered') events.giveUp(draws.oneOf(REASONS[fault]), chunks);
  else if (fault === 'malformed') events.add('{"choices":[');
  else if (fault !== 'truncated') events.end(chunks);
  const body = Buffer.from(events.text);
  const framing = draws.oneOf(FRAMINGS);
  const { bytes, bodyAt } = frame(body, framing, draws);
  const isCut = fault === 'truncated';
  return {
    bytes: isCut ? bytes.subarray(0, bodyAt + draws.upTo(bytes.length - bodyAt - 1)) : bytes,
    closes: isCut || framing === 'close',
    expected: { outcome: fault ?? 'good', ...events.facts() },
  };
}

/** Server-sent events of one response. */
class Events {
  text: string;
  readonly #draws: Draws;
  readonly #shape: Shape;
  readonly #id: number;
  readonly #texts: string[] = [];
  #finishReason: string | null = null;
  #counted: number | null = null;

  constructor(draws: Draws, shape: Shape, id: number) {
    this.#draws = draws;
    this.#shape = shape;
    this.#id = id;
    this.text = draws.oneIn(20) ? '\ufeff' : '';
  }

  facts(): Omit<Expected, 'outcome'> {
    const isCounted = this.#counted !== null;
    return {
      finishReason: this.#finishReason,
      responseId: this.#shape.hasId ? this.#name : null,
      texts: this.#texts,
      counted: this.#counted,
      promptTokens: isCounted ? this.#promptTokens : null,
      cachedTokens: isCounted ? this.#cachedTokens : null,
    };
  }

  add(data: string): void {
    while (this.#draws.oneIn(12)) {
      this.#line(this.#draws.oneOf(FIELDS));
      if (this.#draws.oneIn(3)) this.#line('');
    }
    if (this.#draws.oneIn(25))
      for (const line of ['', ...this.#draws.oneOf(HEARTBEATS), '']) this.#line(line);
    this.#line(`data:${this.#shape.gap}${data}`);
    this.#line('');
  }

  addChunks(count: number, mayEnd: boolean): void {
    if (this.#draws.oneIn(2)) this.#chunk({ delta: { role: 'assistant', content: '' } }, null, 0);
    for (let i = 1; i <= count; i++) {
      const text = this.#words();
      this.#texts.push(text);
      const reason = mayEnd && i === count && this.#draws.oneIn(3) ? 'length' : null;
      this.#chunk(this.#choice(text), reason, i);
    }
  }

  /** The server's own word that it ended an output of this number of tokens. */
  giveUp(reason: Reason, tokens: number): void {
    this.#chunk({ delta: {} }, reason, tokens);
    this.#finishReason = typeof reason === 'string' ? reason : `${reason.type}: ${reason.message}`;
    if (this.#shape.usage === 'last') this.add(this.json({ choices: [], usage: this.#usage(tokens) }));
    if (this.#draws.oneIn(2)) this.add('[DONE]');
  }

  #choice(text: string): object {
    switch (this.#shape.textIn) {
      case 'tool_calls':
        return { delta: { tool_calls: [null, { index: 0, function: { arguments: text } }] } };
      case 'reasoning':
        return { delta: { content: '', reasoning_content: '', reasoning: text } };
      case 'reasoning_details':
        return { delta: { reasoning_details: [{ type: 'reasoning.text', text }], content: null } };
      case 'parts':
        return { delta: { content: [{ type: 'thinking', thinking: [{ type: 'text', text }] }] } };
      case 'function_call':
        return { delta: { function_call: { arguments: text } } };
      case 'message':
        return { message: { role: 'assistant', content: text } };
      case 'text':
        return { text, delta: null };
      default:
        return { delta: { [this.#shape.textIn]: text } };
    }
  }

  /** A proper end of a stream of so many tokens. */
  end(tokens: number): void {
    const draws = this.#draws;
    if (this.#finishReason === null && (tokens === 0 || draws.oneIn(2))) this.#last(tokens);
    if (this.#shape.usage === 'last') this.add(this.json({ choices: [], usage: this.#usage(tokens) }));
    if (this.#finishReason === null || draws.oneIn(2)) this.add(draws.oneIn(10) ? '[DONE] ' : '[DONE]');
    if (draws.oneIn(10)) this.#line(': bye');
    // An event that lacks its blank line is one all the same.
    if (draws.oneIn(20)) this.text = this.text.slice(0, -1);
  }

  /** The chunk with the finish reason, which may repeat the whole text behind the deltas. */
  #last(tokens: number): void {
    const isRepeated = this.#shape.textIn === 'content' && tokens > 0 && this.#draws.oneIn(4);
    this.#chunk(isRepeated ? { message: { content: this.#texts.join('') } } : { delta: {} }, 'stop', tokens);
  }

  json(value: unknown): string {
    const text = this.#shape.isSpaced
      ? JSON.stringify(value, null, 1).replaceAll('\n', ' ')
      : JSON.stringify(value);
    if (!this.#shape.isEscaped) return text;
    return text.replace(
      /[\u0080-\uffff]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
  }

  get #name(): string {
    return `chatcmpl-${this.#id}`;
  }

  get #promptTokens(): number {
    return 3 + (this.#id % 50);
  }

  get #cachedTokens(): number | null {
    return this.#id % 4 === 0 ? null : this.#id % 7;
  }

  #line(text: string): void {
    const { lineEnd } = this.#shape;
    const end = lineEnd === 'mixed' ? this.#draws.oneOf(['\n', '\r\n', '\r']) : lineEnd;
    // Behind a CR a LF would not end another line.
    this.text += text + (text === '' && end === '\n' && this.text.endsWith('\r') ? '\r' : end);
  }

  #words(): string {
    let text = '';
    for (let left = this.#draws.upTo(this.#draws.oneIn(100) ? 400 : 3); left >= 0; left--)
      text += this.#draws.oneOf(WORDS);
    return text;
  }

  #usage(tokens: number): unknown {
    this.#counted = tokens;
    const cached = this.#cachedTokens;
    return {
      prompt_tokens: this.#promptTokens,
      completion_tokens: tokens,
      ...(cached === null ? {} : { prompt_tokens_details: { cached_tokens: cached } }),
    };
  }

  #chunk(choice: object, reason: unknown, tokens: number): void {
    this.#finishReason = typeof reason === 'string' ? reason : null;
    const { hasId, usage, isSpaced, gap, lineEnd } = this.#shape;
    const data = this.json({
      ...(hasId ? { id: this.#name, object: 'chat.completion.chunk', created: 17 } : {}),
      choices: [{ index: 0, ...choice, finish_reason: reason }],
      ...(usage === 'each' ? { usage: this.#usage(tokens) } : this.#draws.oneIn(50) ? { usage: null } : {}),
    });
    // Data of several lines is one event, and JSON has a line feed where it may have a space.
    const isCut = isSpaced && this.#draws.oneIn(20);
    const end = lineEnd === 'mixed' ? '\n' : lineEnd;
    this.add(isCut ? data.replace('{ ', `{${end}data:${gap}`) : data);
  }
}

function frame(
  body: Buffer,
  framing: (typeof FRAMINGS)[number],
  draws: Draws,
): { bytes: Buffer; bodyAt: number } {
  let head = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n';
  if (draws.oneIn(4)) head += 'Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nX-Padding:   much   \r\n';
  if (draws.oneIn(10)) head = `HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n${head}`;
  if (framing === 'length') head += `Content-Length: ${body.length}\r\n`;
  else if (framing === 'close') head += 'Connection: close\r\n';
  else head += `${draws.oneOf(['Transfer-Encoding: chunked', 'transfer-encoding:chunked'])}\r\n`;
  const start = Buffer.from(`${head}\r\n`);
  const parts = framing === 'chunked' ? chunksOf(body, draws) : [body];
  return { bytes: Buffer.concat([start, ...parts]), bodyAt: start.length };
}

/** Mostly an event for each chunk, as servers do it; else cut anywhere. */
function chunksOf(body: Buffer, draws: Draws): Buffer[] {
  const parts: Buffer[] = [];
  const hasExtensions = draws.oneIn(12);
  const most = draws.oneOf([1, 12, 60, 400, 400, 4_000, 4_000, 4_000]);
  const isByEvent = most > 12 && draws.oneIn(2);
  for (let at = 0; at < body.length; ) {
    const to = Math.min(body.length, isByEvent ? endOfEvent(body, at) : at + 1 + draws.upTo(most));
    let size = (to - at).toString(16);
    if (draws.oneIn(20)) size = size.toUpperCase().padStart(4, '0');
    parts.push(Buffer.from(`${size}${hasExtensions ? ';a="b"' : ''}\r\n`));
    parts.push(body.subarray(at, to), Buffer.from('\r\n'));
    at = to;
  }
  parts.push(Buffer.from(`0\r\n${draws.oneIn(15) ? 'X-Trailer: yes\r\n' : ''}\r\n`));
  return parts;
}

/** The index behind the next empty line. */
function endOfEvent(body: Buffer, from: number): number {
  for (let at = from + 1; at < body.length; at++) {
    const [before, last] = [body[at - 1], body[at]];
    if (last === 0x0d ? before === 0x0d : last === 0x0a && (before === 0x0a || body[at - 2] === 0x0a))
      return at + 1;
  }
  return body.length;
}

function errorStatus(draws: Draws): FuzzStream {
  const isJson = draws.oneIn(2);
  const body = isJson ? JSON.stringify({ error: { message: 'slow down ü' } }) : 'slow down ü\nsecond line';
  const head = [
    `HTTP/1.1 ${draws.oneOf([400, 429, 500, 503])} Oh`,
    `Content-Type: ${isJson ? 'application/json' : 'text/plain'}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return {
    bytes: Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`),
    closes: false,
    expected: {
      outcome: 'http',
      finishReason: null,
      responseId: null,
      texts: [],
      counted: null,
      promptTokens: null,
      cachedTokens: null,
    },
  };
}
