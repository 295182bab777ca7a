import type { ForeignPoint } from '../core/foreign.ts';
import { listAt, numberAt, objectAt, rateAt, textAt } from './fields.ts';
import type { ImportKind } from './import-kind.ts';
import type { JsonObject } from './json-objects.ts';
import { latencyStats } from './latency-keys.ts';

/** The share by which the re-tokenised count may differ from one that was really counted. */
const RETOKENIZED_RATIO = 0.05;

/** Lines of `sglang.bench_serving`, of any of its versions. */
export const sglangImport: ImportKind = {
  name: 'sglang.bench_serving',
  about: 'the JSON lines of sglang.bench_serving',
  lookalike: {
    tool: 'bench serving',
    means:
      'Lines of bench serving have the same keys and cannot be told from these: without --bug-compatible their numbers have the definitions of bench, which stand in the report.json of the run.',
  },
  definitions: {
    good: '`completed`: HTTP status 200 and a body that could be read to its end, even one without a token or with an error in the stream.',
    failed: 'Requests sent less `completed`; the file tells how many were sent only with --output-details.',
    ttftMs:
      'Send to the first chunk with text, taken after it was parsed, in ms; reasoning text counts in versions of 2026 alone, and a request that showed no text counts as 0.',
    itlMs:
      'Gap between two chunks with text, pooled over all requests, in ms; where the server told a speculative accept length, versions since late 2025 share a gap among its tokens.',
    tpotMs:
      '(E2E − TTFT) ÷ (output tokens − 1), one value per request of two tokens or more, in ms; 0 when there was no such request.',
    e2eMs: 'Send to the last line of the stream, usage and [DONE] included, in ms.',
    requestsPerS:
      '`completed` ÷ duration, which runs from before the first request to after the answer of /server_info.',
    inputTokensPerS:
      'Input tokens as the data set has them, the chat template left out and not as the server counted, ÷ duration.',
    outputTokensPerS:
      'Output tokens ÷ duration: as the server counted or, where it sent no usage, as many as were ASKED for.',
    totalTokensPerS: 'Input and output tokens, as above, ÷ duration.',
    std: "The population's standard deviation (ddof 0).",
  },
  owns: (result) =>
    numberAt(result, 'completed') !== null &&
    ('total_output_tokens_retokenized' in result || 'random_input_len' in result),
  point,
  notes: (results) => [
    ...(results.some((result) => sentOf(result) === null)
      ? ['failed requests are not in the file: no failure can be told from it']
      : []),
    'where sglang wrote them, output tokens are the asked length wherever the server sent no usage',
    ...results.flatMap((result) => suspicion(result) ?? []),
  ],
};

function point(result: JsonObject): ForeignPoint {
  const random = (textAt(result, 'dataset_name') ?? '').startsWith('random');
  const good = numberAt(result, 'completed') ?? 0;
  const sent = sentOf(result);
  return {
    concurrency: numberAt(result, 'max_concurrency'),
    requestRate: rateAt(result, 'request_rate'),
    model: textAt(objectAt(result, 'server_info'), 'model_path'),
    isl: random ? numberAt(result, 'random_input_len') : null,
    osl: random ? numberAt(result, 'random_output_len') : numberAt(result, 'sharegpt_output_len'),
    sent,
    good,
    failed: sent === null ? null : sent - good,
    durationS: numberAt(result, 'duration'),
    inputTokens: numberAt(result, 'total_input_tokens'),
    outputTokens: numberAt(result, 'total_output_tokens'),
    requestsPerS: numberAt(result, 'request_throughput'),
    goodputPerS: numberAt(result, 'request_goodput'),
    inputTokensPerS: numberAt(result, 'input_throughput'),
    outputTokensPerS: numberAt(result, 'output_throughput'),
    totalTokensPerS: numberAt(result, 'total_throughput'),
    ...latencyStats(result),
  };
}

/** Its lists of single requests hold failed ones too. */
function sentOf(result: JsonObject): number | null {
  const lengths = listAt(result, 'output_lens');
  return lengths.length === 0 ? null : lengths.length;
}

/** Says when the output tokens look asked for rather than counted; null when they do not. */
function suspicion(result: JsonObject): string | null {
  const { good, osl, outputTokens, concurrency } = point(result);
  const retokenized = numberAt(result, 'total_output_tokens_retokenized');
  if (osl === null || outputTokens === null || retokenized === null) return null;
  if (outputTokens === 0 || outputTokens !== good * osl) return null;
  if (Math.abs(retokenized - outputTokens) <= RETOKENIZED_RATIO * outputTokens) return null;
  const where = concurrency === null ? '' : ` at concurrency ${concurrency}`;
  return `SUSPICIOUS${where}: the output tokens (${outputTokens}) are exactly requests × asked length, yet the texts hold ${retokenized}: they were probably never counted`;
}
