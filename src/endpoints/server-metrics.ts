import type { Kind } from '../core/kind.ts';
import type { CounterName, GaugeName, Layer, SpanName } from '../core/server-look.ts';

/** A metric by its name, with the labels that a series must have; a name alone takes all of its series. */
export type MetricName = string | { readonly name: string; readonly where: Readonly<Record<string, string>> };

/** Names that a number had in the versions of a server; the first that a text has is taken. */
type Names<T extends string> = Readonly<Partial<Record<T, readonly MetricName[]>>>;

/** What a server exports of itself. Spans are in seconds there. */
export interface MetricFamily extends Kind {
  /** `engine` becomes `prefill` where the labels of a source say that it does nothing else. */
  readonly layer: Exclude<Layer, 'prefill'>;
  readonly gauges: Names<GaugeName>;
  readonly counters: Names<CounterName>;
  readonly spans: Names<SpanName>;
}

const stage = (name: string, value: string): MetricName => ({ name, where: { stage: value } });
const generate = (name: string): MetricName => ({ name, where: { dynamo_endpoint: 'generate' } });
const SGLANG_STAGES = 'sglang:per_stage_req_latency_seconds';

/** The table of known metrics. Of two families of one layer that a source has, the first tells. */
export const METRIC_FAMILIES: readonly MetricFamily[] = [
  {
    name: 'mock',
    about: 'the embedded mock server',
    layer: 'engine',
    gauges: {
      running: ['bench_mock_requests_running'],
      waiting: ['bench_mock_requests_waiting'],
      kvUseRatio: ['bench_mock_kv_usage_ratio'],
    },
    counters: {
      cacheHits: ['bench_mock_cached_tokens_total'],
      cacheLookups: ['bench_mock_prompt_tokens_total'],
    },
    spans: {
      queueMs: ['bench_mock_queue_seconds'],
      prefillMs: ['bench_mock_prefill_seconds'],
      firstDecodeMs: ['bench_mock_first_decode_seconds'],
      decodeMs: ['bench_mock_decode_seconds'],
      ttftMs: ['bench_mock_time_to_first_token_seconds'],
      e2eMs: ['bench_mock_request_seconds'],
    },
  },
  {
    name: 'dynamo-frontend',
    about: "NVIDIA Dynamo's frontend",
    layer: 'frontend',
    gauges: {
      running: ['dynamo_frontend_inflight_requests', 'dynamo_frontend_active_requests'],
      waiting: ['dynamo_frontend_queued_requests'],
    },
    counters: {},
    spans: {
      preprocessMs: [stage('dynamo_frontend_stage_duration_seconds', 'preprocess')],
      ttftMs: ['dynamo_frontend_time_to_first_token_seconds'],
      itlMs: ['dynamo_frontend_inter_token_latency_seconds'],
      e2eMs: ['dynamo_frontend_request_duration_seconds'],
    },
  },
  {
    name: 'vllm',
    about: 'vLLM, by itself or in a worker of Dynamo',
    layer: 'engine',
    gauges: {
      running: ['vllm:num_requests_running'],
      waiting: ['vllm:num_requests_waiting'],
      kvUseRatio: ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc'],
    },
    counters: {
      preemptions: ['vllm:num_preemptions_total'],
      cacheHits: ['vllm:prefix_cache_hits_total', 'vllm:gpu_prefix_cache_hits_total'],
      cacheLookups: ['vllm:prefix_cache_queries_total', 'vllm:gpu_prefix_cache_queries_total'],
    },
    spans: {
      queueMs: ['vllm:request_queue_time_seconds'],
      prefillMs: ['vllm:request_prefill_time_seconds'],
      kvTransferMs: ['vllm:nixl_xfer_time_seconds'],
      decodeMs: ['vllm:request_decode_time_seconds'],
      ttftMs: ['vllm:time_to_first_token_seconds'],
      itlMs: ['vllm:inter_token_latency_seconds', 'vllm:time_per_output_token_seconds'],
      tpotMs: ['vllm:request_time_per_output_token_seconds'],
      e2eMs: ['vllm:e2e_request_latency_seconds'],
    },
  },
  {
    name: 'sglang',
    about: 'SGLang with --enable-metrics, by itself or in a worker of Dynamo',
    layer: 'engine',
    gauges: {
      running: ['sglang:num_running_reqs'],
      waiting: ['sglang:num_queue_reqs'],
      kvUseRatio: ['sglang:token_usage'],
    },
    counters: {
      preemptions: ['sglang:num_retracted_requests_total'],
      cacheHits: ['sglang:cached_tokens_total'],
      cacheLookups: ['sglang:prompt_tokens_total'],
    },
    spans: {
      queueMs: ['sglang:queue_time_seconds'],
      prefillMs: [stage(SGLANG_STAGES, 'prefill_forward')],
      kvTransferMs: [stage(SGLANG_STAGES, 'prefill_transfer_kv_cache')],
      ttftMs: ['sglang:time_to_first_token_seconds'],
      itlMs: ['sglang:inter_token_latency_seconds', 'sglang:time_per_output_token_seconds'],
      e2eMs: ['sglang:e2e_request_latency_seconds'],
    },
  },
  {
    name: 'trtllm',
    about: 'TensorRT-LLM, trtllm-serve (/prometheus/metrics) or a worker of Dynamo',
    layer: 'engine',
    gauges: {
      running: ['trtllm_num_requests_running'],
      waiting: ['trtllm_num_requests_waiting'],
      kvUseRatio: ['trtllm_kv_cache_utilization'],
    },
    counters: { cacheHits: ['trtllm_kv_cache_reused_blocks_total'] },
    spans: {
      queueMs: ['trtllm_request_queue_time_seconds', 'trtllm:request_queue_time_seconds'],
      prefillMs: ['trtllm_request_prefill_time_seconds'],
      decodeMs: ['trtllm_request_decode_time_seconds'],
      ttftMs: ['trtllm_time_to_first_token_seconds', 'trtllm:time_to_first_token_seconds'],
      tpotMs: ['trtllm_time_per_output_token_seconds', 'trtllm:time_per_output_token_seconds'],
      e2eMs: ['trtllm_e2e_request_latency_seconds', 'trtllm:e2e_request_latency_seconds'],
    },
  },
  {
    name: 'dynamo-worker',
    about: 'any worker of Dynamo, at its DYN_SYSTEM_PORT',
    layer: 'engine',
    gauges: {
      running: [generate('dynamo_component_inflight_requests')],
      kvUseRatio: [
        'dynamo_component_gpu_cache_usage_percent',
        'dynamo_component_kvstats_gpu_cache_usage_percent',
      ],
    },
    counters: {},
    spans: { workerMs: [generate('dynamo_component_request_duration_seconds')] },
  },
];

/** Labels that tell what a worker is for. */
export const ROLE_LABELS = ['dynamo_component', 'engine_type'] as const;
/** Labels of ranks that serve the same requests together: their series are copies of one another. */
export const COPY_LABELS: ReadonlySet<string> = new Set(['tp_rank', 'pp_rank', 'moe_ep_rank']);
