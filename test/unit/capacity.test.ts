import { describe, expect, it } from 'vitest';
import {
  capacityOf,
  foundSoFar,
  leastRequests,
  nextLevel,
  type Probe,
  type SearchRange,
  shareBounds,
} from '../../src/core/capacity.ts';
import { Random } from '../../src/core/random.ts';
import type { LevelReport } from '../../src/core/report.ts';
import { renderCapacity } from '../../src/exporters/capacity-table.ts';
import { makeCalmReport } from '../fixtures/report.ts';

const RANGE: SearchRange = {
  over: 'concurrency',
  from: 1,
  to: 1_024,
  targetRatio: 0.95,
  precisionRatio: 0.05,
};

/** Searches a server whose requests all meet up to a level, and of which hardly any do above. */
function search(
  truth: number,
  range: SearchRange = RANGE,
): { found: ReturnType<typeof foundSoFar>; levels: number[] } {
  const probes: Probe[] = [];
  for (;;) {
    const concurrency = nextLevel(probes, range);
    if (concurrency === null) break;
    const sent = Math.max(4 * concurrency, 59);
    probes.push({
      validity: 'valid',
      load: concurrency,
      sent,
      met: concurrency <= truth ? sent : Math.floor(sent / 10),
    });
  }
  return {
    found: foundSoFar(probes, range.targetRatio),
    levels: probes.map(({ load }) => load),
  };
}

describe('the bounds of a share', () => {
  // By sums of exact binomial coefficients, elsewhere.
  it.each([
    [8, 10, 0.493_098_7, 0.963_228_6],
    [57, 59, 0.897_110_8, 0.993_943_6],
    [290, 300, 0.944_115_3, 0.981_806_2],
  ])('%s of %s lie at %s and %s', (met, sent, low, high) => {
    const bounds = shareBounds({ met, sent });
    expect(bounds.low).toBeCloseTo(low, 5);
    expect(bounds.high).toBeCloseTo(high, 5);
  });

  it('of all, of none, and of nothing, are those of the power and the whole range', () => {
    expect(shareBounds({ met: 10, sent: 10 })).toEqual({ low: expect.closeTo(0.05 ** 0.1, 10), high: 1 });
    expect(shareBounds({ met: 0, sent: 10 })).toEqual({ low: 0, high: expect.closeTo(1 - 0.05 ** 0.1, 10) });
    expect(shareBounds({ met: 0, sent: 0 })).toEqual({ low: 0, high: 1 });
    expect([leastRequests(0.95), leastRequests(0.99), leastRequests(0.5)]).toEqual([59, 299, 5]);
    expect(shareBounds({ met: 59, sent: 59 }).low).toBeGreaterThanOrEqual(0.95);
    expect(shareBounds({ met: 58, sent: 58 }).low).toBeLessThan(0.95);
  });

  it('are wrong at most 5 times in 100', () => {
    const random = new Random('bounds', 1);
    let [tooHigh, tooLow] = [0, 0];
    for (let i = 0; i < 4_000; i++) {
      const met = Array.from({ length: 60 }, () => random.float() < 0.9).filter(Boolean).length;
      const { low, high } = shareBounds({ met, sent: 60 });
      if (low > 0.9) tooHigh++;
      if (high < 0.9) tooLow++;
    }
    // Three standard deviations above 5 % of 4,000.
    expect(Math.max(tooHigh, tooLow)).toBeLessThanOrEqual(241);
    expect(Math.min(tooHigh, tooLow)).toBeGreaterThan(40);
  });
});

describe('the search', () => {
  it.each([1, 2, 3, 7, 10, 63, 64, 100, 333, 1_000])('finds a capacity of %s to 5 %', (truth) => {
    const { found, levels } = search(truth);
    expect(found.meets!.load).toBeLessThanOrEqual(truth);
    expect(found.misses!.load).toBeGreaterThan(truth);
    const [low, high] = [found.meets!.load, found.misses!.load];
    expect(high - low === 1 || high / low <= 1.05).toBe(true);
    expect(new Set(levels).size).toBe(levels.length);
    expect(levels.length).toBeLessThanOrEqual(16);
  });

  it('goes up by doubling, then halves the gap', () => {
    expect(search(10).levels).toEqual([1, 2, 4, 8, 16, 11, 9, 10]);
  });

  it('says when the answer lies outside of the range', () => {
    expect(search(5_000)).toMatchObject({ found: { meets: { load: 1_024 }, misses: null } });
    expect(search(5_000, { ...RANGE, from: 3, to: 10 }).levels).toEqual([3, 6, 10]);
    expect(search(0)).toMatchObject({ found: { meets: null, misses: { load: 1 } }, levels: [1] });
  });

  it('searches rates to three digits, above and below one a second', () => {
    const rates: SearchRange = { ...RANGE, over: 'rate', from: 0.1, to: 64 };
    expect(search(10, rates).levels).toEqual([
      0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 9.05, 10.8, 9.89, 10.3,
    ]);
    for (const truth of [0.13, 0.97, 7.77, 63]) {
      const { found } = search(truth, rates);
      expect(found.meets!.load).toBeLessThanOrEqual(truth);
      expect(found.misses!.load).toBeGreaterThan(truth);
      expect(found.misses!.load / found.meets!.load).toBeLessThanOrEqual(1.051);
    }
  });

  it('takes a level for missed that proves nothing, whatever share met', () => {
    const [calm, behind]: [Probe, Probe] = [
      { load: 1, sent: 100, met: 100, validity: 'valid' },
      { load: 2, sent: 100, met: 100, validity: 'valid', lag: 'fell-behind' },
    ];
    expect(foundSoFar([calm, behind], 0.95)).toEqual({ meets: calm, misses: behind });
  });

  it('takes the lowest level that missed for the limit, whatever met above it', () => {
    const probe = (load: number, met: number): Probe => ({ load, sent: 100, met, validity: 'valid' });
    expect(foundSoFar([probe(8, 96), probe(2, 100), probe(4, 90), probe(1, 100)], 0.95)).toMatchObject({
      meets: { load: 2 },
      misses: { load: 4 },
    });
    expect(foundSoFar([], 0.95)).toEqual({ meets: null, misses: null });
    // Nothing was sent.
    expect(foundSoFar([{ load: 1, sent: 0, met: 0, validity: 'valid' }], 0.95).meets).toBeNull();
  });
});

describe('the page', () => {
  const [level] = makeCalmReport().levels;
  const page = (probes: readonly Probe[], complete = true): string =>
    renderCapacity(
      {
        range: RANGE,
        limits: 'ttft ≤ 2s',
        found: foundSoFar(probes, RANGE.targetRatio),
        levels: probes.map((probe) => ({ probe, level: level! })),
        complete,
      },
      { colour: false, width: 140 },
    );

  it('tells the answer with both its sides and how sure they are', () => {
    const text = page([
      { load: 8, sent: 59, met: 59, validity: 'valid' },
      { load: 10, sent: 59, met: 50, validity: 'valid' },
      { load: 9, sent: 59, met: 57, validity: 'valid' },
    ]);
    expect(text).toContain('capacity  9 in flight; 10 miss');
    expect(text).toMatch(/^ +9 +57\/59 +97 % +90 % … 99\.4 % .*← capacity$/m);
    expect(text).toContain('that 9 meet is likely and not sure: with 95 % confidence at least 90 % do');
    expect(text).toContain('that 10 miss is sure: with 95 % confidence at most 92 % meet');
  });

  it('tells a rate as one, and what the server did not keep up with', () => {
    const probes: Probe[] = [
      { load: 2.5, sent: 150, met: 150, validity: 'valid' },
      { load: 2.6, sent: 156, met: 156, validity: 'valid', lag: 'fell-behind' },
    ];
    const text = renderCapacity(
      {
        range: { ...RANGE, over: 'rate' },
        limits: 'ttft ≤ 2s',
        found: foundSoFar(probes, 0.95),
        levels: probes.map((probe) => ({ probe, level: level! })),
        complete: true,
      },
      { colour: false, width: 140 },
    );
    expect(text).toContain('capacity  2.5 requests a second; 2.6 miss');
    expect(text).toMatch(/^ +2\.6 .* did not keep up$/m);
    expect(text).toContain('at 2.6 the server did not keep up with what came');
  });

  it('does not call a level missed that is too short to tell', () => {
    const short: Probe = { load: 1, sent: 59, met: 59, validity: 'valid', lag: 'too-short' };
    expect(page([short])).toContain('capacity  not known: 1 in flight was too short to tell');
    const calm: Probe = { load: 1, sent: 59, met: 59, validity: 'valid', lag: 'kept-up' };
    expect(page([calm, { ...short, load: 2 }])).toContain('capacity  1 in flight; 2 was too short to tell');
    expect(page([short])).toContain('give a longer --duration');
  });

  it('says when it is none, at the end of the range, or cut', () => {
    expect(page([{ load: 1, sent: 59, met: 3, validity: 'valid' }])).toContain(
      'none: 1 in flight miss already',
    );
    expect(page([{ load: 1_024, sent: 4_096, met: 4_096, validity: 'valid' }])).toContain(
      'at least 1,024 in flight, the end of the range',
    );
    expect(page([{ load: 4, sent: 59, met: 59, validity: 'valid' }], false)).toContain(
      'at least 4 in flight; the search was cut',
    );
  });
});

describe('the answer of measured levels', () => {
  const [first] = makeCalmReport().levels;
  const level = (concurrency: number, met: number, patch: Partial<LevelReport> = {}): LevelReport => ({
    ...first!,
    concurrency,
    status: 'complete',
    requests: { ...first!.requests, sent: 100 },
    goodput: { met, attainmentRatio: met / 100, requestsPerS: 1 } as LevelReport['goodput'] & object,
    ...patch,
  });
  const range = { over: 'concurrency', from: 1, to: 8, targetRatio: 0.95, precisionRatio: 0.05 } as const;

  it('stands on complete levels with limits, each as a probe', () => {
    const capacity = capacityOf(
      [
        level(1, 100),
        level(2, 94, { validity: { ...first!.validity, verdict: 'suspect' } }),
        level(4, 100, { status: 'partial' }),
        { ...level(3, 100), goodput: undefined as never },
      ],
      range,
      'tpot ≤ 1s',
    );
    expect(capacity.levels.map(({ probe }) => probe)).toEqual([
      { load: 1, sent: 100, met: 100, validity: 'valid' },
      { load: 2, sent: 100, met: 94, validity: 'suspect' },
    ]);
    expect(capacity).toMatchObject({ complete: true, limits: 'tpot ≤ 1s', range });
    expect(capacity.found.meets).toBe(capacity.levels[0]!.probe);
    expect(capacity.found.misses).toBe(capacity.levels[1]!.probe);
    expect(capacityOf([level(1, 100)], range, '').complete).toBe(false);
  });

  it('is of rates where these are searched for, with what the server kept up with', () => {
    const open = { lag: null } as unknown as LevelReport['open'] & object;
    const probes = (patch: Partial<LevelReport>) =>
      capacityOf([level(9, 100, patch)], { ...range, over: 'rate' }, '').levels.map(({ probe }) => probe);
    expect(probes({ ratePerS: 2.5, open })).toEqual([
      { load: 2.5, sent: 100, met: 100, lag: 'too-short', validity: 'valid' },
    ]);
    expect(probes({})).toEqual([]);
  });
});
