import { lookup } from 'node:dns/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { KernelWire, noKernelWire } from '../../src/endpoints/kernel-wire.ts';
import { type HandleEvents, type Read, Receiver } from '../../src/endpoints/receiver/receiver.ts';
import { parseTarget } from '../../src/endpoints/target.ts';
import type { WireOptions } from '../../src/endpoints/wire.ts';
import { chooseWires } from '../../src/endpoints/wires.ts';
import { HandClock, makeSink, makeWireOptions, OK, REQUEST } from '../fixtures/transport.ts';

vi.mock('node:dns/promises', () => ({ lookup: vi.fn() }));

/** The clock of the receiver is so far ahead of the run's. */
const ORIGIN_MS = 1_000;

/** A receiver that does what the test says. */
class FakeReceiver {
  readonly log: string[] = [];
  /** What `connect` returns, and then numbers from 1 on. */
  refusals: number[] = [];
  events: HandleEvents[] = [];
  sentAtMs = 1_020;
  readonly native = {
    send: (handle: number, bytes: Buffer) => {
      this.log.push(`send ${handle} ${bytes.toString('latin1', 0, 4)}`);
      return this.sentAtMs;
    },
    sendAt: (handle: number, bytes: Buffer, atMs: number) =>
      this.log.push(`sendAt ${handle} ${bytes.toString('latin1', 0, 4)} ${atMs}`),
  };
  originMs = (): number => ORIGIN_MS;
  counters = () => ({ stalls: 0, stalledMs: 0, clockSteps: 0 });
  connect(address: string, port: number, events: HandleEvents): number {
    this.log.push(`connect ${address} ${port}`);
    const refusal = this.refusals.shift();
    if (refusal !== undefined) return refusal;
    this.events.push(events);
    return this.events.length;
  }
  close = (handle: number): number => this.log.push(`close ${handle}`);
  release = (): number => this.log.push('release');
}

let receiver: FakeReceiver;
const hold = vi.spyOn(Receiver, 'hold');

beforeEach(() => {
  receiver = new FakeReceiver();
  hold.mockImplementation(() => {
    receiver.log.push('hold');
    return receiver as unknown as Receiver;
  });
  vi.mocked(lookup).mockReset();
});

afterEach(() => {
  vi.clearAllMocks();
});

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function make(url = 'http://127.0.0.1:8000', change: Partial<WireOptions> = {}) {
  const clock = new HandClock();
  clock.ms = 5;
  const options = makeWireOptions(clock, { target: parseTarget(url), ...change });
  const wire = new KernelWire(options);
  receiver.log.length = 0;
  const told: string[] = [];
  return { wire, clock, options, sink: makeSink(told), told: (): string[] => told.splice(0) };
}

function makeRead(text: string, change: Partial<Read> = {}): Read {
  const buffer = Buffer.from(`--${text}--`, 'latin1');
  return {
    ...{
      buffer,
      start: 2,
      end: buffer.length - 2,
      atMs: 1_050,
      lowerMs: 1_050,
      sinceMs: 1_040,
      readMs: 1_051,
    },
    ...{ segments: 1, stamped: true, full: false, reordered: false, stepped: false },
    ...change,
  };
}

/** A connection with a request on it. */
async function makeSent(url?: string) {
  const made = make(url);
  made.wire.send(REQUEST, made.sink);
  await settled();
  receiver.events[0]!.opened!(1_010);
  made.told();
  return made;
}

describe('the wire with the stamps of the kernel', () => {
  it('says what stamps, and how early it may be asked', () => {
    const { wire } = make();
    expect([wire.stampedBy, wire.leadMs]).toEqual(['kernel', 10]);
    // TLS cannot be sent at an instant.
    expect(make('https://127.0.0.1:8000').wire.leadMs).toBe(0);
  });

  it('has instants of the run: of opening, of sending now and of sending at an instant', async () => {
    const { wire, sink, told, clock } = make();
    wire.send(REQUEST, sink);
    expect(receiver.log).toEqual([]);
    await settled();
    expect(receiver.log).toEqual(['connect 127.0.0.1 8000']);
    receiver.events[0]!.opened!(1_010);
    expect(receiver.log.at(-1)).toBe('send 1 POST');
    expect(told()).toEqual(['sent 5', 'connected 5']);
    receiver.events[0]!.read(makeRead(OK));
    told();
    clock.ms = 60;
    wire.send(REQUEST, sink, 64);
    expect(receiver.log.at(-1)).toBe('sendAt 1 POST 1064');
    expect(told()).toEqual(['sent 64']);
    receiver.events[0]!.sent!(1_064.25);
    expect(told()).toEqual(['sent 64.25']);
    receiver.events[0]!.read(makeRead(OK));
    told();
    wire.send(REQUEST, sink);
    expect(told()).toEqual(['sent 20']);
    receiver.events[0]!.read(makeRead(OK));
    told();
    // A connection that is gone, which is reported later.
    receiver.sentAtMs = -1;
    wire.send(REQUEST, sink);
    expect(told()).toEqual(['sent 60']);
  });

  it.each([
    ['one segment: all of it arrived with the stamp', { segments: 1 }, '0 0'],
    ['one segment without a stamp: all of it since the lower end', { segments: 1, lowerMs: 1_047 }, '3 3'],
    ['several segments: the last is the stamp, the others came since the last look', { segments: 2 }, '10 0'],
    ['several segments without a stamp', { segments: 3, lowerMs: 1_044 }, '10 6'],
    ['segments of unknown number', { segments: 0, lowerMs: 1_045 }, '10 5'],
  ])('has the arrival of a read of %s', async (_what, change, slacks) => {
    const { told, options } = await makeSent();
    receiver.events[0]!.read(makeRead(OK, change));
    expect(told()).toEqual(['head 200 1 50', `body ok 50 ${slacks} true`, 'end 50']);
    const { reads, ring } = options.meter.take();
    expect(reads).toMatchObject({ count: 1, bytes: OK.length, unstamped: 0 });
    expect(ring).toEqual({ stalls: 0, stalledMs: 0, clockSteps: 0 });
  });

  it('ends and fails on the clock of the run', async () => {
    const ended = await makeSent();
    receiver.events[0]!.ended(1_070);
    expect(ended.told()).toEqual(['fail reset 70: connection closed before any response']);
    // The handle is gone already.
    expect(receiver.log).not.toContain('close 1');
    receiver = new FakeReceiver();
    const failed = await makeSent();
    receiver.events[0]!.failed(104, 1_071);
    expect(failed.told()).toEqual(['fail reset 71: read ECONNRESET']);
    expect(receiver.log).not.toContain('close 1');
  });

  it('closes the handle of what is cancelled', async () => {
    const { wire, told } = await makeSent();
    await wire.close();
    expect(receiver.log.slice(-2)).toEqual(['close 1', 'release']);
    expect(told()).toEqual([]);
    await wire.close();
    expect(receiver.log.filter((line) => line === 'release')).toHaveLength(1);
  });

  it('is not connected any more by what was given up before its address was known', async () => {
    const { wire, sink, told } = make();
    const cancel = wire.send(REQUEST, sink);
    cancel({ class: 'cancelled', detail: 'enough' });
    await settled();
    expect(receiver.log).toEqual([]);
    expect(told()).toEqual(['sent 5', 'fail cancelled 5: enough']);
  });

  it('throws where there is no receiver', () => {
    hold.mockReturnValue('not here');
    expect(() => new KernelWire(makeWireOptions(new HandClock()))).toThrow('not here');
  });
});

describe('the addresses of a host', () => {
  const addresses = (...all: string[]) =>
    vi.mocked(lookup).mockResolvedValue(all.map((address) => ({ address, family: 4 })) as never);

  it('are tried one after the other until one answers', async () => {
    addresses('10.0.0.1', '::2', '10.0.0.3');
    receiver.refusals = [-101];
    const { wire, sink, told } = make('http://host.example:9000');
    wire.send(REQUEST, sink);
    await settled();
    expect(vi.mocked(lookup).mock.calls).toEqual([['host.example', { all: true }]]);
    expect(receiver.log).toEqual(['connect 10.0.0.1 9000', 'connect ::2 9000']);
    receiver.events[0]!.failed(111, 1_020);
    expect(receiver.log.at(-1)).toBe('connect 10.0.0.3 9000');
    receiver.events[1]!.opened!(1_030);
    expect(receiver.log.at(-1)).toBe('send 2 POST');
    expect(told()).toEqual(['sent 5', 'connected 25']);
  });

  it('are looked up once', async () => {
    addresses('10.0.0.1');
    const { wire } = make('http://host.example:9000');
    const opening = wire.open(2);
    await settled();
    for (const events of receiver.events) events.opened!(1_010);
    await opening;
    expect(lookup).toHaveBeenCalledTimes(1);
    expect(receiver.log).toEqual(['connect 10.0.0.1 9000', 'connect 10.0.0.1 9000']);
  });

  it.each([
    ['http://10.0.0.9:80', 'connect ECONNREFUSED 10.0.0.9:80'],
    ['http://[::9]:81', 'connect ECONNREFUSED [::9]:81'],
  ])('are told where none answers: %s', async (url, detail) => {
    const { wire, sink, told, clock } = make(url);
    wire.send(REQUEST, sink);
    await settled();
    clock.ms = 33;
    receiver.events[0]!.failed(111, 1_020);
    expect(told()).toEqual(['sent 5', `fail connect 33: ${detail}`]);
    receiver.refusals = [-111];
    wire.send(REQUEST, sink);
    await settled();
    expect(told()).toEqual(['sent 33', `fail connect 33: ${detail}`]);
    expect(lookup).not.toHaveBeenCalled();
  });

  it('are looked up again where that failed', async () => {
    const unknown = Object.assign(new Error('getaddrinfo ENOTFOUND host.example'), { code: 'ENOTFOUND' });
    vi.mocked(lookup).mockRejectedValueOnce(unknown);
    const { wire, sink, told } = make('http://host.example:9000');
    wire.send(REQUEST, sink);
    await settled();
    expect(told()).toEqual(['sent 5', 'fail connect 5: getaddrinfo ENOTFOUND host.example']);
    addresses('10.0.0.1');
    wire.send(REQUEST, sink);
    await settled();
    expect(receiver.log).toEqual(['connect 10.0.0.1 9000']);
  });
});

describe('the choice of a wire', () => {
  const [tcp, unix] = [parseTarget('http://127.0.0.1:8000'), parseTarget('unix:/tmp/s.sock')];

  it('is the stamps of the kernel where every target can have them', () => {
    expect(noKernelWire(tcp)).toBeNull();
    expect(receiver.log).toEqual(['hold', 'release']);
    for (const name of ['auto', 'kernel'] as const)
      expect(chooseWires(name, [tcp, tcp])).toMatchObject({ stampedBy: 'kernel', fallback: null });
    const wire = chooseWires('auto', [tcp]).make(makeWireOptions(new HandClock()));
    expect(wire).toBeInstanceOf(KernelWire);
  });

  it('falls back for all where one cannot, and says why', () => {
    expect(noKernelWire(unix)).toBe('the kernel stamps no Unix sockets');
    const choice = chooseWires('auto', [tcp, unix]);
    expect(choice.stampedBy).toBe('process');
    expect(choice.fallback).toBe(
      "time stamps are those of the event loop, not the kernel's: the kernel stamps no Unix sockets",
    );
    expect(choice.make(makeWireOptions(new HandClock())).stampedBy).toBe('process');
    hold.mockReturnValue('no addon');
    expect(noKernelWire(tcp)).toBe('no addon');
    expect(chooseWires('auto', [tcp]).fallback).toContain(': no addon');
  });

  it('is refused where it cannot be had, with what to do', () => {
    expect(() => chooseWires('kernel', [tcp, unix])).toThrow(
      '--wire kernel: the kernel stamps no Unix sockets',
    );
  });

  it.each(['socket', 'undici'] as const)('%s needs no receiver', async (name) => {
    const choice = chooseWires(name, [tcp]);
    expect(choice).toMatchObject({ stampedBy: 'process', fallback: null });
    const wire = choice.make(makeWireOptions(new HandClock()));
    expect([wire.stampedBy, wire.leadMs]).toEqual(['process', 0]);
    expect(wire.constructor.name).toBe(name === 'socket' ? 'SocketWire' : 'UndiciWire');
    expect(receiver.log).toEqual([]);
    await wire.close();
  });
});
