import { describe, expect, it } from 'vitest';
import { IMPORTERS } from '../../src/importers/index.ts';
import { AIPERF, changed, GUIDELLM, onlyPoint, read, sglangLine, VLLM } from '../fixtures/foreign.ts';

describe('results of sglang.bench_serving', () => {
  it('have the numbers of each layout, under bench’s names', () => {
    for (const layout of ['2025-08', '2026-01', '2026-06']) {
      const point = onlyPoint(sglangLine(layout));
      expect(point).toMatchObject({
        concurrency: 3,
        requestRate: 'inf',
        model: null,
        isl: 4000,
        osl: 8,
        sent: null,
        good: 5,
        failed: null,
        durationS: 1.7301,
        inputTokens: 20_000,
        outputTokens: 28,
        requestsPerS: 2.890006,
        goodputPerS: null,
        inputTokensPerS: 11_560.025432,
        outputTokensPerS: 16.184036,
      });
      expect(point.ttftMs).toMatchObject({ mean: 369, p50: 240, std: 319.286705, p99: 967.6 });
      expect(point.tpotMs).toMatchObject({ mean: 40.567619, p50: 21.1 });
      expect(point.itlMs).toMatchObject({ mean: 37.391304, p95: 30, p99: 318.6 });
      expect(point.e2eMs).toMatchObject({ mean: 541.5, p50: 330.5, p99: 1400.9 });
    }
  });

  it('lack what their layout lacks', () => {
    const old = onlyPoint(sglangLine('2025-08'));
    expect(old.totalTokensPerS).toBeNull();
    expect(Object.keys(old.ttftMs)).toEqual(['mean', 'p50', 'std', 'p99']);
    const middle = onlyPoint(sglangLine('2026-01'));
    expect(middle.totalTokensPerS).toBe(11_576.209468);
    expect(Object.keys(middle.e2eMs)).toEqual(['mean', 'p50', 'std', 'p90', 'p99']);
    const young = onlyPoint(sglangLine('2026-06'));
    for (const stats of [young.ttftMs, young.itlMs, young.tpotMs, young.e2eMs])
      expect(Object.keys(stats)).toEqual(['mean', 'p50', 'std', 'p90', 'p95', 'p99']);
  });

  it('know how many were sent when each request is in the file', () => {
    const details =
      ', "input_lens": [4000, 4000, 4000, 4000, 4000, 4000], "output_lens": [5, 6, 4, 8, 5, 0]}';
    const run = read(sglangLine('2026-06').replace(/\}$/, details));
    expect(run.points[0]).toMatchObject({ sent: 6, good: 5, failed: 1 });
    expect(run.notes.join()).not.toContain('failed requests are not in the file');
  });

  it('are read with rates, server facts and other data sets', () => {
    const line = changed(sglangLine('2026-06'), {
      request_rate: '"trace"',
      max_concurrency: 'null',
      server_info: '{"model_path": "/models/r1"}',
      dataset_name: '"sharegpt"',
      random_input_len: '1024',
    });
    expect(onlyPoint(line)).toMatchObject({
      requestRate: 'trace',
      concurrency: null,
      model: '/models/r1',
      isl: null,
      osl: null,
    });
    expect(onlyPoint(changed(line, { request_rate: '4.5' })).requestRate).toBe(4.5);
  });

  it('come with what the tool does not tell', () => {
    const { tool, lookalike, definitions, notes } = read(sglangLine('2026-06'));
    expect(tool).toBe('sglang.bench_serving');
    expect(lookalike?.tool).toBe('bench serving');
    expect(notes).toEqual([
      expect.stringContaining('failed requests are not in the file'),
      expect.stringContaining('asked length'),
    ]);
    expect(definitions['outputTokensPerS']).toContain('ASKED');
    expect(definitions['e2eMs']).toContain('[DONE]');
  });

  it('are suspicious when the output is what was asked for and the texts say otherwise', () => {
    const asked = changed(sglangLine('2026-06'), { total_output_tokens: '40' });
    const suspicion = (line: string): string =>
      read(line)
        .notes.filter((note) => /SUSPICIOUS/.test(note))
        .join();
    expect(suspicion(asked)).toMatch(/at concurrency 3: .*\(40\).* 28/);
    expect(suspicion(changed(asked, { total_output_tokens_retokenized: '39' }))).toBe('');
    expect(suspicion(changed(asked, { total_output_tokens: '39' }))).toBe('');
    expect(suspicion(sglangLine('2026-06'))).toBe('');
  });

  it('may be many, with the console’s text between', () => {
    const lines = [1, 16, 64].map((cap) => changed(sglangLine('2026-01'), { max_concurrency: String(cap) }));
    const run = read(`Namespace(backend='sglang')\n${lines.join('\n============ Result ============\n')}\n`);
    expect(run.points.map(({ concurrency }) => concurrency)).toEqual([1, 16, 64]);
  });
});

describe('results of vllm bench serve', () => {
  it('have its numbers, and nothing for what is not there', () => {
    expect(onlyPoint(JSON.stringify(VLLM))).toEqual({
      concurrency: 16,
      requestRate: 'inf',
      model: 'Qwen/Qwen3-32B',
      isl: null,
      osl: null,
      sent: 100,
      good: 98,
      failed: 2,
      durationS: 20.5,
      inputTokens: 98_000,
      outputTokens: 9_800,
      requestsPerS: 4.78,
      goodputPerS: null,
      inputTokensPerS: null,
      outputTokensPerS: 478.05,
      totalTokensPerS: 5_258.54,
      ttftMs: { mean: 120.5, p50: 110.25, std: 20.5, p99: 240.75, 'p99.9': 250.5 },
      tpotMs: { mean: 10.5 },
      itlMs: { mean: 11.5 },
      e2eMs: {},
    });
  });

  it('are those of forks too: no `failed`, and goodput under a key with a colon', () => {
    const { failed: _failed, request_goodput: _goodput, ...rest } = VLLM;
    const fork = {
      ...rest,
      best_of: 1,
      benchmark_start_time_unix: 1.5,
      'request_goodput:': 3.25,
      mean_e2el_ms: 1_500,
    };
    const run = read(JSON.stringify(fork));
    expect(run.points[0]).toMatchObject({ failed: null, goodputPerS: 3.25, e2eMs: { mean: 1_500 } });
    expect(run.notes.join()).toMatch(/no `failed`.*request_goodput:/);
    expect(read(JSON.stringify(VLLM)).notes).toEqual([]);
  });

  it('are several where --append-result put them', () => {
    const second = { ...VLLM, max_concurrency: 32 };
    const run = read(`${JSON.stringify(VLLM)}\n${JSON.stringify(second)}`);
    expect(run.points.map(({ concurrency }) => concurrency)).toEqual([16, 32]);
  });
});

describe('results of AIPerf', () => {
  it('have its numbers: what it calls inter-token latency is TPOT', () => {
    expect(onlyPoint(JSON.stringify(AIPERF, null, 2))).toEqual({
      concurrency: 3,
      requestRate: null,
      model: 'mock',
      isl: 64,
      osl: 16,
      sent: 12,
      good: 12,
      failed: 0,
      durationS: 0.562053632,
      inputTokens: 756,
      outputTokens: 192,
      requestsPerS: 20.9,
      goodputPerS: null,
      inputTokensPerS: 1_317,
      outputTokensPerS: 334.48,
      totalTokensPerS: 1_651.48,
      ttftMs: { mean: 57.23, p50: 54.54, p99: 67.38 },
      itlMs: { mean: 5.04, p50: 4.99, p99: 9.72 },
      tpotMs: { mean: 5.03, p50: 5.01 },
      e2eMs: { mean: 132.66, min: 125.93, max: 145.53, std: 6.98, p1: 126.02, p50: 129.49, p99: 145.53 },
    });
    expect(read(JSON.stringify(AIPERF)).definitions['tpotMs']).toContain('inter_token_latency');
  });

  it('are read from files of 2025, and with any unit of time', () => {
    const { error_summary: _errors, ...rest } = AIPERF;
    const legacy = {
      ...rest,
      time_to_first_token: { unit: 'ns', avg: 57_230_000 },
      benchmark_duration: { unit: 'ms', avg: 562 },
      input_config: {
        endpoint: { model_names: ['meta/llama'], type: 'chat' },
        loadgen: { concurrency: 8, request_rate: 2.5 },
        input: { prompt: { input_tokens: { mean: 550 }, output_tokens: { mean: 200 } } },
      },
    };
    expect(onlyPoint(JSON.stringify(legacy))).toMatchObject({
      model: 'meta/llama',
      concurrency: 8,
      requestRate: 2.5,
      isl: 550,
      osl: 200,
      durationS: 0.562,
      ttftMs: { mean: 57.23 },
      // Nothing says that there was no error.
      failed: null,
      sent: null,
    });
  });

  it('tell of failures, and of a point of a sweep', () => {
    const failed = {
      ...AIPERF,
      error_request_count: { unit: 'requests', avg: 3 },
      error_summary: [{ error_details: { code: 500 }, count: 3 }],
      input_config: {},
      run_info: { variation_values: { 'phases.profiling.concurrency': 40 } },
      was_cancelled: true,
    };
    const run = read(JSON.stringify(failed));
    expect(run.points[0]).toMatchObject({
      good: 12,
      failed: 3,
      sent: 15,
      concurrency: 40,
      model: null,
      isl: null,
    });
    expect(run.notes).toEqual(['the run was cut off']);
  });
});

describe('results of guidellm', () => {
  it('are of the requests that went well, seconds as ms', () => {
    const run = read(JSON.stringify(GUIDELLM));
    expect(run.points).toHaveLength(1);
    const [point] = run.points;
    expect(point).toMatchObject({
      concurrency: 3,
      requestRate: 'concurrent',
      sent: 15,
      good: 12,
      failed: 1,
      durationS: 0.6,
      inputTokens: 756,
      outputTokens: 192,
      requestsPerS: 20.5,
      outputTokensPerS: 320.1,
      goodputPerS: null,
    });
    expect(point!.ttftMs).toMatchObject({ mean: 57.2, p50: 57.2, p99: 67.4, 'p99.9': 67.4, std: 1 });
    expect(point!.itlMs).toMatchObject({ mean: 5.03 });
    expect(point!.tpotMs).toMatchObject({ mean: 8.3 });
    expect(point!.e2eMs['mean']).toBeCloseTo(132.7, 9);
    expect(point!.e2eMs['p99']).toBeCloseTo(145.5, 9);
  });

  it('are one for each benchmark, and have no latency where nothing went well', () => {
    const [benchmark] = GUIDELLM.benchmarks;
    const nothing = { successful: { mean: 0, count: 0, percentiles: { p50: 0 } } };
    const failed = { ...benchmark!, metrics: { ...benchmark!.metrics, time_to_first_token_ms: nothing } };
    const run = read(JSON.stringify({ ...GUIDELLM, benchmarks: [benchmark, failed] }));
    expect(run.points.map(({ ttftMs }) => ttftMs['mean'])).toEqual([57.2, undefined]);
  });
});

describe('importResults', () => {
  it('knows the tools apart, and no other file', () => {
    const tools = [
      sglangLine('2025-08'),
      JSON.stringify(VLLM),
      JSON.stringify(AIPERF),
      JSON.stringify(GUIDELLM),
    ].map((text) => read(text).tool);
    expect(tools).toEqual(IMPORTERS.map(({ name }) => name));
    for (const text of ['', 'text', '{}', '{"completed": 3}', '{"benchmarks": []}'])
      expect(() => read(text)).toThrow(/^file is no report of bench/);
  });

  it('refuses results of two tools in one file, by the line', () => {
    expect(() => read(`text\n${sglangLine('2026-06')}\n${JSON.stringify(VLLM)}`)).toThrow(
      /^file:3: no result of sglang\.bench_serving, as line 2 is/,
    );
  });

  it('defines each number that a tool has, in a sentence', () => {
    for (const { definitions } of IMPORTERS) {
      for (const field of [
        'good',
        'failed',
        'ttftMs',
        'itlMs',
        'tpotMs',
        'e2eMs',
        'requestsPerS',
        'outputTokensPerS',
        'std',
      ])
        expect(definitions[field], field).toMatch(/^.{25,}\.$/);
    }
  });
});
