import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RequestRecord } from '../../src/core/record.ts';
import { aiperfExport } from '../../src/exporters/aiperf.ts';
import { EXPORTS } from '../../src/exporters/exports.ts';
import { vllmExport } from '../../src/exporters/vllm.ts';
import { CHOICES, exported, type LevelShape, OUTPUT, traceRecords } from '../fixtures/exports.ts';
import { makeRecord } from '../fixtures/records.ts';
import { makeReport } from '../fixtures/report.ts';
import { type Expected, expectNumbers, goldenVector } from '../fixtures/sglang.ts';

type Result = Record<string, unknown>;

function resultOf(records: readonly RequestRecord[], shape: LevelShape = {}): Result {
  const [file] = exported(vllmExport, [records], [shape]);
  return JSON.parse(file!.text) as Result;
}

/** Two good requests and one that failed: all numbers below follow by hand. */
const RECORDS = [
  // Sent at 0, first output at 100, then gaps of 10 and 20: ends at 130.
  makeRecord({ id: 0, sentAtMs: 0, gapsMs: [100, 10, 20], endAtMs: 150 }),
  // Due at 140, sent at 150 when the first one ended; a chunk of three tokens.
  makeRecord({
    id: 1,
    dueAtMs: 140,
    sentAtMs: 150,
    gapsMs: [200, 60],
    tokens: [1, 3],
    endAtMs: 450,
    isl: { asked: 100, counted: 102, by: 'usage' },
  }),
  makeRecord({ id: 2, sentAtMs: 160, outcome: 'http', status: 500, gapsMs: [], osl: none(), endAtMs: 500 }),
  // Neither of these is a measured request.
  makeRecord({ id: 3, phase: 'warmup', gapsMs: [9_000], endAtMs: 9_000 }),
  makeRecord({ id: 4, phase: 'hold', gapsMs: [9_000], endAtMs: 9_000 }),
];

function none(): RequestRecord['osl'] {
  return { asked: 3, counted: null, by: 'none' };
}

describe('the export for vLLM', () => {
  it('has the keys of vllm bench serve, in its order', () => {
    const statistics = (metric: string): string[] =>
      ['mean', 'median', 'std', 'p90', 'p95', 'p99'].map((name) => `${name}_${metric}_ms`);
    expect(Object.keys(resultOf(RECORDS))).toEqual([
      'date',
      'endpoint_type',
      'backend',
      'label',
      'model_id',
      'tokenizer_id',
      'num_prompts',
      'request_rate',
      'burstiness',
      'max_concurrency',
      'duration',
      'completed',
      'failed',
      'total_input_tokens',
      'total_output_tokens',
      'request_throughput',
      'request_goodput',
      'output_throughput',
      'total_token_throughput',
      'latencies',
      'queue_times',
      'max_output_tokens_per_s',
      'max_concurrent_requests',
      ...statistics('ttft'),
      ...statistics('tpot'),
      ...statistics('itl'),
      ...statistics('e2el'),
      'benchmark_start_time_unix',
      'benchmark_end_time_unix',
      'made_by',
    ]);
  });

  it('counts measured requests and takes numbers from good ones alone', () => {
    const result = resultOf(RECORDS, { concurrency: 4 });
    expect(result).toMatchObject({
      date: '20261123-140211',
      endpoint_type: 'openai-chat',
      backend: 'openai-chat',
      label: null,
      model_id: 'Qwen/Qwen3-32B',
      tokenizer_id: 'Qwen/Qwen3-32B',
      num_prompts: 3,
      request_rate: 'inf',
      burstiness: 1,
      max_concurrency: 4,
      duration: 0.5,
      completed: 2,
      failed: 1,
      total_input_tokens: 202,
      total_output_tokens: 7,
      request_throughput: 4,
      request_goodput: null,
      output_throughput: 14,
      total_token_throughput: 418,
      latencies: [0.13, 0.26],
      queue_times: [0, 0.01],
      max_output_tokens_per_s: 7,
      max_concurrent_requests: 1,
      benchmark_start_time_unix: Date.UTC(2026, 10, 23, 14, 2, 11, 482) / 1_000,
      benchmark_end_time_unix: Date.UTC(2026, 10, 23, 14, 2, 11, 982) / 1_000,
    });
    expectNumbers(result, {
      mean_ttft_ms: 150,
      median_ttft_ms: 150,
      std_ttft_ms: 50,
      p90_ttft_ms: 190,
      p95_ttft_ms: 195,
      p99_ttft_ms: 199,
      // (130 − 100) ÷ 2 = 15 and (260 − 200) ÷ 3 = 20.
      mean_tpot_ms: 17.5,
      std_tpot_ms: 2.5,
      // Gaps 10, 20, 60, each chunk once.
      mean_itl_ms: 30,
      median_itl_ms: 20,
      p90_itl_ms: 52,
      mean_e2el_ms: 195,
      p99_e2el_ms: 258.7,
    });
  });

  it('sweeps starts and ends for the most requests in flight', () => {
    const at = (sentAtMs: number, endAtMs: number): RequestRecord =>
      makeRecord({ id: sentAtMs, sentAtMs, endAtMs });
    const most = (...spans: [number, number][]): unknown =>
      resultOf(spans.map(([from, to]) => at(from, to)))['max_concurrent_requests'];
    expect(most([0, 130], [130, 300], [300, 430])).toBe(1);
    expect(most([0, 500], [100, 300], [200, 250], [300, 900])).toBe(3);
    expect(most([0, 900], [1, 800], [2, 700], [3, 600])).toBe(4);
  });

  it('has all numbers of golden vector V7 when vLLM’s own events count', () => {
    const expected = goldenVector('V7')['expected_vllm_2026'] as Expected;
    expectNumbers(resultOf(traceRecords(CHOICES)), expected);
  });

  it('differs from vLLM where its chunks without output do, and only there', () => {
    const vectors = goldenVector('V7');
    const expected = vectors['expected_vllm_2026'] as Record<string, number>;
    const result = resultOf(traceRecords(OUTPUT)) as Record<string, number>;
    const apart = Object.keys(expected).filter((key) => Math.abs(result[key]! - expected[key]!) > 1e-6);
    // Its first request begins with a role and ends with a finish reason: TTFT 150 for 200, E2E 301 for 300.
    expect(apart).toEqual([
      'mean_ttft_ms',
      'std_ttft_ms',
      'mean_tpot_ms',
      'median_tpot_ms',
      'std_tpot_ms',
      'p99_tpot_ms',
      'mean_itl_ms',
      'std_itl_ms',
      'p99_itl_ms',
      'mean_e2el_ms',
      'std_e2el_ms',
    ]);
    expectNumbers(result, {
      mean_ttft_ms: 440,
      mean_tpot_ms: 92.589286,
      median_tpot_ms: 22.5,
      p99_tpot_ms: 303.875,
      mean_itl_ms: 107.142857,
      p99_itl_ms: 735,
      mean_e2el_ms: 740,
    });
  });

  it('names a file per level as sa-bench does, and leaves out a level that has no good request', () => {
    const failed = [makeRecord({ outcome: 'timeout', gapsMs: [], osl: none(), endAtMs: 10 })];
    const shapes = [
      { isl: 4000, osl: 1000, concurrency: 1 },
      { isl: 4000, osl: 1000, concurrency: 64 },
      { isl: 1000, osl: 1000, concurrency: 64 },
      { isl: 1000, osl: 1000, concurrency: 128 },
      { isl: 1000, osl: 1000, concurrency: 256 },
    ];
    const levels = [RECORDS, RECORDS, RECORDS, failed, []];
    const names = (gpus: number | null): string[] =>
      exported(vllmExport, levels, shapes, { spec: { ...makeReport().spec, gpus } }).map(({ file }) => file);
    expect(names(8)).toEqual([
      'vllm/sa-bench_isl_4000_osl_1000/results_concurrency_1_gpus_8.json',
      'vllm/sa-bench_isl_4000_osl_1000/results_concurrency_64_gpus_8.json',
      'vllm/sa-bench_isl_1000_osl_1000/results_concurrency_64_gpus_8.json',
    ]);
    expect(names(null)[0]).toBe('vllm/sa-bench_isl_4000_osl_1000/results_concurrency_1.json');
  });

  it.each([
    // TTFT 100 and 200, TPOT 15 and 20, E2E 130 and 260 ms within half a second; the third request failed.
    [{ ttft: 100 }, 2],
    [{ ttft: 99.9 }, 0],
    [{ ttft: 200, tpot: 20, e2el: 260 }, 4],
    [{ ttft: 200, tpot: 15 }, 2],
    [{ e2el: 259 }, 2],
  ] as const)('tells the goodput of a run that had limits: %o', (slosMs, perS) => {
    const spec = { ...makeReport().spec, slosMs };
    const [file] = exported(vllmExport, [RECORDS], [], { spec });
    expect(JSON.parse(file!.text)).toMatchObject({ request_goodput: perS });
    const [summary] = exported(aiperfExport, [RECORDS], [], { spec });
    // AIPerf's duration ends with the last output, at 410.
    expect(JSON.parse(summary!.text)).toMatchObject({
      good_request_count: { unit: 'requests', avg: perS / 2 },
      goodput: { unit: 'requests/sec', avg: perS / 2 / 0.41 },
    });
  });

  it('takes a request of one token for a TPOT of 0, and one without text for no success', () => {
    const spec = { ...makeReport().spec, slosMs: { tpot: 1 } };
    const records = [
      makeRecord({ id: 0, gapsMs: [100], osl: { asked: 1, counted: 1, by: 'usage' }, endAtMs: 200 }),
      makeRecord({ id: 1, gapsMs: [], endAtMs: 1_000 }),
    ];
    const [file] = exported(vllmExport, [records], [], { spec });
    expect(JSON.parse(file!.text)).toMatchObject({ completed: 2, request_goodput: 1 });
  });

  it('tells the rate of an open arrival', () => {
    const spec = { ...makeReport().spec, arrival: 'gamma', arrivalShape: { burstiness: 0.5 } };
    const told = (concurrency: number): Record<string, unknown> => {
      const shape = { concurrency, ratePerS: 2.5, isl: 100, osl: 3 };
      const [file] = exported(vllmExport, [RECORDS], [shape], { spec });
      expect(file!.file).toMatch(/\/results_request_rate_2\.5_gpus_2\.json$/);
      return JSON.parse(file!.text) as Record<string, unknown>;
    };
    expect(told(2)).toMatchObject({ request_rate: 2.5, burstiness: 0.5, max_concurrency: 2 });
    // As many slots as requests are no limit.
    expect(told(RECORDS.length)).toMatchObject({ max_concurrency: null });
  });
});

/** What InferenceX's process_result does with each key, on pain of ending. */
function readAsInferenceX(result: Result): Record<string, number> {
  const read: Record<string, number> = {};
  const float = (value: unknown, key: string): number => {
    if (typeof value !== 'number') throw new TypeError(`float(${String(value)}) of ${key}`);
    return value;
  };
  for (const key of ['max_concurrency', 'total_token_throughput', 'output_throughput'])
    float(result[key], key);
  if (!Number.isInteger(result['max_concurrency'])) throw new TypeError('max_concurrency');
  if (typeof result['model_id'] !== 'string') throw new TypeError('model_id');
  for (const [key, value] of Object.entries(result)) {
    if (key.endsWith('ms')) read[key.replace('_ms', '')] = float(value, key) / 1_000;
    if (!key.includes('tpot')) continue;
    if (float(value, key) === 0) throw new RangeError(`1000 / ${key}`);
    read[key.replace('_ms', '').replace('tpot', 'intvty')] = 1_000 / float(value, key);
  }
  return read;
}

describe('what readers of vLLM’s results demand', () => {
  it('InferenceX: each key of ms is a number, none of tpot is zero', () => {
    expect(readAsInferenceX(resultOf(RECORDS))['median_intvty']).toBeCloseTo(1_000 / 17.5, 9);
    const gaps = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 0, maxLength: 5 });
    const request = fc.record({ gaps, sentAtMs: fc.integer({ min: 0, max: 500 }), tokens: fc.nat(40) });
    fc.assert(
      fc.property(fc.array(request, { minLength: 1, maxLength: 6 }), (requests) => {
        const records = requests.map(({ gaps, sentAtMs, tokens }, id) =>
          makeRecord({
            id,
            sentAtMs,
            gapsMs: gaps,
            endAtMs: sentAtMs + 1_000,
            osl: { asked: 9, counted: tokens, by: 'usage' },
          }),
        );
        const result = resultOf(records);
        for (const value of Object.values(readAsInferenceX(result))) expect(value).toSatisfy(Number.isFinite);
        // NaN and Infinity would be null too.
        const empty = Object.keys(result).filter((key) => result[key] === null);
        expect(empty).toEqual(['label', 'request_goodput']);
      }),
      { numRuns: 200 },
    );
  });

  it('a single request has no std_tpot_ms, one of a single token no tpot and no itl at all', () => {
    const one = resultOf([makeRecord({ endAtMs: 130 })]);
    expect(one).toMatchObject({ std_ttft_ms: 0, mean_tpot_ms: 10 });
    expect(one).not.toHaveProperty('std_tpot_ms');
    const short = resultOf([makeRecord({ gapsMs: [100], endAtMs: 130 })]);
    expect(Object.keys(short).filter((key) => /tpot|itl/.test(key))).toEqual([]);
    expect(short['mean_ttft_ms']).toBe(100);
  });

  it('the monitor of srt-slurm: rates in the first 512 bytes, means in the last 4,096', () => {
    const name = 'nvidia/Llama-3.3-Nemotron-Super-49B-v1.5-FP8';
    const base = makeReport();
    const records = Array.from({ length: 2_000 }, (_, id) =>
      makeRecord({ id, sentAtMs: id * 7.123, endAtMs: id * 7.123 + 133.337 }),
    );
    const [file] = exported(vllmExport, [records], [{ concurrency: 1024 }], {
      target: { ...base.target, model: name },
      prompts: { ...base.prompts, tokenizerName: name },
    });
    const head = file!.text.slice(0, 512);
    for (const key of ['max_concurrency', 'output_throughput', 'request_throughput'])
      expect(head).toMatch(new RegExp(`"${key}"\\s*:\\s*[\\d.]+[,}]`));
    for (const key of ['mean_ttft_ms', 'mean_tpot_ms'])
      expect(file!.text.slice(-4_096)).toContain(`"${key}":`);
  });
});

describe('EXPORTS', () => {
  it('has names of its own, and no two files of one name', async () => {
    const names = EXPORTS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const shapes = [{ concurrency: 1 }, { concurrency: 2 }, { isl: 200, concurrency: 1 }];
    const made = EXPORTS.map((kind) => exported(kind, [RECORDS, RECORDS, RECORDS], shapes));
    const files = (await Promise.all(made)).flat();
    const places = files.map(({ file }) => file);
    expect(new Set(places).size).toBe(places.length);
    for (const place of places) expect(place).toMatch(/^[\w.-]+(\/[\w.-]+)*$/);
  });
});
