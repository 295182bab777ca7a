import path from 'node:path';
import { type Client, flagWords } from './client.ts';
import { foreignReading, readForeign } from './foreign-reading.ts';
import { findProgram } from './installed.ts';

/** AIPerf. What it calls inter-token latency is its TPOT here; its gaps are inter_chunk_latency. */
export const aiperfClient: Client = {
  name: 'aiperf',
  about: 'aiperf profile',
  tool: 'aiperf',
  meanings: {
    ttftMs: 'first-output',
    itlMs: 'chunk-gap',
    tpotMs: 'per-later-token',
    e2eMs: 'last-output',
  },
  find: () => findProgram('aiperf', 'BENCH_AIPERF', 'pip install aiperf'),
  args: ({ url, of, dir, tokenizer }) => {
    const values = {
      model: 'mock',
      url,
      'endpoint-type': 'chat',
      concurrency: of.concurrency,
      'request-count': of.requests,
      'synthetic-input-tokens-mean': of.isl,
      'synthetic-input-tokens-stddev': 0,
      'output-tokens-mean': of.osl,
      'output-tokens-stddev': 0,
      tokenizer,
      'artifact-dir': dir,
      ui: 'none',
    };
    return ['profile', '--streaming', '--use-server-token-count']
      .concat(flagWords(values))
      .concat('--extra-inputs', 'ignore_eos:true', '--extra-inputs', `min_tokens:${of.osl}`);
  },
  read: ({ dir, of }) =>
    foreignReading(readForeign(path.join(dir, 'profile_export_aiperf.json')).point, of.requests),
};
