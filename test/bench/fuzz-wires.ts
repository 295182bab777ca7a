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
import { type Expected, type FuzzStream, fuzzStream } from './fuzz-streams.ts';

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

/** Has all wires read `count` streams of the server, `lanes` at once, until one is wrong or the time is over. */
export async function fuzzWires(
  port: number,
  seed: number,
  count: number,
  options: {
    first?: number;
    lanes?: number;
    untilMs?: number;
    wires?: readonly WireName[];
    progress?: (done: number) => void;
  } = {},
): Promise<FuzzResult> {
  const { first = 0, lanes = 48, untilMs = Number.POSITIVE_INFINITY } = options;
  const { wires = ['kernel', 'socket', 'undici'] } = options;
  const clients = wires.map((name) => [name, makeClient(name, port)] as const);
  const outcomes: Record<string, number> = {};
  const wrong: string[] = [];
  let next = first;
  let streams = 0;
  let bytes = 0;
  let chunks = 0;
  const lane = async (): Promise<void> => {
    while (next < first + count && wrong.length === 0 && performance.now() < untilMs) {
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
