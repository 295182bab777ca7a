import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BOUNDED_STATS,
  type BoundedStat,
  type DistributionBounds,
  type LevelBounds,
  type ValueBound,
} from '../../src/core/audit-facts.ts';
import type { RequestRecord } from '../../src/core/record.ts';
import type { LevelReport } from '../../src/core/report.ts';
import { summarizeLevel } from '../../src/core/summary.ts';
import { ms, receive, type TrueRead, type TrueRequest, trueReads } from '../fixtures/arrivals.ts';
import { makeRecord } from '../fixtures/records.ts';

function summarize(records: readonly RequestRecord[]): LevelReport {
  return summarizeLevel({
    point: 0,
    concurrency: 1,
    isl: 10,
    osl: 4,
    status: 'complete',
    records,
    gpus: null,
    connections: { opened: 0, meanMs: null, maxMs: null },
    witness: null,
    audit: null,
    validity: { verdict: 'valid', reasons: [] },
  });
}

type Truth = Record<BoundedStat, number>;

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** As numbers of a request are told: linear between closest ranks. */
function interpolated(values: readonly number[]): Truth | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (percent: number): number => {
    const rank = (percent / 100) * (sorted.length - 1);
    const [below, above] = [sorted[Math.floor(rank)]!, sorted[Math.ceil(rank)]!];
    return below + (above - below) * (rank - Math.floor(rank));
  };
  return { mean: mean(values), p50: at(50), p90: at(90), p95: at(95), p99: at(99) };
}

/** As pooled numbers are told: the least that so many percent are not above. */
function nearest(values: readonly number[]): Truth | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (percent: number): number => sorted[Math.ceil((percent * sorted.length) / 100 - 1e-9) - 1]!;
  return { mean: mean(values), p50: at(50), p90: at(90), p95: at(95), p99: at(99) };
}

const gapsOf = (atMs: readonly number[]): number[] => atMs.slice(1).map((at, i) => at - atMs[i]!);

/** Each gap shared among its tokens; a chunk without any gives its gap to the next. */
function tokenGapsOf({ atMs, tokens }: TrueRequest): number[] {
  let fromMs = atMs[0]!;
  return atMs.slice(1).flatMap((at, i) => {
    const count = tokens[i + 1]!;
    if (count === 0) return [];
    const gapMs = at - fromMs;
    fromMs = at;
    return Array<number>(count).fill(gapMs / count);
  });
}

const total = (tokens: readonly number[]): number => tokens.reduce((a, b) => a + b, 0);

/** All bounded metrics, of the true instants alone. */
function truthOf(requests: readonly TrueRequest[]) {
  const endedAtMs = Math.max(...requests.map(({ atMs }) => atMs.at(-1)!));
  const spanS = (endedAtMs - Math.min(...requests.map(({ sentAtMs }) => sentAtMs))) / 1_000;
  return {
    spanS,
    ttftMs: interpolated(requests.map(({ sentAtMs, atMs }) => atMs[0]! - sentAtMs)),
    e2eMs: interpolated(requests.map(({ sentAtMs, atMs }) => atMs.at(-1)! - sentAtMs)),
    tpotMs: interpolated(
      requests.flatMap(({ atMs, tokens }) =>
        total(tokens) < 2 ? [] : [(atMs.at(-1)! - atMs[0]!) / (total(tokens) - 1)],
      ),
    ),
    itlMs: nearest(requests.flatMap(({ atMs }) => gapsOf(atMs))),
    tokenItlMs: nearest(requests.flatMap(tokenGapsOf)),
    requestsPerS: requests.length / spanS,
    outputTokensPerS: total(requests.flatMap(({ tokens }) => tokens)) / spanS,
  };
}

/** Percentiles of pooled numbers come from buckets of a thousandth; all numbers are sums of floating point. */
const HDR = 0.001;
const FLOAT = 1e-9;
/** Instants are whole µs, and a level is from one to another. */
const INSTANT_S = 2e-6;

function expectInside(what: string, value: number, { lower, upper }: ValueBound, ratio = FLOAT): void {
  const spareMs = ratio * value + FLOAT;
  if (value < lower - spareMs || value > upper + spareMs)
    expect.fail(`${what}: ${value} is not between ${lower} and ${upper}`);
}

const EXACT_OF = ['ttftMs', 'tpotMs', 'e2eMs'] as const;
const POOLED_OF = ['itlMs', 'tokenItlMs'] as const;

function expectTrue(bounds: LevelBounds, truth: ReturnType<typeof truthOf>): void {
  for (const id of [...EXACT_OF, ...POOLED_OF]) {
    expect(bounds[id] === null, id).toBe(truth[id] === null);
    for (const stat of bounds[id] === null ? [] : BOUNDED_STATS) {
      const isBucket = id.toLowerCase().endsWith('itlms') && stat !== 'mean';
      expectInside(`${id}.${stat}`, truth[id]![stat], bounds[id]![stat], isBucket ? HDR : FLOAT);
    }
  }
  for (const id of ['requestsPerS', 'outputTokensPerS'] as const)
    if (bounds[id] !== null) expectInside(id, truth[id], bounds[id]!, INSTANT_S / truth.spanS);
}

interface Sent {
  readonly sentAtMs: number;
  readonly reads: readonly TrueRead[];
}

/** Requests that are sent one after the other at some distance, so that many overlap. */
const requests: fc.Arbitrary<readonly Sent[]> = fc
  .array(fc.tuple(ms(50), trueReads), { minLength: 1, maxLength: 12 })
  .map((all) => {
    let sentAtMs = 1_000;
    return all.map(([afterMs, reads]) => {
      sentAtMs += afterMs;
      return { sentAtMs, reads };
    });
  });

describe('bounds', () => {
  it('hold whatever lies in the arrival intervals, also of records that were stored', () => {
    let wide = 0;
    fc.assert(
      fc.property(requests, fc.boolean(), (all, stored) => {
        const received = all.map(({ sentAtMs, reads }) => receive(sentAtMs, reads, stored));
        const { bounds } = summarize(received.map(({ record }) => record));
        expectTrue(bounds!, truthOf(received.map(({ truth }) => truth)));
        const { lower, upper } = bounds!.ttftMs!.p50;
        if (upper - lower > 1) wide++;
      }),
      { numRuns: 400 },
    );
    expect(wide).toBeGreaterThan(50);
  });

  it('are the values where all is exact, but for the unit of instants', () => {
    // One chunk a read, with a stamp.
    const exact = requests.map((all) =>
      all.map(({ sentAtMs, reads }) => ({
        sentAtMs,
        reads: reads.map((read) => ({ ...read, gapsMs: read.gapsMs.slice(0, 1), lateMs: 0 })),
      })),
    );
    fc.assert(
      fc.property(exact, (all) => {
        const records = all.map(({ sentAtMs, reads }) => receive(sentAtMs, reads).record);
        for (const { chunkSlackUs } of records) expect(chunkSlackUs ?? null).toBeNull();
        const level = summarize(records);
        for (const id of [...EXACT_OF, ...POOLED_OF])
          for (const stat of level[id].count === 0 ? [] : BOUNDED_STATS) {
            const value = level[id][stat]!;
            const { lower, upper } = level.bounds![id]![stat];
            const isBucket = id.toLowerCase().endsWith('itlms') && stat !== 'mean';
            const widthMs = 0.002 + FLOAT + (isBucket ? (HDR + 1 / 1024) * value : 0);
            expect(Math.abs(value - lower), `${id}.${stat}`).toBeLessThanOrEqual(widthMs);
            expect(Math.abs(upper - value), `${id}.${stat}`).toBeLessThanOrEqual(widthMs);
          }
        for (const id of ['requestsPerS', 'outputTokensPerS'] as const)
          expect(level.bounds![id]).toEqual(
            level[id] === null ? null : { lower: level[id], upper: level[id] },
          );
      }),
    );
  });
});

/** A record of the kernel's stamps, sent at 0. */
const record = (
  gapsMs: number[],
  slackMs: number[],
  change: Parameters<typeof makeRecord>[0] = {},
): RequestRecord =>
  makeRecord({
    stampedBy: 'kernel',
    gapsMs,
    chunkSlackUs: Uint32Array.from(slackMs, (one) => one * 1_000),
    ...change,
  });
const boundsOf = (...records: RequestRecord[]): LevelBounds => summarize(records).bounds!;

/** Each end lies outside of the true one, by no more than the rounding of instants and of histograms. */
function expectEnds(bound: ValueBound, lower: number, upper: number): void {
  const atMost = (value: number): number => 0.002_5 + (HDR + 1 / 1024) * value;
  expect(bound.lower, 'lower').toBeLessThanOrEqual(lower);
  expect(lower - bound.lower, 'lower').toBeLessThan(atMost(lower));
  expect(bound.upper, 'upper').toBeGreaterThanOrEqual(upper);
  expect(bound.upper - upper, 'upper').toBeLessThan(atMost(upper));
}

function expectAll(bounds: DistributionBounds | null, lower: number, upper: number): void {
  for (const stat of BOUNDED_STATS) expectEnds(bounds![stat], lower, upper);
}

describe('the bounds of one request', () => {
  // Upper ends at 100, 110 and 130 ms; the chunks arrived up to 20, 5 and 13 ms earlier.
  const one = record([100, 10, 20], [20, 5, 13]);

  it('are those of its first chunk for TTFT, and of its last for E2E', () => {
    expectAll(boundsOf(one).ttftMs, 80, 100);
    expectAll(boundsOf(one).e2eMs, 117, 130);
  });

  it('are those of both for TPOT and for a mean gap, between which all gaps add up', () => {
    expectAll(boundsOf(one).tpotMs, (30 - 13) / 2, (30 + 20) / 2);
    expectEnds(boundsOf(one).itlMs!.mean, (30 - 13) / 2, (30 + 20) / 2);
    expectEnds(boundsOf(one).tokenItlMs!.mean, (30 - 13) / 2, (30 + 20) / 2);
  });

  it('are those of both its events for a gap', () => {
    // 10 ms: 5 … 30; 20 ms: 7 … 25.
    for (const bounds of [boundsOf(one).itlMs!, boundsOf(one).tokenItlMs!]) {
      expectEnds(bounds.p50, 5, 25);
      for (const stat of ['p90', 'p95', 'p99'] as const) expectEnds(bounds[stat], 7, 30);
    }
  });

  it('are those of its end for rates: what came earlier came in less time', () => {
    const { bounds, requestsPerS, outputTokensPerS } = summarize([one]);
    expect(bounds!.requestsPerS!.lower).toBe(requestsPerS);
    expect(bounds!.requestsPerS!.upper).toBeCloseTo(1_000 / 117, 9);
    expect(bounds!.outputTokensPerS!.lower).toBe(outputTokensPerS);
    expect(bounds!.outputTokensPerS!.upper).toBeCloseTo(3_000 / 117, 9);
  });

  it('share a gap among the tokens that ended it', () => {
    const carried = boundsOf(record([100, 10, 20], [20, 5, 13], { tokens: [1, 0, 2] })).tokenItlMs;
    expectAll(carried, (30 - 13) / 2, (30 + 20) / 2);
    // A last chunk without a token ends no gap.
    const trailing = boundsOf(record([100, 10, 20], [20, 5, 13], { tokens: [1, 2, 0] })).tokenItlMs;
    expectAll(trailing, (10 - 5) / 2, (10 + 20) / 2);
    const each = boundsOf(record([100, 10, 20], [20, 5, 13], { tokens: [3, 1, 4] })).tokenItlMs!;
    // 10 ms of one token: 5 … 30; 20 ms of four: 7 ÷ 4 … 25 ÷ 4.
    expectEnds(each.p50, 7 / 4, 25 / 4);
    expectEnds(each.p90, 5, 30);
    expectEnds(each.mean, (30 - 13) / 5, (30 + 20) / 5);
  });

  it('end at 0', () => {
    const late = boundsOf(record([10, 4], [50, 50], { endAtMs: 100 }));
    expectAll(late.ttftMs, 0, 10);
    expectAll(late.e2eMs, 0, 14);
    for (const bounds of [late.tpotMs, late.itlMs, late.tokenItlMs]) expectAll(bounds, 0, 54);
  });

  it('are wide and no error where a lower end is not known', () => {
    const unknown = record([100, 10], [0, 0], { chunkSlackUs: Uint32Array.of(2 ** 32 - 1, 2 ** 32 - 1) });
    const bounds = boundsOf(unknown);
    expectAll(bounds.ttftMs, 0, 100);
    expect(bounds.itlMs!.p99.lower).toBe(0);
    expect(bounds.itlMs!.p99.upper).toBeGreaterThan(4_000_000);
    expect(bounds.requestsPerS).toBeNull();
    expect(bounds.outputTokensPerS).toBeNull();
  });

  it('are of the metrics that have a value', () => {
    const single = boundsOf(record([100], [20]));
    expectAll(single.ttftMs, 80, 100);
    expect(single).toMatchObject({ itlMs: null, tokenItlMs: null, tpotMs: null });
    const uncounted = boundsOf(
      record([100, 10], [20, 5], { tokens: null, osl: { asked: 2, counted: null, by: 'none' } }),
    );
    expect(uncounted).toMatchObject({ tokenItlMs: null, tpotMs: null });
    expectAll(uncounted.itlMs, 5, 30);
  });
});

describe('the bounds of several requests', () => {
  it('pool their gaps, and let one without a gap add nothing to the mean', () => {
    const [two, other] = [record([100, 10, 20], [20, 5, 13]), record([50, 6], [4, 2])];
    const single = record([70], [60]);
    const { itlMs, tokenItlMs } = boundsOf(two, other, single);
    for (const bounds of [itlMs!, tokenItlMs!]) {
      expectEnds(bounds.mean, (36 - 13 - 2) / 3, (36 + 20 + 4) / 3);
      // Lower ends 4, 5 and 7; upper ends 10, 25 and 30.
      expectEnds(bounds.p50, 5, 25);
      expectEnds(bounds.p99, 7, 30);
    }
  });

  it('have rates by the request that ended last, wherever it stands', () => {
    const [early, late] = [record([100, 10], [90, 90]), record([100, 100], [0, 40])];
    for (const order of [
      [early, late],
      [late, early],
    ]) {
      const { requestsPerS } = boundsOf(...order);
      expect(requestsPerS!.lower).toBe(10);
      expect(requestsPerS!.upper).toBeCloseTo((10 * 200) / 160, 9);
    }
  });

  it('are not known where the stamps of one are not those of the kernel', () => {
    const kernel = record([100, 10], [1, 1]);
    expect(summarize([kernel]).bounds).not.toBeNull();
    const { stampedBy: _, ...older } = kernel;
    for (const other of [{ ...kernel, stampedBy: 'process' as const }, older])
      for (const records of [[kernel, other], [other, kernel], [other]])
        expect(summarize(records).bounds).toBeNull();
    expect(summarize([]).bounds).toBeNull();
    // What failed or was not measured is in no metric.
    const failed = { ...kernel, stampedBy: 'process' as const, outcome: 'reset' as const };
    const warmup = { ...kernel, stampedBy: 'process' as const, phase: 'warmup' as const };
    expect(summarize([failed, kernel, warmup]).bounds).toEqual(summarize([kernel]).bounds);
    expect(summarize([failed]).bounds).toBeNull();
  });
});
