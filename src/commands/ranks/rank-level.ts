import { judgeLevel } from '../../core/audit.ts';
import type { ClockOffset } from '../../core/clock-offset.ts';
import { least } from '../../core/distribution.ts';
import { BenchError, EXIT } from '../../core/errors.ts';
import { loadOf } from '../../core/load.ts';
import { mergeAudits, mergeConnections, mergeRecords } from '../../core/rank-merge.ts';
import type { RequestRecord } from '../../core/record.ts';
import type { LevelReport, RankReport, Witness } from '../../core/report.ts';
import type { PointSpec, RunSpec } from '../../core/spec.ts';
import { type LevelInput, summarizeLevel } from '../../core/summary.ts';
import type { RankLevel } from './protocol.ts';
import type { Shelved } from './rank-shelf.ts';

/** One rank's part of a level. */
export interface RankPart extends Shelved {
  readonly rank: number;
  readonly host: string;
  readonly concurrency: number;
  /** How far its clock is ahead of the run's. */
  readonly clock: ClockOffset;
  /** UTC of its instant 0, by its own clock. */
  readonly originUtcMs: number;
  /** null when it did not come to the end. */
  readonly end: RankLevel | null;
}

/** The records of all ranks on the run's clock, whose instant 0 is `originUtcMs`, numbered from `firstId`. */
export function mergeRanks(
  parts: readonly RankPart[],
  point: PointSpec,
  originUtcMs: number,
  firstId: number,
): RequestRecord[] {
  return mergeRecords(
    parts.map((part) => ({
      records: part.records,
      shiftMs: part.originUtcMs - part.clock.offsetMs - originUtcMs,
    })),
    point.concurrency,
    firstId,
  );
}

/** Why the parts are not all of the level; null when they are. A level is never thinned without a word. */
export function incomplete(point: PointSpec, parts: readonly RankPart[]): BenchError | null {
  const lacking = parts.find((part) => part.lacking !== null);
  if (lacking !== undefined) {
    const { rank, host } = lacking;
    return new BenchError(
      EXIT.usage,
      `rank ${rank} on ${host}: its records are not whole: ${lacking.lacking}`,
      'the folder of the run must be on a file system that all nodes share and that has room',
    );
  }
  if (point.requests === null || parts.some(({ end }) => end?.status !== 'complete')) return null;
  const sent = parts.reduce((total, { records }) => total + countMeasured(records), 0);
  return sent === point.requests
    ? null
    : new BenchError(EXIT.bug, `the load generators sent ${sent} of ${point.requests} requests`);
}

/** A level's numbers, from the records of all its ranks. */
export function rankedLevel(level: {
  readonly point: PointSpec;
  readonly parts: readonly RankPart[];
  /** Of all parts, merged. */
  readonly records: readonly RequestRecord[];
  /** A rank failed: whatever is there is a part. */
  readonly failed: boolean;
  readonly gpus: number | null;
  /** The local tokenizer is not the model's. */
  readonly estimates?: boolean;
  readonly slosMs?: RunSpec['slosMs'];
  readonly witness: Witness | null;
  /** What the server's own metrics told to the process that leads. */
  readonly sources?: NonNullable<LevelInput['sources']>;
}): LevelReport {
  const { point, parts, records, failed, gpus, estimates = false, slosMs, witness, sources = [] } = level;
  const ends = parts.flatMap(({ end }) => end ?? []);
  const audit = mergeAudits(ends.map((end) => end.audit));
  const summary = summarizeLevel({
    point: point.index,
    ...loadOf(point),
    isl: point.isl,
    osl: point.osl,
    status: failed || ends.some(({ status }) => status === 'partial') ? 'partial' : 'complete',
    records,
    gpus,
    estimates,
    ...(slosMs === undefined ? {} : { slosMs }),
    connections: mergeConnections(ends.map(({ connections }) => connections)),
    witness,
    sources,
    audit,
    validity: { verdict: 'valid', reasons: [] },
    ranks: parts.map(rankReport),
  });
  return { ...summary, validity: judgeLevel(summary, audit, witness) };
}

function rankReport({ rank, host, concurrency, clock, originUtcMs, end, records }: RankPart): RankReport {
  const sentAtMs = least(records.flatMap((record) => (record.phase === 'measured' ? record.sentAtMs : [])));
  return {
    rank,
    host,
    concurrency,
    requests: countMeasured(records),
    clockOffsetMs: toMicros(clock.offsetMs),
    clockErrorMs: toMicros(clock.errorMs),
    startedUtc: Number.isFinite(sentAtMs) ? new Date(originUtcMs + sentAtMs).toISOString() : null,
    audit: end?.audit ?? null,
  };
}

function countMeasured(records: readonly RequestRecord[]): number {
  return records.filter(({ phase }) => phase === 'measured').length;
}

function toMicros(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
