import { describe, expect, it } from 'vitest';
import type { OpenTransport } from '../../src/endpoints/http-connection.ts';
import { PooledWire } from '../../src/endpoints/pooled-wire.ts';
import type { WireFailure, WireOptions } from '../../src/endpoints/wire.ts';
import {
  FakeTransport,
  HandClock,
  LAST,
  makeSink,
  makeWireOptions,
  OK,
  REQUEST,
} from '../fixtures/transport.ts';

/** A pool over transports that open when the test says so. */
class FakeWire extends PooledWire {
  readonly stampedBy = 'kernel';
  readonly leadMs = 10;
  readonly transports: FakeTransport[] = [];
  readonly #clock: HandClock;

  constructor(clock: HandClock, change: Partial<WireOptions> = {}) {
    super(makeWireOptions(clock, change));
    this.#clock = clock;
  }

  protected readonly connect: OpenTransport = (events) => {
    const transport = new FakeTransport(this.#clock);
    this.transports.push(transport);
    return transport.open(events);
  };

  /** Opens all that are not open yet. */
  openAll(from: number): void {
    for (const { events } of this.transports.slice(from)) events.opened(this.#clock.ms);
  }
}

function make(change: Partial<WireOptions> = {}) {
  const clock = new HandClock();
  const wire = new FakeWire(clock, change);
  const told: string[] = [];
  return { clock, wire, sink: makeSink(told), told: (): string[] => told.splice(0) };
}

type Made = ReturnType<typeof make>;

/** Opens so many connections, each in so many ms. */
async function openNow({ wire, clock }: Made, count: number, tookMs = 2) {
  const before = wire.transports.length;
  const opening = wire.open(count);
  for (let done = before; wire.transports.length > done; ) {
    const from = done;
    done = wire.transports.length;
    clock.ms += tookMs;
    wire.openAll(from);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return opening;
}

const lastLog = (wire: FakeWire): string[] => wire.transports.map(({ log }) => log.join());

describe('connections in advance', () => {
  it('are opened 64 at a time, and counted', async () => {
    const made = make();
    const opening = made.wire.open(150);
    const counts: number[] = [];
    for (let from = 0; counts.at(-1) !== 150; from = counts.at(-1)!) {
      counts.push(made.wire.transports.length);
      made.clock.ms += 5;
      made.wire.openAll(from);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(counts).toEqual([64, 128, 150]);
    expect(await opening).toEqual({ opened: 150, totalMs: 750, maxMs: 5, failed: 0 });
    expect(made.wire.takeTally()).toEqual({ opened: 0, totalMs: 0, maxMs: 0, failed: 0 });
  });

  it('have the longest time to open one, and all together', async () => {
    const made = make();
    const opening = made.wire.open(3);
    for (const [i, atMs] of [1, 7, 4].entries()) made.wire.transports[i]!.events.opened(atMs);
    expect(await opening).toEqual({ opened: 3, totalMs: 12, maxMs: 7, failed: 0 });
  });

  it('are only those that are missing', async () => {
    const made = make();
    await openNow(made, 3);
    expect((await openNow(made, 5)).opened).toBe(2);
    expect((await openNow(made, 4)).opened).toBe(0);
    expect(made.wire.transports).toHaveLength(5);
  });

  it('are closed and opened again where they have been idle for a second', async () => {
    const made = make();
    await openNow(made, 2, 0);
    made.clock.ms = 500;
    await openNow(made, 3, 0);
    made.clock.ms = 999;
    expect((await openNow(made, 3, 0)).opened).toBe(0);
    made.clock.ms = 1_000;
    expect((await openNow(made, 3, 0)).opened).toBe(2);
    expect(lastLog(made.wire)).toEqual(['destroy', 'destroy', '', '', '']);
  });

  it('are not kept where they have gone', async () => {
    const made = make();
    await openNow(made, 2, 0);
    made.wire.transports[0]!.events.ended(1);
    expect((await openNow(made, 2, 0)).opened).toBe(1);
    expect(lastLog(made.wire)).toEqual(['destroy', '', '']);
  });

  it('end with the first batch that fails', async () => {
    const made = make();
    const opening = made.wire.open(100);
    for (const [i, { events }] of made.wire.transports.entries())
      if (i === 5) events.failed({ class: 'connect', detail: 'x' }, 1);
      else events.opened(3);
    expect(await opening).toMatchObject({ opened: 63, failed: 1 });
    expect(made.wire.transports).toHaveLength(64);
  });

  it('are none where each request has its own', async () => {
    const made = make({ connectionPerRequest: true });
    expect((await made.wire.open(3)).opened).toBe(0);
    made.wire.spare(3);
    expect(made.wire.transports).toHaveLength(0);
  });

  it('are opened in the background up to a number of those idle and under way', async () => {
    const made = make();
    const { wire } = made;
    await openNow(made, 2);
    wire.spare(2);
    expect(wire.transports).toHaveLength(2);
    wire.spare(4);
    wire.spare(4);
    expect(wire.transports).toHaveLength(4);
    made.clock.ms += 9;
    wire.openAll(2);
    await Promise.resolve();
    wire.spare(4);
    expect(wire.transports).toHaveLength(4);
    expect(wire.takeTally()).toEqual({ opened: 2, totalMs: 18, maxMs: 9, failed: 0 });
    // One that is gone is not counted, one that failed is under way no more.
    wire.transports[3]!.events.ended(20);
    wire.spare(4);
    expect(wire.transports).toHaveLength(5);
    wire.transports[4]!.events.failed({ class: 'connect', detail: 'x' }, 21);
    await Promise.resolve();
    wire.spare(4);
    expect(wire.transports).toHaveLength(6);
    expect(wire.takeTally()).toMatchObject({ opened: 0, failed: 1 });
  });
});

describe('a request', () => {
  it('takes the connection that was used last, and gives it back', async () => {
    const made = make();
    const { wire, sink, told } = made;
    await openNow(made, 2);
    wire.send(REQUEST, sink);
    expect(lastLog(wire)).toEqual(['', 'write']);
    wire.send(REQUEST, sink);
    expect(lastLog(wire)).toEqual(['write', 'write']);
    wire.transports[0]!.read(OK);
    wire.send(REQUEST, sink);
    expect(lastLog(wire)).toEqual(['write,write', 'write']);
    expect(told().join()).not.toContain('connected');
  });

  it('goes out at its instant', async () => {
    const made = make();
    await openNow(made, 1);
    made.wire.send(REQUEST, made.sink, made.clock.ms + 5);
    expect(lastLog(made.wire)).toEqual([`writeAt ${made.clock.ms + 5}`]);
  });

  it.each([
    'ended',
    'failed',
  ] as const)('that waits for its instant goes out over another connection when its own has %s', async (how) => {
    const made = make();
    const { wire, clock, sink, told } = made;
    await openNow(made, 2);
    const dueMs = clock.ms + 5;
    const cancel = wire.send(REQUEST, sink, dueMs);
    const { events } = wire.transports[1]!;
    if (how === 'ended') events.ended(clock.ms);
    else events.failed({ class: 'reset', detail: 'gone' }, clock.ms);
    expect(lastLog(wire)).toEqual([`writeAt ${dueMs}`, `writeAt ${dueMs},destroy`]);
    expect(told().join()).not.toContain('fail');
    // What is cancelled is the one that is under way.
    cancel({ class: 'cancelled', detail: 'enough' });
    expect(told().at(-1)).toContain('fail cancelled');
    expect(wire.transports).toHaveLength(2);
  });

  it('fails with its connection once it has been sent, or is cancelled before', async () => {
    const made = make();
    const { wire, clock, sink, told } = made;
    await openNow(made, 2);
    wire.send(REQUEST, sink, clock.ms + 5);
    wire.transports[1]!.events.sent(clock.ms + 5);
    wire.transports[1]!.events.ended(clock.ms + 6);
    expect(told().at(-1)).toContain('fail reset');
    wire.send(REQUEST, sink, clock.ms + 5)({ class: 'cancelled', detail: 'enough' });
    expect(told().at(-1)).toContain('fail cancelled');
    expect(wire.transports).toHaveLength(2);
  });

  it('opens a connection where none is idle, and tells how long it took', async () => {
    const made = make();
    const { wire, clock, sink, told } = made;
    clock.ms = 100;
    wire.send(REQUEST, sink);
    clock.ms = 104;
    wire.transports[0]!.events.opened(103);
    expect(told()).toEqual(['sent 100', 'connected 3']);
    expect(lastLog(wire)).toEqual(['write']);
    expect(wire.takeTally()).toEqual({ opened: 1, totalMs: 3, maxMs: 3, failed: 0 });
    wire.transports[0]!.read(OK);
    wire.send(REQUEST, sink);
    expect(wire.transports).toHaveLength(1);
  });

  it('has a new connection where it must, also beside idle ones', async () => {
    const made = make();
    await openNow(made, 2);
    made.wire.send(REQUEST, made.sink, undefined, true);
    expect(lastLog(made.wire)).toEqual(['', '', '']);
    made.wire.transports[2]!.events.opened(made.clock.ms);
    expect(lastLog(made.wire)).toEqual(['', '', 'write']);
    made.wire.transports[2]!.read(OK);
    // It is kept like the others then.
    made.wire.send(REQUEST, made.sink);
    expect(lastLog(made.wire)).toEqual(['', '', 'write,write']);
  });

  it('fails with what its connection was, where that broke', async () => {
    const made = make();
    const { wire, clock, sink } = made;
    const failures: WireFailure[] = [];
    const failing = { ...sink, fail: (failure: WireFailure) => failures.push(failure) };
    const reused = async (end: (transport: FakeTransport) => void): Promise<unknown> => {
      await openNow(made, 1);
      wire.send(REQUEST, sink);
      wire.transports.at(-1)!.read(OK);
      wire.send(REQUEST, failing);
      end(wire.transports.at(-1)!);
      return failures.pop();
    };
    const reset: WireFailure = { class: 'reset', detail: 'gone' };
    expect(await reused(({ events }) => events.failed(reset, clock.ms))).toEqual({
      ...reset,
      reused: 'before-answer',
    });
    expect(await reused(({ events }) => events.ended(clock.ms))).toMatchObject({ reused: 'before-answer' });
    expect(
      await reused((transport) => {
        transport.read('H');
        transport.events.failed(reset, clock.ms);
      }),
    ).toEqual({ ...reset, reused: 'in-answer' });
    expect(
      await reused((transport) => {
        transport.read('HTTP/1.1 2');
        transport.events.ended(clock.ms);
      }),
    ).toMatchObject({ class: 'truncated', reused: 'in-answer' });
    // Of what is no broken connection nothing is said.
    const refused: WireFailure = { class: 'tls', detail: 'x' };
    expect(await reused(({ events }) => events.failed(refused, clock.ms))).toEqual(refused);
    // The first request of a connection.
    await openNow(made, 1);
    wire.send(REQUEST, failing);
    wire.transports.at(-1)!.events.failed(reset, clock.ms);
    expect(failures).toEqual([reset]);
  });

  it('does not take a connection that is gone', async () => {
    const made = make();
    await openNow(made, 3);
    for (const n of [1, 2]) made.wire.transports[n]!.events.ended(9);
    made.wire.send(REQUEST, made.sink);
    expect(lastLog(made.wire)).toEqual(['write', 'destroy', 'destroy']);
    made.wire.send(REQUEST, made.sink);
    expect(made.wire.transports).toHaveLength(4);
  });

  it('that fails to connect is not a failure of the pool', () => {
    const { wire, sink, told } = make();
    wire.send(REQUEST, sink);
    wire.transports[0]!.events.failed({ class: 'connect', detail: 'refused' }, 2);
    expect(told()).toEqual(['sent 0', 'fail connect 2: refused']);
    expect(wire.takeTally().failed).toBe(0);
  });

  it('that is cancelled ends with the reason, and its connection', async () => {
    const made = make();
    await openNow(made, 1);
    const cancel = made.wire.send(REQUEST, made.sink);
    made.told();
    cancel({ class: 'cancelled', detail: 'enough' });
    expect(made.told()).toEqual(['fail cancelled 2: enough']);
    expect(lastLog(made.wire)).toEqual(['write,destroy']);
  });

  it('has a connection of its own where that is asked for', () => {
    const { wire, sink, told } = make({ connectionPerRequest: true });
    for (const n of [0, 1]) {
      wire.send(REQUEST, sink);
      wire.transports[n]!.events.opened(1);
      // A server that keeps the connection open all the same.
      wire.transports[n]!.read(OK);
      expect(told().at(-1)).toBe('end 50');
      expect(lastLog(wire)[n]).toBe('write,destroy');
    }
    expect(wire.transports).toHaveLength(2);
  });

  it('leaves no connection that the server closes', () => {
    const { wire, sink } = make();
    wire.send(REQUEST, sink);
    wire.transports[0]!.events.opened(1);
    wire.transports[0]!.read(LAST);
    wire.send(REQUEST, sink);
    expect(wire.transports).toHaveLength(2);
  });
});

it('a pool closes all its connections, idle and not, and says nothing', async () => {
  const made = make();
  const { wire, sink, told } = made;
  await openNow(made, 2);
  wire.send(REQUEST, sink);
  told();
  await wire.close();
  expect(lastLog(wire)).toEqual(['destroy', 'write,destroy']);
  expect(told()).toEqual([]);
  wire.send(REQUEST, sink);
  expect(wire.transports).toHaveLength(3);
  await wire.close();
  expect(lastLog(wire)).toEqual(['destroy', 'write,destroy', 'destroy']);
});
