import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HttpConnection } from '../../src/endpoints/http-connection.ts';
import type { WireOptions } from '../../src/endpoints/wire.ts';
import {
  ARRIVAL,
  FakeTransport,
  HandClock,
  LAST,
  makeSink,
  makeWireOptions,
  OK,
  REQUEST,
} from '../fixtures/transport.ts';

function make(change: Partial<WireOptions> = {}, sendsAt = true) {
  const clock = new HandClock();
  clock.ms = 7;
  const transport = new FakeTransport(clock, sendsAt);
  // What its owner and its sink are told, in one order.
  const log: string[] = [];
  const connection = new HttpConnection(makeWireOptions(clock, change), transport.open, {
    open: (atMs) => log.push(`open ${atMs}`),
    failed: () => log.push('failed'),
    idle: () => log.push('idle'),
    closed: () => log.push('closed'),
  });
  /** What was told since the last look. */
  const told = (): string[] => log.splice(0);
  return { clock, transport, connection, log, sink: makeSink(log), told };
}

/** A connection that is open. */
function makeOpen(change: Partial<WireOptions> = {}, sendsAt = true) {
  const made = make(change, sendsAt);
  made.transport.events.opened(10);
  made.clock.ms = 20;
  expect(made.told()).toEqual(['open 10']);
  return made;
}

describe('a request on a connection', () => {
  it('goes out at once, and is sent when the transport says so', () => {
    const { connection, transport, sink, told } = makeOpen();
    connection.exchange(REQUEST, sink);
    expect(transport.log).toEqual(['write']);
    expect(told()).toEqual(['sent 20.25']);
    expect(transport.written).toBe(
      'POST /base/v1/x HTTP/1.1\r\nHost: h.example:8000\r\nContent-Length: 2\r\na: b\r\nConnection: keep-alive\r\n\r\n{}',
    );
  });

  it('goes out at its instant where that lies ahead, with a second, true one', () => {
    const { connection, transport, sink, told } = makeOpen();
    connection.exchange(REQUEST, sink, 25);
    expect(transport.log).toEqual(['writeAt 25']);
    expect(transport.written).toContain('POST /base/v1/x ');
    expect(told()).toEqual(['sent 25']);
    transport.events.sent(25.01);
    expect(told()).toEqual(['sent 25.01']);
  });

  it.each([20, 19, 0])('goes out at once where its instant (%i) does not lie ahead', (atMs) => {
    const { connection, transport, sink, told } = makeOpen();
    connection.exchange(REQUEST, sink, atMs);
    expect(transport.log).toEqual(['write']);
    expect(told()).toEqual(['sent 20.25']);
  });

  it('goes out at once on a transport that knows no instants', () => {
    const { connection, transport, sink, told } = makeOpen({}, false);
    connection.exchange(REQUEST, sink, 25);
    expect(transport.log).toEqual(['write']);
    expect(told()).toEqual(['sent 20.25']);
  });

  it('waits for the connection, whose opening is part of its latency', () => {
    const { connection, transport, clock, sink, told } = make();
    connection.exchange(REQUEST, sink);
    expect(transport.log).toEqual([]);
    expect(told()).toEqual(['sent 7']);
    clock.ms = 11;
    transport.events.opened(10);
    expect(transport.log).toEqual(['write']);
    expect(told()).toEqual(['open 10']);
    // It is sent once.
    transport.events.opened(12);
    expect(transport.log).toEqual(['write']);
  });

  it('waits for its instant where the connection is open before', () => {
    const { connection, transport, clock, sink, told } = make();
    connection.exchange(REQUEST, sink, 15);
    expect(told()).toEqual(['sent 15']);
    clock.ms = 11;
    transport.events.opened(10);
    expect(transport.log).toEqual(['writeAt 15']);
    expect(told()).toEqual(['open 10', 'sent 15']);
  });

  it('is sent as of its instant where the connection is open after it', () => {
    const { connection, transport, clock, sink, told } = make();
    connection.exchange(REQUEST, sink, 9);
    clock.ms = 11;
    transport.events.opened(10);
    expect(transport.log).toEqual(['write']);
    expect(told()).toEqual(['sent 9', 'open 10']);
  });

  it('says that the connection closes where each request has its own', () => {
    const { connection, transport, sink } = makeOpen({ connectionPerRequest: true });
    connection.exchange(REQUEST, sink);
    expect(transport.written).toContain('\r\nConnection: close\r\n\r\n{}');
  });
});

describe('a response', () => {
  it('has the arrival of its read, and leaves the connection for the next request', () => {
    const { connection, transport, sink, told } = makeOpen();
    connection.exchange(REQUEST, sink);
    told();
    transport.read('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab', {
      atMs: 30,
      slackMs: 2,
      lastSlackMs: 1,
    });
    expect(told()).toEqual(['head 200 1 30', 'body ab 30 2 1 true']);
    transport.read('cd', ARRIVAL);
    expect(told()).toEqual(['body cd 50 3 0.5 true', 'idle', 'end 50']);
    expect(connection.idleSinceMs).toBe(50);
    expect(connection.dead).toBe(false);
    // What the transport says of its sending now is no one's.
    transport.events.sent(60);
    expect(told()).toEqual([]);
    connection.exchange(REQUEST, sink);
    transport.read(OK);
    expect(told()).toEqual(['sent 20.25', 'head 200 1 50', 'body ok 50 3 0.5 true', 'idle', 'end 50']);
  });

  it('ends the connection where it says so', () => {
    const { connection, transport, sink, told } = makeOpen();
    connection.exchange(REQUEST, sink);
    told();
    transport.read(LAST);
    expect(told()).toEqual(['head 200 2 50', 'body ok 50 3 0.5 true', 'closed', 'end 50']);
    expect(connection.dead).toBe(true);
    expect(transport.log).toEqual(['write', 'destroy']);
  });

  it('fails by what it is not, which ends the connection', () => {
    const { connection, transport, sink, told } = makeOpen();
    connection.exchange(REQUEST, sink);
    told();
    transport.read('nonsense\r\n\r\n');
    expect(told()).toEqual(['closed', 'fail malformed 50: HTTP: bad status line "nonsense"']);
    expect(connection.dead).toBe(true);
  });

  it('of which too much came is whole, and the connection is not used again', () => {
    const { connection, transport, sink, told } = makeOpen();
    connection.exchange(REQUEST, sink);
    told();
    transport.read(`${OK}more`);
    const said = told();
    expect(said.at(-1)).toBe('closed');
    expect(said).toContain('end 50');
    expect(said).toContain('body ok 50 3 0.5 false');
    expect(said.join()).not.toContain('fail');
    expect(connection.dead).toBe(true);
  });

  it('says nothing more once it is cancelled in the middle of a read', () => {
    const { connection, transport, sink, told } = makeOpen();
    const cancel = (): void => connection.cancel({ class: 'cancelled', detail: 'enough' });
    connection.exchange(REQUEST, {
      ...sink,
      body: (...body) => {
        sink.body(...body);
        cancel();
      },
    });
    told();
    const chunks = '1\r\na\r\n1\r\nb\r\n0\r\n\r\n';
    transport.read(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`);
    expect(told()).toEqual(['head 200 1 50', 'body a 50 3 0.5 false', 'closed', 'fail cancelled 20: enough']);
  });

  it('that was cut fails, and one without a length ends, with the connection', () => {
    const cut = makeOpen();
    cut.connection.exchange(REQUEST, cut.sink);
    cut.transport.read('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab');
    cut.told();
    cut.transport.events.ended(60);
    expect(cut.told()).toEqual([
      'closed',
      'fail truncated 60: connection closed in the middle of the response',
    ]);
    const open = makeOpen();
    open.connection.exchange(REQUEST, open.sink);
    open.transport.read('HTTP/1.1 200 OK\r\n\r\nab');
    open.told();
    open.transport.events.ended(60);
    expect(open.told()).toEqual(['closed', 'end 60']);
    expect(open.transport.log).toEqual(['write', 'destroy']);
    const none = makeOpen();
    none.connection.exchange(REQUEST, none.sink);
    none.told();
    none.transport.events.ended(60);
    expect(none.told()).toEqual(['closed', 'fail reset 60: connection closed before any response']);
  });
});

describe('a connection', () => {
  it('that fails with a request fails the request, once', () => {
    const { connection, transport, sink, told } = makeOpen();
    connection.exchange(REQUEST, sink);
    told();
    transport.events.failed({ class: 'reset', detail: 'ECONNRESET' }, 33);
    expect(told()).toEqual(['closed', 'fail reset 33: ECONNRESET']);
    transport.events.failed({ class: 'reset', detail: 'again' }, 34);
    transport.events.ended(34);
    transport.events.opened(34);
    transport.read(OK);
    connection.destroy();
    connection.cancel({ class: 'cancelled', detail: 'late' });
    expect(told()).toEqual([]);
    expect(transport.log).toEqual(['write', 'destroy']);
  });

  it('that cannot be opened fails the request that waits, or says so where none does', () => {
    const waiting = make();
    waiting.connection.exchange(REQUEST, waiting.sink);
    waiting.told();
    waiting.transport.events.failed({ class: 'connect', detail: 'ECONNREFUSED' }, 9);
    expect(waiting.told()).toEqual(['closed', 'fail connect 9: ECONNREFUSED']);
    const idle = make();
    idle.transport.events.failed({ class: 'connect', detail: 'ECONNREFUSED' }, 9);
    expect(idle.told()).toEqual(['closed', 'failed']);
  });

  it('that ends while idle is closed, and nothing has failed', () => {
    const { connection, transport, told } = makeOpen();
    transport.events.ended(40);
    expect(told()).toEqual(['closed']);
    expect(connection.dead).toBe(true);
    // One that ends before it was open has.
    const early = make();
    early.transport.events.ended(8);
    expect(early.told()).toEqual(['closed', 'failed']);
  });

  it('on which bytes come that were not asked for is closed', () => {
    const { connection, transport, told } = makeOpen();
    transport.read(OK);
    expect(told()).toEqual(['closed']);
    expect(connection.dead).toBe(true);
    expect(transport.log).toEqual(['destroy']);
  });

  it('that is cancelled ends what is under way with the reason, now', () => {
    const { connection, transport, clock, sink, told } = makeOpen();
    connection.exchange(REQUEST, sink);
    told();
    clock.ms = 21;
    connection.cancel({ class: 'cancelled', detail: 'no more' });
    expect(told()).toEqual(['closed', 'fail cancelled 21: no more']);
    expect(transport.log).toEqual(['write', 'destroy']);
  });

  it('that is destroyed says nothing to its request', () => {
    const { connection, transport, sink, told } = makeOpen();
    connection.exchange(REQUEST, sink);
    told();
    connection.destroy();
    transport.events.sent(21);
    transport.read(OK);
    expect(told()).toEqual(['closed']);
  });

  it('is idle since it was made, and then since it was open', () => {
    const { connection, transport } = make();
    expect(connection.idleSinceMs).toBe(7);
    transport.events.opened(10);
    expect(connection.idleSinceMs).toBe(10);
  });

  describe('that takes long to open', () => {
    beforeEach(() => {
      vi.useFakeTimers();
    });
    afterEach(() => {
      vi.useRealTimers();
    });
    const TIMEOUT = { connectTimeoutMs: 500 };

    it('fails after its time', () => {
      const { connection, sink, told } = make(TIMEOUT);
      connection.exchange(REQUEST, sink);
      told();
      vi.advanceTimersByTime(499);
      expect(told()).toEqual([]);
      vi.advanceTimersByTime(1);
      expect(told()).toEqual(['closed', 'fail timeout 7: connect: no connection within 500 ms']);
      const idle = make(TIMEOUT);
      vi.advanceTimersByTime(500);
      expect(idle.told()).toEqual(['closed', 'failed']);
    });

    it('has no limit where none is given, once it is open, or when it is gone', () => {
      const [none, open, gone] = [make(), make(TIMEOUT), make(TIMEOUT)];
      open.transport.events.opened(10);
      gone.connection.destroy();
      expect(vi.getTimerCount()).toBe(0);
      vi.advanceTimersByTime(10_000);
      expect([none, open, gone].map(({ told }) => told())).toEqual([[], ['open 10'], ['closed']]);
    });
  });
});
