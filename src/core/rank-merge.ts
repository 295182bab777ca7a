import type { Audit, GcAudit, ReadAudit, RingAudit, Spread, StampError } from './audit-facts.ts';
import { greatest, sum } from './distribution.ts';
import type { RequestRecord } from './record.ts';
import type { LevelReport } from './report.ts';
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
    .flatMap(({ records, shiftMs }) =>
      records.map((record) => ({ record, shiftMs, sentAtMs: record.sentAtMs + shiftMs })),
    )
    .sort((a, b) => a.sentAtMs - b.sentAtMs)
    .map(({ record, shiftMs }, nth) =>
      changeRecord(record, { id: firstId + nth, concurrency, ...shiftedInstants(record, shiftMs) }),
    )
    .sort((a, b) => a.endAtMs - b.endAtMs);
}

function shiftedInstants(record: RequestRecord, byMs: number): Partial<RequestRecord> {
  const move = (atMs: number | null): number | null => (atMs === null ? null : atMs + byMs);
  return {
    dueAtMs: record.dueAtMs + byMs,
    sentAtMs: record.sentAtMs + byMs,
    firstAtMs: move(record.firstAtMs),
    lastAtMs: move(record.lastAtMs),
    lastEventAtMs: move(record.lastEventAtMs),
    endAtMs: record.endAtMs + byMs,
  };
}

/**
 * The audits of all load generators of a level as one; null of none. What tells how late or how busy is the worst
 * of theirs, since one that could not keep up spoils a level as much as all; what was counted is the sum.
 */
export function mergeAudits(audits: readonly Audit[]): Audit | null {
  const [first, ...others] = audits;
  return first === undefined ? null : others.reduce(mergeTwo, first);
}

function mergeTwo(a: Audit, b: Audit): Audit {
  const stampedBy = a.stampedBy === 'kernel' ? b.stampedBy : a.stampedBy;
  return {
    ...field('stampedBy', stampedBy),
    sendLagMs: (b.sendLagMs.p99 ?? -1) > (a.sendLagMs.p99 ?? -1) ? b.sendLagMs : a.sendLagMs,
    eventLoopDelayMs: worstSpread(a.eventLoopDelayMs, b.eventLoopDelayMs),
    eventLoopUtilizationRatio: Math.max(a.eventLoopUtilizationRatio, b.eventLoopUtilizationRatio),
    cpuRatio: Math.max(a.cpuRatio, b.cpuRatio),
    rssMaxBytes: merged(a.rssMaxBytes, b.rssMaxBytes, Math.max) ?? null,
    ...field('otherCpuRatio', merged(a.otherCpuRatio, b.otherCpuRatio, Math.max)),
    ...field('involuntarySwitches', merged(a.involuntarySwitches, b.involuntarySwitches, add)),
    ...field('gc', merged(a.gc, b.gc, mergePauses)),
    ...field('reads', merged(a.reads, b.reads, mergeReads)),
    ...field('stampErrorMs', merged(a.stampErrorMs, b.stampErrorMs, worstStamps)),
    ...field('ring', merged(a.ring, b.ring, mergeRings)),
  };
}

/** Both as one; the one that there is where the other is missing. */
function merged<T>(
  a: T | undefined,
  b: T | undefined,
  merge: (a: NonNullable<T>, b: NonNullable<T>) => NonNullable<T>,
): T | undefined {
  return a !== undefined && a !== null && b !== undefined && b !== null ? merge(a, b) : (a ?? b);
}

/** The field, or nothing where older versions left it out. */
function field<K extends keyof Audit>(key: K, value: Audit[K] | undefined): Pick<Audit, K> | object {
  return value === undefined ? {} : { [key]: value };
}

function add(a: number, b: number): number {
  return a + b;
}

function mergePauses(a: GcAudit, b: GcAudit): GcAudit {
  return {
    count: a.count + b.count,
    totalMs: a.totalMs + b.totalMs,
    maxMs: Math.max(a.maxMs, b.maxMs),
  };
}

function worstSpread(a: Spread, b: Spread): Spread {
  return { p50: Math.max(a.p50, b.p50), p99: Math.max(a.p99, b.p99), max: Math.max(a.max, b.max) };
}

function worstStamps(a: StampError, b: StampError): StampError {
  return { count: a.count + b.count, ...worstSpread(a, b) };
}

function mergeRings(a: RingAudit, b: RingAudit): RingAudit {
  return {
    stalls: a.stalls + b.stalls,
    stalledMs: Math.max(a.stalledMs, b.stalledMs),
    clockSteps: Math.max(a.clockSteps, b.clockSteps),
  };
}

function mergeReads(a: ReadAudit, b: ReadAudit): ReadAudit {
  const counted = (
    key: 'sharedEvents' | 'passedOver' | 'heldOpen' | 'unstamped' | 'reordered',
  ): Partial<ReadAudit> => {
    const total = merged(a[key], b[key], add);
    return total === undefined ? {} : { [key]: total };
  };
  const count = a.count + b.count;
  const events = (a.eventsPerRead ?? 0) * a.count + (b.eventsPerRead ?? 0) * b.count;
  return {
    count,
    bytes: a.bytes + b.bytes,
    eventsPerRead: count === 0 ? null : events / count,
    fullRatio: Math.max(a.fullRatio, b.fullRatio),
    waitMs: merged(a.waitMs, b.waitMs, worstSpread) ?? null,
    ...counted('sharedEvents'),
    ...counted('passedOver'),
    ...counted('heldOpen'),
    ...counted('unstamped'),
    ...counted('reordered'),
  };
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
