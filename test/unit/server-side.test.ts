import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { quantile } from '../../src/core/distribution.ts';
import type { Cumulative, ServerLook, WatchedSource } from '../../src/core/server-look.ts';
import { serverSideOf } from '../../src/core/server-side.ts';
import { between, grownBy, type ServerSpan, spanOf, together } from '../../src/core/server-spans.ts';
import { ttftWaterfall } from '../../src/core/waterfall.ts';
import { makeRecord } from '../fixtures/records.ts';

const BOUNDS = [0, 1, 2.5, 5, 10, 100, Number.POSITIVE_INFINITY];

function histogramOf(values: readonly number[], bounds = BOUNDS): Cumulative {
  return {
    count: values.length,
    sumMs: values.reduce((total, value) => total + value, 0),
    buckets: bounds.map((bound) => [bound, values.filter((value) => value <= bound).length] as const),
  };
}

describe('what a histogram took up', () => {
  it('is the histogram of the observations in between', () => {
    const before = [0.5, 3, 200];
    const during = [1, 7, 7, 40];
    const grown = grownBy(histogramOf(before), histogramOf([...before, ...during]))!;
    expect(grown).toEqual(histogramOf(during));
    expect(spanOf('m', grown)).toMatchObject({ metric: 'm', count: 4, meanMs: 13.75 });
  });

  it('is all of it where it was not exported before, and unknown after a restart', () => {
    expect(grownBy(null, histogramOf([3]))).toEqual(histogramOf([3]));
    expect(grownBy(histogramOf([1, 2]), histogramOf([3]))).toBeNull();
    expect(spanOf('m', histogramOf([]))).toBeNull();
  });

  it('has percentiles between bounds that hold the exact ones, for any observations', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 300, noNaN: true }), { minLength: 1, maxLength: 40 }),
        fc.constantFrom(0, 0.5, 0.9, 0.99, 1),
        (values, q) => {
          const exact = quantile(
            [...values].sort((a, b) => a - b),
            q,
          );
          const { fromMs, toMs } = between(histogramOf(values), q)!;
          expect(fromMs).toBeLessThanOrEqual(exact);
          if (toMs !== null) expect(toMs).toBeGreaterThanOrEqual(exact);
        },
      ),
    );
  });

  it('tells the bounds of known observations, and no upper one above the last bucket', () => {
    const grown = histogramOf([2, 2, 2, 2, 7, 500]);
    expect(between(grown, 0.5)).toEqual({ fromMs: 1, toMs: 2.5 });
    // Rank 4.5 of 0…5: between the observations 7 and 500.
    expect(between(grown, 0.9)).toEqual({ fromMs: 5, toMs: null });
    expect(between({ count: 3, sumMs: 6, buckets: [] }, 0.5)).toBeNull();
  });

  it('puts several servers together, with buckets only where all have the same', () => {
    expect(together([histogramOf([1, 7]), histogramOf([40])])).toEqual(histogramOf([1, 7, 40]));
    expect(together([histogramOf([1]), histogramOf([40], [50])])).toEqual({
      count: 2,
      sumMs: 41,
      buckets: [],
    });
  });
});

const span = (metric: string, meanMs: number, count = 2): ServerSpan => ({
  metric,
  count,
  meanMs,
  p50: null,
  p90: null,
  p99: null,
});
/** TTFTs of 90 and 110 ms, one of them with 8 ms of connecting in it. */
const SENT = [makeRecord({ gapsMs: [90, 10] }), makeRecord({ gapsMs: [110, 10], connectMs: 8 })];

describe('ttftWaterfall', () => {
  it('takes the TTFT apart by what an engine tells, to the last bit', () => {
    const engine = { queueMs: span('q', 30), prefillMs: span('p', 50), ttftMs: span('t', 84) };
    expect(ttftWaterfall(SENT, { engine })).toEqual({
      requests: 2,
      ttftMs: 100,
      partsMs: { connect: 4, queue: 30, prefill: 50, serverOther: 4, unexplained: 12 },
      metrics: { queue: 'q', prefill: 'p', server: 't' },
      left: [],
      doubt: null,
      reason: null,
    });
  });

  it('leaves all that is not told unexplained, without the server’s own TTFT too', () => {
    const { partsMs } = ttftWaterfall(SENT, { engine: { queueMs: span('q', 30) } });
    expect(partsMs).toEqual({ connect: 4, queue: 30, unexplained: 66 });
  });

  it('takes the queue and the prefill of prefill workers, and their whole time where they tell no more', () => {
    const frontend = { ttftMs: span('f', 95), preprocessMs: span('pre', 1) };
    const engine = { queueMs: span('wrong', 7), prefillMs: span('wrong', 7), ttftMs: span('wrong', 70) };
    const fine = {
      queueMs: span('q', 20),
      prefillMs: span('p', 40),
      workerMs: span('w', 61),
      kvTransferMs: span('k', 9),
    };
    expect(ttftWaterfall(SENT, { frontend, prefill: fine, engine }).partsMs).toEqual({
      ...{ connect: 4, preprocess: 1, queue: 20, prefill: 40, kvTransfer: 9 },
      ...{ serverOther: 25, unexplained: 1 },
    });
    expect(ttftWaterfall(SENT, { frontend, prefill: { workerMs: span('w', 61) }, engine }).partsMs).toEqual({
      ...{ connect: 4, preprocess: 1, prefillWorker: 61, serverOther: 33, unexplained: 1 },
    });
  });

  it('takes an engine’s TTFT as a part of the frontend’s where it tells no more', () => {
    const told = { frontend: { ttftMs: span('f', 95) }, engine: { ttftMs: span('e', 80) } };
    expect(ttftWaterfall(SENT, told).partsMs).toEqual({
      connect: 4,
      engine: 80,
      serverOther: 15,
      unexplained: 1,
    });
  });

  it('uses no mean over other requests, and says so', () => {
    const engine = { queueMs: span('q', 30, 3), prefillMs: span('p', 50) };
    const { partsMs, left } = ttftWaterfall(SENT, { engine });
    expect(partsMs).toEqual({ connect: 4, prefill: 50, unexplained: 46 });
    expect(left).toEqual([{ metric: 'q', reason: 'the server counted 3, this level sent 2' }]);
    const none = ttftWaterfall(SENT, { engine: { queueMs: span('q', 30, 3) } });
    expect(none).toMatchObject({
      ttftMs: null,
      partsMs: {},
      left,
      reason: expect.stringContaining('told no part'),
    });
  });

  it('says that parts overlap, instead of hiding a negative rest', () => {
    const over = ttftWaterfall(SENT, {
      engine: { queueMs: span('q', 30), prefillMs: span('p', 80), ttftMs: span('t', 90) },
    });
    expect(over.partsMs).toMatchObject({ serverOther: -20, unexplained: 6 });
    expect(over.doubt).toContain("20.00 ms longer than the server's own TTFT");
    expect(ttftWaterfall(SENT, { engine: { queueMs: span('q', 120) } }).doubt).toContain(
      "24.00 ms more than the client's",
    );
  });

  it('has nothing to say of requests that failed: the server’s means may hold them', () => {
    const failed = [...SENT, makeRecord({ outcome: 'timeout', gapsMs: [] })];
    const { ttftMs, partsMs, reason } = ttftWaterfall(failed, { engine: { queueMs: span('q', 1, 3) } });
    expect([ttftMs, partsMs]).toEqual([null, {}]);
    expect(reason).toContain('1 of 3 requests failed');
    expect(ttftWaterfall([], {}).reason).toBe('nothing was sent');
  });
});

const look = (layer: 'engine' | 'frontend', gauges: Record<string, number>): ServerLook => ({
  [layer]: {
    gauges: Object.fromEntries(
      Object.entries(gauges).map(([name, value]) => [name, { metric: name, value }]),
    ),
    counters: {},
    spans: {},
  },
});
const source = (patch: Partial<WatchedSource>): WatchedSource => ({
  url: 'u',
  by: 'given',
  samples: [],
  failures: 0,
  firstFailure: null,
  before: null,
  after: null,
  ...patch,
});
/** Begins at 10 s and lasts 2.5 s. */
const LEVEL = { startedAtMs: 10_000, endedAtMs: 12_500, sent: [] };

describe('serverSideOf', () => {
  it('puts looks into the seconds of the timeline, adds servers up, and takes the fullest KV cache', () => {
    const samples = (values: readonly (readonly [number, number, number])[]) =>
      values.map(([atMs, running, kvUseRatio]) => ({ atMs, look: look('engine', { running, kvUseRatio }) }));
    const side = serverSideOf(
      [
        source({
          samples: samples([
            [9_500, 99, 1],
            [10_400, 2, 0.5],
            [10_900, 4, 0.3],
            [11_400, 5, 0.1],
          ]),
        }),
        source({
          samples: samples([
            [10_600, 10, 0.2],
            [11_600, 10, 0.6],
            [12_100, 10, 0.2],
            [14_000, 99, 1],
          ]),
        }),
      ],
      { ...LEVEL, endedAtMs: 13_900 },
    );
    // The first server was not seen any more after 11.4 s: what both do together is not known from there.
    expect(side.engine).toEqual({
      running: { metric: 'running', mean: 14, max: 15, perS: [13, 15, null, null] },
      kvUseRatio: { metric: 'kvUseRatio', mean: 0.5, max: 0.6, perS: [0.4, 0.6, null, null] },
    });
  });

  it('takes for a second that no look fell into the nearest one', () => {
    const at = (atMs: number, running: number) => ({ atMs, look: look('engine', { running }) });
    const side = serverSideOf([source({ samples: [at(10_990, 1), at(12_005, 3)] })], LEVEL);
    expect(side.engine!.running).toMatchObject({ mean: 2.3333, perS: [1, 3, 3] });
  });

  it('keeps a frontend and the engines behind it apart', () => {
    const samples = [
      { atMs: 10_500, look: { ...look('frontend', { running: 8 }), ...look('engine', { running: 7 }) } },
    ];
    const side = serverSideOf([source({ samples })], LEVEL);
    expect([side.frontend?.running?.mean, side.engine?.running?.mean, side.prefill]).toEqual([
      8,
      7,
      undefined,
    ]);
  });

  it('tells counters and histograms by what came on top, and none of a server that began anew', () => {
    const at = (preemptions: number, values: readonly number[]): ServerLook => ({
      engine: {
        gauges: {},
        counters: { preemptions: { metric: 'c', value: preemptions } },
        spans: { queueMs: { metric: 'q', value: histogramOf(values) } },
      },
    });
    const sent = [makeRecord({ gapsMs: [50, 1] })];
    const side = serverSideOf(
      [source({ before: at(3, [1]), after: at(5, [1, 20]) }), source({ before: {}, after: at(4, []) })],
      { ...LEVEL, sent },
    );
    expect(side.engine).toMatchObject({ preemptions: { count: 6 }, queueMs: { count: 1, meanMs: 20 } });
    expect(side.waterfall.partsMs).toEqual({ connect: 0, queue: 20, unexplained: 30 });
    const anew = serverSideOf([source({ before: at(3, [1, 2]), after: at(1, [1]) })], { ...LEVEL, sent });
    expect(anew.engine).toBeUndefined();
    const unseen = serverSideOf([source({ before: null, after: at(1, [1]) })], { ...LEVEL, sent });
    expect(unseen.waterfall.reason).toContain('before or after the level are missing');
  });
});
