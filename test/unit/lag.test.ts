import { describe, expect, it } from 'vitest';
import { lagOf } from '../../src/core/lag.ts';
import { Random } from '../../src/core/random.ts';
import type { RequestRecord } from '../../src/core/record.ts';
import { makeRecord } from '../fixtures/records.ts';

/** A request that was due then and took so long from that instant. */
function request(dueAtMs: number, tookMs: number): RequestRecord {
  return { ...makeRecord({ sentAtMs: dueAtMs, endAtMs: dueAtMs + tookMs }), dueAtMs, heldMs: 0 };
}

/** Requests every 10 ms for 4 s, of which each takes so long. */
function every10(tookMs: (dueAtMs: number) => number): RequestRecord[] {
  return Array.from({ length: 401 }, (_, i) => request(i * 10, tookMs(i * 10)));
}

describe('lagOf', () => {
  it('is 0 where requests take as long at the end as before', () => {
    const lag = lagOf(every10(() => 100))!;
    expect(lag.verdict).toBe('kept-up');
    expect(lag.ratio).toBeCloseTo(0, 12);
  });

  it('is what a queue grows by: half of the time where 1.5 times as much comes as is served', () => {
    const lag = lagOf(every10((dueAtMs) => 100 + 0.5 * dueAtMs))!;
    expect(lag).toMatchObject({ verdict: 'fell-behind' });
    for (const value of [lag.ratio, lag.low, lag.high]) expect(value).toBeCloseTo(0.5, 9);
  });

  it('leaves out the time in which the server fills up', () => {
    // In the first second, a quarter of the arrivals, each request takes longer than the one before.
    const lag = lagOf(every10((dueAtMs) => 200 + 0.5 * Math.min(dueAtMs, 1_000)))!;
    expect(lag.verdict).toBe('kept-up');
    expect(lag.ratio).toBeCloseTo(0, 12);
  });

  it('does not take a load that rises for one that is not kept up with', () => {
    // Four times as many come at the end, and each takes 100 ms.
    const ramp = Array.from({ length: 401 }, (_, i) => request(4_000 * Math.sqrt(i / 400), 100));
    expect(lagOf(ramp)!.verdict).toBe('kept-up');
  });

  it('tells nothing where the fastest request lasts a quarter of the arrivals, or there are few', () => {
    expect(lagOf(every10(() => 1_001))).toBeNull();
    expect(lagOf(every10(() => 999))).not.toBeNull();
    expect(lagOf(Array.from({ length: 15 }, (_, i) => request(i * 10, 1)))).toBeNull();
    expect(lagOf(every10(() => 100).map((record) => ({ ...record, outcome: 'http' })))).toBeNull();
  });

  it('counts what a failed request took, which is no reason to call a level fast', () => {
    const records = every10((dueAtMs) => 100 + 0.5 * dueAtMs).map((record, i) =>
      i % 2 === 0 ? record : { ...record, outcome: 'timeout' as const },
    );
    expect(lagOf(records)!.ratio).toBeCloseTo(0.5, 2);
  });

  /** A minute of random arrivals at `load` times what the servers of one queue can do, first come first served. */
  function queue(
    load: number,
    servers: number,
    serviceMs: number,
    isFixed: boolean,
    seed: number,
  ): RequestRecord[] {
    const random = new Random('queue', load, servers, serviceMs, seed);
    const unit = (): number => -Math.log(1 - random.float());
    const freeAtMs = new Array<number>(servers).fill(0);
    const records: RequestRecord[] = [];
    for (let dueAtMs = 0; ; ) {
      dueAtMs += (unit() * serviceMs) / (load * servers);
      if (dueAtMs > 60_000) return records;
      const first = freeAtMs.indexOf(Math.min(...freeAtMs));
      freeAtMs[first] = Math.max(dueAtMs, freeAtMs[first]!) + (isFixed ? serviceMs : unit() * serviceMs);
      records.push(request(dueAtMs, freeAtMs[first]! - dueAtMs));
    }
  }

  /** Of 50 such queues, how many are told to fall behind. */
  function behindOf50(load: number, servers: number, serviceMs: number, isFixed: boolean): number {
    return Array.from({ length: 50 }, (_, seed) =>
      lagOf(queue(load, servers, serviceMs, isFixed, seed)),
    ).filter((lag) => lag?.verdict === 'fell-behind').length;
  }

  it.each([
    ['1 server, 0.5 s each', 1, 500, true],
    ['16 servers, 1 s', 16, 1_000, false],
  ] as const)('is as often wrong as its description says of a queue: %s', (_, servers, serviceMs, isFixed) => {
    // What is said of large numbers of runs, and three standard deviations of fifty.
    expect(behindOf50(0.8, servers, serviceMs, isFixed)).toBeLessThanOrEqual(6);
    expect(behindOf50(0.9, servers, serviceMs, isFixed)).toBeLessThanOrEqual(13);
    expect(behindOf50(1.2, servers, serviceMs, isFixed)).toBeGreaterThanOrEqual(33);
    expect(behindOf50(2, servers, serviceMs, isFixed)).toBe(50);
    expect(behindOf50(8, servers, serviceMs, isFixed)).toBe(50);
  });
});
