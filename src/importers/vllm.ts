import type { ForeignPoint } from '../core/foreign.ts';
import { numberAt, rateAt, textAt } from './fields.ts';
import type { ImportKind } from './import-kind.ts';
import type { JsonObject } from './json-objects.ts';
import { latencyStats } from './latency-keys.ts';

/** The key of InferenceX and TensorRT-LLM, colon included. */
const MISSPELT_GOODPUT = 'request_goodput:';

/** Results of `vllm bench serve` and of its forks: sa-bench (srt-slurm), InferenceX, TensorRT-LLM. */
export const vllmImport: ImportKind = {
  name: 'vllm bench serve',
  about: 'a JSON result of vllm bench serve, sa-bench or InferenceX',
  definitions: {
    good: '`completed`: requests that ended without an error and with at least one chunk.',
    failed: '`failed`: all others; forks (sa-bench, InferenceX) do not write it.',
    ttftMs:
      'Send to the first chunk that has `choices`, in ms; with chat that may be a chunk with a role and no text.',
    itlMs:
      'Gap between two chunks that have `choices`, the one with the finish reason included, pooled over all requests, in ms; it is per chunk, not per token.',
    tpotMs: '(E2E − TTFT) ÷ (output tokens − 1), one value per request of two tokens or more, in ms.',
    e2eMs: 'Send to the last chunk that has `choices`, in ms; the waiting for a free slot is not in it.',
    requestsPerS: '`completed` ÷ duration, which runs from before the first request to after the last one.',
    goodputPerS: 'Requests that met all objectives given with --goodput ÷ duration.',
    outputTokensPerS:
      'Output tokens ÷ duration: as the server counted or, where it sent no usage, the text encoded again.',
    totalTokensPerS: 'Input and output tokens ÷ duration.',
    std: "The population's standard deviation (ddof 0).",
  },
  owns: (result) =>
    numberAt(result, 'completed') !== null && 'total_token_throughput' in result && 'model_id' in result,
  point,
  notes: (results) => [
    ...(results.some((result) => numberAt(result, 'failed') === null)
      ? ['the file holds no `failed`: a fork wrote it, and failures cannot be told but from num_prompts']
      : []),
    ...(results.some((result) => MISSPELT_GOODPUT in result)
      ? ['goodput stands under the misspelt key "request_goodput:" of InferenceX and TensorRT-LLM']
      : []),
    ...new Set(
      results.flatMap((result) => {
        const maker = textAt(result, 'made_by');
        return maker === null ? [] : [`not written by vLLM: ${maker}`];
      }),
    ),
  ],
};

function point(result: JsonObject): ForeignPoint {
  return {
    concurrency: numberAt(result, 'max_concurrency'),
    requestRate: rateAt(result, 'request_rate'),
    model: textAt(result, 'model_id'),
    isl: null,
    osl: null,
    sent: numberAt(result, 'num_prompts'),
    good: numberAt(result, 'completed') ?? 0,
    failed: numberAt(result, 'failed'),
    durationS: numberAt(result, 'duration'),
    inputTokens: numberAt(result, 'total_input_tokens'),
    outputTokens: numberAt(result, 'total_output_tokens'),
    requestsPerS: numberAt(result, 'request_throughput'),
    goodputPerS: numberAt(result, 'request_goodput') ?? numberAt(result, MISSPELT_GOODPUT),
    inputTokensPerS: null,
    outputTokensPerS: numberAt(result, 'output_throughput'),
    totalTokensPerS: numberAt(result, 'total_token_throughput'),
    ...latencyStats(result),
  };
}
