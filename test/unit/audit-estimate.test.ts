import { describe, expect, it } from 'vitest';
import { judgeLevel } from '../../src/core/audit.ts';
import type { Audit } from '../../src/core/audit-facts.ts';
import { type Judged, makeJudged, VALID } from '../fixtures/judged.ts';
import { makeAudit, NO_STATS } from '../fixtures/report.ts';

const CALM = makeAudit();
const READS = CALM.reads!;
const judge = (change: Partial<Audit>, level: Judged) => judgeLevel(level, { ...CALM, ...change }, null);

describe('a metric without bounds', () => {
  const NONE = makeJudged({ bounds: null });
  const judgeLate = (p50: number, p99: number, level = NONE) =>
    judge({ stampedBy: 'process', eventLoopDelayMs: { p50, p99, max: 90 } }, level);

  it('is off by what the event loop was late, at the median for mean and median, else at p99', () => {
    expect(judgeLate(0.2, 1)).toEqual(VALID);
    // TTFT of 200: 2 ms. ITL of 20: mean 0.2 ms, percentiles 1 ms. TPOT of 20 over 50 gaps: 10 ms. E2E of 1,200: 12 ms.
    const gaps = ['p90', 'p95', 'p99'].flatMap((stat) => [`itlMs.${stat}`, `tokenItlMs.${stat}`]);
    expect(judgeLate(0.2, 1.001).doubtful!.toSorted()).toEqual(gaps.toSorted());
    expect(judgeLate(0.2002, 1).doubtful).toEqual(['itlMs.mean', 'tokenItlMs.mean']);
    expect(judgeLate(1.001, 1).doubtful).toEqual([
      'itlMs.mean',
      'itlMs.p50',
      'tokenItlMs.mean',
      'tokenItlMs.p50',
    ]);
    const beyondGaps = (p50: number, p99: number): string[] =>
      judgeLate(p50, p99).doubtful!.filter((id) => !/itlms/i.test(id));
    expect(beyondGaps(2, 2)).toEqual([]);
    expect(beyondGaps(2.002, 2)).toEqual(['ttftMs.mean', 'ttftMs.p50']);
    expect(beyondGaps(2, 2.002)).toEqual(['ttftMs.p90', 'ttftMs.p95', 'ttftMs.p99']);
    const beyondTtft = (p50: number, p99: number): string[] =>
      beyondGaps(p50, p99).filter((id) => !id.startsWith('ttft'));
    expect(beyondTtft(10, 10)).toEqual([]);
    expect(beyondTtft(10.01, 10)).toEqual(['tpotMs.mean', 'tpotMs.p50']);
    expect(beyondTtft(2, 12)).toEqual(['tpotMs.p90', 'tpotMs.p95', 'tpotMs.p99']);
    expect(beyondTtft(2, 12.012)).toEqual([
      ...['p90', 'p95', 'p99'].map((stat) => `tpotMs.${stat}`),
      'e2eMs.p90',
      'e2eMs.p95',
      'e2eMs.p99',
    ]);
  });

  it('is off by what bytes waited to be read where that is more', () => {
    const waited = (p50: number, p99: number) =>
      judge(
        {
          stampedBy: 'process',
          eventLoopDelayMs: { p50: 0.1, p99: 0.5, max: 1 },
          reads: { ...READS, waitMs: { p50, p99, max: 900 } },
        },
        NONE,
      );
    expect(waited(0.2, 1)).toEqual(VALID);
    expect(waited(0.2002, 1).doubtful).toEqual(['itlMs.mean', 'tokenItlMs.mean']);
    expect(waited(0.2, 1.001).doubtful).toHaveLength(6);
    const silent = { stampedBy: 'process', eventLoopDelayMs: { p50: 0.1, p99: 1.5, max: 2 } } as const;
    expect(judge({ ...silent, reads: { ...READS, waitMs: null } }, NONE).doubtful).toHaveLength(6);
    const { reads: _, ...unread } = { ...CALM, ...silent };
    expect(judgeLevel(NONE, unread, null).doubtful).toHaveLength(6);
  });

  it('is off by a standstill of the event loop that took more than a hundredth of the level', () => {
    const stood = (max: number, level = NONE) =>
      judge({ stampedBy: 'process', eventLoopDelayMs: { p50: 0.1, p99: 0.2, max } }, level);
    expect(stood(100)).toEqual(VALID);
    const long = stood(100.1);
    expect(long.verdict).toBe('suspect');
    // Most events came in time: mean and median stand.
    expect(long.doubtful).toHaveLength(15);
    expect(long.doubtful!.filter((id) => /mean|p50/.test(id))).toEqual([]);
    expect(long.reasons[0]).toContain('ITL (p90 20.0 ± 100 ms)');
    expect(stood(100.1, { ...NONE, durationS: 20 })).toEqual(VALID);
    expect(stood(1_000, { ...NONE, durationS: null })).toEqual(VALID);
    // A proof needs no estimate.
    expect(stood(1_000, makeJudged())).toEqual(VALID);
  });

  it('has an error that a request of few tokens does not share', () => {
    const short = { ...NONE, outputTokens: 40 * 2, itlMs: NO_STATS, tokenItlMs: NO_STATS };
    expect(judgeLate(0.2, 0.2, short)).toEqual(VALID);
    expect(judgeLate(0.2002, 0.2, short).doubtful).toEqual(['tpotMs.mean', 'tpotMs.p50']);
    const single = { ...short, outputTokens: 40 };
    expect(judgeLate(0.2, 0.2, single)).toEqual(VALID);
    const uncounted = { ...short, requests: { ...short.requests, good: 0 } };
    expect(judgeLate(0.2, 0.2, uncounted)).toEqual(VALID);
    expect(judgeLate(0.2002, 0.2, uncounted).doubtful).toEqual(['tpotMs.mean', 'tpotMs.p50']);
  });

  it('says that its error is estimated', () => {
    expect(judgeLate(0.1, 1.234).reasons).toEqual([
      'estimated error of time stamps: ITL (p90 20.0 ± 1.23 ms), token ITL (p90 20.0 ± 1.23 ms); the other metrics stand',
    ]);
  });

  it('is not doubted where nothing is known of the harness', () => {
    expect(judgeLevel(NONE, null, null)).toEqual(VALID);
    const { bounds: _, ...older } = NONE;
    expect(
      judgeLevel(older, { ...CALM, eventLoopDelayMs: { p50: 0.1, p99: 5, max: 5 } }, null).doubtful,
    ).toHaveLength(9);
  });
});
