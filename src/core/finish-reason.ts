/** What a finish reason says of its response: as long as it was to be, given up by the server, cut by a filter, or a name not known here. */
export type Finish = 'complete' | 'aborted' | 'filtered' | 'unknown';

/** Ends of an output by the model's choice or by its limit, as OpenAI, vLLM, SGLang, TensorRT-LLM, Dynamo, TGI, Mistral, Anthropic, Cohere and Gemini name them. */
const COMPLETE: ReadonlySet<string> = new Set([
  'stop',
  'length',
  'tool_calls',
  'tool_call',
  'tool_use',
  'function_call',
  'eos',
  'eos_token',
  'end_of_sequence',
  'stop_sequence',
  'stop_token',
  'end_turn',
  'max_tokens',
  'max_output_tokens',
  'max_new_tokens',
  'max_length',
  'model_length',
  'complete',
  'completed',
  'end',
  'finished',
  'done',
]);

/** Of vLLM `abort`, `error`; TensorRT-LLM `cancelled`, `timeout`; Dynamo `error: …`; DeepSeek `insufficient_system_resource`; GLM `network_error`; Cohere `USER_CANCEL`. */
const ABORTED_WORDS: ReadonlySet<string> = new Set([
  'abort',
  'aborted',
  'error',
  'errored',
  'exception',
  'cancel',
  'canceled',
  'cancelled',
  'cancellation',
  'timeout',
  'timed',
  'deadline',
  'expired',
  'fail',
  'failed',
  'failure',
  'crashed',
  'reject',
  'rejected',
  'kill',
  'killed',
  'shutdown',
  'disconnect',
  'disconnected',
  'interrupted',
  'preempted',
  'evicted',
  'dropped',
  'unavailable',
  'overloaded',
  'exhausted',
  'insufficient',
  'oom',
  'dead',
  'died',
  'lost',
  'rate',
  'quota',
  'capacity',
  'kv',
]);

/** Of OpenAI `content_filter`; Gemini `SAFETY`, `RECITATION`; GLM `sensitive`; Bedrock `guardrail_intervened`; Cohere `ERROR_TOXIC`; Anthropic `refusal`. */
const FILTERED_WORDS: ReadonlySet<string> = new Set([
  'filter',
  'filtered',
  'safety',
  'sensitive',
  'recitation',
  'prohibited',
  'blocked',
  'blocklist',
  'blacklist',
  'spii',
  'guardrail',
  'toxic',
  'refusal',
  'moderation',
  'moderated',
  'flagged',
]);

/** Reads a finish reason in any spelling (`content-filter`, `USER_CANCEL`, `FinishError`); what stands behind a colon is its message. */
export function finishOf(reason: string): Finish {
  if (COMPLETE.has(reason)) return 'complete';
  const words = reason
    .split(':', 1)[0]!
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter((word) => word !== '');
  if (COMPLETE.has(words.join('_'))) return 'complete';
  if (words.some((word) => FILTERED_WORDS.has(word))) return 'filtered';
  return words.some((word) => ABORTED_WORDS.has(word)) ? 'aborted' : 'unknown';
}
