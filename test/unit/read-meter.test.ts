import { performance } from 'node:perf_hooks';
import { describe, expect, it } from 'vitest';
import { READ_BUFFER_BYTES, ReadMeter } from '../../src/endpoints/read-meter.ts';
import type { Read, Receiver, ReceiverCounters } from '../../src/endpoints/receiver/receiver.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const NOTHING = { count: 0, bytes: 0, eventsPerRead: null, fullRatio: 0, waitMs: null, sharedEvents: 0 };

/** A read of 100 bytes that waited 10 µs. */
function read(change: Partial<Read> = {}): Read {
  const atMs = change.atMs ?? 1_000;
  return {
    buffer: Buffer.alloc(0),
    start: 50,
    end: 150,
    atMs,
    lowerMs: atMs,
    sinceMs: atMs,
    readMs: atMs + 0.01,
    segments: 1,
    stamped: true,
    full: false,
    reordered: false,
    stepped: false,
    ...change,
  };
}

function receiverThatCounts(...counts: ReceiverCounters[]): Receiver {
  return { counters: () => counts.shift()! } as Partial<Receiver> as Receiver;
}

const counters = (stalls: number, stalledMs: number, clockSteps: number): ReceiverCounters => ({
  stalls,
  stalledMs,
  clockSteps,
});

describe('ReadMeter in the event loop', () => {
  it('counts reads, bytes, events and full buffers, and starts anew when it was asked', () => {
    const meter = new ReadMeter();
    meter.note(1, 100);
    meter.note(2, READ_BUFFER_BYTES);
    meter.events += 6;
    expect(meter.take()).toEqual({
      reads: {
        ...NOTHING,
        count: 2,
        bytes: 100 + READ_BUFFER_BYTES,
        eventsPerRead: 3,
        fullRatio: 0.5,
        sharedEvents: 6,
      },
      stampErrorMs: null,
    });
    expect(meter.take()).toEqual({ reads: NOTHING, stampErrorMs: null });
    meter.events++;
    meter.note(3, 1);
    meter.events += 2;
    expect(meter.take().reads).toMatchObject({ count: 1, eventsPerRead: 3, sharedEvents: 2 });
  });

  it('counts what was passed over and held open, where there was any, and starts anew', () => {
    const meter = new ReadMeter();
    meter.passedOver += 3;
    expect(meter.take().reads).toEqual({ ...NOTHING, passedOver: 3 });
    meter.heldOpen += 2;
    expect(meter.take().reads).toEqual({ ...NOTHING, heldOpen: 2 });
    expect(meter.take().reads).toEqual(NOTHING);
  });

  it('has no stamp error, since no arrival has a lower end', () => {
    const meter = new ReadMeter();
    meter.note(1, 100);
    meter.stamp(Number.POSITIVE_INFINITY);
    meter.stamp(0.2);
    expect(meter.take().stampErrorMs).toBeNull();
  });

  it('tells how long the reads of a turn came after the loop last looked, weighted by bytes', async () => {
    const meter = new ReadMeter();
    // A loop that never rests: the start of the turn before is the last look.
    meter.note(1_000, 10);
    await nextTurn();
    meter.note(1_004, 10);
    meter.note(1_005, 10);
    await nextTurn();
    meter.note(1_008, 99);
    meter.note(1_012, 1);
    const { waitMs } = meter.take().reads;
    expect(waitMs!.p50).toBeCloseTo(4, 1);
    expect(waitMs!.p99).toBeCloseTo(4, 1);
    expect(waitMs!.max).toBeCloseTo(8, 6);
  });

  it('takes a turn after a rest for a look of its own', async () => {
    const meter = new ReadMeter();
    meter.note(1_000, 10);
    await nextTurn();
    // On a busy machine a timer may be due again before the loop has come to rest.
    const before = performance.nodeTiming.idleTime;
    while (performance.nodeTiming.idleTime <= before) await new Promise((resolve) => setTimeout(resolve, 5));
    meter.note(1_009, 98);
    meter.note(1_010, 2);
    expect(meter.take().reads.waitMs).toMatchObject({ p50: 0, max: 1 });
  });
});

describe('ReadMeter of a receiver', () => {
  function received(...later: ReceiverCounters[]): ReadMeter {
    const meter = new ReadMeter();
    const still = Array.from({ length: 9 }, () => counters(0, 0, 0));
    meter.receivedBy(receiverThatCounts(counters(0, 0, 0), ...later, ...still));
    return meter;
  }

  it('counts reads by what was known of their arrival, and starts anew', () => {
    const meter = received();
    meter.arrived(read());
    meter.arrived(read({ start: 0, end: 5, full: true, stamped: false }));
    meter.arrived(read({ start: 0, end: 1, reordered: true, stamped: false }));
    meter.arrived(read({ start: 0, end: 1 }));
    expect(meter.take().reads).toMatchObject({
      count: 4,
      bytes: 107,
      fullRatio: 0.25,
      unstamped: 2,
      reordered: 1,
    });
    expect(meter.take().reads).toEqual({ ...NOTHING, unstamped: 0, reordered: 0 });
  });

  it('counts the events that share a read, also when it is the last', () => {
    const meter = received();
    for (const events of [1, 3, 0, 1, 2]) {
      meter.arrived(read());
      meter.events += events;
    }
    expect(meter.take().reads).toMatchObject({ count: 5, eventsPerRead: 7 / 5, sharedEvents: 5 });
    expect(meter.take().reads.sharedEvents).toBe(0);
  });

  it('tells how long stamped bytes waited, to the µs and without a limit', () => {
    const meter = received();
    for (let us = 1; us <= 1_000; us++) meter.arrived(read({ readMs: 1_000 + us / 1_000 }));
    meter.arrived(read({ readMs: 1_250 }));
    // Of a read without a stamp it is not known.
    meter.arrived(read({ readMs: 9_000, stamped: false }));
    const { waitMs } = meter.take().reads;
    expect(waitMs!.p50).toBeCloseTo(0.5, 2);
    expect(waitMs!.p99).toBeCloseTo(0.99, 2);
    expect(waitMs!.max).toBeCloseTo(250, 6);
    expect(meter.take().reads.waitMs).toBeNull();
  });

  it('loses no wait, however near it is to the longest that is counted by the µs', () => {
    for (const waitMs of [16.383, 16.384, 16.385]) {
      const meter = received();
      meter.arrived(read({ atMs: 0, readMs: waitMs }));
      expect(meter.take().reads.waitMs!.max).toBeCloseTo(waitMs, 6);
    }
  });

  it('has the stamp error of all chunks: exact ones as the largest of them, unknown ones not at all', () => {
    const meter = received();
    for (let i = 0; i < 98; i++) meter.stamp(i === 7 ? 0.000_3 : 0.000_07);
    meter.stamp(0.4);
    meter.stamp(12);
    meter.stamp(Number.POSITIVE_INFINITY);
    const { stampErrorMs } = meter.take();
    expect(stampErrorMs).toMatchObject({ count: 100, p50: 0.000_3, max: 12 });
    expect(stampErrorMs!.p99).toBeCloseTo(0.4, 3);
    expect(meter.take().stampErrorMs).toBeNull();
  });

  it('adds up chunks of one slack, whether they follow each other or not', () => {
    const meter = received();
    const slacksMs = [0.1, 0.1, 0.3, 0.1, 0.1, 0.3, 0.3, 0.2];
    for (const slackMs of slacksMs) meter.stamp(slackMs);
    const { stampErrorMs } = meter.take();
    expect(stampErrorMs!.count).toBe(8);
    expect(stampErrorMs!.p50).toBeCloseTo(0.1, 3);
    expect(stampErrorMs!.max).toBeCloseTo(0.3, 6);
    // What follows is not added to what came before.
    meter.stamp(0.2);
    expect(meter.take().stampErrorMs).toMatchObject({ count: 1, max: 0.2 });
    meter.stamp(0.000_1);
    expect(meter.take().stampErrorMs).toMatchObject({ count: 1, max: 0.000_1 });
  });

  it('has what the ring went through since the last call, not since the receiver was started', () => {
    const meter = new ReadMeter();
    meter.receivedBy(
      receiverThatCounts(
        counters(5, 70, 1),
        counters(7, 80.5, 1),
        counters(7, 80.5, 1),
        counters(8, 90.5, 3),
      ),
    );
    expect(meter.take().ring).toEqual({ stalls: 2, stalledMs: 10.5, clockSteps: 0 });
    expect(meter.take().ring).toEqual({ stalls: 0, stalledMs: 0, clockSteps: 0 });
    expect(meter.take().ring).toEqual({ stalls: 1, stalledMs: 10, clockSteps: 2 });
  });
});
