import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { RequestRecord } from '../../src/core/record.ts';
import { newRequestIds } from '../../src/core/request-ids.ts';
import { Client } from '../../src/endpoints/client.ts';
import { openaiChat } from '../../src/endpoints/openai-chat.ts';
import { ReadMeter } from '../../src/endpoints/read-meter.ts';
import { parseTarget } from '../../src/endpoints/target.ts';
import { UndiciWire } from '../../src/endpoints/undici-wire.ts';
import { startClock } from '../../src/host/clock.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const close of open.splice(0)) await close();
});

const pem = (name: string): Buffer => readFileSync(path.join(import.meta.dirname, '../fixtures/tls', name));
const ids = newRequestIds('p');
const FAR = 'head.invalid';
const STREAM = `data: ${JSON.stringify({ choices: [{ delta: { content: 'a' }, finish_reason: 'stop' }] })}\n\ndata: [DONE]\n\n`;

async function listen(server: Server | net.Server): Promise<number> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as net.AddressInfo).port;
}

/** A proxy that logs what it is asked for; `tunnel` answers CONNECT, `pass` everything else. */
async function startProxy(
  tunnel: (socket: net.Socket) => void,
  pass: (request: IncomingMessage, answer: ServerResponse) => void = (_, answer) =>
    answer.writeHead(500).end(),
) {
  const seen: string[] = [];
  const log = (request: IncomingMessage): void => {
    seen.push(`${request.method} ${request.url} ${request.headers['proxy-authorization'] ?? '-'}`);
  };
  const server = createServer((request, answer) => {
    log(request);
    request.resume();
    pass(request, answer);
  });
  server.on('connect', (request: IncomingMessage, socket: net.Socket) => {
    log(request);
    socket.on('error', () => undefined);
    tunnel(socket);
  });
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => sockets.add(socket));
  return { port: await listen(server), seen, connections: () => sockets.size };
}

async function askThrough(url: string, times = 1): Promise<RequestRecord[]> {
  const clock = startClock();
  const meter = new ReadMeter();
  const wire = new UndiciWire({
    target: parseTarget(url),
    clock,
    tls: { ca: pem('ca.pem'), cert: null, key: null },
    connectTimeoutMs: 5_000,
    connectionPerRequest: false,
    meter,
  });
  const client = new Client([wire], {
    clock,
    dialect: openaiChat,
    model: 'm',
    fields: new Set(),
    extraBody: {},
    headers: [['Content-Type', 'application/json']],
    timeouts: { connectMs: 0, firstMs: 0, idleMs: 0, totalMs: 0 },
    templateShare: 0,
    stampedBy: 'process',
    meter,
  });
  open.push(() => client.close());
  const records: RequestRecord[] = [];
  for (let nth = 0; nth < times; nth++) {
    const plan = { ...ids.next(), point: 0, concurrency: 1, phase: 'measured' as const, dueAtMs: 0 };
    const { record } = await client.send(
      { ...plan, isl: 1, osl: 1, promptTokens: null },
      { content: Buffer.from('hi'), isl: 1, osl: 1, promptTokens: null },
    );
    records.push(record);
  }
  return records;
}

describe('the undici wire through a proxy', () => {
  it('sends plain HTTP to it with the whole URL, over kept connections, credentials with each', async () => {
    const proxy = await startProxy(
      (socket) => socket.destroy(),
      (request, answer) => {
        expect(request.headers.host).toBe(`${FAR}:8000`);
        answer.writeHead(200, { 'content-type': 'text/event-stream' }).end(STREAM);
      },
    );
    vi.stubEnv('http_proxy', `me:pw@127.0.0.1:${proxy.port}`);
    vi.stubEnv('no_proxy', '');
    const records = await askThrough(`http://${FAR}:8000/base`, 5);
    for (const record of records) expect(record).toMatchObject({ outcome: 'good', detail: null });
    const basic = `Basic ${Buffer.from('me:pw').toString('base64')}`;
    expect(proxy.seen).toEqual(Array(5).fill(`POST http://${FAR}:8000/base/v1/chat/completions ${basic}`));
    expect(proxy.connections()).toBeLessThanOrEqual(2);
  });

  it('has it open a tunnel for https, in which the files of TLS hold', async () => {
    const far = tls.createServer({ cert: pem('server.pem'), key: pem('server.key') });
    const farPort = await listen(far);
    const proxy = await startProxy((socket) => {
      const onward = net.connect(farPort, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        socket.pipe(onward).pipe(socket);
      });
      onward.on('error', () => undefined);
    });
    vi.stubEnv('https_proxy', `http://127.0.0.1:${proxy.port}`);
    vi.stubEnv('no_proxy', '');
    const [record] = await askThrough(`https://${FAR}:8443`);
    expect(proxy.seen).toEqual([`CONNECT ${FAR}:8443 -`]);
    // The authority is trusted, and the certificate is of another name.
    expect(record).toMatchObject({ outcome: 'tls' });
    expect(record!.detail).toMatch(
      new RegExp(`^through the proxy http://127\\.0\\.0\\.1:${proxy.port} \\(https_proxy\\): .*ALTNAME`, 's'),
    );
  });

  it('says which proxy refused a tunnel, or went away', async () => {
    for (const [tunnel, words] of [
      [(socket: net.Socket) => socket.end('HTTP/1.1 403 Forbidden\r\n\r\n'), '403'],
      [(socket: net.Socket) => socket.destroy(), 'instead of opening a tunnel'],
    ] as const) {
      const proxy = await startProxy(tunnel);
      vi.stubEnv('https_proxy', `http://127.0.0.1:${proxy.port}`);
      vi.stubEnv('no_proxy', '');
      const [record] = await askThrough(`https://${FAR}:8443`);
      expect(record!.outcome).toBe('connect');
      expect(record!.detail).toContain(`through the proxy http://127.0.0.1:${proxy.port} (https_proxy): `);
      expect(record!.detail).toContain(words);
    }
  });

  it('says which proxy wants credentials', async () => {
    const proxy = await startProxy(
      (socket) => socket.destroy(),
      (_, answer) => answer.writeHead(407, { 'proxy-authenticate': 'Basic' }).end('who are you'),
    );
    vi.stubEnv('http_proxy', `http://127.0.0.1:${proxy.port}`);
    vi.stubEnv('no_proxy', '');
    const [record] = await askThrough(`http://${FAR}:8000`);
    expect(record!.outcome).toBe('connect');
    expect(record!.detail).toMatch(/^through the proxy .* \(http_proxy\): .*\(407\)$/);
  });
});
