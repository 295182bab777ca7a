import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findArrival } from '../../src/arrivals/index.ts';
import { type ArrivalOrder, arrivalOf, arrivalsBefore } from '../../src/core/arrival.ts';
import { splitPoint } from '../../src/core/load-share.ts';
import type { ArrivalSpec, PointSpec, PromptSpec } from '../../src/core/spec.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'arrivals-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const COUNT = 20_000;
const prompts: PromptSpec = {
  ...{ tokenizer: 'embedded', islCounts: 'prompt', rangeRatio: 1, text: 'words', seed: 7, salt: 's' },
};

function order(point: Partial<PointSpec>, arrival: ArrivalSpec = {}, seed = 7): ArrivalOrder {
  const bare = { index: 0, concurrency: 9, isl: 1, osl: 1, requests: COUNT, durationMs: null, warmup: 0 };
  return { point: { ...bare, ratePerS: 4, ...point }, arrival, prompts: { ...prompts, seed } };
}

function offsets(name: string, of: ArrivalOrder): number[] {
  return Array.from(arrivalOf(findArrival(name), of).offsetsMs!);
}

function gapsOf(offsetsMs: readonly number[]): number[] {
  return offsetsMs.map((atMs, i) => atMs - (offsetsMs[i - 1] ?? 0));
}

function meanOf(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0) / values.length;
}

/** Standard deviation ÷ mean. */
function variation(values: readonly number[]): number {
  const mean = meanOf(values);
  return Math.sqrt(meanOf(values.map((value) => (value - mean) ** 2))) / mean;
}

/** The largest distance of the values' distribution from `cdf` (Kolmogorov and Smirnov). */
function distance(values: readonly number[], cdf: (value: number) => number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const n = sorted.length;
  return Math.max(...sorted.map((value, i) => Math.max(cdf(value) - i / n, (i + 1) / n - cdf(value))));
}

/** A distance beyond this has a chance of 1 in 1,000 where the distribution is the one that is meant. */
const KS_LIMIT = 1.95 / Math.sqrt(COUNT);

describe('constant arrivals', () => {
  it('are even from the first instant on', () => {
    expect(offsets('constant', order({ requests: 5, ratePerS: 4 }))).toEqual([0, 250, 500, 750, 1_000]);
  });
});

describe('poisson arrivals', () => {
  it('have exponential gaps of the mean 1 ÷ rate, each independent of the one before', () => {
    const gaps = gapsOf(offsets('poisson', order({})));
    expect(distance(gaps, (ms) => 1 - Math.exp(-ms / 250))).toBeLessThan(KS_LIMIT);
    const mean = meanOf(gaps);
    const products = gaps.slice(1).map((gap, i) => (gap - mean) * (gaps[i]! - mean));
    expect(Math.abs(meanOf(products) / mean ** 2)).toBeLessThan(3.3 / Math.sqrt(COUNT));
  });

  it('are the same for the same seed and point, and others for others', () => {
    const first = offsets('poisson', order({ requests: 5 }));
    expect(offsets('poisson', order({ requests: 5 }))).toEqual(first);
    expect(offsets('poisson', order({ requests: 5 }, {}, 8))).not.toEqual(first);
    for (const name of ['poisson', 'gamma', 'ramp'])
      expect(offsets(name, order({ requests: 5, index: 1 }))).not.toEqual(
        offsets(name, order({ requests: 5 })),
      );
    // A run with more requests begins as one with fewer.
    expect(offsets('poisson', order({ requests: 50 })).slice(0, 5)).toEqual(first);
  });
});

describe('gamma arrivals', () => {
  it('are Poisson at burstiness 1', () => {
    const gaps = gapsOf(offsets('gamma', order({}, { burstiness: 1 })));
    expect(distance(gaps, (ms) => 1 - Math.exp(-ms / 250))).toBeLessThan(KS_LIMIT);
  });

  it('have Erlang gaps at burstiness 3', () => {
    const gaps = gapsOf(offsets('gamma', order({}, { burstiness: 3 })));
    const erlang = (ms: number): number => {
      const x = (3 * ms) / 250;
      return 1 - Math.exp(-x) * (1 + x + (x * x) / 2);
    };
    expect(distance(gaps, erlang)).toBeLessThan(KS_LIMIT);
  });

  it.each([0.1, 0.5, 4])('vary by 1 ÷ √burstiness around the same mean at burstiness %d', (burstiness) => {
    const gaps = gapsOf(offsets('gamma', order({}, { burstiness })));
    const expected = 1 / Math.sqrt(burstiness);
    // Four standard errors: of a mean, and of a standard deviation where the kurtosis is 3 + 6 ÷ burstiness.
    expect(Math.abs(meanOf(gaps) / 250 - 1)).toBeLessThan((4 * expected) / Math.sqrt(COUNT));
    const relativeError = Math.sqrt((2 + 6 / burstiness) / (4 * COUNT)) + expected / Math.sqrt(COUNT);
    expect(Math.abs(variation(gaps) / expected - 1)).toBeLessThan(4 * relativeError);
  });
});

describe('arrivals of a ramp', () => {
  /** Expected arrivals up to `ms` of a rate that rises from 2 to 10 a second within 60 s. */
  const expectedAt = (ms: number): number => (2 * ms) / 1_000 + ((10 - 2) * ms * ms) / (2 * 60_000 * 1_000);

  it('come as often as the rate says at each instant', () => {
    const point = { ratePerS: 10, durationMs: 60_000, requests: 600 };
    const counts = new Array<number>(6).fill(0);
    const seeds = 200;
    for (let seed = 0; seed < seeds; seed++)
      for (const atMs of offsets('ramp', order(point, { fromPerS: 2 }, seed)))
        if (atMs < 60_000) counts[Math.floor(atMs / 10_000)]!++;
    for (const [nth, count] of counts.entries()) {
      const expected = seeds * (expectedAt((nth + 1) * 10_000) - expectedAt(nth * 10_000));
      // Counts of a Poisson process: four standard deviations.
      expect(Math.abs(count - expected)).toBeLessThan(4 * Math.sqrt(expected));
    }
  });

  it('are a Poisson process of rate 1 in the expected count, also behind the rise', () => {
    const point = { ratePerS: 10, durationMs: 60_000, requests: COUNT };
    const steps = gapsOf(
      offsets('ramp', order(point, { fromPerS: 2 })).map((atMs) =>
        atMs <= 60_000 ? expectedAt(atMs) : expectedAt(60_000) + (atMs - 60_000) / 100,
      ),
    );
    expect(distance(steps, (step) => 1 - Math.exp(-step))).toBeLessThan(KS_LIMIT);
  });

  it('rise over as long as their number takes where no duration is given, and may fall or stand', () => {
    // 100 requests at 5 a second in the mean: 20 s.
    const rising = offsets('ramp', order({ requests: 100, ratePerS: 10 }, { fromPerS: 0 }));
    expect(rising.at(-1)! / 20_000).toBeCloseTo(1, 0);
    const [first, last] = [rising.findIndex((atMs) => atMs > 10_000), 100];
    expect(first / last).toBeLessThan(0.4);
    const falling = offsets('ramp', order({ requests: 100, ratePerS: 2 }, { fromPerS: 8 }));
    expect(falling.findIndex((atMs) => atMs > 10_000)).toBeGreaterThan(55);
    const even = offsets('ramp', order({ ratePerS: 4 }, { fromPerS: 4 }));
    expect(distance(gapsOf(even), (ms) => 1 - Math.exp(-ms / 250))).toBeLessThan(KS_LIMIT);
  });
});

describe('arrivals of a trace', () => {
  const file = path.join(folder, 'trace.jsonl');
  const row = (timestamp: number): string =>
    JSON.stringify({ timestamp, input_length: 10, output_length: 2, hash_ids: [1] });
  writeFileSync(file, `${[3_000, 3_000, 4_500, 9_000].map(row).join('\n')}\n`);

  it('are its timestamps from the first on, so many times as far apart', () => {
    const at = (slowdown: number): number[] =>
      offsets('trace', order({ requests: 4 }, { tracePath: file, slowdown }));
    expect(at(1)).toEqual([0, 0, 1_500, 6_000]);
    expect(at(0.5)).toEqual([0, 0, 750, 3_000]);
  });

  it('are in seconds where that is said, and pass over a byte-order mark', () => {
    const marked = path.join(folder, 'marked.jsonl');
    writeFileSync(marked, `\ufeff${[0.5, 1, 2.25].map(row).join('\n')}\n`);
    const at = (shape: ArrivalSpec): number[] =>
      offsets('trace', order({ requests: 3 }, { tracePath: marked, ...shape }));
    expect(at({ traceUnit: 's' })).toEqual([0, 500, 1_750]);
    expect(at({ traceUnit: 's', slowdown: 2 })).toEqual([0, 1_000, 3_500]);
    expect(at({ traceUnit: 'ms' })).toEqual([0, 0.5, 1.75]);
  });

  it('leave no file open, though only some are taken', () => {
    const open = (): string[] =>
      readdirSync('/proc/self/fd').flatMap((fd) => {
        try {
          return [readlinkSync(`/proc/self/fd/${fd}`)];
        } catch {
          return [];
        }
      });
    expect(offsets('trace', order({ requests: 1 }, { tracePath: file }))).toEqual([0]);
    expect(open()).not.toContain(file);
  });

  it('are refused where the file is not UTF-8', () => {
    const latin1 = path.join(folder, 'latin1.jsonl');
    writeFileSync(latin1, Buffer.from(`${row(1)}\n${row(2).replace('}', ', "é": 1}')}`, 'latin1'));
    expect(() => offsets('trace', order({ requests: 2 }, { tracePath: latin1 }))).toThrow(
      /line 2, byte \d+: 0xE9/,
    );
    expect(() => offsets('trace', order({ requests: 1 }, { tracePath: folder }))).toThrow(
      '--dataset-path: cannot read',
    );
  });

  it('are refused where the file is not there, or has fewer rows than requests', () => {
    const missing = path.join(folder, 'nothing.jsonl');
    expect(() => offsets('trace', order({ requests: 1 }, { tracePath: missing }))).toThrow(missing);
    expect(() => offsets('trace', order({ requests: 5 }, { tracePath: file }))).toThrow('4 arrivals for 5');
  });
});

describe('arrivalOf', () => {
  it('shares one schedule out among load generators without gap or overlap', () => {
    for (const name of ['poisson', 'gamma', 'ramp']) {
      const whole = offsets(name, order({ requests: 10 }));
      const shares = splitPoint(order({ requests: 10 }).point, 3).map((point) => offsets(name, order(point)));
      expect(shares[1]).toEqual([whole[1], whole[4], whole[7]]);
      expect(shares.flat().sort((a, b) => a - b)).toEqual(whole);
    }
  });

  it('gives no instants for a closed loop', () => {
    expect(arrivalOf(findArrival('closed'), order({}))).toEqual({ slots: 9, offsetsMs: null });
  });

  it('has more than are measured where the load is held on', () => {
    expect(arrivalOf(findArrival('constant'), order({ requests: 2 }), 3).offsetsMs).toHaveLength(5);
  });
});

describe('arrivalsBefore', () => {
  it('counts the instants of a schedule up to a time, and stops at the most', () => {
    const schedule = (): Iterable<number> => findArrival('constant').schedule!(order({}));
    expect(arrivalsBefore(schedule(), 1_000, 100)).toBe(4);
    expect(arrivalsBefore(schedule(), 1_000.1, 100)).toBe(5);
    expect(arrivalsBefore(schedule(), 1e9, 100)).toBe(100);
    expect(arrivalsBefore([1, 2], 3, 100)).toBe(2);
  });
});
