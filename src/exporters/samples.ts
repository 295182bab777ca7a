import { greatest, least } from '../core/distribution.ts';
import { e2eOf, ttftOf } from '../core/latencies.ts';
import type { RequestRecord } from '../core/record.ts';
import { meetsSlos } from '../core/slo.ts';
import type { RunSpec } from '../core/spec.ts';

/** What the measured requests of a level gave, value by value. Only good ones give values. */
export interface Samples {
  /** All measured requests by the order of sending. */
  readonly sent: readonly RequestRecord[];
  readonly good: readonly RequestRecord[];
  /** Good ones with visible output: the ones that have latencies. */
  readonly shown: readonly RequestRecord[];
  readonly ttftMs: readonly number[];
  /** First to second chunk with output. */
  readonly secondMs: readonly number[];
  /** Send to the last chunk with output. */
  readonly e2eMs: readonly number[];
  /** As `tpotByOslMs`. */
  readonly tpotMs: readonly number[];
  /** Gaps between neighbouring chunks with output, of all requests. */
  readonly gapsMs: readonly number[];
  /** Of requests whose lengths somebody counted. */
  readonly inputTokens: readonly number[];
  readonly outputTokens: readonly number[];
}

/** The samples of one level's records, of whatever phase they are. */
export function samplesOf(records: readonly RequestRecord[]): Samples {
  const sent = records.filter((record) => record.phase === 'measured').sort((a, b) => a.id - b.id);
  const good = sent.filter((record) => record.outcome === 'good');
  const shown = good.filter((record) => record.firstAtMs !== null);
  return {
    sent,
    good,
    shown,
    ttftMs: shown.map(ttftOf),
    secondMs: shown.flatMap(({ chunkUs }) => (chunkUs.length > 1 ? [chunkUs[1]! / 1_000] : [])),
    e2eMs: shown.map(e2eOf),
    tpotMs: shown.flatMap((record) => tpotByOslMs(record) ?? []),
    gapsMs: pooledGaps(shown),
    inputTokens: good.flatMap((record) => record.isl.counted ?? []),
    outputTokens: good.flatMap((record) => record.osl.counted ?? []),
  };
}

/**
 * TPOT as other tools define it: (E2E − TTFT) ÷ (OSL − 1) in ms, tokens that no chunk showed included. null below two tokens, and
 * where nothing was shown.
 */
export function tpotByOslMs({ osl, firstAtMs, lastAtMs }: RequestRecord): number | null {
  if (osl.counted === null || osl.counted < 2 || firstAtMs === null || lastAtMs === null) return null;
  return (lastAtMs - firstAtMs) / (osl.counted - 1);
}

/** Gaps between neighbouring chunks with output of one request, in ms. */
export function gapsOf(record: RequestRecord): number[] {
  return Array.from(record.chunkUs.subarray(1), (us) => us / 1_000);
}

/** How many requests met all limits; null where the run had none. */
export function metAll({ shown }: Samples, slosMs: RunSpec['slosMs']): number | null {
  return slosMs === undefined
    ? null
    : shown.filter((record) => meetsSlos(record, slosMs, tpotByOslMs)).length;
}

/** First send and last chunk with output of good requests; null when nothing was shown. */
export function shownWindow(samples: Samples): { readonly fromAtMs: number; readonly toAtMs: number } | null {
  if (samples.shown.length === 0) return null;
  return {
    fromAtMs: least(samples.good.map((record) => record.sentAtMs)),
    toAtMs: greatest(samples.shown.map((record) => record.lastAtMs!)),
  };
}

/** A long run has millions, too many for one call with that many arguments. */
function pooledGaps(records: readonly RequestRecord[]): number[] {
  const gaps: number[] = [];
  for (const { chunkUs } of records) {
    for (let i = 1; i < chunkUs.length; i++) gaps.push(chunkUs[i]! / 1_000);
  }
  return gaps;
}
