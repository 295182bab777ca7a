import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readLook } from '../../src/endpoints/server-look.ts';
import { METRIC_FAMILIES } from '../../src/endpoints/server-metrics.ts';

/** Of a real frontend of Dynamo 1.4.2 after three requests, shortened. */
const FRONTEND = `# TYPE dynamo_frontend_inflight_requests gauge
dynamo_frontend_inflight_requests{model="dsr1"} 2
dynamo_frontend_queued_requests{model="dsr1"} 1
dynamo_frontend_stage_duration_seconds_sum{stage="preprocess"} 0.001267598
dynamo_frontend_stage_duration_seconds_count{stage="preprocess"} 3
dynamo_frontend_stage_duration_seconds_sum{stage="route"} 0.000065158
dynamo_frontend_stage_duration_seconds_count{stage="route"} 6
dynamo_frontend_time_to_first_token_seconds_bucket{model="dsr1",le="0"} 0
dynamo_frontend_time_to_first_token_seconds_bucket{model="dsr1",le="0.047"} 0
dynamo_frontend_time_to_first_token_seconds_bucket{model="dsr1",le="0.1"} 3
dynamo_frontend_time_to_first_token_seconds_bucket{model="dsr1",le="+Inf"} 3
dynamo_frontend_time_to_first_token_seconds_sum{model="dsr1"} 0.157817206
dynamo_frontend_time_to_first_token_seconds_count{model="dsr1"} 3
`;
/** Of its prefill worker, with an endpoint that takes no requests. */
const PREFILL = `dynamo_component_inflight_requests{dynamo_component="prefill",dynamo_endpoint="generate",worker_id="6"} 1
dynamo_component_inflight_requests{dynamo_component="prefill",dynamo_endpoint="worker_kv_query",worker_id="6"} 5
dynamo_component_request_duration_seconds_sum{dynamo_component="prefill",dynamo_endpoint="generate",worker_id="6"} 0.151558487
dynamo_component_request_duration_seconds_count{dynamo_component="prefill",dynamo_endpoint="generate",worker_id="6"} 3
`;
/** Of its decode worker. */
const DECODE = `dynamo_component_inflight_requests{dynamo_component="backend",dynamo_endpoint="generate",worker_id="b"} 9
vllm:num_requests_running{engine="0",model_name="dsr1"} 4
vllm:num_requests_running{engine="1",model_name="dsr1"} 3
vllm:kv_cache_usage_perc{engine="0",model_name="dsr1"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="dsr1"} 0.75
vllm:gpu_cache_usage_perc{engine="0",model_name="dsr1"} 0.9
vllm:num_preemptions_total{engine="0",model_name="dsr1"} 2
`;

describe('readLook', () => {
  it('reads a frontend of Dynamo', () => {
    const { frontend, engine } = readLook(FRONTEND, 'all')!;
    expect(engine).toBeUndefined();
    expect(frontend!.gauges).toEqual({
      running: { metric: 'dynamo_frontend_inflight_requests', value: 2 },
      waiting: { metric: 'dynamo_frontend_queued_requests', value: 1 },
    });
    expect(frontend!.spans.preprocessMs).toEqual({
      metric: 'dynamo_frontend_stage_duration_seconds{stage="preprocess"}',
      value: { count: 3, sumMs: 1.267598, buckets: [] },
    });
    expect(frontend!.spans.ttftMs!.value).toEqual({
      count: 3,
      sumMs: 157.817206,
      buckets: [
        [0, 0],
        [47, 0],
        [100, 3],
        [Number.POSITIVE_INFINITY, 3],
      ],
    });
  });

  it('tells a prefill worker by its label, and counts its requests at the endpoint that takes them', () => {
    expect(readLook(PREFILL, 'all')).toEqual({
      prefill: {
        gauges: {
          running: { metric: 'dynamo_component_inflight_requests{dynamo_endpoint="generate"}', value: 1 },
        },
        counters: {},
        spans: {
          workerMs: {
            metric: 'dynamo_component_request_duration_seconds{dynamo_endpoint="generate"}',
            value: { count: 3, sumMs: expect.closeTo(151.558487, 9), buckets: [] },
          },
        },
      },
    });
  });

  it('adds the engines of a worker up, takes the fullest KV cache, and the engine’s word before its wrapper’s', () => {
    expect(readLook(DECODE, 'all')!.engine).toEqual({
      gauges: {
        running: { metric: 'vllm:num_requests_running', value: 7 },
        kvUseRatio: { metric: 'vllm:kv_cache_usage_perc', value: 0.75 },
      },
      counters: { preemptions: { metric: 'vllm:num_preemptions_total', value: 2 } },
      spans: {},
    });
  });

  it('counts ranks that serve the same requests once, and ranks with requests of their own each', () => {
    const of = (dp: number, tp: number, value: number): string =>
      `sglang:num_running_reqs{engine_type="unified",dp_rank="${dp}",tp_rank="${tp}",pp_rank="0"} ${value}\n`;
    const text = of(0, 0, 3) + of(0, 1, 3) + of(1, 2, 4) + of(1, 3, 4);
    expect(readLook(text, 'gauges')!.engine!.gauges.running!.value).toBe(7);
  });

  it('reads the stages of SGLang, and its prefill servers', () => {
    const stage = (name: string, seconds: number): string =>
      `sglang:per_stage_req_latency_seconds_sum{engine_type="prefill",stage="${name}"} ${seconds}\n` +
      `sglang:per_stage_req_latency_seconds_count{engine_type="prefill",stage="${name}"} 4\n`;
    const { prefill } = readLook(
      stage('prefill_forward', 2) + stage('prefill_transfer_kv_cache', 1) + stage('chunked_prefill', 9),
      'all',
    )!;
    expect(prefill!.spans.prefillMs!.value).toMatchObject({ count: 4, sumMs: 2_000 });
    expect(prefill!.spans.kvTransferMs!.value).toMatchObject({ count: 4, sumMs: 1_000 });
  });

  it('reads gauges alone where that is asked, leaves out what is no number, and tells nothing of other texts', () => {
    expect(readLook(FRONTEND, 'gauges')!.frontend!.spans).toEqual({});
    expect(
      readLook('vllm:num_requests_running NaN\nvllm:num_requests_waiting 1', 'all')!.engine!.gauges,
    ).toEqual({
      waiting: { metric: 'vllm:num_requests_waiting', value: 1 },
    });
    expect(readLook('<html>\nup 1\n', 'all')).toBeNull();
  });
});

describe('the table of the README', () => {
  it('says of each server what it tells', () => {
    const readme = readFileSync(path.join(import.meta.dirname, '../../README.md'), 'utf8');
    const table = readme.split('<!-- server-metrics -->\n')[1]!.split('<!-- /server-metrics -->')[0]!;
    const columns = [
      ...(['running', 'waiting', 'kvUseRatio', 'cacheHits', 'preemptions'] as const),
      ...([
        'queueMs',
        'prefillMs',
        'kvTransferMs',
        'firstDecodeMs',
        'decodeMs',
        'ttftMs',
        'itlMs',
        'e2eMs',
      ] as const),
    ];
    const rows = METRIC_FAMILIES.map(({ about, gauges, counters, spans }) => {
      const told = Object.keys({ ...gauges, ...counters, ...spans });
      return `| ${about} | ${columns.map((name) => (told.includes(name) ? 'yes' : '')).join(' | ')} |`;
    });
    expect(table.trim().split('\n').slice(2)).toEqual(rows);
  });
});
