import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { TransportEvents } from '../../src/endpoints/http-connection.ts';
import { parseTarget } from '../../src/endpoints/target.ts';
import { secured } from '../../src/endpoints/tls-transport.ts';
import type { Arrival, TlsMaterial } from '../../src/endpoints/wire.ts';
import { HandClock } from '../fixtures/transport.ts';

const pem = (name: string): Buffer => readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url));
const MATERIAL: TlsMaterial = { ca: pem('ca.pem'), cert: null, key: null };
/** One key of tickets, so that a server takes the sessions of another. */
const SERVER = { key: pem('server.key'), cert: pem('server.pem'), ticketKeys: Buffer.alloc(48, 1) };

const open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

/** Waits until `look` gives something. */
async function until<T>(look: () => T | undefined | false): Promise<T> {
  for (let n = 0; n < 1_000; n++) {
    const found = look();
    if (found) return found;
    await turn();
  }
  throw new Error('waited in vain');
}

/** TLS over a stream whose arrivals the test makes up, to a server that does what the test says. */
async function make(options: { material?: TlsMaterial | null; session?: Buffer; refuses?: boolean } = {}) {
  const peers: tls.TLSSocket[] = [];
  const server = options.refuses
    ? net.createServer((socket) => socket.once('data', () => socket.end()))
    : tls.createServer({ ...SERVER, ALPNProtocols: ['http/1.1'] }, (peer) => {
        peer.on('error', () => undefined);
        peers.push(peer);
      });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const clock = new HandClock();
  clock.ms = 7;
  const log: string[] = [];
  const sessions: Buffer[] = [];
  const reads: { text: string; arrival: Arrival }[] = [];
  let inner!: TransportEvents;
  let socket!: net.Socket;
  /** When the ciphertext of the next reads arrives; held back while null. */
  let arrival: Arrival | null = { atMs: 100, slackMs: 0, lastSlackMs: 0 };
  const held: Buffer[] = [];
  const transport = secured(
    (events) => {
      inner = events;
      socket = net.connect(port, '127.0.0.1', () => events.opened(8));
      socket.on('data', (bytes) => {
        if (arrival === null) held.push(bytes);
        else feed(bytes, arrival);
      });
      socket.on('end', () => events.ended(clock.now()));
      socket.on('error', () => undefined);
      return {
        write: (bytes) => {
          socket.write(Buffer.from(bytes));
          return 0;
        },
        destroy: () => {
          log.push('inner destroyed');
          socket.destroy();
        },
      };
    },
    {
      opened: (atMs) => log.push(`opened ${atMs}`),
      sent: (atMs) => log.push(`sent ${atMs}`),
      read: (buffer, start, end, { ...copy }) =>
        reads.push({ text: buffer.toString('latin1', start, end), arrival: copy }),
      ended: (atMs) => log.push(`ended ${atMs}`),
      failed: (failure, atMs) => log.push(`failed ${failure.class} ${atMs}: ${failure.detail}`),
    },
    {
      target: parseTarget('https://localhost:1'),
      material: options.material === undefined ? MATERIAL : options.material,
      session: options.session,
      clock,
      keepSession: (session) => sessions.push(session),
    },
  );
  /** Lends the bytes, which are overwritten afterwards. */
  const feed = (bytes: Buffer, of: Arrival): void => {
    const lent = Buffer.concat([Buffer.from('..'), bytes, Buffer.from('..')]);
    inner.read(lent, 2, lent.length - 2, of);
    lent.fill(0);
  };
  open.push({
    close: () => {
      transport.destroy();
      for (const peer of peers) peer.destroy();
      server.close();
    },
  });
  return {
    ...{ transport, clock, log, reads, sessions, peers, feed, held },
    events: (): TransportEvents => inner,
    arrive(next: Arrival | null): void {
      arrival = next;
    },
  };
}

async function makeOpen(options: Parameters<typeof make>[0] = {}) {
  const made = await make(options);
  await until(() => made.log.length > 0);
  expect(made.log.splice(0)).toEqual(['opened 7']);
  return { ...made, peer: await until(() => made.peers[0]) };
}

describe('TLS over a transport', () => {
  it('is open once the handshake is over, by the clock', async () => {
    const made = await make();
    made.clock.ms = 12;
    await until(() => made.log.length > 0);
    expect(made.log).toEqual(['opened 12']);
    expect((await until(() => made.peers[0])).alpnProtocol).toBe('http/1.1');
  });

  it('has the arrival of the ciphertext for the plaintext, its last byte no surer than the others', async () => {
    const { peer, reads, arrive } = await makeOpen();
    arrive({ atMs: 250, slackMs: 3, lastSlackMs: 0.5 });
    peer.write('hello');
    await until(() => reads.length > 0);
    expect(reads).toEqual([{ text: 'hello', arrival: { atMs: 250, slackMs: 3, lastSlackMs: 3 } }]);
    arrive({ atMs: 300, slackMs: 0, lastSlackMs: 0 });
    peer.write('again');
    await until(() => reads.length > 1);
    expect(reads[1]).toEqual({ text: 'again', arrival: { atMs: 300, slackMs: 0, lastSlackMs: 0 } });
  });

  it('has the arrival of the bytes that made a record whole', async () => {
    const { peer, reads, arrive, held, feed } = await makeOpen();
    arrive(null);
    peer.write('in two');
    const record = await until(() => held[0]);
    feed(record.subarray(0, 9), { atMs: 400, slackMs: 1, lastSlackMs: 1 });
    await turn();
    expect(reads).toEqual([]);
    feed(record.subarray(9), { atMs: 410, slackMs: 2, lastSlackMs: 0 });
    await until(() => reads.length > 0);
    expect(reads).toEqual([{ text: 'in two', arrival: { atMs: 410, slackMs: 2, lastSlackMs: 2 } }]);
  });

  it('has no lower end for what comes out later, and keeps what it was lent', async () => {
    const plain = Object.assign(new EventEmitter(), { destroy: () => undefined });
    const connect = vi.spyOn(tls, 'connect').mockReturnValue(plain as unknown as tls.TLSSocket);
    const { reads, feed, clock, log } = await make();
    const cipher = await until(() => connect.mock.calls[0]?.[0] as unknown as { socket: Duplex });
    plain.emit('secureConnect');
    expect(log).toEqual(['opened 7']);
    feed(Buffer.from('ciphertext'), { atMs: 90, slackMs: 1, lastSlackMs: 1 });
    clock.ms = 95;
    plain.emit('data', Buffer.from('late'));
    const never = Number.POSITIVE_INFINITY;
    expect(reads).toEqual([{ text: 'late', arrival: { atMs: 95, slackMs: never, lastSlackMs: never } }]);
    expect(String(cipher.socket.read())).toBe('ciphertext');
    connect.mockRestore();
  });

  it('sends at once, as of the clock, and never at an instant', async () => {
    const { transport, peer, clock, log, events } = await makeOpen();
    clock.ms = 55;
    expect(transport.write(Buffer.from('ask'))).toBe(55);
    expect(transport).not.toHaveProperty('writeAt');
    const asked: string[] = [];
    peer.on('data', (bytes) => asked.push(bytes.toString()));
    await until(() => asked.join('') === 'ask');
    events().sent(60);
    expect(log).toEqual([]);
  });

  it('keeps a session, which resumes another connection', async () => {
    const { sessions, peer } = await makeOpen();
    peer.write('x');
    const session = await until(() => sessions.at(-1));
    const again = await makeOpen({ session });
    expect(again.peer.isSessionReused()).toBe(true);
    expect(peer.isSessionReused()).toBe(false);
  });

  it('ends as the peer says', async () => {
    const { peer, log, clock } = await makeOpen();
    clock.ms = 70;
    peer.end();
    await until(() => log.length > 0);
    expect(log[0]).toBe('ended 70');
  });

  it('passes on what fails below', async () => {
    const { log, events } = await makeOpen();
    events().failed({ class: 'reset', detail: 'read ECONNRESET' }, 80);
    expect(log).toEqual(['failed reset 80: read ECONNRESET']);
    events().ended(81);
    expect(log.at(-1)).toBe('ended 81');
  });

  it('fails where the peer ends before the handshake is over', async () => {
    const { log, clock } = await make({ refuses: true });
    clock.ms = 9;
    await until(() => log.length > 0);
    expect(log[0]).toBe('failed tls 9: the server closed the connection during the TLS handshake');
  });

  it('fails where the certificate is not trusted', async () => {
    const { log, clock } = await make({ material: null });
    clock.ms = 11;
    await until(() => log.length > 0);
    expect(log[0]).toMatch(/^failed tls 11: /);
  });

  it('is destroyed with what is below, also before it was open', async () => {
    const { transport, log, peer, reads } = await makeOpen();
    transport.destroy();
    expect(log).toEqual(['inner destroyed']);
    await new Promise((resolve) => peer.once('close', resolve));
    expect([log, reads]).toEqual([['inner destroyed'], []]);
    const early = await make();
    early.transport.destroy();
    expect(early.log).toEqual(['inner destroyed']);
  });
});
