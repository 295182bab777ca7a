import type { Audit, Validity } from './audit-facts.ts';
import { boundsOf } from './bounds.ts';
import { burstsOf } from './bursts.ts';
import { encodeHistogram, exactStats, greatest, histogramOf, least, Pooled, sum } from './distribution.ts';
import { estimatedMetrics } from './estimates.ts';
import { finishOf } from './finish-reason.ts';
import { e2eOf, tokensByE2e, tpotMs, ttftOf } from './latencies.ts';
import { loadOf } from './load.ts';
import { openLoopOf } from './open-loop.ts';
import { FAILURE_CLASSES, type FailureClass, type RequestRecord, type TokenCount } from './record.ts';
import type { LengthProof, LevelReport, WeakEnds, Witness } from './report.ts';
import type { WatchedSource } from './server-look.ts';
import { serverSideOf } from './server-side.ts';
import { goodputOf, type SlosMs } from './slo.ts';
import { timelineOf } from './timeline.ts';
import { turnsOf } from './turn-stats.ts';
import { heldBackTokens } from './unseen-tokens.ts';
import { addTokenGaps, steadyWindow } from './window.ts';

/** What a level's numbers are made from, beside its records. */
export interface LevelInput {
  readonly point: number;
  readonly concurrency: number;
  readonly ratePerS?: number;
  readonly isl: number;
  readonly osl: number;
  readonly status: LevelReport['status'];
  /** Why it is not complete; left out where that is not known. */
  readonly statusReason?: string;
  readonly records: readonly RequestRecord[];
  readonly gpus: number | null;
  /** The local tokenizer is not the model's: what it counted are estimates. */
  readonly estimates?: boolean;
  /** Limits of latencies; left out where there are none. */
  readonly slosMs?: SlosMs;
  readonly connections: LevelReport['connections'];
  readonly witness: Witness | null;
  readonly audit: Audit | null;
  readonly validity: Validity;
  readonly ranks?: LevelReport['ranks'];
  /** What the server's own metrics told; left out or empty where nobody looked. */
  readonly sources?: readonly WatchedSource[];
}

/** All numbers of a level from its records. Pure: the same records give the same report. */
export function summarizeLevel(input: LevelInput): LevelReport {
  const measured = input.records.filter((record) => record.phase === 'measured');
  const warmup = input.records.filter((record) => record.phase === 'warmup');
  const good = measured.filter((record) => record.outcome === 'good');
  const failed = measured.length - good.length;
  const startedAtMs = measured.length === 0 ? null : least(measured.map((record) => record.sentAtMs));
  const endedAtMs = measured.length === 0 ? null : greatest(measured.map((record) => record.endAtMs));
  const durationS = startedAtMs === null || endedAtMs === null ? null : (endedAtMs - startedAtMs) / 1_000;
  const inputTokens = sum(good.map((record) => record.isl.counted ?? 0));
  const outputTokens = sum(good.map((record) => record.osl.counted ?? 0));
  const perS = (amount: number): number | null =>
    durationS === null || durationS <= 0 ? null : amount / durationS;
  const perGpu = (rate: number | null): number | null =>
    rate === null || input.gpus === null ? null : rate / input.gpus;
  const outputTokensPerS = perS(outputTokens);
  const totalTokensPerS = perS(inputTokens + outputTokens);

  const shown = good.filter((record) => record.firstAtMs !== null);
  const ttft = shown.map(ttftOf);
  const e2e = shown.map(e2eOf);
  const tpot = shown.flatMap((record) => tpotMs(record) ?? []);
  const requestTokensPerS = shown.flatMap((record) => {
    const [tookMs, tokens] = [e2eOf(record), tokensByE2e(record)];
    return tokens === null || tookMs <= 0 ? [] : [(tokens * 1_000) / tookMs];
  });
  const gaps = new Pooled(1_000);
  const tokenGaps = new Pooled(1_000);
  const perChunk = new Pooled(1);
  let unproven = 0;
  for (const record of shown) {
    // Each look at chunks that lie on disk reads them.
    const { chunkUs, chunkTokens } = record;
    if (endsUnproven(record, chunkUs.length)) unproven++;
    const held = heldBackTokens(record, chunkTokens);
    for (const [i, tokens] of (chunkTokens ?? []).entries()) perChunk.add(i === 0 ? tokens - held : tokens);
    for (let i = 1; i < chunkUs.length; i++) gaps.add(chunkUs[i]!);
    if (chunkTokens !== null) addTokenGaps(record, tokenGaps);
  }

  const level: LevelReport = {
    point: input.point,
    ...loadOf(input),
    isl: input.isl,
    osl: input.osl,
    status: input.status,
    statusReason: input.statusReason ?? null,
    requests: {
      sent: measured.length,
      good: good.length,
      failed,
      goodWithoutText: good.length - shown.length,
      warmup: warmup.length,
      warmupFailed: warmup.filter((record) => record.outcome !== 'good').length,
      hold: input.records.filter((record) => record.phase === 'hold').length,
      resent: measured.filter((record) => record.resent).length,
    },
    ...weakEnds(good, unproven),
    failureRatio: measured.length === 0 ? 0 : failed / measured.length,
    failures: countFailures(measured),
    startedAtMs,
    endedAtMs,
    durationS,
    ttftMs: exactStats(ttft),
    itlMs: gaps.stats(),
    tokenItlMs: tokenGaps.stats(),
    tpotMs: exactStats(tpot),
    e2eMs: exactStats(e2e),
    tokensPerChunk: perChunk.stats(),
    chunkTokensBy: countBy(good, (record) => record.chunkTokensBy ?? 'unknown'),
    requestsPerS: perS(good.length),
    inputTokensPerS: perS(inputTokens),
    outputTokensPerS,
    totalTokensPerS,
    outputTokensPerSPerGpu: perGpu(outputTokensPerS),
    totalTokensPerSPerGpu: perGpu(totalTokensPerS),
    tokensPerSPerUser: exactStats(tpot.flatMap((ms) => (ms > 0 ? [1_000 / ms] : []))),
    requestTokensPerS: exactStats(requestTokensPerS),
    ...(input.slosMs === undefined ? {} : { goodput: goodputOf(measured, input.slosMs, durationS) }),
    ...(input.ratePerS === undefined || measured.length === 0
      ? {}
      : { open: openLoopOf(measured, input.concurrency) }),
    ...(measured.some(({ turn }) => turn !== undefined) ? { turns: turnsOf(measured) } : {}),
    steady: steadyWindow(measured, input),
    achievedConcurrency: inFlight(input.records, startedAtMs, endedAtMs),
    inputTokens,
    outputTokens,
    cachedTokens: good.every((record) => record.cachedTokens === null)
      ? null
      : sum(good.map((record) => record.cachedTokens ?? 0)),
    wastedOutputTokens: sum(
      measured.flatMap((record) =>
        record.outcome === 'good' ? [] : [record.osl.counted ?? record.chunkUs.length],
      ),
    ),
    ...remarksOn(good, shown, input),
    islProof: lengthProof(good, (record) => record.isl, input.estimates),
    oslProof: lengthProof(good, (record) => record.osl, input.estimates),
    connections: input.connections,
    witness: input.witness,
    audit: input.audit,
    validity: input.validity,
    ...(input.ranks === undefined ? {} : { ranks: input.ranks }),
    ...serverOf(input, startedAtMs, endedAtMs),
    timeline: timelineOf(input.records, startedAtMs, endedAtMs),
    histograms: {
      ttftMs: encodeHistogram(histogramOf(ttft, 1_000)),
      itlMs: encodeHistogram(gaps.histogram),
      tokenItlMs: encodeHistogram(tokenGaps.histogram),
      tpotMs: encodeHistogram(histogramOf(tpot, 1_000)),
      e2eMs: encodeHistogram(histogramOf(e2e, 1_000)),
      requestTokensPerS: encodeHistogram(histogramOf(requestTokensPerS, 1_000)),
    },
  };
  return { ...level, bounds: boundsOf(shown, level) };
}

/** What has to be known of a level's token counts and chunks to read its numbers; nothing where all is as usual. */
function remarksOn(
  good: readonly RequestRecord[],
  shown: readonly RequestRecord[],
  { audit, slosMs, estimates = false }: LevelInput,
): Pick<LevelReport, 'unseenTokens' | 'estimated' | 'bursts'> {
  const unseen = good.flatMap(({ unseenTokens = 0 }) => (unseenTokens === 0 ? [] : [unseenTokens]));
  const known = unseen.filter((count) => count !== null);
  const estimated = estimates ? estimatedMetrics(good, slosMs?.tpot !== undefined) : [];
  const bursts = burstsOf(shown, audit?.reads);
  return {
    ...(unseen.length === 0
      ? {}
      : {
          unseenTokens: { count: sum(known), requests: known.length, unknown: unseen.length - known.length },
        }),
    ...(estimated.length === 0 ? {} : { estimated }),
    ...(bursts === null ? {} : { bursts }),
  };
}

function serverOf(
  { records, sources = [] }: LevelInput,
  startedAtMs: number | null,
  endedAtMs: number | null,
): Pick<LevelReport, 'server'> {
  if (sources.length === 0) return {};
  const sent = records.filter(({ phase }) => phase !== 'warmup');
  return { server: serverSideOf(sources, { startedAtMs, endedAtMs, sent }) };
}

/** Whether nothing but the end mark says that the output is whole, and its chunks do not either. */
function endsUnproven({ finishReason, osl }: RequestRecord, chunks: number): boolean {
  return finishReason === null && osl.by !== 'usage' && chunks < osl.asked;
}

function weakEnds(good: readonly RequestRecord[], unproven: number): { readonly ends?: WeakEnds } {
  const unknown = good.filter(
    ({ finishReason }) => finishReason !== null && finishOf(finishReason) === 'unknown',
  );
  if (unknown.length === 0 && unproven === 0) return {};
  return { ends: { unknownReasons: countBy(unknown, ({ finishReason }) => finishReason!), unproven } };
}

function countFailures(measured: readonly RequestRecord[]): LevelReport['failures'] {
  const failures: Partial<Record<FailureClass, { count: number; first: string }>> = {};
  for (const failureClass of FAILURE_CLASSES) {
    const ones = measured.filter((record) => record.outcome === failureClass);
    if (ones.length > 0) failures[failureClass] = { count: ones.length, first: ones[0]!.detail ?? '' };
  }
  return failures;
}

function countBy(
  records: readonly RequestRecord[],
  key: (record: RequestRecord) => string,
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const record of records) counts[key(record)] = (counts[key(record)] ?? 0) + 1;
  return counts;
}

function lengthProof(
  records: readonly RequestRecord[],
  lengthOf: (record: RequestRecord) => TokenCount<number | null>,
  estimates = false,
): LengthProof {
  const asked = new Set<number | null>();
  const values: number[] = [];
  let [unasked, provenByUsage, deviations, estimated] = [0, 0, 0, 0];
  for (const record of records) {
    const length = lengthOf(record);
    asked.add(length.asked);
    if (length.asked === null) unasked++;
    if (length.by === 'usage') provenByUsage++;
    if (length.counted === null) continue;
    values.push(length.counted);
    if (estimates && length.by === 'tokenizer') estimated++;
    else if (length.asked !== null && length.counted !== length.asked) deviations++;
  }
  return {
    ...(unasked === 0 ? {} : { unasked }),
    asked: asked.size === 1 ? [...asked][0]! : null,
    counted:
      values.length === 0
        ? null
        : { min: least(values), mean: sum(values) / values.length, max: greatest(values) },
    provenByUsage,
    deviations,
    unknown: records.length - values.length,
    ...(estimated === 0 ? {} : { estimated }),
  };
}

/** Requests in flight, time-weighted between the first measured send and the last measured end. */
function inFlight(
  records: readonly RequestRecord[],
  fromAtMs: number | null,
  toAtMs: number | null,
): number | null {
  if (fromAtMs === null || toAtMs === null || toAtMs <= fromAtMs) return null;
  const busyMs = records.map((record) =>
    Math.max(0, Math.min(record.endAtMs, toAtMs) - Math.max(record.sentAtMs, fromAtMs)),
  );
  return sum(busyMs) / (toAtMs - fromAtMs);
}
