import { readFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { RequestRecord } from '../../src/core/record.ts';
import { newRequestIds } from '../../src/core/request-ids.ts';
import { Client } from '../../src/endpoints/client.ts';
import { openaiChat } from '../../src/endpoints/openai-chat.ts';
import { ReadMeter } from '../../src/endpoints/read-meter.ts';
import { SocketWire } from '../../src/endpoints/socket-wire.ts';
import { parseTarget } from '../../src/endpoints/target.ts';
import { UndiciWire } from '../../src/endpoints/undici-wire.ts';
import type { TlsMaterial, Wire } from '../../src/endpoints/wire.ts';
import { startClock } from '../../src/host/clock.ts';

const WIRES = ['socket', 'undici'] as const;
type WireName = (typeof WIRES)[number];
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
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
  return (server.address() as net.AddressInfo).port;
}

function makeClient(
  name: WireName,
  url: string,
  change: { timeouts?: Partial<typeof NO_TIMEOUTS>; tls?: TlsMaterial; perRequest?: boolean } = {},
): Client {
  const clock = startClock();
  const timeouts = { ...NO_TIMEOUTS, ...change.timeouts };
  const meter = new ReadMeter();
  const options = {
    target: parseTarget(url),
    clock,
    tls: change.tls ?? null,
    connectTimeoutMs: timeouts.connectMs,
    connectionPerRequest: change.perRequest ?? false,
    meter,
  };
  const wire: Wire = name === 'socket' ? new SocketWire(options) : new UndiciWire(options);
  const client = new Client([wire], {
    clock,
    dialect: openaiChat,
    model: 'm',
    fields: new Set(['ignore_eos']),
    extraBody: {},
    headers: [['Content-Type', 'application/json']],
    timeouts,
    templateShare: 0,
    meter,
  });
  open.push(client);
  return client;
}

const ids = newRequestIds('w');

async function ask(client: Client): Promise<RequestRecord> {
  const plan = {
    ...ids.next(),
    point: 0,
    concurrency: 1,
    phase: 'measured' as const,
    dueAtMs: 0,
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
    expect(keptPorts).toBeLessThanOrEqual(name === 'socket' ? 1 : 2);
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

  it('speaks through a unix socket', async () => {
    const file = path.join(os.tmpdir(), `bench-wire-${process.pid}-${name}.sock`);
    const server = net.createServer((socket) => socket.once('data', () => socket.write(WHOLE)));
    await new Promise<void>((resolve) => server.listen(file, resolve));
    open.push({ close: () => server.close() });
    expect((await ask(makeClient(name, `unix:${file}`))).outcome).toBe('good');
  });
});

describe('the two wires', () => {
  it('make the same record of the same bytes, cut anywhere', async () => {
    let cuts: readonly number[] = [];
    const bytes = Buffer.from(WHOLE);
    const port = await rawServer((socket) => void writeCut(socket, bytes, cuts));
    const clients = WIRES.map((name) => makeClient(name, `http://127.0.0.1:${port}`));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { maxLength: 12 }), async (some) => {
        cuts = some;
        const [socket, undici] = [await ask(clients[0]!), await ask(clients[1]!)];
        expect(socket.outcome).toBe('good');
        expect(essence(socket)).toEqual(essence(undici));
      }),
      { numRuns: 60 },
    );
  });

  it('open connections before the clock, so that a level starts on open ones', async () => {
    const port = await rawServer((socket) => socket.write(WHOLE));
    const client = makeClient('socket', `http://127.0.0.1:${port}`);
    const [tally] = await client.open(5);
    expect(tally).toMatchObject({ opened: 5, failed: 0 });
    const records = await Promise.all(Array.from({ length: 5 }, () => ask(client)));
    expect(records.map((record) => record.connectMs)).toEqual(Array(5).fill(null));
  });

  it('keep some idle, so that a request of an open loop finds one', async () => {
    const port = await rawServer((socket) => socket.write(WHOLE));
    const client = makeClient('socket', `http://127.0.0.1:${port}`);
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
});
