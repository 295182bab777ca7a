import { performance } from 'node:perf_hooks';
import { describe, expect, it } from 'vitest';
import { READ_BUFFER_BYTES, ReadMeter } from '../../src/endpoints/read-meter.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('ReadMeter', () => {
  it('counts reads, bytes, events and full buffers, and starts anew when it was asked', () => {
    const meter = new ReadMeter();
    meter.note(1, 100);
    meter.note(2, READ_BUFFER_BYTES);
    meter.events += 6;
    expect(meter.take()).toEqual({
      count: 2,
      bytes: 100 + READ_BUFFER_BYTES,
      eventsPerRead: 3,
      fullRatio: 0.5,
      waitMs: null,
    });
    expect(meter.take()).toEqual({ count: 0, bytes: 0, eventsPerRead: null, fullRatio: 0, waitMs: null });
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
    const { waitMs } = meter.take();
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
    expect(meter.take().waitMs).toMatchObject({ p50: 0, max: 1 });
  });
});
