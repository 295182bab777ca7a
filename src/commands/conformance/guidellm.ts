import path from 'node:path';
import { type Client, flagWords } from './client.ts';
import { foreignReading, readForeign } from './foreign-reading.ts';
import { findProgram } from './installed.ts';

const RESULT = 'benchmarks.json';

/** guidellm: what it calls inter-token latency is a mean per request, and its TPOT has the first token in it. */
export const guidellmClient: Client = {
  name: 'guidellm',
  about: 'guidellm run (0.8 and later)',
  tool: 'guidellm',
  meanings: {
    ttftMs: 'first-output',
    itlMs: 'per-later-token',
    tpotMs: 'per-token',
    e2eMs: 'last-output',
  },
  find: () => findProgram('guidellm', 'BENCH_GUIDELLM', 'pip install guidellm'),
  args: ({ url, of, dir, tokenizer }) => {
    const values = {
      backend: `kind=openai_http,target=${url},model=mock`,
      profile: `kind=concurrent,streams=${of.concurrency}`,
      constraint: `kind=max_requests,count=${of.requests}`,
      tokenizer: `kind=huggingface_auto,model=${tokenizer}`,
      data: `kind=synthetic_text,prompt_tokens=${of.isl},output_tokens=${of.osl}`,
      output: `kind=json,path=${path.join(dir, RESULT)}`,
    };
    return ['run', '--disable-console', ...flagWords(values)];
  },
  read: ({ dir, of }) => foreignReading(readForeign(path.join(dir, RESULT)).point, of.requests),
};
