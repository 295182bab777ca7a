import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { usageError } from '../../core/errors.ts';
import type { PromptSpec, RunSpec } from '../../core/spec.ts';
import { EMBEDDED_TOKENIZER } from '../../datasets/tokenizer-source.ts';
import { sglangChatName } from '../../endpoints/sglang-chat.ts';
import {
  keyOf,
  newSalt,
  parseAccess,
  parseExtraBody,
  parseTimeouts,
  type TargetAccess,
} from '../arguments.ts';
import type { TargetHints } from '../target-hints.ts';
import { TARGET_OPTIONS, type TargetArgs } from '../target-options.ts';
import type { ServingArgs } from './arguments.ts';
import { servingDataset } from './dataset.ts';

/** Variable that names a tokenizer for scripts that give none. */
export const TOKENIZER_VARIABLE = 'BENCH_TOKENIZER';

const HINTS: TargetHints = {
  noServer: 'start it, or name it with --base-url, or --host and --port',
  unlistedModel:
    'name a listed one with --model or --served-model-name, or wait longer for it with --ready-check-timeout-sec',
  key: 'OPENAI_API_KEY, or --header Authorization=...',
  url: '--base-url',
  authority: 'trust the authority that signed it: NODE_EXTRA_CA_CERTS=FILE',
  route: (example) => `give the whole route with --base-url (${example})`,
  omit: (field) => `--extra-request-body '{"${field}": null}'`,
  body: '--extra-request-body, or leave out its own flag',
};

/** Our defaults of what sglang.bench_serving has no flag for: the same time limits, no quirks told. */
function targetArgs(args: ServingArgs): TargetArgs {
  const rawKey = rawKeyOf();
  return {
    url: [args.baseUrl ?? `http://${args.host.includes(':') ? `[${args.host}]` : args.host}:${args.port}`],
    path: undefined,
    query: [],
    model: args.servedModelName ?? args.model ?? undefined,
    server: 'auto',
    endpoint: args.bugCompatible ? sglangChatName(args.layout) : TARGET_OPTIONS.endpoint.default,
    'api-key': undefined,
    header: [...(rawKey ? [`Authorization: ${rawKey}`] : []), ...args.headers],
    'extra-body': args.extraRequestBody ?? undefined,
    omit: [],
    cacert: undefined,
    cert: undefined,
    key: undefined,
    wire: 'auto',
    'connection-per-request': args.bugCompatible,
    'timeout-connect': '30s',
    'timeout-first': TARGET_OPTIONS['timeout-first'].default,
    'timeout-idle': TARGET_OPTIONS['timeout-idle'].default,
    'timeout-total': TARGET_OPTIONS['timeout-total'].default,
  };
}

/** How to reach the server that the flags name. Credentials as sglang takes them: OPENAI_API_KEY, or API_KEY as it is. */
export function servingAccess(args: ServingArgs): TargetAccess {
  const access = parseAccess(targetArgs(args));
  const byVariable =
    rawKeyOf() !== undefined && !args.headers.some((header) => /^authorization=/i.test(header));
  return { ...access, ...(byVariable ? { keyFrom: 'API_KEY' } : {}), hints: HINTS };
}

/** The key of API_KEY, which is the whole header, where OPENAI_API_KEY has none. */
function rawKeyOf(): string | undefined {
  return keyOf('OPENAI_API_KEY') === undefined ? keyOf('API_KEY') : undefined;
}

/** The run that the flags ask for: one point. `model` is the served name, null when the server shall tell. Exit 2 on bad values. */
export function servingSpec(args: ServingArgs, access: TargetAccess, model: string | null): RunSpec {
  const target = targetArgs(args);
  const paced = Number.isFinite(args.requestRate);
  if (paced && args.bugCompatible && args.datasetName === 'random-ids') {
    throw usageError(
      `--request-rate: ${args.requestRate} with --dataset-name random-ids draws its gaps behind the vocabulary's offsets, which bench does not follow`,
      'use --dataset-name random, or --request-rate inf',
    );
  }
  const { dataset, shape, requests, prompts } = servingDataset(args);
  return {
    schema: 1,
    name: 'serving',
    urls: access.targets.map(({ url }) => url),
    model,
    endpoint: target.endpoint,
    server: target.server,
    arrival: !paced ? 'closed' : args.bugCompatible ? 'sglang-poisson' : 'poisson',
    dataset,
    points: [
      {
        index: 0,
        ...(paced ? { ratePerS: args.requestRate } : {}),
        concurrency: args.maxConcurrency ?? requests,
        ...shape,
        requests,
        durationMs: null,
        warmup: args.warmupRequests,
      },
    ],
    skip: 0,
    pauseMs: 0,
    graceMs: 30_000,
    holdLoad: false,
    wire: 'auto',
    connectionPerRequest: target['connection-per-request'],
    timeouts: parseTimeouts(target),
    prompts: { ...promptSpec(args), ...prompts },
    naturalEnd: args.disableIgnoreEos,
    serverMetrics: [],
    extraBody: { ...sampling(args), ...parseExtraBody(args.extraRequestBody ?? undefined) },
    headerNames: access.headers.map(([name]) => name),
    gpus: args.gpus,
    ...(args.goodput === null ? {} : { slosMs: args.goodput }),
    tags: args.tag === null ? {} : { tag: args.tag },
    requireExact: false,
    requireValid: false,
    // sglang ends with 0 whatever failed.
    maxFailureRatio: args.bugCompatible ? 1 : 0,
  };
}

function promptSpec(args: ServingArgs): PromptSpec {
  const common = {
    tokenizer: chooseTokenizer(args),
    islCounts: 'content',
    rangeRatio: args.datasetName.startsWith('random') ? args.randomRangeRatio : 1,
    text: 'words',
    seed: args.seed,
    salt: args.salt ?? newSalt(),
  } as const;
  if (!args.bugCompatible) return common;
  return {
    ...common,
    sglang: {
      path: args.datasetName === 'random' ? shareGptPath(args) : null,
      count: args.numPrompts,
      leastOsl: args.layout === '2026-06' ? 1 : 0,
      lessSpecialTokens: args.layout === '2026-06',
    },
  };
}

/** `--tokenizer`, else `--model` where it is a path that holds one, else BENCH_TOKENIZER, else the embedded one. */
export function chooseTokenizer(args: ServingArgs): string {
  if (args.tokenizer !== null) return existing(args.tokenizer, '--tokenizer');
  if (args.model !== null && holdsTokenizer(args.model)) return args.model;
  const named = process.env[TOKENIZER_VARIABLE];
  return named ? existing(named, TOKENIZER_VARIABLE) : EMBEDDED_TOKENIZER;
}

/** The choice, when it is no path or one that is there. Exit 2 otherwise, before a server is waited for. */
function existing(choice: string, source: string): string {
  if (choice === EMBEDDED_TOKENIZER || choice.startsWith('hf:') || existsSync(choice)) return choice;
  throw usageError(
    `${source}: there is no ${choice}`,
    'name a folder or file with tokenizer.json, or hf:ORG/NAME to take one from the hub',
  );
}

function holdsTokenizer(place: string): boolean {
  const found = statSync(place, { throwIfNoEntry: false });
  if (found === undefined) return false;
  return found.isDirectory() ? existsSync(path.join(place, 'tokenizer.json')) : place.endsWith('.json');
}

function shareGptPath(args: ServingArgs): string {
  if (args.datasetPath !== null && statSync(args.datasetPath, { throwIfNoEntry: false })?.isFile())
    return args.datasetPath;
  throw usageError(
    args.datasetPath === null
      ? '--dataset-path: --bug-compatible makes its random prompts from a ShareGPT file, and none is named'
      : `--dataset-path: there is no file ${args.datasetPath}`,
    'name a local ShareGPT JSON (sglang would download ShareGPT_V3_unfiltered_cleaned_split.json; bench downloads nothing)',
  );
}

/** Sampling for chat: sglang leaves `--temperature` and `--top-p` out there, and its `ignore_eos` stays when asked for false. */
function sampling(args: ServingArgs): Record<string, unknown> {
  if (args.bugCompatible)
    return args.disableIgnoreEos && args.layout !== '2025-08' ? { ignore_eos: false } : {};
  return {
    ...(args.temperature === null ? {} : { temperature: args.temperature }),
    ...(args.topP === null ? {} : { top_p: args.topP }),
  };
}
