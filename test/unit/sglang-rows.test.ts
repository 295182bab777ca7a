import { describe, expect, it } from 'vitest';
import { greatest, least } from '../../src/core/distribution.ts';
import { tpotMs } from '../../src/core/latencies.ts';
import type { RequestRecord } from '../../src/core/record.ts';
import { summarizeLevel } from '../../src/core/summary.ts';
import { sglangMetrics } from '../../src/exporters/sglang/metrics.ts';
import { type SglangReading, type SglangRow, sglangRow } from '../../src/exporters/sglang/rows.ts';
import { makeRecord } from '../fixtures/records.ts';
import {
  type Expected,
  expectNumbers,
  type GoldenRequest,
  goldenRow,
  goldenVector,
  type Seen,
  traceRecord,
} from '../fixtures/sglang.ts';

const V7 = goldenVector('V7');
const NOTHING = { text: '', retokLen: 0, chunkTokens: null };

function traced(seen: Seen): RequestRecord[] {
  return V7.trace.map((request) => traceRecord(request, seen));
}

/** The rows of a trace; what the tokenizer makes of the text is the golden request's. */
function rowsOf(
  records: readonly RequestRecord[],
  reading: SglangReading,
  golden: readonly GoldenRequest[],
): SglangRow[] {
  return records.map((record, i) =>
    sglangRow(record, reading, 0, { ...NOTHING, retokLen: golden[i]!.retok_len }),
  );
}

function expectRows(rows: readonly SglangRow[], golden: readonly GoldenRequest[]): void {
  expect(rows).toHaveLength(golden.length);
  rows.forEach((row, i) => {
    const { itlS, startS, latencyS, ttftS, ...exact } = row;
    const want = goldenRow(golden[i]!);
    expect(exact).toEqual((({ itlS: _i, startS: _s, latencyS: _l, ttftS: _t, ...rest }) => rest)(want));
    expect(itlS).toEqual(want.itlS);
    expect(startS).toBeCloseTo(want.startS, 9);
    expect(latencyS).toBeCloseTo(want.latencyS, 9);
    expect(ttftS).toBeCloseTo(want.ttftS, 9);
  });
}

const READINGS: [variant: string, seen: Seen][] = [
  ['2026', { reasoning: true, usage: 'trace' }],
  ['2025_08', { reasoning: false, usage: 'trace', failsAtUsage: true }],
  ['2025_08_cumulative_usage_server', { reasoning: false, usage: 'always' }],
  ['2025_08_no_usage_server', { reasoning: false, usage: 'never', tokenizer: true }],
];

describe('the bug-compatible reading', () => {
  it.each(READINGS)('of one trace is that of sglang: %s', (variant, seen) => {
    const golden = V7[`derived_sglang_${variant}`] as GoldenRequest[];
    const rows = rowsOf(traced(seen), 'bug-compatible', golden);
    expectRows(rows, golden);
    const metrics = sglangMetrics(rows, V7.duration_s, { tokenItl: false })!;
    expectNumbers(metrics, V7[`expected_sglang_${variant}`] as Expected);
  });

  it('takes a body that was read to its end for a success, whatever was in it', () => {
    const read = (change: Parameters<typeof makeRecord>[0]): SglangRow =>
      sglangRow(makeRecord({ detail: 'what happened', ...change }), 'bug-compatible', 0, NOTHING);
    for (const outcome of ['good', 'empty', 'truncated', 'error-event'] as const) {
      expect(read({ outcome })).toMatchObject({ success: true, error: '' });
    }
    for (const outcome of ['timeout', 'reset', 'malformed', 'cancelled', 'connect'] as const) {
      expect(read({ outcome })).toMatchObject({ success: false, error: 'what happened', latencyS: 0 });
    }
    expect(read({ outcome: 'error-event', status: 503 }).success).toBe(false);
    expect(read({ outcome: 'empty', gapsMs: [], lastEventAtMs: null }).success).toBe(false);
  });

  it('credits the asked lengths, and the end to the last event', () => {
    const record = makeRecord({
      sentAtMs: 1_000,
      outcome: 'empty',
      gapsMs: [],
      lastEventAtMs: 1_500,
      isl: { asked: 4_000, counted: 4_040, by: 'usage' },
      osl: { asked: 1_000, counted: null, by: 'none' },
      promptTokens: 4_060,
      cachedTokens: 16,
    });
    expect(sglangRow(record, 'bug-compatible', 900, NOTHING)).toEqual({
      success: true,
      promptLen: 4_000,
      serverPromptLen: 4_060,
      outputLen: 1_000,
      startS: 0.1,
      latencyS: 0.5,
      ttftS: 0,
      itlS: [],
      chunkTokens: null,
      retokLen: 0,
      error: '',
      text: '',
      cachedTokens: 16,
    });
  });
});

describe('the strict reading', () => {
  const records = traced({ reasoning: true, usage: 'trace', tokenizer: true });
  const golden = V7['derived_sglang_2026'] as GoldenRequest[];
  const rows = rowsOf(records, 'strict', golden);

  it('of one trace differs from sglang 2026 in the end of a request alone', () => {
    expectRows(
      rows.map((row, i) => ({ ...row, latencyS: golden[i]!.latency })),
      golden,
    );
    const lastShown = V7.trace.map(({ ev }) => ev.findLast(([, , tokens]) => tokens > 0)![0]);
    rows.forEach((row, i) => {
      expect(row.latencyS).toBeCloseTo(lastShown[i]! - V7.trace[i]!.start, 9);
    });
  });

  it('agrees with AIPerf, which also ends a request with its last token', () => {
    const aiperf = V7['expected_aiperf_2025_10'] as Record<string, Record<string, number>>;
    const metrics = sglangMetrics(rows, V7.duration_s, { tokenItl: false })!;
    const same = { avg: 'mean', std: 'std', p50: 'median', p90: 'p90', p99: 'p99' } as const;
    const groups = {
      time_to_first_token_ms: 'ttft',
      inter_token_latency_ms: 'tpot',
      request_latency_ms: 'e2e_latency',
      inter_chunk_latency_ms: 'itl',
    } as const;
    for (const [key, group] of Object.entries(groups)) {
      for (const [theirs, ours] of Object.entries(same)) {
        expect(metrics[`${ours}_${group}_ms`], `${key} ${theirs}`).toBeCloseTo(aiperf[key]![theirs]!, 5);
      }
    }
    expect(metrics.total_output_tokens).toBe((V7['expected_aiperf_2025_10'] as Expected)['total_osl']);
  });

  it('counts only good requests, with the tokens that somebody counted', () => {
    const one = (change: Parameters<typeof makeRecord>[0]): SglangRow =>
      sglangRow(makeRecord(change), 'strict', 0, { text: 'x', retokLen: 3, chunkTokens: [1, 1] });
    expect(one({ isl: { asked: 100, counted: 108, by: 'usage' } })).toMatchObject({
      success: true,
      promptLen: 108,
      outputLen: 3,
      text: 'x',
      retokLen: 3,
      chunkTokens: [1, 1],
    });
    expect(one({ isl: { asked: 100, counted: null, by: 'none' } }).promptLen).toBe(100);
    expect(one({ osl: { asked: 9, counted: null, by: 'none' } }).outputLen).toBe(0);
    expect(one({ outcome: 'truncated', detail: 'cut' })).toMatchObject({
      success: false,
      error: 'cut',
      text: '',
      retokLen: 0,
      outputLen: 0,
      latencyS: 0,
      chunkTokens: null,
    });
  });

  it('ends a good request without visible text with its response', () => {
    const silent = makeRecord({ gapsMs: [], sentAtMs: 100, lastEventAtMs: 690, endAtMs: 700 });
    expect(sglangRow(silent, 'strict', 0, NOTHING)).toMatchObject({ latencyS: 0.6, ttftS: 0, itlS: [] });
  });
});

/** guidellm's statistics: weighted, the deviation the population's, percentiles by inverse CDF. */
function weightedStatistics(values: readonly (readonly [value: number, weight: number])[]): Expected {
  const total = values.reduce((sum, [, weight]) => sum + weight, 0);
  const mean = values.reduce((sum, [value, weight]) => sum + value * weight, 0) / total;
  const squares = values.reduce((sum, [value, weight]) => sum + (value - mean) ** 2 * weight, 0);
  const upTo = (limit: number): number =>
    values.reduce((sum, [value, weight]) => sum + (value <= limit ? weight : 0), 0);
  const sorted = values.map(([value]) => value).toSorted((x, y) => x - y);
  const at = (share: number): number => sorted.find((value) => upTo(value) >= share * total)!;
  return { mean, std_dev: Math.sqrt(squares / total), p50: at(0.5), p90: at(0.9), p99: at(0.99) };
}

describe('our own summary of the same trace', () => {
  const records = traced({ reasoning: true, usage: 'trace', tokenizer: true });
  const report = summarizeLevel({
    point: 0,
    concurrency: 5,
    isl: 10,
    osl: 5,
    status: 'complete',
    records,
    gpus: null,
    connections: { opened: 5, meanMs: null, maxMs: null },
    witness: null,
    audit: null,
    validity: { verdict: 'valid', reasons: [] },
  });
  const aiperf = V7['expected_aiperf_2025_10'] as Record<string, Record<string, number>>;
  const guidellm = V7['expected_guidellm_2026_08'] as Record<string, Record<string, number>>;

  it.each([
    ['ttftMs', 'time_to_first_token_ms'],
    ['tpotMs', 'inter_token_latency_ms'],
    ['e2eMs', 'request_latency_ms'],
    ['tokensPerSPerUser', 'output_token_throughput_per_user'],
  ] as const)('has for %s what AIPerf has for %s', (ours, theirs) => {
    const { avg, ...same } = aiperf[theirs]!;
    const stats = report[ours];
    expectNumbers({ ...stats, avg: stats.mean }, { avg, ...same });
  });

  it('has the chunk gaps of AIPerf, its percentiles by nearest rank apart', () => {
    const { avg, std, min, max, count } = aiperf['inter_chunk_latency_ms']!;
    const { mean, ...ours } = report.itlMs;
    expectNumbers({ ...ours, avg: mean }, { avg, std, min, max, count });
  });

  it('gives all numbers of guidellm, each request weighted by its tokens', () => {
    const one = records.map((record) => ({
      ttft: record.firstAtMs! - record.sentAtMs,
      e2e: record.lastAtMs! - record.sentAtMs,
      tpot: tpotMs(record),
      osl: record.osl.counted!,
    }));
    const weighted: Record<string, (readonly [value: number, weight: number])[]> = {
      time_to_first_token_ms: one.map(({ ttft }) => [ttft, 1]),
      // Its time per output token has the first token in it, and its ITL is what bench calls TPOT.
      time_per_output_token_ms: one.map(({ e2e, osl }) => [e2e / osl, osl]),
      inter_token_latency_ms: one.flatMap(({ tpot, osl }) =>
        tpot === null ? [] : [[tpot, osl - 1] as const],
      ),
    };
    expect(Object.keys(weighted)).toEqual(Object.keys(guidellm));
    for (const [name, values] of Object.entries(weighted))
      expectNumbers(weightedStatistics(values), guidellm[name]!);
    expectNumbers(report.ttftMs, { std: guidellm['time_to_first_token_ms']!['std_dev'] });
    expectNumbers(report.tokenItlMs, { mean: guidellm['inter_token_latency_ms']!['mean'] });
  });
  it('counts the time from first send to last end', () => {
    const spanMs =
      greatest(records.map((record) => record.endAtMs)) - least(records.map((record) => record.sentAtMs));
    expect(report.durationS).toBeCloseTo(spanMs / 1_000, 9);
    expect(report.durationS).toBeCloseTo(2.602, 9);
  });
});
