import type { Kind } from '../core/kind.ts';
import type { OptionalField } from './dialect.ts';

/** What the probes before a run saw, all that a server is told by. */
export interface ServerSigns {
  /** `owned_by` of the listed models. */
  readonly ownedBy: readonly string[];
  /** Text of `/metrics`, `''` when there is none. */
  readonly metrics: string;
  /** Body of `/health`, `''` when there is none. */
  readonly health: string;
}

/** A counter of the server that witnesses our counts: the sum over all series of any of these names. */
export interface WitnessSeries {
  readonly requests: string | null;
  readonly inputTokens: string;
  readonly outputTokens: string;
}

/** A server's quirks. */
export interface ServerKind extends Kind {
  /** Optional request fields that it is worth trying; what it refuses is dropped before the run. */
  readonly fields: readonly OptionalField[];
  readonly recognise: (signs: ServerSigns) => boolean;
  readonly witness: WitnessSeries | null;
  /** Where it tells Prometheus its metrics; null where that is not known. */
  readonly metricsPath: string | null;
}

/** The kinds of `--server`; `auto` takes the first that recognises the signs, else `openai`. */
export const SERVERS: readonly ServerKind[] = [
  {
    name: 'mock',
    about: 'the embedded mock server (bench mock)',
    fields: ['ignore_eos', 'min_tokens', 'continuous_usage_stats'],
    recognise: (signs) => signs.ownedBy.includes('bench-mock'),
    witness: {
      requests: 'bench_mock_requests_total',
      inputTokens: 'bench_mock_prompt_tokens_total',
      outputTokens: 'bench_mock_generation_tokens_total',
    },
    metricsPath: '/metrics',
  },
  {
    name: 'dynamo',
    about: 'NVIDIA Dynamo frontend, any engine behind it',
    fields: ['ignore_eos', 'min_tokens', 'continuous_usage_stats'],
    recognise: (signs) => signs.metrics.includes('dynamo_frontend_') || signs.health.includes('"instances"'),
    witness: {
      requests: 'dynamo_frontend_output_sequence_tokens_count',
      inputTokens: 'dynamo_frontend_input_sequence_tokens_sum',
      outputTokens: 'dynamo_frontend_output_sequence_tokens_sum',
    },
    metricsPath: '/metrics',
  },
  {
    name: 'vllm',
    about: 'vLLM',
    fields: ['ignore_eos', 'min_tokens', 'continuous_usage_stats'],
    recognise: (signs) => signs.ownedBy.includes('vllm') || signs.metrics.includes('vllm:'),
    witness: {
      requests: 'vllm:request_success_total',
      inputTokens: 'vllm:prompt_tokens_total',
      outputTokens: 'vllm:generation_tokens_total',
    },
    metricsPath: '/metrics',
  },
  {
    name: 'sglang',
    about: 'SGLang',
    fields: ['ignore_eos', 'min_tokens', 'continuous_usage_stats'],
    recognise: (signs) => signs.ownedBy.includes('sglang') || signs.metrics.includes('sglang:'),
    witness: {
      requests: 'sglang:num_requests_total',
      inputTokens: 'sglang:prompt_tokens_total',
      outputTokens: 'sglang:generation_tokens_total',
    },
    metricsPath: '/metrics',
  },
  {
    name: 'trtllm',
    about: "TensorRT-LLM's own server (trtllm-serve)",
    fields: ['ignore_eos', 'min_tokens', 'continuous_usage_stats'],
    recognise: (signs) => signs.ownedBy.includes('tensorrt_llm') || signs.metrics.includes('trtllm_'),
    witness: null,
    metricsPath: '/prometheus/metrics',
  },
  {
    name: 'openai',
    about: 'any OpenAI-compatible server; sends no field beyond the OpenAI API',
    fields: [],
    recognise: () => false,
    witness: null,
    metricsPath: null,
  },
];

/** Fields worth trying with a server that no sign tells. */
export const UNKNOWN_SERVER_FIELDS: readonly OptionalField[] = ['ignore_eos', 'min_tokens'];

/** The server that the signs tell, null when none does. */
export function recogniseServer(signs: ServerSigns): ServerKind | null {
  return SERVERS.find((server) => server.recognise(signs)) ?? null;
}
