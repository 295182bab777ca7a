import path from 'node:path';
import { type Client, flagWords } from './client.ts';
import { foreignReading, readForeign } from './foreign-reading.ts';
import { findProgram } from './installed.ts';

const RESULT = 'result.json';

/** vLLM's benchmark: what it takes for a chunk is anything with choices, the role and the finish included. */
export const vllmClient: Client = {
  name: 'vllm',
  about: 'vllm bench serve',
  tool: 'vllm bench serve',
  meanings: {
    ttftMs: 'first-chunk',
    itlMs: 'chunk-gap-and-finish',
    tpotMs: 'per-later-token',
    e2eMs: 'last-output',
  },
  find: () => findProgram('vllm', 'BENCH_VLLM', 'pip install vllm'),
  args: ({ url, of, dir, tokenizer }) => {
    const values = {
      backend: 'openai-chat',
      endpoint: '/v1/chat/completions',
      'base-url': url,
      model: 'mock',
      tokenizer,
      'dataset-name': 'random',
      'random-input-len': of.isl,
      'random-output-len': of.osl,
      'num-prompts': of.requests,
      'max-concurrency': of.concurrency,
      'percentile-metrics': 'ttft,tpot,itl,e2el',
      'metric-percentiles': '50,99',
      'result-dir': dir,
      'result-filename': RESULT,
    };
    return ['bench', 'serve', '--ignore-eos', '--save-result', '--disable-tqdm', ...flagWords(values)];
  },
  read: ({ dir, of }) => foreignReading(readForeign(path.join(dir, RESULT)).point, of.requests),
};
