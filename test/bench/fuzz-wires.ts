import net from 'node:net';
import { Random } from '../../src/core/random.ts';
import type { FinishedRequest } from '../../src/core/record-builder.ts';
import { Client } from '../../src/endpoints/client.ts';
import { KernelWire } from '../../src/endpoints/kernel-wire.ts';
import { openaiChat } from '../../src/endpoints/openai-chat.ts';
import { ReadMeter } from '../../src/endpoints/read-meter.ts';
import { SocketWire } from '../../src/endpoints/socket-wire.ts';
import { parseTarget } from '../../src/endpoints/target.ts';
import { UndiciWire } from '../../src/endpoints/undici-wire.ts';
import type { Wire, WireOptions } from '../../src/endpoints/wire.ts';
import { startClock } from '../../src/host/clock.ts';

/** What a client must make of a stream; of one that fails, what all clients must agree on. */
interface Expected {
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

const WORDS = [
  'a',
  ' the',
  'β',
  ' 你好',
  '🎲',
  '👩‍👩‍👧',
  'é',
  '"',
  '\\',
  '\n',
  '\r\n',
  '\t',
  '\u0001',
  '\u2028',
  ' data: ',
  '0\r\n\r\n',
  '}',
  '{"',
  'null',
  '[DONE]',
  ' x'.repeat(40),
  'ÿ',
  '\u{10ffff}',
]; // prettier-ignore
const ENDS = ['\n', '\n', '\n', '\n', '\r\n', '\r\n', '\r'];
const FIELDS = [': ping', ':', 'id: 7', 'retry: 10', 'event: message', 'event:', 'unknown: x', 'lonely'];
/** What fails, by the outcome. */
const FAULTS = ['truncated', 'error-event', 'malformed', 'http', 'empty'] as const;

/** Stream number `id`: the same for the same seed, in the server and in the client. */
export function fuzzStream(seed: number, id: number): FuzzStream {
  const random = new Random('fuzz-wires', seed, id);
  const upTo = (high: number): number => random.integer(0, high);
  const oneOf = <T>(some: readonly T[]): T => some[upTo(some.length - 1)]!;
  const oneIn = (times: number): boolean => upTo(times - 1) === 0;

  const fault = oneIn(10) ? oneOf(FAULTS) : null;
  if (fault === 'http') return errorStatus(oneOf([400, 429, 500, 503]), oneIn(2));
  const end = oneOf(ENDS);
  const mixed = oneIn(12);
  const space = oneIn(6) ? '' : ' ';
  const spaced = oneIn(5);
  const escaped = oneIn(6);
  const usageOf = oneOf(['none', 'last', 'last', 'each'] as const);
  const where = oneOf(['content', 'content', 'content', 'reasoning_content', 'tool_calls'] as const);
  const responseId = oneIn(8) ? null : `chatcmpl-${id}`;
  const texts: string[] = [];
  let out = oneIn(20) ? '\ufeff' : '';
  let prompt: number | null = null;
  let cached: number | null = null;
  let counted: number | null = null;
  let finishReason: string | null = null;

  const line = (text: string): void => {
    const mark = mixed ? oneOf(['\n', '\r\n', '\r']) : end;
    // Behind a CR a LF would not end another line.
    out += text + (text === '' && mark === '\n' && out.endsWith('\r') ? '\r' : mark);
  };
  const event = (data: string): void => {
    while (oneIn(10)) {
      line(oneOf(FIELDS));
      if (oneIn(3)) line('');
    }
    line(`data:${space}${data}`);
    line('');
  };
  const json = (value: unknown): string => {
    const text = spaced ? JSON.stringify(value, null, 1).replaceAll('\n', ' ') : JSON.stringify(value);
    if (!escaped) return text;
    return text.replace(
      /[\u0080-\uffff]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
  };
  const usage = (tokens: number): unknown => {
    prompt = 3 + (id % 50);
    cached = id % 4 === 0 ? null : id % 7;
    counted = tokens;
    return {
      prompt_tokens: prompt,
      completion_tokens: tokens,
      ...(cached === null ? {} : { prompt_tokens_details: { cached_tokens: cached } }),
    };
  };
  const chunk = (delta: unknown, reason: string | null, tokens: number): void => {
    const head = responseId === null ? {} : { id: responseId, object: 'chat.completion.chunk', created: 17 };
    const choices = [{ index: 0, delta, finish_reason: reason }];
    const tail = usageOf === 'each' ? { usage: usage(tokens) } : oneIn(30) ? { usage: null } : {};
    const data = json({ ...head, choices, ...tail });
    // Data of several lines is one event; JSON takes a line feed wherever it takes a space.
    if (oneIn(25) && spaced) event(data.replace('{ ', `{${mixed ? '\n' : end}data:${space}`));
    else event(data);
  };
  const deltaOf = (text: string): unknown => {
    if (where === 'tool_calls') return { tool_calls: [{ index: 0, function: { arguments: text } }] };
    return { [where]: text };
  };

  if (oneIn(2)) chunk({ role: 'assistant', content: '' }, null, 0);
  const chunks = fault === 'empty' ? 0 : 1 + (oneIn(30) ? upTo(200) : upTo(10));
  for (let i = 0; i < chunks; i++) {
    let text = '';
    for (let words = oneIn(60) ? upTo(400) : upTo(3); words >= 0; words--) text += oneOf(WORDS);
    texts.push(text);
    const isLast = i === chunks - 1 && oneIn(3);
    if (isLast) finishReason = 'length';
    chunk(deltaOf(text), isLast ? 'length' : null, i + 1);
  }
  if (fault === 'error-event') event(json({ error: { message: 'the engine died', code: 500 } }));
  else if (fault === 'malformed') event('{"choices":[');
  if (fault === null || fault === 'empty') {
    if (finishReason === null && (fault !== null || oneIn(2))) {
      finishReason = 'stop';
      chunk({}, 'stop', chunks);
    }
    if (usageOf === 'last') event(json({ choices: [], usage: usage(chunks) }));
    if (finishReason === null || oneIn(2)) event('[DONE]');
    if (oneIn(10)) line(': bye');
    // An event that lacks its blank line is one all the same.
    if (oneIn(20)) out = out.slice(0, -1);
  }
  const body = Buffer.from(out);
  const framing = oneOf([
    'chunked',
    'chunked',
    'chunked',
    'chunked',
    'chunked',
    'chunked',
    'length',
    'length',
    'close',
  ] as const);
  const framed = frame(body, framing, oneOf, upTo, oneIn);
  const cut = fault === 'truncated';
  const bytes = cut
    ? framed.bytes.subarray(0, framed.bodyAt + upTo(framed.bytes.length - framed.bodyAt - 1))
    : framed.bytes;
  return {
    bytes,
    closes: cut || framing === 'close',
    expected: {
      outcome: fault ?? 'good',
      finishReason,
      responseId,
      texts,
      counted,
      promptTokens: prompt,
      cachedTokens: cached,
    },
  };
}

function frame(
  body: Buffer,
  framing: 'chunked' | 'length' | 'close',
  oneOf: <T>(some: readonly T[]) => T,
  upTo: (high: number) => number,
  oneIn: (times: number) => boolean,
): { bytes: Buffer; bodyAt: number } {
  let head = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n';
  if (oneIn(4)) head += 'Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nX-Padding:   much   \r\n';
  if (oneIn(10)) head = `HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n${head}`;
  if (framing === 'length') head += `Content-Length: ${body.length}\r\n`;
  else if (framing === 'close') head += 'Connection: close\r\n';
  else head += `${oneOf(['Transfer-Encoding: chunked', 'transfer-encoding:chunked'])}\r\n`;
  const start = Buffer.from(`${head}\r\n`);
  if (framing !== 'chunked') return { bytes: Buffer.concat([start, body]), bodyAt: start.length };
  const parts: Buffer[] = [start];
  const most = oneOf([1, 7, 60, 400, 4_000]);
  const extended = oneIn(12);
  for (let at = 0; at < body.length; ) {
    // Mostly an event each, as servers do; else cut anywhere.
    const blank = most > 7 ? endOfEvent(body, at) : at + 1 + upTo(most);
    const to = Math.min(body.length, most > 7 && oneIn(3) ? at + 1 + upTo(most) : blank);
    let size = (to - at).toString(16);
    if (oneIn(20)) size = size.toUpperCase().padStart(4, '0');
    parts.push(
      Buffer.from(`${size}${extended ? ';a="b"' : ''}\r\n`),
      body.subarray(at, to),
      Buffer.from('\r\n'),
    );
    at = to;
  }
  parts.push(Buffer.from(`0\r\n${oneIn(15) ? 'X-Trailer: yes\r\n' : ''}\r\n`));
  return { bytes: Buffer.concat(parts), bodyAt: start.length };
}

/** The index behind the next two line ends in a row. */
function endOfEvent(body: Buffer, from: number): number {
  for (let at = from + 1; at < body.length; at++) {
    const byte = body[at];
    if (byte === 0x0a && (body[at - 1] === 0x0a || (body[at - 1] === 0x0d && body[at - 2] === 0x0a)))
      return at + 1;
    if (byte === 0x0d && body[at - 1] === 0x0d) return at + 1;
  }
  return body.length;
}

function errorStatus(status: number, isJson: boolean): FuzzStream {
  const body = isJson ? JSON.stringify({ error: { message: 'slow down ü' } }) : 'slow down ü\nsecond line';
  const head = `HTTP/1.1 ${status} Oh\r\nContent-Type: ${isJson ? 'application/json' : 'text/plain'}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
  const nothing = { finishReason: null, responseId: null, texts: [], counted: null };
  return {
    bytes: Buffer.from(head + body),
    closes: false,
    expected: { outcome: 'http', ...nothing, promptTokens: null, cachedTokens: null },
  };
}

/** Answers request number N of any connection with stream N, cut at other places each time. */
export async function startFuzzServer(seed: number): Promise<{ port: number; close(): void }> {
  const sockets = new Set<net.Socket>();
  const random = new Random('cuts', seed);
  // Three clients ask for each stream.
  const recent = new Map<number, FuzzStream>();
  const streamOf = (id: number): FuzzStream => {
    let stream = recent.get(id);
    if (stream === undefined) {
      stream = fuzzStream(seed, id);
      recent.set(id, stream);
      if (recent.size > 2_000) recent.delete(recent.keys().next().value!);
    }
    return stream;
  };
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      const head = text.indexOf('\r\n\r\n');
      const length = /content-length: (\d+)/i.exec(text);
      if (head < 0 || length === null || text.length < head + 4 + Number(length[1])) return;
      const id = Number(/x-request-id: (\d+)/i.exec(text)![1]);
      text = '';
      writeCut(socket, streamOf(id), random);
    });
  });
  await new Promise<void>((resolve) =>
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1_024 }, resolve),
  );
  return {
    port: (server.address() as net.AddressInfo).port,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** Writes a stream in pieces: at once, each in a turn of the loop of its own, or a few ms apart. */
function writeCut(socket: net.Socket, { bytes, closes }: FuzzStream, random: Random): void {
  const many = random.integer(0, 40) === 0 ? 60 : 6;
  const cuts = Array.from({ length: random.integer(0, many) }, () => random.integer(0, bytes.length)).sort(
    (a, b) => a - b,
  );
  const pause = random.integer(0, 9);
  let at = 0;
  const next = (): void => {
    while (!socket.destroyed) {
      const to = cuts.shift() ?? bytes.length;
      if (to > at) socket.write(bytes.subarray(at, to));
      at = Math.max(at, to);
      if (at === bytes.length) {
        if (closes) socket.end();
        return;
      }
      if (pause > 4) {
        if (pause === 9) setTimeout(next, random.integer(0, 3));
        else setImmediate(next);
        return;
      }
    }
  };
  next();
}

type WireName = 'kernel' | 'socket' | 'undici';

function makeClient(name: WireName, port: number): Client {
  const clock = startClock();
  const meter = new ReadMeter();
  const options: WireOptions = {
    target: parseTarget(`http://127.0.0.1:${port}`),
    clock,
    tls: null,
    connectTimeoutMs: 0,
    connectionPerRequest: false,
    meter,
  };
  const wire: Wire =
    name === 'kernel'
      ? new KernelWire(options)
      : name === 'socket'
        ? new SocketWire(options)
        : new UndiciWire(options);
  return new Client([wire], {
    clock,
    dialect: openaiChat,
    model: 'm',
    fields: new Set(),
    extraBody: {},
    headers: [],
    timeouts: { connectMs: 0, firstMs: 0, idleMs: 0, totalMs: 60_000 },
    templateShare: 0,
    keepText: true,
    stampedBy: wire.stampedBy,
    meter,
  });
}

function ask(client: Client, id: number): Promise<FinishedRequest> {
  const plan = {
    id,
    requestId: String(id),
    point: 0,
    concurrency: 1,
    phase: 'measured' as const,
    dueAtMs: 0,
    isl: 3,
    osl: 4,
    promptTokens: null,
  };
  return client.send(plan, { content: Buffer.from('x'), isl: 3, osl: 4, promptTokens: null });
}

/** All of a record that does not depend on time, but for its text. */
function essence({ record }: FinishedRequest): string {
  const { outcome, status, finishReason, responseId, osl, isl, promptTokens, cachedTokens } = record;
  const { chunkUs, chunkTokens, chunkTokensBy } = record;
  const tokens = chunkTokens === null ? null : [...chunkTokens];
  const chunks = chunkUs.length;
  return JSON.stringify({
    outcome,
    status,
    finishReason,
    responseId,
    osl,
    isl,
    promptTokens,
    cachedTokens,
    chunks,
    tokens,
    chunkTokensBy,
  });
}

function textsOf({ text }: FinishedRequest): string[] {
  const bytes = Buffer.from(text!.bytes);
  return Array.from(text!.ends, (end, i) => bytes.toString('utf8', text!.ends[i - 1] ?? 0, end));
}

function hasSameText(one: FinishedRequest, other: FinishedRequest): boolean {
  const [a, b] = [one.text!, other.text!];
  return Buffer.compare(a.bytes, b.bytes) === 0 && a.ends.every((end, i) => end === b.ends[i]);
}

/** What is wrong with the records of a stream; null where nothing is. */
function judge(expected: Expected, finished: ReadonlyMap<WireName, FinishedRequest>): string | null {
  const words = (name: WireName): string => {
    const one = finished.get(name)!;
    return `${name} has ${essence(one)} ${JSON.stringify(textsOf(one))} (${one.record.detail})`;
  };
  const [[first, one]] = [...finished] as [[WireName, FinishedRequest]];
  const made = essence(one);
  for (const [name, other] of finished) {
    if (essence(other) !== made || !hasSameText(one, other)) return `${words(name)}, ${words(first)}`;
    if (other.record.endAtMs < other.record.sentAtMs) return `${words(name)}, and ends before it begins`;
  }
  const { record } = one;
  const texts = textsOf(one);
  // A stream that is cut near its end may be whole: whether it is, all clients agree on.
  if (expected.outcome === 'truncated')
    return expected.texts.join('').startsWith(texts.join('')) ? null : `${words(first)}, which was not sent`;
  const seen: Expected = {
    outcome: record.outcome,
    finishReason: record.finishReason,
    responseId: record.responseId,
    texts,
    counted: record.osl.counted,
    promptTokens: record.promptTokens,
    cachedTokens: record.cachedTokens,
  };
  if (JSON.stringify(seen) === JSON.stringify(expected)) return null;
  return `${words(first)} as all others, was sent as ${JSON.stringify(expected)}`;
}

export interface FuzzResult {
  readonly streams: number;
  readonly wires: readonly WireName[];
  readonly bytes: number;
  readonly chunks: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly wrong: readonly string[];
}

/** Has all wires read streams [0, count) of the server, `lanes` at once, until one is wrong or the time is over. */
export async function fuzzWires(
  port: number,
  seed: number,
  count: number,
  options: {
    lanes?: number;
    untilMs?: number;
    wires?: readonly WireName[];
    progress?: (done: number) => void;
  } = {},
): Promise<FuzzResult> {
  const { lanes = 48, untilMs = Number.POSITIVE_INFINITY, wires = ['kernel', 'socket', 'undici'] } = options;
  const clients = wires.map((name) => [name, makeClient(name, port)] as const);
  const outcomes: Record<string, number> = {};
  const wrong: string[] = [];
  let next = 0;
  let streams = 0;
  let bytes = 0;
  let chunks = 0;
  const lane = async (): Promise<void> => {
    while (next < count && wrong.length === 0 && performance.now() < untilMs) {
      const id = next++;
      const finished = new Map<WireName, FinishedRequest>();
      await Promise.all(clients.map(async ([name, client]) => finished.set(name, await ask(client, id))));
      const stream = fuzzStream(seed, id);
      const fault = judge(stream.expected, finished);
      if (fault !== null) wrong.push(`stream ${id} of seed ${seed}: ${fault}`);
      const { record } = finished.get(wires[0]!)!;
      outcomes[record.outcome] = (outcomes[record.outcome] ?? 0) + 1;
      chunks += record.chunkUs.length;
      bytes += stream.bytes.length;
      streams++;
      if (streams % 10_000 === 0) options.progress?.(streams);
    }
  };
  try {
    await Promise.all(Array.from({ length: lanes }, lane));
  } finally {
    for (const [, client] of clients) await client.close();
  }
  return { streams, wires, bytes, chunks, outcomes, wrong };
}
