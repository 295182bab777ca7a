import { greatest, sum } from './distribution.ts';
import type { RequestRecord } from './record.ts';
import type { Audit, LevelReport } from './report.ts';
import { changeRecord } from './shelved-record.ts';

/** What one load generator recorded of a level. */
export interface RankRecords {
  readonly records: readonly RequestRecord[];
  /** Added to its instants, they are those of the run's clock. */
  readonly shiftMs: number;
}

/**
 * The records of all load generators of a level as those of one run: on its clock, of the whole level's
 * concurrency, numbered from `firstId` in the order of sending, and in the order of their ends. What was
 * measured within one rank (gaps, and differences of instants) is not touched.
 */
export function mergeRecords(
  parts: readonly RankRecords[],
  concurrency: number,
  firstId: number,
): RequestRecord[] {
  return parts
    .flatMap(({ records, shiftMs }) => records.map((record) => shifted(record, shiftMs)))
    .sort((a, b) => a.sentAtMs - b.sentAtMs)
    .map((record, index) => changeRecord(record, { id: firstId + index, concurrency }))
    .sort((a, b) => a.endAtMs - b.endAtMs);
}

function shifted(record: RequestRecord, byMs: number): RequestRecord {
  const move = (atMs: number | null): number | null => (atMs === null ? null : atMs + byMs);
  return changeRecord(record, {
    dueAtMs: record.dueAtMs + byMs,
    sentAtMs: record.sentAtMs + byMs,
    firstAtMs: move(record.firstAtMs),
    lastAtMs: move(record.lastAtMs),
    lastEventAtMs: move(record.lastEventAtMs),
    endAtMs: record.endAtMs + byMs,
  });
}

/** The worst of each: one load generator that could not keep up spoils a level as much as all. null of none. */
export function mergeAudits(audits: readonly Audit[]): Audit | null {
  const [first, ...others] = audits;
  if (first === undefined) return null;
  return others.reduce(
    (worst, audit) => ({
      sendLagMs:
        (audit.sendLagMs.p99 ?? -1) > (worst.sendLagMs.p99 ?? -1) ? audit.sendLagMs : worst.sendLagMs,
      eventLoopDelayMs: {
        p50: Math.max(worst.eventLoopDelayMs.p50, audit.eventLoopDelayMs.p50),
        p99: Math.max(worst.eventLoopDelayMs.p99, audit.eventLoopDelayMs.p99),
        max: Math.max(worst.eventLoopDelayMs.max, audit.eventLoopDelayMs.max),
      },
      eventLoopUtilizationRatio: Math.max(worst.eventLoopUtilizationRatio, audit.eventLoopUtilizationRatio),
      cpuRatio: Math.max(worst.cpuRatio, audit.cpuRatio),
      rssMaxBytes: Math.max(worst.rssMaxBytes, audit.rssMaxBytes),
    }),
    first,
  );
}

/** Connections of several load generators: how many in all, their mean time weighted, the longest. */
export function mergeConnections(parts: readonly LevelReport['connections'][]): LevelReport['connections'] {
  const timed = parts.flatMap(({ opened, meanMs, maxMs }) =>
    meanMs === null || maxMs === null ? [] : [{ opened, meanMs, maxMs }],
  );
  const count = sum(timed.map(({ opened }) => opened));
  return {
    opened: sum(parts.map(({ opened }) => opened)),
    meanMs: count === 0 ? null : sum(timed.map(({ opened, meanMs }) => opened * meanMs)) / count,
    maxMs: count === 0 ? null : greatest(timed.map(({ maxMs }) => maxMs)),
  };
}
