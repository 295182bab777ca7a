import { aiperfClient } from './aiperf.ts';
import { benchClient } from './bench-client.ts';
import type { Client } from './client.ts';
import { guidellmClient } from './guidellm.ts';
import { sglangClient, sglangRustClient } from './sglang.ts';
import { vllmClient } from './vllm.ts';

/** All clients that can be scored. */
export const CLIENTS: readonly Client[] = [
  benchClient,
  sglangClient,
  sglangRustClient,
  aiperfClient,
  guidellmClient,
  vllmClient,
];
