export { sglangGoodput } from './goodput.ts';

import { type NumpyStatistics, numpyStatistics, numpySum } from './numpy-statistics.ts';
import { peaks, truePeaks } from './peaks.ts';
import type { SglangRow } from './rows.ts';

/** The four latencies, as sglang's keys name them. */
export type SglangGroup = 'e2e_latency' | 'ttft' | 'tpot' | 'itl';
export type SglangStatistic = Exclude<keyof NumpyStatistics, 'max'>;

/** All that sglang.bench_serving computes, in all its layouts, by its own keys. Lengths in tokens, rates per second. */
export interface SglangMetrics extends Readonly<Record<`${SglangStatistic}_${SglangGroup}_ms`, number>> {
  readonly completed: number;
  readonly total_input_tokens: number;
  readonly total_output_tokens: number;
  /** null where a success's text was not kept, as the two rates below. */
  readonly total_output_tokens_retokenized: number | null;
  readonly request_throughput: number;
  readonly input_throughput: number;
  readonly output_throughput: number;
  readonly output_throughput_retokenized: number | null;
  readonly total_throughput: number;
  readonly total_throughput_retokenized: number | null;
  readonly max_itl_ms: number;
  /** Requests in flight: the sum of all latencies ÷ the duration. */
  readonly concurrency: number;
  /** Chunks, not tokens, of the busiest second. */
  readonly max_output_tokens_per_s: number;
  /** Requests that touch the busiest second, so back-to-back ones count twice. */
  readonly max_concurrent_requests: number;
}

/** What the statistics are made from, in seconds: one value per success; tpot only from two tokens on, itl per gap. */
export interface SglangSamples {
  readonly e2eS: Float64Array;
  readonly ttftS: Float64Array;
  readonly tpotS: Float64Array;
  readonly itlS: Float64Array;
}

/** The samples of the successes among `rows` that have latencies. With `tokenItl` each gap is shared among the tokens of its chunk. */
export function sglangSamples(rows: readonly SglangRow[], tokenItl: boolean): SglangSamples {
  const good = rows.filter((row) => row.success && !row.untimed);
  const several = good.filter((row) => row.outputLen > 1);
  return {
    e2eS: Float64Array.from(good, (row) => row.latencyS),
    ttftS: Float64Array.from(good, (row) => row.ttftS),
    tpotS: Float64Array.from(several, (row) => (row.latencyS - row.ttftS) / (row.outputLen - 1)),
    itlS: pooledGaps(good, tokenItl ? gapTokens : () => 1),
  };
}

/**
 * The metrics of sglang.bench_serving over the successes among `rows`, null when there is none: the original ends
 * with an exception there. `durationS` is above 0. Statistics are computed in seconds and then taken times 1,000, in
 * numpy's order of operations, so that they agree with the original to the last bit. `truePeaks` takes the peaks as
 * they were instead of by the original's buckets.
 */
export function sglangMetrics(
  rows: readonly SglangRow[],
  durationS: number,
  options: { tokenItl: boolean; truePeaks?: boolean },
): SglangMetrics | null {
  const good = rows.filter((row) => row.success);
  if (good.length === 0) return null;
  const input = total(good, (row) => row.promptLen);
  const output = total(good, (row) => row.outputLen);
  const retokenized = good.some((row) => row.retokLen === null) ? null : total(good, (row) => row.retokLen!);
  const samples = sglangSamples(good, options.tokenItl);
  const itl = numpyStatistics(samples.itlS);
  const peak = options.truePeaks ? truePeaks(good) : peaks(good);
  return {
    completed: good.length,
    total_input_tokens: input,
    total_output_tokens: output,
    total_output_tokens_retokenized: retokenized,
    request_throughput: good.length / durationS,
    input_throughput: input / durationS,
    output_throughput: output / durationS,
    output_throughput_retokenized: retokenized === null ? null : retokenized / durationS,
    total_throughput: (input + output) / durationS,
    total_throughput_retokenized: retokenized === null ? null : (input + retokenized) / durationS,
    ...group('e2e_latency', numpyStatistics(samples.e2eS)),
    ...group('ttft', numpyStatistics(samples.ttftS)),
    ...group('tpot', numpyStatistics(samples.tpotS)),
    ...group('itl', itl),
    max_itl_ms: itl.max * 1_000,
    concurrency: numpySum(samples.e2eS) / durationS,
    max_output_tokens_per_s: peak.outputPerS,
    max_concurrent_requests: peak.concurrent,
  };
}

function group<G extends SglangGroup>(
  name: G,
  seconds: NumpyStatistics,
): Record<`${SglangStatistic}_${G}_ms`, number> {
  const { max: _, ...statistics } = seconds;
  return Object.fromEntries(
    Object.entries(statistics).map(([statistic, value]) => [`${statistic}_${name}_ms`, value * 1_000]),
  ) as Record<`${SglangStatistic}_${G}_ms`, number>;
}

/** Tokens of a gap's chunk. The original divides by zero where a chunk has none; here its gap counts once, as it is. */
function gapTokens(row: SglangRow, gap: number): number {
  return Math.max(1, row.chunkTokens?.[gap] ?? 1);
}

/** All gaps of all rows in their order, each shared among as many values as it has tokens. */
function pooledGaps(
  rows: readonly SglangRow[],
  tokensOf: (row: SglangRow, gap: number) => number,
): Float64Array {
  let count = 0;
  for (const row of rows) for (let i = 0; i < row.itlS.length; i++) count += tokensOf(row, i);
  const pool = new Float64Array(count);
  let at = 0;
  for (const row of rows) {
    for (let i = 0; i < row.itlS.length; i++) {
      const tokens = tokensOf(row, i);
      pool.fill(row.itlS[i]! / tokens, at, at + tokens);
      at += tokens;
    }
  }
  return pool;
}

function total(rows: readonly SglangRow[], of: (row: SglangRow) => number): number {
  return rows.reduce((sum, row) => sum + of(row), 0);
}
