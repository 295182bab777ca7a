import type { WaterfallPart } from '../core/waterfall.ts';

/** What the parts of a TTFT are called. */
export const PART_WORDS: Readonly<Record<WaterfallPart, string>> = {
  connect: 'connect',
  preprocess: 'preprocess',
  queue: 'queue',
  prefill: 'prefill',
  prefillWorker: 'prefill worker',
  kvTransfer: 'KV transfer',
  firstDecode: 'first decode',
  engine: 'engine',
  serverOther: 'rest of the server',
  unexplained: 'unexplained',
};
