import { spawn } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { BenchError, EXIT } from '../../src/core/errors.ts';
import { CUT_BODY, type RequestRecord } from '../../src/core/record.ts';
import { newRequestIds } from '../../src/core/request-ids.ts';
import { Client } from '../../src/endpoints/client.ts';
import { KernelWire } from '../../src/endpoints/kernel-wire.ts';
import { openaiChat } from '../../src/endpoints/openai-chat.ts';
import { ReadMeter } from '../../src/endpoints/read-meter.ts';
import { nativeReceiver } from '../../src/endpoints/receiver/native.ts';
import { SocketWire } from '../../src/endpoints/socket-wire.ts';
import { parseTarget } from '../../src/endpoints/target.ts';
import { UndiciWire } from '../../src/endpoints/undici-wire.ts';
import type { TlsMaterial, Wire, WireOptions } from '../../src/endpoints/wire.ts';
import { chooseWires } from '../../src/endpoints/wires.ts';
import { type RunClock, startClock } from '../../src/host/clock.ts';

vi.mock('node:dns/promises', async (original) => {
  const dns = await original<typeof import('node:dns/promises')>();
  return { ...dns, lookup: vi.fn(dns.lookup) };
});

const noReceiver = nativeReceiver();
const NO_KERNEL = typeof noReceiver === 'string' ? noReceiver : null;
if (NO_KERNEL !== null) console.warn(`\n*** NOT RUN: the kernel wire. ${NO_KERNEL} ***\n`);

const MAKE = {
  kernel: (options: WireOptions) => new KernelWire(options),
  socket: (options: WireOptions) => new SocketWire(options),
  undici: (options: WireOptions) => new UndiciWire(options),
} as const satisfies Record<string, (options: WireOptions) => Wire>;
type WireName = keyof typeof MAKE;
/** Those that pool connections of their own. */
const POOLED = (['kernel', 'socket'] as const).filter((name) => name !== 'kernel' || NO_KERNEL === null);
const WIRES: readonly WireName[] = [...POOLED, 'undici'];
const NO_TIMEOUTS = { connectMs: 0, firstMs: 0, idleMs: 0, totalMs: 0 };
const tlsFile = (name: string): Buffer =>
  readFileSync(path.join(import.meta.dirname, '../fixtures/tls', name));

const open: { close: () => unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

/** A server that hands each whole request to `answer`, which writes raw bytes. */
async function rawServer(
  answer: (socket: net.Socket, request: string) => void,
  options?: tls.TlsOptions,
  host = '127.0.0.1',
): Promise<number> {
  const sockets = new Set<net.Socket>();
  const onSocket = (socket: net.Socket): void => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      const head = text.indexOf('\r\n\r\n');
      const length = /content-length: (\d+)/i.exec(text);
      if (head < 0 || length === null || text.length < head + 4 + Number(length[1])) return;
      const request = text;
      text = '';
      answer(socket, request);
    });
  };
  const server = options ? tls.createServer(options, onSocket) : net.createServer(onSocket);
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  open.push({
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
  return (server.address() as net.AddressInfo).port;
}

interface Setup {
  readonly timeouts?: Partial<typeof NO_TIMEOUTS>;
  readonly tls?: TlsMaterial;
  readonly perRequest?: boolean;
}

const clocks = new WeakMap<Client, RunClock>();
const meters = new WeakMap<Client, ReadMeter>();

function makeClient(name: WireName, url: string, setup: Setup = {}): Client {
  const clock = startClock();
  const timeouts = { ...NO_TIMEOUTS, ...setup.timeouts };
  const meter = new ReadMeter();
  const wire = MAKE[name]({
    target: parseTarget(url),
    clock,
    tls: setup.tls ?? null,
    connectTimeoutMs: timeouts.connectMs,
    connectionPerRequest: setup.perRequest ?? false,
    meter,
  });
  const client = new Client([wire], {
    clock,
    dialect: openaiChat,
    model: 'm',
    fields: new Set(['ignore_eos']),
    extraBody: {},
    headers: [['Content-Type', 'application/json']],
    timeouts,
    templateShare: 0,
    stampedBy: wire.stampedBy,
    meter,
  });
  clocks.set(client, clock);
  meters.set(client, meter);
  open.push(client);
  return client;
}

const ids = newRequestIds('w');

/** Asks at once, or at an instant that lies so far ahead. */
async function ask(client: Client, aheadMs?: number): Promise<RequestRecord> {
  const plan = {
    ...ids.next(),
    point: 0,
    concurrency: 1,
    phase: 'measured' as const,
    dueAtMs: aheadMs === undefined ? 0 : clocks.get(client)!.now() + aheadMs,
    isl: 3,
    osl: 4,
    promptTokens: null,
  };
  return (
    await client.send(plan, {
      content: Buffer.from('one two \\"three\\"'),
      isl: 3,
      osl: 4,
      promptTokens: null,
    })
  ).record;
}

const data = (value: unknown): string =>
  `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
const token = (content: string): string =>
  data({ id: 'c', choices: [{ index: 0, delta: { content }, finish_reason: null }], usage: null });
const FINISH = data({ id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'length' }] });
const USAGE = data({
  id: 'c',
  choices: [],
  usage: { prompt_tokens: 9, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 2 } },
});
const DONE = data('[DONE]');
const reason = (word: string): string =>
  data({ id: 'c', choices: [{ index: 0, delta: {}, finish_reason: word }] });
const usage = (tokens: number): string =>
  data({ id: 'c', choices: [], usage: { prompt_tokens: 9, completion_tokens: tokens } });
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n';
const chunked = (parts: readonly string[]): string =>
  `${HEAD}Transfer-Encoding: chunked\r\n\r\n${parts.map((part) => `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`).join('')}0\r\n\r\n`;
const WHOLE = chunked([token('α'), token('β 🎲'), token(' c'), token(' d'), FINISH, USAGE, DONE]);

/** What must not depend on time, name or wire. */
function essence(record: RequestRecord): unknown {
  const {
    outcome,
    status,
    finishReason,
    responseId,
    osl,
    isl,
    cachedTokens,
    chunkUs,
    chunkTokens,
    chunkTokensBy,
  } = record;
  return {
    outcome,
    status,
    finishReason,
    responseId,
    osl,
    isl,
    cachedTokens,
    chunks: chunkUs.length,
    chunkTokens,
    chunkTokensBy,
  };
}

/** Writes `bytes` in pieces, each in a turn of its own. */
async function writeCut(socket: net.Socket, bytes: Buffer, cuts: readonly number[]): Promise<void> {
  const edges = [...new Set([0, ...cuts.map((cut) => cut % bytes.length), bytes.length])].sort(
    (a, b) => a - b,
  );
  for (let i = 1; i < edges.length; i++) {
    socket.write(bytes.subarray(edges[i - 1]!, edges[i]!));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe.each(WIRES)('the %s wire', (name) => {
  it('sends the request as it was framed and reads the stream', async () => {
    let seen = '';
    const port = await rawServer((socket, request) => {
      seen = request;
      socket.write(WHOLE);
    });
    const record = await ask(makeClient(name, `http://127.0.0.1:${port}/base/v1/`));
    expect(record).toMatchObject({
      outcome: 'good',
      status: 200,
      finishReason: 'length',
      responseId: 'c',
      cachedTokens: 2,
      promptTokens: 9,
    });
    expect(record.chunkUs).toHaveLength(4);
    expect([...record.chunkTokens!]).toEqual([1, 1, 1, 1]);
    expect(record.sentAtMs).toBeLessThanOrEqual(record.firstAtMs!);
    expect(record.lastAtMs).toBeLessThanOrEqual(record.endAtMs);
    expect(seen).toMatch(/^POST \/base\/v1\/chat\/completions HTTP\/1\.1\r\n/);
    expect(seen.toLowerCase()).toContain(`x-request-id: ${record.requestId}`);
    const body = JSON.parse(seen.slice(seen.indexOf('\r\n\r\n') + 4)) as Record<string, unknown>;
    expect(body).toMatchObject({
      model: 'm',
      messages: [{ role: 'user', content: 'one two "three"' }],
      max_tokens: 4,
      ignore_eos: true,
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0,
    });
    expect(body).not.toHaveProperty('min_tokens');
  });

  it('uses one connection for many requests, or one for each when told', async () => {
    const ports = new Set<number>();
    const port = await rawServer((socket) => {
      ports.add(socket.remotePort!);
      socket.write(WHOLE);
    });
    const kept = makeClient(name, `http://127.0.0.1:${port}`);
    for (let i = 0; i < 3; i++) expect((await ask(kept)).outcome).toBe('good');
    // undici may open a second connection while the first is still being handed back.
    const keptPorts = ports.size;
    expect(keptPorts).toBeLessThanOrEqual(name === 'undici' ? 2 : 1);
    const single = makeClient(name, `http://127.0.0.1:${port}`, { perRequest: true });
    for (let i = 0; i < 3; i++) expect((await ask(single)).outcome).toBe('good');
    expect(ports.size).toBe(keptPorts + 3);
  });

  it.each<[string, string, (socket: net.Socket) => void]>([
    [
      'http',
      'status 429: slow down',
      (s) => s.write('HTTP/1.1 429 Too Many\r\nContent-Length: 33\r\n\r\n{"error":{"message":"slow down"}}'),
    ],
    ['http', 'status 503: not ready', (s) => s.end('HTTP/1.1 503 Unavailable\r\n\r\nnot ready\nsecond line')],
    ['reset', '', (s) => s.destroy()],
    ['truncated', '', (s) => s.end(`${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\ndata:`)],
    ['truncated', 'after 1 chunks', (s) => s.write(chunked([token('a')]))],
    [
      'error-event',
      'Internal server error',
      (s) =>
        s.write(
          chunked([token('a'), data({ error: { message: 'Internal server error', code: 500 } }), DONE]),
        ),
    ],
    [
      'error-event',
      'engine died',
      (s) => s.write(chunked([token('a'), 'event: error\ndata: engine died\n\n', DONE])),
    ],
    ['malformed', 'event is no JSON', (s) => s.write(chunked([token('a'), data('{"choices":['), DONE]))],
    [
      'malformed',
      'application/json instead',
      (s) => s.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}'),
    ],
    ['malformed', '', (s) => s.end('SSH-2.0-OpenSSH_9.2\r\n')],
    ['empty', 'without a single output token', (s) => s.write(chunked([DONE]))],
    ['empty', 'without any output', (s) => s.write(chunked([]))],
  ])('counts %s (%s)', async (outcome, detail, answer) => {
    const port = await rawServer(answer);
    const record = await ask(makeClient(name, `http://127.0.0.1:${port}`));
    expect(record.outcome).toBe(outcome);
    expect(record.detail).toContain(detail);
  });

  it('takes a stream without [DONE], usage on the finish chunk, and usage null', async () => {
    const finish = data({
      id: 'c',
      choices: [{ delta: { content: '' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 3, completion_tokens: 2 },
    });
    const port = await rawServer((socket) => socket.write(chunked([token('a'), token('b'), finish])));
    expect(await ask(makeClient(name, `http://127.0.0.1:${port}`))).toMatchObject({
      outcome: 'good',
      finishReason: 'stop',
      osl: { counted: 2, by: 'usage' },
    });
  });

  it('starts the clock at reasoning and tool calls, not at a role', async () => {
    const delta = (value: unknown): string => data({ choices: [{ delta: value }] });
    const port = await rawServer((socket) =>
      socket.write(
        chunked([
          delta({ role: 'assistant', content: '' }),
          delta({ reasoning_content: 'hm' }),
          delta({ reasoning: 'so' }),
          delta({ tool_calls: [{ index: 0, function: { name: 'f', arguments: '{"a"' } }] }),
          delta({ content: 'x' }),
          USAGE,
          DONE,
        ]),
      ),
    );
    const record = await ask(makeClient(name, `http://127.0.0.1:${port}`));
    expect(record.outcome).toBe('good');
    expect(record.chunkUs).toHaveLength(4);
  });

  it.each<[string, string, readonly string[]]>([
    ['aborted', 'finish reason "abort" after 1 output tokens', [reason('abort'), usage(1), DONE]],
    ['aborted', 'finish reason "error" after 1 chunks', [reason('error'), DONE]],
    [
      'filtered',
      'finish reason "content_filter" after 1 output tokens',
      [reason('content_filter'), usage(1)],
    ],
    ['aborted', 'unknown finish reason "because" after 1 output tokens of 4', [reason('because'), usage(1)]],
    ['error-event', 'no capacity', [data({ code: 500, message: 'no capacity' }), DONE]],
    ['error-event', 'no capacity', [data({ detail: 'no capacity' }), FINISH, DONE]],
    ['error-event', '{"state":"broken"}', [data({ state: 'broken' }), DONE]],
    ['error-event', 'engine died', ['event: message.failed\ndata: engine died\n\n', DONE]],
    ['error-event', 'no capacity', ['event: x\ndata: {"error":{"message":"no capacity"}}\n\n', DONE]],
    [
      'error-event',
      'no capacity',
      ['event: update\ndata: {"type":"error","message":"no capacity"}\n\n', DONE],
    ],
    ['error-event', 'no capacity', ['event: status\ndata: {"status":500,"message":"no capacity"}\n\n', DONE]],
    ['error-event', 'worker lost', ['event: aborted\ndata: worker lost\n\n', DONE]],
    ['error-event', '{"detail":"no capacity"}', ['event: x\ndata: {"detail":"no capacity"}\n\n', DONE]],
    [
      'error-event',
      'no capacity',
      ['event: x\ndata: {"detail":"no capacity"}\n\n', 'event: error\ndata: no capacity\n\n'],
    ],
    ['error-event', 'an event of type error without data', ['event: error\ndata:\n\n', DONE]],
    ['malformed', 'event is no JSON', [data('still here'), DONE]],
  ])('counts what the server says of itself as %s: %s', async (outcome, detail, events) => {
    const port = await rawServer((socket) => socket.write(chunked([token('a'), ...events])));
    const record = await ask(makeClient(name, `http://127.0.0.1:${port}`));
    expect(record.outcome).toBe(outcome);
    expect(record.detail).toContain(detail);
    expect(record.chunkUs).toHaveLength(1);
  });

  it('takes a finish reason that it does not know for good where the output is whole', async () => {
    const port = await rawServer((socket) =>
      socket.write(chunked([...'abcd'].map(token).concat(reason('because'), usage(4), DONE))),
    );
    expect(await ask(makeClient(name, `http://127.0.0.1:${port}`))).toMatchObject({
      outcome: 'good',
      finishReason: 'because',
    });
  });

  it('passes over what keeps the connection alive, and counts it', async () => {
    const beats = [
      ': comment\n\n',
      ':\n\n',
      'data:\n\n',
      'data:  \n\n',
      data('ping'),
      data({ type: 'ping' }),
      data({}),
      'event: ping\ndata:\n\n',
      'event: ping\ndata: {"type": "ping"}\n\n',
      'event: ping\ndata: 2026-11-30 23:00\n\n',
      'event: status\ndata: {"message":"loading","detail":"layer 3"}\n\n',
      'event: metrics\ndata: {"kv_use":0.5}\n\n',
    ];
    const parts = [
      ...beats,
      token('a'),
      ...beats,
      token('b'),
      token('c'),
      token('d'),
      ...beats,
      FINISH,
      USAGE,
      DONE,
    ];
    const port = await rawServer((socket) => socket.write(chunked(parts)));
    const client = makeClient(name, `http://127.0.0.1:${port}`);
    expect(await ask(client)).toMatchObject({ outcome: 'good', osl: { counted: 4, by: 'usage' } });
    expect(meters.get(client)!.take().reads.passedOver).toBe(3 * beats.length);
    // A chunk is one with any type.
    const typed = await rawServer((socket) =>
      socket.write(chunked([`event: chunk\n${token('a')}`, `event: message\n${token('b')}`, FINISH, DONE])),
    );
    const record = await ask(makeClient(name, `http://127.0.0.1:${typed}`));
    expect([record.outcome, record.chunkUs.length]).toEqual(['good', 2]);
    // An event of another type is no error where nothing but the end mark follows.
    const alone = await rawServer((socket) =>
      socket.write(chunked([token('a'), 'event: metrics\ndata: {"kv_use":0.5}\n\n', DONE])),
    );
    expect((await ask(makeClient(name, `http://127.0.0.1:${alone}`))).outcome).toBe('good');
  });

  it('takes a message for output, but not for that of its deltas', async () => {
    const message = (content: string): string => data({ choices: [{ message: { content } }] });
    for (const [parts, chunks] of [
      [[message('a'), message('b'), message('c'), message('d')], 4],
      [[token('a'), token('b'), message('ab')], 2],
      // The same server: chunks of a shape that is known by now.
      [[token('a'), token('b'), token('c'), message('abc')], 3],
    ] as const) {
      const port = await rawServer((socket) => socket.write(chunked([...parts, FINISH, DONE])));
      const client = makeClient(name, `http://127.0.0.1:${port}`);
      for (let i = 0; i < 2; i++) {
        const record = await ask(client);
        expect([record.outcome, record.chunkUs.length]).toEqual(['good', chunks]);
      }
    }
  });

  it('frees the slot of a response that the server holds open at [DONE]', async () => {
    const held: net.Socket[] = [];
    const ports = new Set<number>();
    let holds = true;
    const whole = chunked([token('a'), token('b'), token('c'), token('d'), FINISH, USAGE, DONE]);
    const end = '0\r\n\r\n';
    const port = await rawServer((socket) => {
      ports.add(socket.remotePort!);
      socket.write(whole.slice(0, -end.length));
      if (holds) held.push(socket);
      else setTimeout(() => socket.write(end), 10);
    });
    const client = makeClient(name, `http://127.0.0.1:${port}`);
    const first = await ask(client);
    expect(client.inFlight).toBe(0);
    expect(first).toMatchObject({ outcome: 'good', osl: { counted: 4 } });
    // It ended with the stream, not when the slot stopped waiting.
    expect(first.endAtMs).toBe(first.lastEventAtMs);
    // From then on nothing is waited for: the next one takes another connection.
    const second = await ask(client);
    expect(second.outcome).toBe('good');
    expect([held.length, ports.size]).toEqual([2, 2]);
    expect(meters.get(client)!.take().reads.heldOpen).toBe(2);
    // Held or not, a connection is used again once its response has ended.
    for (const socket of held.splice(0)) socket.write(end);
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (let i = 0; i < 3; i++) {
      expect((await ask(client)).outcome).toBe('good');
      for (const socket of held.splice(0)) socket.write(end);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(ports.size).toBe(2);
    // Of a server that ends its responses soon, the end is waited for again.
    holds = false;
    await ask(client);
    await new Promise((resolve) => setTimeout(resolve, 50));
    meters.get(client)!.take();
    for (let i = 0; i < 3; i++) expect((await ask(client)).outcome).toBe('good');
    expect(meters.get(client)!.take().reads.heldOpen).toBeUndefined();
  });

  it('waits for nothing once a server has held a response open, and reads no more of it', async () => {
    const sockets: net.Socket[] = [];
    const port = await rawServer((socket) => {
      sockets.push(socket);
      socket.write(chunked([token('a'), FINISH, DONE]).slice(0, -5));
    });
    const client = makeClient(name, `http://127.0.0.1:${port}`);
    await ask(client);
    const tookMs: number[] = [];
    for (let i = 0; i < 5; i++) {
      const startMs = performance.now();
      expect((await ask(client)).outcome).toBe('good');
      tookMs.push(performance.now() - startMs);
    }
    // The quickest of some: each would take 50 ms if it were waited for.
    expect(Math.min(...tookMs)).toBeLessThan(50);
    for (const socket of sockets) socket.write('8\r\n: late\n\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(meters.get(client)!.take().reads).not.toHaveProperty('passedOver');
  });

  it('leaves at most 64 responses open', async () => {
    let closed = 0;
    const port = await rawServer((socket) => {
      socket.on('close', () => closed++);
      socket.write(chunked([token('a'), FINISH, DONE]).slice(0, -5));
    });
    const client = makeClient(name, `http://127.0.0.1:${port}`);
    const records = await Promise.all(Array.from({ length: 70 }, () => ask(client)));
    expect(new Set(records.map(({ outcome }) => outcome))).toEqual(new Set(['good']));
    await vi.waitFor(() => expect(closed).toBe(6), { timeout: 900, interval: 5 });
  });

  it('closes the connection of a response that is held open for a second', async () => {
    let closed = 0;
    const port = await rawServer((socket) => {
      socket.on('close', () => closed++);
      socket.write(chunked([token('a'), FINISH, DONE]).slice(0, -5));
    });
    const client = makeClient(name, `http://127.0.0.1:${port}`);
    expect((await ask(client)).outcome).toBe('good');
    expect(closed).toBe(0);
    await vi.waitFor(() => expect(closed).toBe(1), { timeout: 3_000, interval: 20 });
  });

  it('calls a refused connection what it is', async () => {
    const record = await ask(makeClient(name, 'http://127.0.0.1:1'));
    expect(record).toMatchObject({ outcome: 'connect', firstAtMs: null });
    expect(record.detail).toContain('ECONNREFUSED');
  });

  it.each([
    ['first', { firstMs: 60 }, ''],
    [
      'idle',
      { idleMs: 60 },
      `${HEAD}Transfer-Encoding: chunked\r\n\r\n${Buffer.byteLength(token('a')).toString(16)}\r\n${token('a')}\r\n`,
    ],
    ['total', { totalMs: 60 }, ''],
  ] as const)('gives up after the %s time-out', async (stage, timeouts, sent) => {
    const port = await rawServer((socket) => socket.write(sent));
    const record = await ask(makeClient(name, `http://127.0.0.1:${port}`, { timeouts }));
    expect(record.outcome).toBe('timeout');
    expect(record.detail).toMatch(new RegExp(`^${stage}:`));
    expect(record.endAtMs - record.sentAtMs).toBeGreaterThanOrEqual(60);
  });

  it('cancels what is in flight', async () => {
    const port = await rawServer(() => undefined);
    const client = makeClient(name, `http://127.0.0.1:${port}`);
    const asked = ask(client);
    setTimeout(() => client.cancel('interrupted'), 30);
    expect(await asked).toMatchObject({ outcome: 'cancelled', detail: 'interrupted' });
    expect(client.inFlight).toBe(0);
  });

  it('verifies TLS, trusts --cacert, and shows a client certificate', async () => {
    const server = { cert: tlsFile('server.pem'), key: tlsFile('server.key'), ca: tlsFile('ca.pem') };
    const port = await rawServer((socket) => socket.write(WHOLE), server);
    const unknown = await ask(makeClient(name, `https://localhost:${port}`));
    expect(unknown.outcome).toBe('tls');
    const ca = { ca: tlsFile('ca.pem'), cert: null, key: null };
    expect((await ask(makeClient(name, `https://localhost:${port}`, { tls: ca }))).outcome).toBe('good');
    // The certificate is of localhost and 127.0.0.1, not of its other address.
    expect((await ask(makeClient(name, `https://127.0.0.1:${port}`, { tls: ca }))).outcome).toBe('good');
    const other = await rawServer((socket) => socket.write(WHOLE), server, '::1');
    expect((await ask(makeClient(name, `https://[::1]:${other}`, { tls: ca }))).outcome).toBe('tls');

    const strict = await rawServer((socket) => socket.write(WHOLE), {
      ...server,
      requestCert: true,
      rejectUnauthorized: true,
    });
    const mutual = { ca: tlsFile('ca.pem'), cert: tlsFile('client.pem'), key: tlsFile('client.key') };
    expect((await ask(makeClient(name, `https://localhost:${strict}`, { tls: mutual }))).outcome).toBe(
      'good',
    );
    expect((await ask(makeClient(name, `https://localhost:${strict}`, { tls: ca }))).outcome).not.toBe(
      'good',
    );
  });

  it('speaks IPv6', async () => {
    const port = await rawServer((socket) => socket.write(WHOLE), undefined, '::1');
    expect((await ask(makeClient(name, `http://[::1]:${port}`))).outcome).toBe('good');
    const refused = await ask(makeClient(name, 'http://[::1]:1'));
    expect(refused).toMatchObject({ outcome: 'connect', firstAtMs: null });
    expect(refused.detail).toContain('ECONNREFUSED');
  });

  it('gives up connecting after its time-out', async () => {
    const port = await deafServer();
    const record = await ask(makeClient(name, `http://127.0.0.1:${port}`, { timeouts: { connectMs: 150 } }));
    expect(record.outcome).toBe('timeout');
    expect(record.detail).toMatch(/^connect:/);
  });

  it('cancels a request before its connection is open, and opens no other for it', async () => {
    let requests = 0;
    const port = await rawServer(() => requests++);
    const client = makeClient(name, `http://127.0.0.1:${port}`);
    const asked = ask(client);
    client.cancel('interrupted');
    expect(await asked).toMatchObject({ outcome: 'cancelled', detail: 'interrupted', firstAtMs: null });
    expect(client.inFlight).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(requests).toBe(0);
  });

  if (name === 'kernel') return;
  it('speaks through a unix socket', async () => {
    const file = path.join(os.tmpdir(), `bench-wire-${process.pid}-${name}.sock`);
    const server = net.createServer((socket) => socket.once('data', () => socket.write(WHOLE)));
    await new Promise<void>((resolve) => server.listen(file, resolve));
    open.push({ close: () => server.close() });
    expect((await ask(makeClient(name, `unix:${file}`))).outcome).toBe('good');
  });
});

/** Has a full listen queue and takes nothing from it, so that whoever connects next waits. */
async function deafServer(): Promise<number> {
  const script = `
    const server = require('node:net').createServer();
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      require('node:fs').writeSync(1, String(server.address().port) + '\\n');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20_000);
      process.exit();
    });`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(line);
  const waiting = [1, 2, 3].map(() => net.connect(port, '127.0.0.1').on('error', () => undefined));
  open.push({
    close: () => {
      for (const socket of waiting) socket.destroy();
      child.kill('SIGKILL');
    },
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  return port;
}

/** Passes bytes on both ways, those of the server cut as `cuts` says for each piece that it reads. */
async function cuttingProxy(port: number, cuts: () => readonly number[]): Promise<number> {
  const sockets = new Set<net.Socket>();
  const proxy = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1');
    let written = Promise.resolve();
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
    }
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => {
      written = written.then(() => writeCut(near, bytes, cuts()));
    });
    far.on('end', () => void written.then(() => near.end()));
    near.on('close', () => far.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  open.push({
    close: () => {
      for (const socket of sockets) socket.destroy();
      proxy.close();
    },
  });
  return (proxy.address() as net.AddressInfo).port;
}

/** Sends the start of a stream, then `end`s it once that has been read. */
const afterAStart =
  (end: (socket: net.Socket) => void) =>
  (socket: net.Socket): void => {
    socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
    for (const part of [token('a'), token('b')])
      socket.write(`${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`);
    setTimeout(() => end(socket), 30);
  };

describe('all wires', () => {
  it('make the same record of the same bytes, cut anywhere', async () => {
    let cuts: readonly number[] = [];
    const bytes = Buffer.from(WHOLE);
    const port = await rawServer((socket) => void writeCut(socket, bytes, cuts));
    const clients = WIRES.map((name) => makeClient(name, `http://127.0.0.1:${port}`));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { maxLength: 12 }), async (some) => {
        cuts = some;
        const records: RequestRecord[] = [];
        for (const client of clients) records.push(await ask(client));
        expect(records[0]!.outcome).toBe('good');
        for (const record of records.slice(1)) expect(essence(record)).toEqual(essence(records[0]!));
      }),
      { numRuns: 60 },
    );
  });

  it('make the same record over TLS, cut anywhere', async () => {
    let cuts: readonly number[] = [];
    const server = { cert: tlsFile('server.pem'), key: tlsFile('server.key') };
    const parts = WHOLE.split(/(?<=\r\n)/);
    const port = await rawServer((socket) => {
      // A TLS record each.
      for (const part of parts) socket.write(part);
    }, server);
    const proxy = await cuttingProxy(port, () => cuts);
    const material = { ca: tlsFile('ca.pem'), cert: null, key: null };
    const clients = WIRES.map((name) => makeClient(name, `https://localhost:${proxy}`, { tls: material }));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { maxLength: 8 }), async (some) => {
        cuts = some;
        const records: RequestRecord[] = [];
        for (const client of clients) records.push(await ask(client));
        expect(records[0]).toMatchObject({ outcome: 'good', detail: null });
        for (const record of records.slice(1)) expect(essence(record)).toEqual(essence(records[0]!));
      }),
      { numRuns: 30 },
    );
  });

  it.each<[string, RequestRecord['outcome'], (socket: net.Socket) => void, Partial<typeof NO_TIMEOUTS>?]>([
    ['a reset before the answer', 'reset', (s) => s.resetAndDestroy()],
    ['an end before the answer', 'reset', (s) => s.end()],
    ['a reset in a stream', 'reset', afterAStart((s) => s.resetAndDestroy())],
    ['a half-closed stream', 'truncated', afterAStart((s) => s.end())],
    ['a closed stream', 'truncated', afterAStart((s) => s.destroy())],
    ['half a head', 'truncated', (s) => s.end('HTTP/1.1 200 OK\r\nContent-')],
    ['no HTTP', 'malformed', (s) => s.end('SSH-2.0-OpenSSH_9.2\r\n')],
    ['garbage in a stream', 'malformed', afterAStart((s) => s.end('garbage\r\n'))],
    ['a time-out of the first output', 'timeout', () => undefined, { firstMs: 60 }],
    ['a time-out in a stream', 'timeout', afterAStart(() => undefined), { idleMs: 100 }],
  ])('give %s the same class and words', async (_what, outcome, answer, timeouts = {}) => {
    const port = await rawServer(answer);
    const records = new Map<WireName, RequestRecord>();
    for (const name of WIRES)
      records.set(name, await ask(makeClient(name, `http://127.0.0.1:${port}`, { timeouts })));
    for (const [name, record] of records) {
      // undici takes half a head for a connection that was closed, before or in the middle.
      if (name === 'undici' && record.outcome !== outcome) expect(record.outcome).toBe('reset');
      else expect(record.outcome, name).toBe(outcome);
      expect(record.chunkUs.length, name).toBe(records.get('socket')!.chunkUs.length);
      expect(record.sentAtMs, name).toBeLessThanOrEqual(record.endAtMs);
    }
    if (NO_KERNEL === null) expect(records.get('kernel')!.detail).toBe(records.get('socket')!.detail);
    if (outcome === 'truncated' && records.get('socket')!.chunkUs.length > 0)
      for (const [name, record] of records) expect(record.detail, name).toBe(CUT_BODY);
  });
});

/** Answers the first request of a connection, and does as requested with any other; counts both. */
async function keptServer(onReused: (socket: net.Socket) => void, tls?: tls.TlsOptions) {
  const seen = { first: 0, reused: 0 };
  const known = new WeakSet<net.Socket>();
  const port = await rawServer((socket) => {
    const isReused = known.has(socket);
    known.add(socket);
    seen[isReused ? 'reused' : 'first']++;
    if (isReused) onReused(socket);
    else socket.write(WHOLE);
  }, tls);
  return { port, seen };
}

/** Asks one by one until a request has gone out on a connection that had carried another. */
async function untilReused(client: Client, seen: { readonly reused: number }): Promise<RequestRecord[]> {
  const records: RequestRecord[] = [];
  // undici may open a second connection while the first is still being handed back.
  while (seen.reused === 0 && records.length < 20) records.push(await ask(client));
  expect(seen.reused).toBe(1);
  return records;
}

const ENDS: readonly (readonly [string, (socket: net.Socket) => void])[] = [
  ['an end', (s) => s.end()],
  ['a reset', (s) => s.resetAndDestroy()],
  ['a close', (s) => s.destroy()],
];

describe.each(WIRES)('a kept connection of the %s wire that the server ends', (name) => {
  it.each(ENDS)('with %s before any answer has its request sent once more, on a new one', async (_, end) => {
    const { port, seen } = await keptServer((socket) => setTimeout(() => end(socket), 40));
    const client = makeClient(name, `http://127.0.0.1:${port}`);
    const records = await untilReused(client, seen);
    for (const record of records) expect(record).toMatchObject({ outcome: 'good', detail: null });
    const again = records.at(-1)!;
    expect(records.filter(({ resent }) => resent)).toEqual([again]);
    expect(seen.first).toBe(records.length);
    // From the first send on: the connection was ended 40 ms after the request had come.
    expect(again.firstAtMs! - again.sentAtMs).toBeGreaterThanOrEqual(39);
    expect(again.chunkUs[0]! / 1_000).toBeCloseTo(again.firstAtMs! - again.sentAtMs, 2);
    if (name !== 'undici') expect(again.connectMs).toBeGreaterThan(0);
    expect(essence(again)).toEqual(essence(records[0]!));
  });

  it('has it sent once more over TLS as well', async () => {
    const server = { cert: tlsFile('server.pem'), key: tlsFile('server.key') };
    const material = { ca: tlsFile('ca.pem'), cert: null, key: null };
    const { port, seen } = await keptServer((socket) => socket.end(), server);
    const client = makeClient(name, `https://localhost:${port}`, { tls: material });
    const records = await untilReused(client, seen);
    for (const record of records) expect(record).toMatchObject({ outcome: 'good', detail: null });
    expect(records.filter(({ resent }) => resent)).toEqual([records.at(-1)]);
  });

  it.each(
    ENDS,
  )('with %s is a failure where the new one ends as well: it is sent twice at most', async (_, end) => {
    let requests = 0;
    let dead = false;
    const port = await rawServer((socket) => {
      requests++;
      if (dead) end(socket);
      else socket.write(WHOLE);
    });
    const client = makeClient(name, `http://127.0.0.1:${port}`);
    for (let i = 0; i < 4; i++) expect((await ask(client)).outcome).toBe('good');
    dead = true;
    requests = 0;
    const record = await ask(client);
    expect(record).toMatchObject({ outcome: 'reset', resent: true, firstAtMs: null });
    expect(record.detail).toMatch(
      / \(sent a second time: the first, on a reused connection, was not answered\)$/,
    );
    expect(requests).toBe(2);
    // The next one has no kept connection left to lose.
    expect(await ask(client)).not.toHaveProperty('resent');
  });

  it.each(ENDS)('with %s fails a request that is the first on it, and is sent once', async (_, end) => {
    let requests = 0;
    const port = await rawServer((socket) => {
      requests++;
      end(socket);
    });
    const client = makeClient(name, `http://127.0.0.1:${port}`);
    // What was opened in advance has carried nothing yet.
    await client.open(1);
    const record = await ask(client);
    expect(record.outcome).toBe('reset');
    expect(record).not.toHaveProperty('resent');
    expect(record.detail).not.toContain('reused');
    expect(requests).toBe(1);
  });

  it.each<[string, (socket: net.Socket) => void]>([
    ['a byte', (s) => s.end('H')],
    ['half a head', (s) => s.end('HTTP/1.1 200 OK\r\nContent-')],
    ['an interim answer', (s) => s.end('HTTP/1.1 103 Early Hints\r\n\r\n')],
    ['a head', (s) => s.end(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`)],
    ['a start, then a reset', afterAStart((s) => s.resetAndDestroy())],
  ])('after %s fails its request, and the detail says that it was a reused one', async (_, end) => {
    const { port, seen } = await keptServer(end);
    const client = makeClient(name, `http://127.0.0.1:${port}`);
    const record = (await untilReused(client, seen)).at(-1)!;
    expect(['reset', 'truncated']).toContain(record.outcome);
    expect(record.detail).toMatch(/ \(on a reused connection\)$/);
    expect(record).not.toHaveProperty('resent');
    expect(seen.reused).toBe(1);
  });

  it('does not have a request sent again that is cancelled, or whose time is up', async () => {
    const { port, seen } = await keptServer(() => undefined);
    const late = makeClient(name, `http://127.0.0.1:${port}`, { timeouts: { firstMs: 60 } });
    const record = (await untilReused(late, seen)).at(-1)!;
    expect(record.outcome).toBe('timeout');
    expect(record).not.toHaveProperty('resent');
    const before = seen.first;
    seen.reused = 0;
    const client = makeClient(name, `http://127.0.0.1:${port}`);
    const timer = setInterval(() => seen.reused > 0 && client.cancel('interrupted'), 5);
    const cancelled = (await untilReused(client, seen)).at(-1)!;
    clearInterval(timer);
    expect(cancelled).toMatchObject({ outcome: 'cancelled', detail: 'interrupted' });
    expect(cancelled).not.toHaveProperty('resent');
    expect(seen.first).toBeGreaterThan(before);
  });

  it('can have the request cancelled while it waits the second time', async () => {
    let requests = 0;
    let deaf = false;
    const port = await rawServer((socket) => {
      requests++;
      if (!deaf) socket.write(WHOLE);
      else if (requests === 1) socket.end();
    });
    const client = makeClient(name, `http://127.0.0.1:${port}`);
    for (let i = 0; i < 4; i++) await ask(client);
    deaf = true;
    requests = 0;
    const asked = ask(client);
    await vi.waitFor(() => expect(requests).toBe(2));
    client.cancel('interrupted');
    expect(await asked).toMatchObject({ outcome: 'cancelled', detail: 'interrupted', resent: true });
    expect(client.inFlight).toBe(0);
  });
});

describe.each(POOLED)('the %s wire and its connections', (name) => {
  it('opens them before the clock, so that a level starts on open ones', async () => {
    const port = await rawServer((socket) => socket.write(WHOLE));
    const client = makeClient(name, `http://127.0.0.1:${port}`);
    const [tally] = await client.open(5);
    expect(tally).toMatchObject({ opened: 5, failed: 0 });
    const records = await Promise.all(Array.from({ length: 5 }, () => ask(client)));
    expect(records.map((record) => record.connectMs)).toEqual(Array(5).fill(null));
  });

  it('counts those that are refused', async () => {
    const client = makeClient(name, 'http://127.0.0.1:1');
    expect((await client.open(3))[0]).toMatchObject({ opened: 0, failed: 3 });
  });

  it('keeps some idle, so that a request of an open loop finds one', async () => {
    const port = await rawServer((socket) => socket.write(WHOLE));
    const client = makeClient(name, `http://127.0.0.1:${port}`);
    let opened = 0;
    const count = (): number => {
      opened += client.takeTallies()[0]!.opened;
      return opened;
    };
    client.spare(3);
    // What is under way counts: nothing more is opened.
    client.spare(3);
    await vi.waitFor(() => expect(count()).toBe(3));
    const records = await Promise.all([ask(client), ask(client)]);
    expect(records.map((record) => record.connectMs)).toEqual([null, null]);
    client.spare(3);
    await ask(client);
    expect(count()).toBe(3);
  });

  it('sends a request again, as of its own time, when its connection broke unseen', async () => {
    const ports: net.Socket[] = [];
    const port = await rawServer((socket) => {
      ports.push(socket);
      socket.write(WHOLE);
    });
    const client = makeClient(name, `http://127.0.0.1:${port}`, { timeouts: { totalMs: 5_000 } });
    expect((await ask(client)).outcome).toBe('good');
    ports[0]!.resetAndDestroy();
    // The reset arrives while this thread cannot look.
    const until = performance.now() + 30;
    while (performance.now() < until);
    const before = clocks.get(client)!.now();
    const record = await ask(client);
    expect(record).toMatchObject({ outcome: 'good', resent: true });
    expect(record.connectMs).toBeGreaterThan(0);
    expect(record.sentAtMs).toBeGreaterThanOrEqual(before);
    expect(record.firstAtMs!).toBeGreaterThan(record.sentAtMs);
  });

  it('lets go of all of them when it is closed, with requests under way', async () => {
    let connections = 0;
    const server = net.createServer((socket) => {
      connections++;
      socket.on('error', () => undefined);
      socket.on('close', () => connections--);
      socket.resume();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    open.push({ close: () => server.close() });
    const client = makeClient(name, `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`);
    await client.open(4);
    void ask(client);
    void ask(client);
    await vi.waitFor(() => expect(connections).toBe(4));
    await client.close();
    await vi.waitFor(() => expect(connections).toBe(0));
  });
});

describe.skipIf(NO_KERNEL !== null)('the kernel wire', () => {
  it('sends at an instant: not before it, and the record has the true one', async () => {
    const arrived: number[] = [];
    const port = await rawServer((socket) => {
      arrived.push(performance.now());
      socket.write(WHOLE);
    });
    const client = makeClient('kernel', `http://127.0.0.1:${port}`);
    expect(client.leadMs).toBeGreaterThan(0);
    await client.open(4);
    for (let i = 0; i < 20; i++) {
      const dueAtMs = performance.now() + 7;
      const record = await ask(client, 7);
      expect(record.outcome).toBe('good');
      // Until it is sent the record has the instant at which it is due.
      expect(record.sentAtMs).toBeGreaterThan(record.dueAtMs);
      expect(record.firstAtMs).toBeGreaterThan(record.sentAtMs);
      expect(arrived.at(-1)).toBeGreaterThanOrEqual(dueAtMs);
    }
    // Over a connection that is not open yet: then connecting is a part of the request.
    const record = await ask(makeClient('kernel', `http://127.0.0.1:${port}`), 5);
    expect(record.outcome).toBe('good');
    expect(record.sentAtMs).toBeGreaterThanOrEqual(record.dueAtMs);
  });

  it('sends a request again, as of its instant, whose kept connection ends when it has gone out', async () => {
    const { port, seen } = await keptServer((socket) => setTimeout(() => socket.end(), 30));
    const client = makeClient('kernel', `http://127.0.0.1:${port}`);
    expect((await ask(client)).outcome).toBe('good');
    const record = await ask(client, 7);
    expect(record).toMatchObject({ outcome: 'good', resent: true });
    expect(seen).toEqual({ first: 2, reused: 1 });
    expect(record.sentAtMs).toBeGreaterThan(record.dueAtMs);
    expect(record.firstAtMs! - record.sentAtMs).toBeGreaterThanOrEqual(29);
  });

  it('sends nothing of a request that is cancelled before it is due', async () => {
    let requests = 0;
    const port = await rawServer((socket) => {
      requests++;
      socket.write(WHOLE);
    });
    const client = makeClient('kernel', `http://127.0.0.1:${port}`);
    await client.open(2);
    const scheduled = [ask(client, 30), ask(client, 30)];
    client.cancel('interrupted');
    for (const record of await Promise.all(scheduled)) {
      expect(record).toMatchObject({ outcome: 'cancelled', detail: 'interrupted', firstAtMs: null });
      expect(record.endAtMs).toBeGreaterThanOrEqual(record.sentAtMs);
    }
    // With no connection open yet.
    const unopened = ask(client, 30);
    client.cancel('interrupted');
    expect((await unopened).outcome).toBe('cancelled');
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(requests).toBe(0);
    expect((await ask(client)).outcome).toBe('good');
    expect(requests).toBe(1);
  });

  it('takes the first address of a host that answers', async () => {
    const port = await rawServer((socket) => socket.write(WHOLE));
    const addresses = ['127.0.0.9', '::1', '127.0.0.1', '127.0.0.8'];
    const answer = addresses.map((address) => ({ address, family: net.isIP(address) }));
    const resolve = vi.mocked(lookup as (host: string) => Promise<unknown>);
    resolve.mockResolvedValueOnce(answer);
    const client = makeClient('kernel', `http://localhost:${port}`);
    const before = resolve.mock.calls.length;
    for (let i = 0; i < 3; i++) expect((await ask(client)).outcome).toBe('good');
    expect(resolve.mock.calls.length - before).toBe(1);

    resolve.mockResolvedValueOnce(answer);
    const refused = await ask(makeClient('kernel', 'http://localhost:1'));
    expect(refused).toMatchObject({
      outcome: 'connect',
      detail: 'connect ECONNREFUSED 127.0.0.8:1',
    });

    const unknown = Object.assign(new Error('getaddrinfo ENOTFOUND nowhere.invalid'), { code: 'ENOTFOUND' });
    resolve.mockRejectedValueOnce(unknown);
    const lost = makeClient('kernel', `http://nowhere.invalid:${port}`);
    expect(await ask(lost)).toMatchObject({ outcome: 'connect', detail: unknown.message });
    // A name that could not be looked up is looked up again.
    resolve.mockResolvedValueOnce(answer);
    expect((await ask(lost)).outcome).toBe('good');
  });

  it('knows when plaintext arrived: it comes out of the call that fed its ciphertext', async () => {
    let cuts: readonly number[] = [];
    const server = { cert: tlsFile('server.pem'), key: tlsFile('server.key') };
    // More than the buffers of a stream hold, in one burst.
    const texts = Array.from({ length: 3_000 }, (_, i) => token(`${i} ${'β🎲'.repeat(i % 40)}`));
    const whole = Buffer.from(chunked([...texts, FINISH, DONE]));
    const port = await rawServer((socket) => socket.write(whole), server);
    const proxy = await cuttingProxy(port, () => cuts);
    const client = makeClient('kernel', `https://localhost:${proxy}`, {
      tls: { ca: tlsFile('ca.pem'), cert: null, key: null },
    });
    expect(client.stampedBy).toBe('kernel');
    expect(client.leadMs).toBe(0);
    for (let i = 0; i < 20; i++) {
      cuts = Array.from({ length: i }, (_, k) => (k + 1) * 7_919 * (i + 1));
      const record = await ask(client);
      expect(record).toMatchObject({ outcome: 'good', stampedBy: 'kernel' });
      expect(record.chunkUs).toHaveLength(texts.length);
      // None has the mark of a chunk whose arrival has no lower end.
      expect(Math.max(0, ...(record.chunkSlackUs ?? []))).toBeLessThan(2 ** 32 - 1);
    }
  });

  it('is what auto chooses over TCP; a unix socket has none, and kernel is refused there', () => {
    const [tcp, unix] = [parseTarget('http://127.0.0.1:1'), parseTarget('unix:/run/server.sock')];
    expect(chooseWires('auto', [tcp, tcp])).toMatchObject({ stampedBy: 'kernel', fallback: null });
    expect(chooseWires('kernel', [tcp])).toMatchObject({ stampedBy: 'kernel', fallback: null });
    const fallen = chooseWires('auto', [tcp, unix]);
    expect(fallen.stampedBy).toBe('process');
    expect(fallen.fallback).toContain('the kernel stamps no Unix sockets');
    expect(chooseWires('socket', [unix])).toMatchObject({ stampedBy: 'process', fallback: null });
    expect(chooseWires('undici', [unix])).toMatchObject({ stampedBy: 'process', fallback: null });
    const refused = ((): unknown => {
      try {
        return chooseWires('kernel', [unix]);
      } catch (error) {
        return error;
      }
    })();
    expect(refused).toBeInstanceOf(BenchError);
    expect(refused).toMatchObject({
      exitCode: EXIT.usage,
      message: '--wire kernel: the kernel stamps no Unix sockets',
    });
  });
});
