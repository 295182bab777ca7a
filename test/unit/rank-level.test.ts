import { describe, expect, it } from 'vitest';
import { incomplete, mergeRanks, type RankPart, rankedLevel } from '../../src/commands/ranks/rank-level.ts';
import type { Audit } from '../../src/core/audit-facts.ts';
import { exactStats } from '../../src/core/distribution.ts';
import { mergeAudits, mergeConnections } from '../../src/core/rank-merge.ts';
import type { RequestRecord } from '../../src/core/record.ts';
import type { PointSpec } from '../../src/core/spec.ts';
import { summarizeLevel } from '../../src/core/summary.ts';
import { makeRecord } from '../fixtures/records.ts';
import { makeAudit } from '../fixtures/report.ts';

const POINT: PointSpec = {
  index: 0,
  concurrency: 4,
  isl: 100,
  osl: 3,
  requests: 40,
  durationMs: null,
  warmup: 0,
};
const ORIGIN = Date.parse('2026-01-02T03:04:05.000Z');

function audit(
  change: { lag?: number; delay?: number; busy?: number; cpu?: number; rss?: number } = {},
): Audit {
  const { lag = 0.5, delay = 1, busy = 0.1, cpu = 0.2, rss = 100 } = change;
  return {
    sendLagMs: exactStats([0, lag]),
    eventLoopDelayMs: { p50: delay / 2, p99: delay, max: 2 * delay },
    eventLoopUtilizationRatio: busy,
    cpuRatio: cpu,
    rssMaxBytes: rss,
  };
}

/** What a single process would have recorded: requests on four slots, with gaps of all sizes. */
function truth(): RequestRecord[] {
  return Array.from({ length: 40 }, (_, n) =>
    makeRecord({
      id: 100 + n,
      concurrency: 4,
      requestId: `r${n}`,
      ...(n % 7 === 3 ? { resent: true } : {}),
      sentAtMs: 10 + 25 * n,
      gapsMs: [80 + ((n * 37) % 50), 3 + ((n * 7) % 11), 5 + ((n * 5) % 3)],
    }),
  );
}

/** The same requests as two ranks record them whose clocks start elsewhere and are off. */
function parts(records: readonly RequestRecord[]): RankPart[] {
  return [0, 1].map((rank) => {
    const startedLaterMs = [400, -90_000][rank]!;
    const aheadMs = [0, 7_200_000.5][rank]!;
    const own = records.filter((_, n) => n % 2 === rank);
    const back = (atMs: number): number => atMs - startedLaterMs;
    return {
      rank,
      host: `node${rank + 1}`,
      concurrency: 2,
      clock: { offsetMs: aheadMs, errorMs: 0.25 },
      originUtcMs: ORIGIN + startedLaterMs + aheadMs,
      lacking: null,
      end: {
        records: own.length,
        toByte: 0,
        status: 'complete',
        connections: { opened: rank + 1, meanMs: 1 + rank, maxMs: 3 - rank },
        audit: audit({ lag: rank, delay: 3 - rank }),
        warnings: [],
        missing: null,
      },
      records: own.map((record, n) => ({
        ...record,
        id: n,
        concurrency: 2,
        dueAtMs: back(record.dueAtMs),
        sentAtMs: back(record.sentAtMs),
        firstAtMs: back(record.firstAtMs!),
        lastAtMs: back(record.lastAtMs!),
        lastEventAtMs: back(record.lastEventAtMs!),
        endAtMs: back(record.endAtMs),
      })),
    };
  });
}

describe('the records of several ranks', () => {
  it('make the numbers that one process would have made, histograms included', () => {
    const records = truth();
    const split = parts(records);
    const merged = mergeRanks(split, POINT, ORIGIN, 100);
    const bySend = [...merged].sort((a, b) => a.id - b.id);
    expect(bySend.map(({ requestId }) => requestId)).toEqual(records.map(({ requestId }) => requestId));
    bySend.forEach((record, n) => {
      expect(record.sentAtMs).toBeCloseTo(records[n]!.sentAtMs, 3);
      expect({ ...record, ...instants(records[n]!) }).toEqual(records[n]);
    });
    expect(merged.map(({ endAtMs }) => endAtMs)).toEqual(
      merged.map(({ endAtMs }) => endAtMs).sort((a, b) => a - b),
    );

    const level = rankedLevel({
      point: POINT,
      parts: split,
      records: merged,
      failed: false,
      gpus: 2,
      witness: null,
    });
    const single = summarizeLevel({
      ...{ point: 0, concurrency: 4, isl: 100, osl: 3, status: 'complete' as const, records, gpus: 2 },
      ...{ connections: level.connections, witness: null, audit: level.audit, validity: level.validity },
    });
    const { ranks, ...rest } = level;
    expect(ranks).toHaveLength(2);
    expect(rest.histograms).toEqual(single.histograms);
    expect(rest.timeline).toEqual(single.timeline);
    expect(rest.requests).toEqual(single.requests);
    expect(rest.requests.resent).toBe(6);
    for (const name of ['ttftMs', 'itlMs', 'tokenItlMs', 'tpotMs', 'e2eMs'] as const) {
      expect(rest[name].p50).toBeCloseTo(single[name].p50!, 6);
      expect(rest[name].p99).toBeCloseTo(single[name].p99!, 6);
      expect(rest[name].count).toBe(single[name].count);
    }
    expect(rest.outputTokensPerS).toBeCloseTo(single.outputTokensPerS!, 6);
    expect(rest.achievedConcurrency).toBeCloseTo(single.achievedConcurrency!, 6);
  });

  it('tell where they came from, with each clock', () => {
    const split = parts(truth());
    const records = mergeRanks(split, POINT, ORIGIN, 0);
    const level = rankedLevel({
      point: POINT,
      parts: split,
      records,
      failed: false,
      gpus: null,
      witness: null,
    });
    expect(level.ranks!.map(({ audit: _, ...rank }) => rank)).toEqual([
      {
        ...{ rank: 0, host: 'node1', concurrency: 2, requests: 20, clockOffsetMs: 0, clockErrorMs: 0.25 },
        startedUtc: '2026-01-02T03:04:05.010Z',
      },
      {
        ...{
          rank: 1,
          host: 'node2',
          concurrency: 2,
          requests: 20,
          clockOffsetMs: 7_200_000.5,
          clockErrorMs: 0.25,
        },
        startedUtc: '2026-01-02T05:04:05.035Z',
      },
    ]);
    expect(level.status).toBe('complete');
  });

  it('are a part when a rank failed, and never taken for the whole', () => {
    const split = parts(truth()).map((part) => (part.rank === 1 ? { ...part, end: null } : part));
    const records = mergeRanks(split, POINT, ORIGIN, 0);
    const level = rankedLevel({
      point: POINT,
      parts: split,
      records,
      failed: true,
      gpus: null,
      witness: null,
    });
    expect(level.status).toBe('partial');
    expect(level.ranks![1]!.audit).toBeNull();
    expect(level.requests.sent).toBe(40);
    const whole = parts(truth());
    expect(incomplete(POINT, whole)).toBeNull();
    expect(incomplete({ ...POINT, requests: 41 }, whole)?.message).toContain('40 of 41');
    const thin = whole.map((part) => (part.rank === 1 ? { ...part, lacking: '20 requests, and 19' } : part));
    expect(incomplete(POINT, thin)?.message).toContain('rank 1 on node2');
  });
});

describe('what ranks saw of themselves', () => {
  it('is judged by the worst of them', () => {
    const worst = mergeAudits([
      audit({ lag: 9, busy: 0.2 }),
      audit({ delay: 30, cpu: 0.9 }),
      audit({ busy: 0.95, rss: 500 }),
    ])!;
    expect(worst.sendLagMs).toEqual(exactStats([0, 9]));
    expect(worst).toMatchObject({
      eventLoopDelayMs: { p50: 15, p99: 30, max: 60 },
      eventLoopUtilizationRatio: 0.95,
      cpuRatio: 0.9,
      rssMaxBytes: 500,
    });
    expect(mergeAudits([])).toBeNull();
  });

  it('keeps the worst of what was late, and adds up what was counted', () => {
    const one = makeAudit();
    const other = makeAudit({
      involuntarySwitches: 30,
      gc: { count: 2, totalMs: 1, maxMs: 0.5 },
      reads: {
        count: 3_000,
        bytes: 10,
        eventsPerRead: 2.02,
        fullRatio: 0.5,
        waitMs: { p50: 1, p99: 0.1, max: 9 },
        sharedEvents: 1_000,
        passedOver: 4,
        unstamped: 5,
        reordered: 2,
      },
      stampErrorMs: { count: 500, p50: 0.2, p99: 0.2, max: 40 },
      ring: { stalls: 4, stalledMs: 12.5, clockSteps: 1 },
      otherCpuRatio: 0.4,
    });
    const both = mergeAudits([one, other])!;
    expect(both).toMatchObject({
      stampedBy: 'kernel',
      involuntarySwitches: 42,
      gc: { count: 5, totalMs: 7.5, maxMs: 3.25 },
      reads: {
        count: 4_000,
        bytes: 1_000_010,
        fullRatio: 0.5,
        waitMs: { p50: 1, p99: 0.2, max: 9 },
        sharedEvents: 1_040,
        passedOver: 4,
        unstamped: 5,
        reordered: 2,
      },
      stampErrorMs: { count: 1_520, p50: 0.2, p99: 0.3, max: 40 },
      ring: { stalls: 4, stalledMs: 12.5, clockSteps: 1 },
      otherCpuRatio: 0.4,
    });
    expect(Object.keys(both).sort()).toEqual(Object.keys(one).sort());
    expect(both.reads!.eventsPerRead).toBeCloseTo(1.77, 9);
    // Of versions that did not know the fields, none comes up.
    expect(Object.keys(mergeAudits([audit(), audit()])!).sort()).toEqual(Object.keys(audit()).sort());
  });

  it('adds up stalls, and has the longest and most clock steps of one: the clock is set for all ranks of a host', () => {
    const ring = (stalls: number, stalledMs: number, clockSteps: number) =>
      makeAudit({ ring: { stalls, stalledMs, clockSteps } });
    expect(mergeAudits([ring(1, 30, 2), ring(2, 50, 1)])!.ring).toEqual({
      stalls: 3,
      stalledMs: 50,
      clockSteps: 2,
    });
    expect(mergeAudits([ring(2, 50, 1), ring(1, 30, 2)])!.ring).toEqual({
      stalls: 3,
      stalledMs: 50,
      clockSteps: 2,
    });
  });

  it("are stamped by the kernel where all are, and have one side's facts where the other has none", () => {
    const kernel = makeAudit();
    const { ring: _, ...own } = makeAudit({ stampedBy: 'process', stampErrorMs: null, otherCpuRatio: null });
    for (const [a, b] of [
      [kernel, own],
      [own, kernel],
    ] as const) {
      const both = mergeAudits([a, b])!;
      expect(both.stampedBy).toBe('process');
      expect(both.ring).toEqual(kernel.ring);
      expect(both.stampErrorMs).toEqual(kernel.stampErrorMs);
      expect(both.otherCpuRatio).toBe(0.03);
    }
    const silent = mergeAudits([own, own])!;
    expect(silent).not.toHaveProperty('ring');
    expect(silent).toMatchObject({ stampErrorMs: null, otherCpuRatio: null, stampedBy: 'process' });
    expect(mergeAudits([kernel, kernel, own])!.stampedBy).toBe('process');
    // A rank of an older version says nothing of its clock.
    const { stampedBy: __, ...older } = kernel;
    expect(mergeAudits([kernel, older])).not.toHaveProperty('stampedBy');
    expect(mergeAudits([older, kernel])).not.toHaveProperty('stampedBy');
  });

  it('adds up what was passed over and held open', () => {
    const { reads } = makeAudit();
    const of = (passedOver: number, heldOpen: number) =>
      makeAudit({ reads: { ...reads!, passedOver, heldOpen } });
    expect(mergeAudits([of(3, 5), of(4, 7)])!.reads).toMatchObject({ passedOver: 7, heldOpen: 12 });
    expect(mergeAudits([makeAudit(), makeAudit()])!.reads).not.toHaveProperty('heldOpen');
  });

  it('counts reads that were not stamped only where a rank says so', () => {
    const { unstamped: _u, reordered: _r, ...reads } = makeAudit().reads!;
    const merged = mergeAudits([makeAudit({ reads }), makeAudit({ reads: { ...reads, unstamped: 3 } })])!;
    expect(merged.reads).toMatchObject({ sharedEvents: 80, unstamped: 3 });
    expect(merged.reads).not.toHaveProperty('reordered');
  });

  it('has all connections, their mean weighted', () => {
    const parts = [
      { opened: 1, meanMs: 4, maxMs: 4 },
      { opened: 3, meanMs: 8, maxMs: 11 },
      { opened: 2, meanMs: null, maxMs: null },
    ];
    expect(mergeConnections(parts)).toEqual({ opened: 6, meanMs: 7, maxMs: 11 });
    expect(mergeConnections([])).toEqual({ opened: 0, meanMs: null, maxMs: null });
  });
});

function instants(record: RequestRecord): Partial<RequestRecord> {
  const { dueAtMs, sentAtMs, firstAtMs, lastAtMs, lastEventAtMs, endAtMs } = record;
  return { dueAtMs, sentAtMs, firstAtMs, lastAtMs, lastEventAtMs, endAtMs };
}
