import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { NativeReceiver } from '../../src/endpoints/receiver/native.ts';
import { type HandleEvents, Receiver } from '../../src/endpoints/receiver/receiver.ts';

/** The addon that `Receiver` loads: see `FakeNative`. */
const addon = vi.hoisted(() => ({ current: null as unknown }));
vi.mock('../../src/endpoints/receiver/native.ts', () => ({ nativeReceiver: () => addon.current }));

/** receiver.h */
const KIND = { pad: 0, open: 1, data: 2, end: 3, fail: 4, sent: 5, accept: 6 } as const;
const FLAGS = { stamped: 1, full: 2, reordered: 4, stepped: 8 } as const;
const RECORD_BYTES = 48;

interface Entry {
  readonly kind: keyof typeof KIND;
  readonly handle?: number;
  readonly flags?: number;
  readonly length?: number;
  readonly segments?: number;
  readonly ms?: readonly [at: number, lower: number, since: number, read: number];
  readonly bytes?: string;
}

/** The thread's side of the ring, written by hand. */
class FakeNative {
  readonly log: string[] = [];
  ring = new ArrayBuffer(0);
  control = new ArrayBuffer(192);
  drain: () => void = () => undefined;
  head = 0;
  nowMs = 0;
  handles = [7];

  readonly native = {
    start: (ringBytes: number, drain: () => void) => {
      this.log.push('start');
      this.ring = new ArrayBuffer(ringBytes);
      this.drain = drain;
      return [this.ring, this.control] as const;
    },
    stop: () => this.log.push('stop'),
    connect: (address: string, port: number) => {
      this.log.push(`connect ${address} ${port}`);
      return this.handles.shift() ?? -1;
    },
    listen: (address: string, port: number) => {
      this.log.push(`listen ${address} ${port}`);
      return this.handles.shift() ?? -1;
    },
    close: (handle: number) => this.log.push(`close ${handle}`),
    reset: (handle: number) => this.log.push(`reset ${handle}`),
    now: () => this.nowMs,
  } as unknown as NativeReceiver;

  get words(): Int32Array {
    return new Int32Array(this.control);
  }

  /** What the reader has taken. */
  get tail(): number {
    return this.words[16]! >>> 0;
  }

  /** Puts the position where the next entry is written, as if all before it had been taken. */
  put({ kind, handle = 7, flags = 0, length = 0, segments = 0, ms = [0, 0, 0, 0], bytes = '' }: Entry): void {
    const data = Buffer.from(bytes, 'latin1');
    const at = this.head & (this.ring.byteLength - 1);
    const view = new DataView(this.ring);
    view.setUint32(at, handle, true);
    view.setUint16(at + 4, KIND[kind], true);
    view.setUint16(at + 6, flags, true);
    view.setInt32(at + 8, kind === 'data' ? data.length : length, true);
    view.setUint32(at + 12, segments, true);
    for (const [i, value] of ms.entries()) view.setFloat64(at + 16 + 8 * i, value, true);
    Buffer.from(this.ring).set(data, at + RECORD_BYTES);
    const body = kind === 'pad' ? length : data.length;
    this.move(this.head + RECORD_BYTES + 16 * Math.ceil(body / 16));
  }

  move(to: number): void {
    this.head = to >>> 0;
    Atomics.store(this.words, 0, this.head | 0);
  }
}

let fake: FakeNative;
let log: string[];

beforeEach(() => {
  fake = new FakeNative();
  addon.current = fake.native;
  log = [];
});

/** A log of what is reported of a handle. */
const events = (name: string): HandleEvents => ({
  opened: (atMs) => log.push(`${name} opened ${atMs}`),
  sent: (atMs) => log.push(`${name} sent ${atMs}`),
  read: ({ buffer, start, end }) => log.push(`${name} read ${buffer.toString('latin1', start, end)}`),
  ended: (atMs) => log.push(`${name} ended ${atMs}`),
  failed: (errno, atMs) => log.push(`${name} failed ${errno} ${atMs}`),
});

/** Runs with a receiver that is held once, and let go at the end. */
function withReceiver(run: (receiver: Receiver) => void): void {
  const receiver = Receiver.hold() as Receiver;
  try {
    run(receiver);
  } finally {
    if (!fake.log.includes('stop')) receiver.release();
  }
}

describe('the receiver', () => {
  it('is one for all who hold it, and is stopped when the last lets go', () => {
    const one = Receiver.hold() as Receiver;
    const two = Receiver.hold() as Receiver;
    expect(two).toBe(one);
    one.release();
    expect(fake.log).toEqual(['start']);
    two.release();
    expect(fake.log).toEqual(['start', 'stop']);
    const three = Receiver.hold() as Receiver;
    expect(three).not.toBe(one);
    three.release();
    expect(fake.log).toEqual(['start', 'stop', 'start', 'stop']);
  });

  it('says why there is none', () => {
    addon.current = 'no addon here';
    expect(Receiver.hold()).toBe('no addon here');
    addon.current = {
      start: () => {
        throw new Error('no memory');
      },
    };
    expect(Receiver.hold()).toBe('no memory');
  });

  it('has the distance of its clock to another', () => {
    withReceiver((receiver) => {
      fake.nowMs = 5_000;
      expect(receiver.originMs({ now: () => 200 })).toBe(4_800);
    });
  });

  it('has counters', () => {
    withReceiver((receiver) => {
      fake.words.set([3, 1_500, 9, 2], 32);
      expect(receiver.counters()).toEqual({ stalls: 3, stalledMs: 1.5, clockSteps: 2 });
    });
  });
});

describe('what lies in the ring', () => {
  it('is reported to the handle that it is of, in its order', () => {
    withReceiver((receiver) => {
      fake.handles = [7, 0x1_0007];
      expect(receiver.connect('127.0.0.1', 80, events('a'))).toBe(7);
      expect(receiver.connect('::1', 81, events('b'))).toBe(0x1_0007);
      fake.put({ kind: 'open', ms: [1.5, 0, 0, 0] });
      fake.put({ kind: 'sent', ms: [2.5, 0, 0, 0] });
      fake.put({ kind: 'data', bytes: 'hello' });
      // The same slot, taken again.
      fake.put({ kind: 'data', handle: 0x1_0007, bytes: 'x'.repeat(16) });
      fake.put({ kind: 'data', handle: 9, bytes: 'of nobody' });
      fake.put({ kind: 'end', ms: [3.5, 0, 0, 0] });
      fake.put({ kind: 'data', bytes: 'late' });
      fake.put({ kind: 'fail', handle: 0x1_0007, length: 104, ms: [4.5, 0, 0, 0] });
      fake.put({ kind: 'end', handle: 0x1_0007 });
      expect(log).toEqual([]);
      fake.drain();
      expect(log).toEqual([
        ...['a opened 1.5', 'a sent 2.5', 'a read hello', `b read ${'x'.repeat(16)}`],
        ...['a ended 3.5', 'b failed 104 4.5'],
      ]);
      expect(fake.tail).toBe(fake.head);
      fake.drain();
      expect(log).toHaveLength(6);
      expect(fake.log).toEqual(['start', 'connect 127.0.0.1 80', 'connect ::1 81']);
    });
  });

  it('is not reported of a handle that could not be had', () => {
    withReceiver((receiver) => {
      fake.handles = [-111];
      expect(receiver.connect('127.0.0.1', 80, events('a'))).toBe(-111);
      fake.put({ kind: 'open', handle: -111 >>> 0 });
      fake.drain();
      expect(log).toEqual([]);
      // The first handle of all is 0.
      fake.handles = [0];
      expect(receiver.connect('127.0.0.1', 80, events('zero'))).toBe(0);
      fake.put({ kind: 'open', handle: 0 });
      fake.drain();
      expect(log).toEqual(['zero opened 0']);
    });
  });

  it('has all that is known of a read', () => {
    withReceiver((receiver) => {
      const seen: object[] = [];
      receiver.connect('127.0.0.1', 80, {
        ...events('a'),
        read: ({ buffer, start, end, ...rest }) =>
          seen.push({ ...rest, text: buffer.toString('latin1', start, end) }),
      });
      fake.put({ kind: 'data', bytes: 'abc', segments: 3, ms: [10.25, 9.5, 8.75, 11], flags: 0 });
      for (const flag of Object.values(FLAGS)) fake.put({ kind: 'data', flags: flag });
      fake.drain();
      const none = { stamped: false, full: false, reordered: false, stepped: false };
      expect(seen[0]).toEqual({
        text: 'abc',
        atMs: 10.25,
        lowerMs: 9.5,
        sinceMs: 8.75,
        readMs: 11,
        segments: 3,
        ...none,
      });
      for (const [i, name] of Object.keys(FLAGS).entries())
        expect(seen[i + 1]).toMatchObject({ ...none, [name]: true, text: '' });
    });
  });

  it('goes on at the start of the ring, behind what pads its end or is too short for an entry', () => {
    withReceiver((receiver) => {
      receiver.connect('127.0.0.1', 80, events('a'));
      const size = fake.ring.byteLength;
      const fill = (to: number): void => {
        // One entry of nothing takes the reader there.
        fake.put({ kind: 'pad', length: to - (fake.head % size) - RECORD_BYTES });
        fake.drain();
        expect(fake.tail % size).toBe(to % size);
      };
      fill(size - 64);
      fake.put({ kind: 'pad', length: 16 });
      fake.put({ kind: 'data', bytes: 'at the start' });
      fake.drain();
      expect(log).toEqual(['a read at the start']);
      for (const rest of [32, 16]) {
        log = [];
        fill(size - rest);
        fake.move(fake.head + rest);
        fake.put({ kind: 'data', bytes: `behind ${rest}` });
        fake.drain();
        expect(log).toEqual([`a read behind ${rest}`]);
      }
      // An entry that just fits stands at the end.
      log = [];
      fill(size - RECORD_BYTES);
      fake.put({ kind: 'open' });
      fake.put({ kind: 'sent' });
      fake.drain();
      expect(log).toEqual(['a opened 0', 'a sent 0']);
      expect(fake.tail).toBe(fake.head);
    });
  });

  it.each([
    0, 16,
  ])('goes on beyond 2 GiB and 4 GiB, where positions begin again, with %i bytes left at the end', (rest) => {
    withReceiver((receiver) => {
      receiver.connect('127.0.0.1', 80, events('a'));
      const size = fake.ring.byteLength;
      for (let bytes = 0; bytes < 2 ** 32 + size; bytes += size) {
        fake.put({ kind: 'pad', length: size - RECORD_BYTES - rest });
        // Too short for an entry: it is passed over, and given back with the next.
        fake.move(fake.head + rest);
        fake.drain();
        if (fake.tail !== (fake.head - rest) >>> 0) expect.fail(`${fake.tail} is not ${fake.head}`);
      }
      fake.put({ kind: 'data', bytes: 'again' });
      fake.drain();
      expect(log).toEqual(['a read again']);
      expect(fake.tail).toBe(fake.head);
    });
  });

  it('is taken entry by entry, so that the thread has room again, also what comes meanwhile', () => {
    withReceiver((receiver) => {
      const tails: number[] = [];
      receiver.connect('127.0.0.1', 80, {
        ...events('a'),
        read: () => {
          tails.push(fake.tail);
          if (tails.length === 2) fake.put({ kind: 'data', bytes: 'more' });
        },
      });
      for (const bytes of ['1', '17 bytes of text.']) fake.put({ kind: 'data', bytes });
      fake.drain();
      expect(tails).toEqual([0, 64, 64 + 80]);
      expect(fake.tail).toBe(64 + 80 + 64);
    });
  });

  it('is left where the one who was called stops the receiver', () => {
    withReceiver((receiver) => {
      receiver.connect('127.0.0.1', 80, {
        ...events('a'),
        read: () => {
          log.push('read');
          receiver.release();
        },
      });
      fake.put({ kind: 'data', bytes: '1' });
      fake.put({ kind: 'data', bytes: '2' });
      fake.drain();
      expect(log).toEqual(['read']);
      expect(fake.tail).toBe(0);
      receiver.close(7);
      receiver.reset(7);
      expect(fake.log).toEqual(['start', 'connect 127.0.0.1 80', 'stop']);
    });
  });
});

describe('a handle', () => {
  it.each(['close', 'reset'] as const)('is heard of no more after a %s', (how) => {
    withReceiver((receiver) => {
      receiver.connect('127.0.0.1', 80, events('a'));
      receiver[how](7);
      expect(fake.log.at(-1)).toBe(`${how} 7`);
      fake.put({ kind: 'data', bytes: 'late' });
      fake.put({ kind: 'end' });
      fake.drain();
      expect(log).toEqual([]);
    });
  });

  it('of a listener accepts, until it is closed', () => {
    withReceiver((receiver) => {
      fake.handles = [0, 5, -98];
      expect(receiver.listen('127.0.0.1', 0, (handle) => events(`first ${handle}`))).toBe(0);
      fake.put({ kind: 'accept', handle: 3, segments: 0 });
      fake.put({ kind: 'open', handle: 3 });
      fake.drain();
      expect(log.splice(0)).toEqual(['first 3 opened 0']);
      expect(receiver.listen('127.0.0.1', 0, (handle) => events(`conn ${handle}`))).toBe(5);
      expect(receiver.listen('127.0.0.1', 1, () => events('none'))).toBe(-98);
      fake.put({ kind: 'accept', handle: 0xffff_0001, segments: 5 });
      fake.put({ kind: 'data', handle: 0xffff_0001, bytes: 'hi' });
      fake.put({ kind: 'accept', handle: 12, segments: 6 });
      fake.drain();
      expect(log).toEqual([`conn ${0xffff_0001} read hi`]);
      // Nobody listens there any more.
      expect(fake.log.at(-1)).toBe('close 12');
      receiver.close(5);
      fake.put({ kind: 'accept', handle: 13, segments: 5 });
      fake.drain();
      expect(fake.log.slice(-2)).toEqual(['close 5', 'close 13']);
    });
  });
});
