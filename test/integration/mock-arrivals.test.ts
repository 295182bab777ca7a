import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { listenStamped } from '../../src/commands/mock-listener.ts';
import { pairClocks } from '../../src/core/clock-pair.ts';
import { readTruth, type TruthLine } from '../../src/core/truth.ts';
import { nativeReceiver } from '../../src/endpoints/receiver/native.ts';
import { type MockServer, type MockTokenizer, parseMockOptions, startMock } from '../../src/mock/server.ts';
import type { ConnectionEvents, ListenStamped } from '../../src/mock/stamped-listener.ts';

const TOKENIZER: MockTokenizer = {
  count: () => 1,
  countPrompt: () => 10,
  words: ['alpha', 'beta', 'gamma'],
};
const HELD_UP_MS = 50;

/** CLOCK_MONOTONIC in ms at `performance.now()` 0. */
const ZERO_MS = ((): number => {
  const { atMs, other } = pairClocks(() => performance.now(), process.hrtime.bigint);
  return Number(other) / 1e6 - atMs;
})();

const folder = mkdtempSync(path.join(os.tmpdir(), 'bench-arrivals-'));
const closing: (() => unknown)[] = [];
let servers = 0;
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Started {
  readonly mock: MockServer;
  readonly client: Socket;
  /** The log as it is once the server is closed, on `performance.now()`. */
  lines(): Promise<TruthLine[]>;
}

async function start(
  flags: Record<string, unknown> = {},
  listener: ListenStamped | null = listenStamped,
): Promise<Started> {
  const truth = path.join(folder, `${servers++}.ndjson`);
  const options = parseMockOptions({ port: 0, ttft: '80ms', step: '1ms', truth, ...flags });
  const mock = await startMock(options, TOKENIZER, listener);
  const client = connect(mock.port, options.host).setNoDelay(true);
  await new Promise((resolve) => client.once('connect', resolve));
  // The first bytes of a connection meet code that has not run yet.
  client.write('GET /health HTTP/1.1\r\nHost: mock\r\n\r\n');
  await new Promise((resolve) => client.once('data', resolve));
  const close = async (): Promise<void> => {
    client.destroy();
    await mock.close();
  };
  closing.push(close);
  return {
    mock,
    client,
    async lines() {
      closing.splice(closing.indexOf(close), 1);
      await close();
      const { head, lines } = readTruth(readFileSync(truth, 'utf8'), truth);
      const toMs = (ms: number): number => ms + Number(head.monotonicNs) / 1e6 - ZERO_MS;
      return lines.map((line) => ({
        ...line,
        arrivedAtMs: toMs(line.arrivedAtMs),
        eventAtMs: line.eventAtMs.map(toMs),
        dueAtMs: line.dueAtMs.map(toMs),
      }));
    },
  };
}

function request(id: string, content = 'one two', headers = ''): string {
  const body = JSON.stringify({
    model: 'mock',
    messages: [{ role: 'user', content }],
    stream: true,
    max_tokens: 3,
  });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: mock\r\nx-request-id: ${id}\r\n${headers}`;
  return `${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** Keeps the process from reading anything until then. */
function holdUpUntil(atMs: number): void {
  while (performance.now() < atMs);
}

/** Just before a write, and just after it. */
interface Sent {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Writes the parts 10 ms apart, then keeps the process busy. */
function writeHeldUp(client: Socket, parts: readonly (string | Buffer)[]): Sent[] {
  const startMs = performance.now();
  const sent = parts.map((part, i) => {
    holdUpUntil(startMs + 10 * i);
    const fromMs = performance.now();
    client.write(part);
    // None of it waits in this process.
    expect(client.writableLength).toBe(0);
    return { fromMs, toMs: performance.now() };
  });
  holdUpUntil(sent.at(-1)!.toMs + HELD_UP_MS);
  return sent;
}

/** The clocks of kernel and process are compared to a few µs; a kernel under load takes its time with a segment. */
function expectArrival(atMs: number, { fromMs, toMs }: Sent, withinMs = 1): void {
  expect(atMs).toBeGreaterThan(fromMs - 0.02);
  expect(atMs).toBeLessThan(toMs + withinMs);
}

/** Waits until so many answers have come. */
function answers(client: Socket, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    client.on('close', () => reject(new Error(`closed after ${text}`)));
    client.on('data', (part: Buffer) => {
      text += part.toString('latin1');
      if (text.split('[DONE]').length > count) resolve();
    });
  });
}

describe.skipIf(typeof nativeReceiver() === 'string')('a request is dated by its arrival', () => {
  it('however late the server reads it, and its schedule counts from there', async () => {
    const { client, lines } = await start();
    const done = answers(client, 1);
    const [sent] = writeHeldUp(client, [request('a')]);
    await done;
    const [{ arrivedAtMs, dueAtMs, eventAtMs }] = (await lines()) as [TruthLine];
    expectArrival(arrivedAtMs, sent!);
    expect(dueAtMs.map((atMs) => Math.round(atMs - arrivedAtMs))).toEqual([80, 81, 82]);
    // Had it counted from the read, this were 130.
    expect(eventAtMs[0]! - sent!.fromMs).toBeGreaterThanOrEqual(80);
    expect(eventAtMs[0]! - sent!.toMs).toBeLessThan(80 + HELD_UP_MS - 10);
  });

  it('or by the reading where its connection has no stamps', async () => {
    for (const [flags, listener] of [
      [{ host: 'localhost' }, listenStamped],
      [{}, null],
    ] as const) {
      const { client, lines } = await start(flags, listener);
      const done = answers(client, 1);
      const [sent] = writeHeldUp(client, [request('a')]);
      await done;
      const [{ arrivedAtMs }] = (await lines()) as [TruthLine];
      expect(arrivedAtMs).toBeGreaterThan(sent!.toMs + HELD_UP_MS - 1);
    }
  });

  it('each of a connection that is kept', async () => {
    const { client, lines } = await start({ ttft: '60ms' });
    const sent: Sent[] = [];
    for (let i = 0; i < 4; i++) {
      const done = answers(client, 1);
      sent.push(...writeHeldUp(client, [request(`r${i}`)]));
      await done;
      client.removeAllListeners('data');
    }
    const got = await lines();
    expect(got.map(({ requestId }) => requestId)).toEqual(['r0', 'r1', 'r2', 'r3']);
    for (const [i, { arrivedAtMs }] of got.entries()) expectArrival(arrivedAtMs, sent[i]!);
  });

  it('each of those that were sent before the first was read', async () => {
    const { client, lines } = await start();
    const done = answers(client, 3);
    const sent = writeHeldUp(client, [request('r0'), request('r1'), request('r2')]);
    await done;
    const got = await lines();
    expect(got).toHaveLength(3);
    for (const [i, { arrivedAtMs }] of got.entries()) expectArrival(arrivedAtMs, sent[i]!);
  });

  it('with its last byte: of a body in parts, of one that ends with the next request, and of a large one', async () => {
    const { client, lines } = await start();
    const done = answers(client, 3);
    const a = Buffer.from(request('a'));
    const b = Buffer.from(request('b'));
    // Past what a stream of Node takes before it is paused.
    const large = Buffer.from(request('c', 'word '.repeat(60_000)));
    const parts = [
      a.subarray(0, 30),
      a.subarray(30, a.length - 20),
      Buffer.concat([a.subarray(a.length - 20), b.subarray(0, b.length - 1)]),
      b.subarray(b.length - 1),
    ];
    for (let from = 0; from < large.length; from += 40_000) parts.push(large.subarray(from, from + 40_000));
    const sent = writeHeldUp(client, parts);
    await done;
    const got = await lines();
    expect(got.map(({ requestId }) => requestId)).toEqual(['a', 'b', 'c']);
    expectArrival(got[0]!.arrivedAtMs, sent[2]!);
    expectArrival(got[1]!.arrivedAtMs, sent[3]!);
    // The last segments of the large one may wait for room at the receiver.
    expectArrival(got[2]!.arrivedAtMs, sent.at(-1)!, HELD_UP_MS / 2);
  });

  it('on IPv6', async () => {
    const { mock, client, lines } = await start({ host: '::1' });
    expect(mock.url).toBe(`http://[::1]:${mock.port}`);
    const done = answers(client, 1);
    const [sent] = writeHeldUp(client, [request('a')]);
    await done;
    expectArrival((await lines())[0]!.arrivedAtMs, sent!);
  });

  it('and refused as a fault at once, or gone with its client', async () => {
    const { client, lines } = await start({ ttft: '200ms' });
    const refused = new Promise((resolve) => client.once('data', resolve));
    const sent = writeHeldUp(client, [request('a', 'x', 'x-mock-fault: http-500\r\n')]);
    await refused;
    sent.push(...writeHeldUp(client, [request('b')]));
    const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 30));
    await pause();
    client.resetAndDestroy();
    await pause();
    const got = await lines();
    expect(got.map(({ outcome }) => outcome)).toEqual(['http-500', 'client-gone']);
    for (const [i, { arrivedAtMs }] of got.entries()) expectArrival(arrivedAtMs, sent[i]!);
  });
});

describe('a server with stamps', () => {
  it('takes requests in the order of their arrival, whatever the order of the connections', async () => {
    const events: ConnectionEvents[] = [];
    const connection = {
      send: () => undefined,
      unsent: () => 0,
      end: () => undefined,
      close: () => undefined,
      reset: () => undefined,
    };
    const truth = path.join(folder, 'order.ndjson');
    // 10 tokens of prompt are 10 ms of prefill.
    const flags = { truth, 'prefill-tokens-per-s': 1_000, 'base-ttft': '200ms' };
    const mock = await startMock(parseMockOptions(flags), TOKENIZER, (_host, _port, accept) => {
      events.push(...[0, 1, 2].map(() => accept(connection)));
      return { port: 1, stop: () => undefined, release: () => Promise.resolve() };
    });
    const nowMs = performance.now();
    for (const i of [2, 1, 0]) events[i]!.arrived(Buffer.from(request(`r${i}`)), nowMs - 10 * (i + 1));
    await new Promise((resolve) => setTimeout(resolve, 300));
    await mock.close();
    const { lines } = readTruth(readFileSync(truth, 'utf8'), truth);
    expect(lines.map(({ requestId }) => requestId)).toEqual(['r2', 'r1', 'r0']);
    // Each is prefilled at its arrival: none of them has to wait for one that came later.
    for (const { arrivedAtMs, dueAtMs } of lines) expect(dueAtMs[0]! - arrivedAtMs).toBeCloseTo(210, 2);
  });

  it('says the same as one without where it cannot listen', async () => {
    const { mock } = await start();
    const refusal = async (flags: object, listener: ListenStamped | null): Promise<unknown> =>
      startMock(parseMockOptions({ port: 0, ...flags }), TOKENIZER, listener).then(
        ({ close }) => close(),
        ({ exitCode, message, hint }) => ({ exitCode, message, hint }),
      );
    for (const flags of [{ port: mock.port }, { host: '192.0.2.1' }, { host: 'fe80::1%none' }]) {
      const plain = await refusal(flags, null);
      expect(plain).toMatchObject({ exitCode: 2, message: expect.stringContaining('cannot listen on') });
      expect(await refusal(flags, listenStamped)).toEqual(plain);
    }
  });

  it('frees its port at once, also while another one runs', async () => {
    const one = await start();
    const other = await start();
    await other.lines();
    const again = await start({ port: other.mock.port });
    expect(again.mock.port).toBe(other.mock.port);
    expect(one.client.destroyed).toBe(false);
  });
});
