import { describe, expect, it } from 'vitest';
import type { RequestRecord } from '../../src/core/record.ts';
import { aiperfExport } from '../../src/exporters/aiperf.ts';
import { exported, OUTPUT, reportOf, traceRecords } from '../fixtures/exports.ts';
import { makeRecord } from '../fixtures/records.ts';
import { type Expected, expectNumbers, goldenVector } from '../fixtures/sglang.ts';

type Json = Record<string, unknown>;
type Block = Record<string, number>;

const NOT_COUNTED: RequestRecord['osl'] = { asked: 3, counted: null, by: 'none' };

/** The run starts at 2026-11-23T14:02:11.482Z. */
const RECORDS = [
  makeRecord({ id: 0, requestId: 'run-0', sentAtMs: 0.25, gapsMs: [100, 10, 20], endAtMs: 150 }),
  makeRecord({ id: 1, requestId: 'run-1', sentAtMs: 150, gapsMs: [200, 60], tokens: [1, 3], endAtMs: 450 }),
  makeRecord({
    id: 2,
    requestId: 'run-2',
    sentAtMs: 160,
    outcome: 'http',
    detail: 'status 503: busy',
    status: 503,
    gapsMs: [],
    osl: NOT_COUNTED,
    endAtMs: 500.125,
  }),
  makeRecord({ id: 3, phase: 'warmup', gapsMs: [9_000] }),
];

function summaryOf(records: readonly RequestRecord[]): Json {
  const [summary] = exported(aiperfExport, [records], [{ concurrency: 3 }]);
  return JSON.parse(summary!.text) as Json;
}

function linesOf(records: readonly RequestRecord[]): string[] {
  const [, lines] = exported(aiperfExport, [records]);
  return lines!.text.split('\n').slice(0, -1);
}

describe('profile_export_aiperf.json', () => {
  it('has a block per metric, with AIPerf’s units', () => {
    const summary = summaryOf(RECORDS);
    const units = Object.entries(summary).flatMap(([tag, block]) =>
      typeof block === 'object' && block !== null && 'unit' in block ? [[tag, block.unit]] : [],
    );
    expect(Object.fromEntries(units)).toEqual({
      request_latency: 'ms',
      request_count: 'requests',
      time_to_first_token: 'ms',
      time_to_second_token: 'ms',
      inter_token_latency: 'ms',
      output_token_throughput_per_user: 'tokens/sec/user',
      output_sequence_length: 'tokens',
      input_sequence_length: 'tokens',
      inter_chunk_latency: 'ms',
      request_throughput: 'requests/sec',
      output_token_throughput: 'tokens/sec',
      total_token_throughput: 'tokens/sec',
      benchmark_duration: 'sec',
      total_isl: 'tokens',
      total_osl: 'tokens',
      min_request_timestamp: 'ns',
      max_response_timestamp: 'ns',
      error_request_count: 'requests',
    });
    expect(Object.keys(summary['request_latency'] as Block).toSorted()).toEqual(
      'avg count max min p1 p10 p25 p5 p50 p75 p90 p95 p99 std sum unit'.split(' '),
    );
    expect(Object.keys(summary['request_throughput'] as Block)).toEqual(['unit', 'avg']);
  });

  it('follows AIPerf’s definitions', () => {
    const summary = summaryOf(RECORDS);
    const block = (tag: string): Block => summary[tag] as Block;
    expectNumbers(block('time_to_first_token'), {
      avg: 150,
      min: 100,
      max: 200,
      p25: 125,
      p99: 199,
      std: 50,
      count: 2,
      sum: 300,
    });
    expectNumbers(block('time_to_second_token'), { avg: 35, min: 10, max: 60 });
    expectNumbers(block('request_latency'), {
      avg: 195,
      p1: 131.3,
      p5: 136.5,
      p10: 143,
      p75: 227.5,
      p90: 247,
      p95: 253.5,
    });
    // Per request (130 − 100) ÷ 2 and (260 − 200) ÷ 3: what bench calls TPOT.
    expectNumbers(block('inter_token_latency'), { avg: 17.5, std: 2.5, count: 2 });
    expectNumbers(block('inter_chunk_latency'), { avg: 30, count: 3, sum: 90 });
    expectNumbers(block('output_token_throughput_per_user'), { min: 50, max: 66.6666666 });
    expectNumbers(block('output_sequence_length'), { min: 3, max: 4, sum: 7 });
    // From the first send, 0.25, to the last chunk with output, 150 + 260.
    expectNumbers(block('benchmark_duration'), { avg: 0.40975 });
    expectNumbers(block('request_throughput'), { avg: 2 / 0.40975 });
    expectNumbers(block('output_token_throughput'), { avg: 7 / 0.40975 });
    expectNumbers(block('total_token_throughput'), { avg: 207 / 0.40975 });
    expect(block('request_count')['avg']).toBe(2);
    expect(block('error_request_count')['avg']).toBe(1);
    expect(block('min_request_timestamp')['avg']).toBeCloseTo(
      (Date.UTC(2026, 10, 23, 14, 2, 11, 482) + 0.25) * 1e6,
      -3,
    );
  });

  it('tells what ran and what failed', () => {
    const summary = summaryOf(RECORDS);
    expect(summary).toMatchObject({
      schema_version: '1.4',
      input_config: {
        models: { items: [{ name: 'Qwen/Qwen3-32B' }] },
        endpoint: { urls: ['http://10.0.0.1:8000'], type: 'chat', streaming: true },
        datasets: [{ prompts: { isl: { mean: 100 }, osl: { mean: 3 } } }],
        phases: [{ name: 'profiling', type: 'concurrency', requests: 3, concurrency: 3 }],
      },
      run_info: { random_seed: 0, variation_values: { 'phases.profiling.concurrency': 3 } },
      was_cancelled: false,
      error_summary: [{ error_details: { code: null, type: 'http', message: 'status 503: busy' }, count: 1 }],
      start_time: '2026-11-23T14:02:11.482Z',
      end_time: '2026-11-23T14:02:11.982Z',
    });
  });

  it('has the numbers of golden vector V7', () => {
    const expected = goldenVector('V7')['expected_aiperf_2025_10'] as Record<string, Expected & number>;
    const summary = summaryOf(traceRecords(OUTPUT));
    for (const tag of [
      'time_to_first_token',
      'inter_token_latency',
      'request_latency',
      'inter_chunk_latency',
    ])
      expectNumbers(summary[tag] as Block, expected[`${tag}_ms`]!);
    expectNumbers(
      summary['output_token_throughput_per_user'] as Block,
      expected['output_token_throughput_per_user']!,
    );
    const single = (tag: string): number => (summary[tag] as Block)['avg']!;
    expectNumbers(
      {
        request_count: single('request_count'),
        benchmark_duration_s: single('benchmark_duration'),
        total_osl: single('total_osl'),
        output_token_throughput: single('output_token_throughput'),
        request_throughput: single('request_throughput'),
      },
      Object.fromEntries(Object.entries(expected).filter(([, value]) => typeof value === 'number')),
    );
  });

  it('has no block for what was not seen, and no zero for it', () => {
    const failed = summaryOf([
      makeRecord({ outcome: 'timeout', detail: 'no output', gapsMs: [], osl: NOT_COUNTED, endAtMs: 10 }),
    ]);
    expect(failed).toMatchObject({ request_count: { avg: 0 }, error_request_count: { avg: 1 } });
    for (const tag of ['time_to_first_token', 'request_latency', 'request_throughput', 'benchmark_duration'])
      expect(failed).not.toHaveProperty(tag);
    const short = summaryOf([makeRecord({ gapsMs: [100] })]);
    expect(short).toHaveProperty('time_to_first_token');
    for (const tag of ['inter_token_latency', 'inter_chunk_latency', 'time_to_second_token'])
      expect(short).not.toHaveProperty(tag);
  });

  it('lies in a folder per level, below one per shape where there are several', () => {
    const names = (shapes: { isl: number; concurrency: number }[]): string[] =>
      exported(aiperfExport, [RECORDS, RECORDS], shapes).map(({ file }) => file);
    expect(
      names([
        { isl: 1, concurrency: 1 },
        { isl: 1, concurrency: 8 },
      ]),
    ).toEqual([
      'aiperf/concurrency_1/profile_export_aiperf.json',
      'aiperf/concurrency_1/profile_export.jsonl',
      'aiperf/concurrency_8/profile_export_aiperf.json',
      'aiperf/concurrency_8/profile_export.jsonl',
    ]);
    expect(
      names([
        { isl: 1, concurrency: 8 },
        { isl: 2, concurrency: 8 },
      ])[2],
    ).toBe('aiperf/isl_2_osl_3/concurrency_8/profile_export_aiperf.json');
    const report = reportOf([[]]);
    expect(aiperfExport.files(report, () => [])).toEqual([]);
  });
});

describe('profile_export.jsonl', () => {
  it('has a line per measured request, in the order of sending', () => {
    const lines = linesOf([RECORDS[2]!, RECORDS[1]!, RECORDS[3]!, RECORDS[0]!]);
    const metadata = lines.map((line) => (JSON.parse(line) as { metadata: Json }).metadata);
    expect(metadata.map((data) => [data['session_num'], data['x_request_id']])).toEqual([
      [0, 'run-0'],
      [1, 'run-1'],
      [2, 'run-2'],
    ]);
    for (const data of metadata)
      expect(data).toMatchObject({ turn_index: 0, benchmark_phase: 'profiling', was_cancelled: false });
  });

  it('has wall-clock nanoseconds to the microsecond', () => {
    // 2026-11-23T14:02:11.482Z is 1,795,442,531.482 s after 1970.
    const [first, , failed] = linesOf(RECORDS);
    expect(first).toContain('"request_start_ns":1795442531482250000,"request_end_ns":1795442531612250000,');
    expect(failed).toContain('"request_end_ns":1795442531982125000,');
  });

  it('has the metrics of one request, or its error', () => {
    const [, good, failed] = linesOf(RECORDS).map(
      (line) => JSON.parse(line) as { metrics: Json; error: unknown },
    );
    expect(good!.error).toBeNull();
    expect(good!.metrics).toEqual({
      input_sequence_length: { value: 100, unit: 'tokens' },
      output_sequence_length: { value: 4, unit: 'tokens' },
      time_to_first_token: { value: 200, unit: 'ms' },
      time_to_second_token: { value: 60, unit: 'ms' },
      request_latency: { value: 260, unit: 'ms' },
      inter_chunk_latency: { value: [60], unit: 'ms' },
      inter_token_latency: { value: 20, unit: 'ms' },
      output_token_throughput_per_user: { value: 50, unit: 'tokens/sec/user' },
    });
    expect(failed!.metrics).toEqual({ error_isl: { value: 100, unit: 'tokens' } });
    expect(failed!.error).toEqual({ code: 503, type: 'http', message: 'status 503: busy' });
  });
});
