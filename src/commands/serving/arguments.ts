import type { SlosMs } from '../../core/slo.ts';
import type { Layout } from '../../exporters/sglang/layouts.ts';
import { inRange, whole } from '../number-checks.ts';
import {
  checkBody,
  checkHeaders,
  checkRate,
  checkServer,
  checkTemperature,
  checkTopP,
  refuseFlags,
  refuseValue,
} from './checks.ts';
import { idleDatasetFlags, parseSharedPrefix, type SharedPrefixArgs } from './dataset.ts';
import { FLAGS, TAKEN_FLAGS, type TakenValues } from './flags.ts';
import { parseServingWords } from './words.ts';

export { servingFlagNames } from './flags.ts';
export { servingHelp } from './help.ts';

/** What `bench serving` was asked for, checked. null where a flag was not given and has no default. */
export interface ServingArgs {
  readonly backend: TakenValues['backend'];
  readonly baseUrl: string | null;
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
  /** Seconds, 0 for no wait. */
  readonly readyCheckTimeoutS: number;
  readonly model: string | null;
  readonly servedModelName: string | null;
  /** `K=V` as given; K is a header's name. Holds secrets. */
  readonly headers: readonly string[];
  readonly datasetName: TakenValues['dataset-name'];
  readonly datasetPath: string | null;
  readonly tokenizer: string | null;
  readonly numPrompts: number;
  readonly sharegptOutputLen: number | null;
  readonly sharegptContextLen: number | null;
  readonly promptSuffix: string;
  readonly sharedPrefix: SharedPrefixArgs;
  readonly randomInputLen: number;
  readonly randomOutputLen: number;
  /** 0 to 1. */
  readonly randomRangeRatio: number;
  /** 0 to 2³² − 1, as numpy takes it. */
  readonly seed: number;
  /** Requests per second above 0; Infinity sends at once. */
  readonly requestRate: number;
  /** null for no limit. */
  readonly maxConcurrency: number | null;
  readonly warmupRequests: number;
  readonly flushCache: boolean;
  readonly flushCacheTimeoutS: number;
  readonly disableIgnoreEos: boolean;
  /** JSON text of an object. */
  readonly extraRequestBody: string | null;
  /** null when not given: the server's own, or what the mode sends. */
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly outputFile: string | null;
  readonly outputDetails: boolean;
  /** Limits in ms, in the order they were given. */
  readonly goodput: SlosMs | null;
  readonly cacheReport: boolean;
  readonly plotThroughput: boolean;
  readonly printRequests: boolean;
  readonly disableTqdm: boolean;
  readonly tag: string | null;
  readonly layout: Layout;
  readonly bugCompatible: boolean;
  readonly out: string | null;
  readonly exports: readonly string[];
  readonly gpus: number | null;
  readonly salt: string | null;
  /** Names of the flags on the command line, without dashes, whatever their value. */
  readonly given: ReadonlySet<string>;
  /** A line for each flag that was given and does nothing. */
  readonly notes: readonly string[];
}

/** The default of releases that wrote a layout before 2026-06. */
const OLDER_SEED = 1;
/** Port of each chat backend of sglang. */
const CHAT_PORT = 30_000;
const MOST_TOKENS = 10_000_000;
const MOST_SEED = 2 ** 32 - 1;

/**
 * The flags of sglang.bench_serving, read with argparse's manners, and ours. Exit 2, in one line that names the flag,
 * on unknown flags, on flags and choices that bench refuses, and on values out of range.
 */
export function parseServing(argv: readonly string[]): ServingArgs {
  const words = parseServingWords(argv);
  refuseFlags(words);
  const v = Object.fromEntries(
    TAKEN_FLAGS.map(({ name, default: value }) => [name, words.get(name) ?? value]),
  ) as TakenValues;
  for (const flag of TAKEN_FLAGS) refuseValue(flag, words);
  const bugCompatible = v['bug-compatible'];
  const layout = v.layout ?? (bugCompatible ? '2026-01' : '2026-06');
  const port = inRange(v.port ?? CHAT_PORT, 1, 65_535, '--port');
  checkServer(v['base-url'], v.host, port);
  checkHeaders(v.header ?? []);
  checkBody(v['extra-request-body']);
  const args = {
    backend: v.backend,
    baseUrl: v['base-url'] || null,
    host: v.host,
    port,
    readyCheckTimeoutS: whole(v['ready-check-timeout-sec'], 0, '--ready-check-timeout-sec'),
    model: v.model,
    servedModelName: v['served-model-name'] || null,
    headers: v.header ?? [],
    datasetName: v['dataset-name'],
    datasetPath: v['dataset-path'] || null,
    tokenizer: v.tokenizer,
    numPrompts: whole(v['num-prompts'], 1, '--num-prompts'),
    sharegptOutputLen:
      v['sharegpt-output-len'] === null ? null : whole(v['sharegpt-output-len'], 4, '--sharegpt-output-len'),
    sharegptContextLen:
      v['sharegpt-context-len'] === null
        ? null
        : whole(v['sharegpt-context-len'], 8, '--sharegpt-context-len'),
    promptSuffix: v['prompt-suffix'],
    sharedPrefix: parseSharedPrefix(v),
    randomInputLen: inRange(v['random-input-len'], 1, MOST_TOKENS, '--random-input-len'),
    randomOutputLen: inRange(v['random-output-len'], 1, MOST_TOKENS, '--random-output-len'),
    randomRangeRatio: inRange(v['random-range-ratio'], 0, 1, '--random-range-ratio'),
    seed: inRange(words.has('seed') || layout === '2026-06' ? v.seed : OLDER_SEED, 0, MOST_SEED, '--seed'),
    requestRate: checkRate(v['request-rate']),
    maxConcurrency: whole(v['max-concurrency'] ?? 0, 0, '--max-concurrency') || null,
    warmupRequests: whole(v['warmup-requests'], 0, '--warmup-requests'),
    flushCache: v['flush-cache'],
    flushCacheTimeoutS: v['flush-cache-timeout'],
    disableIgnoreEos: v['disable-ignore-eos'],
    extraRequestBody: v['extra-request-body'] || null,
    temperature: words.has('temperature') ? checkTemperature(v.temperature) : null,
    topP: words.has('top-p') ? checkTopP(v['top-p']) : null,
    outputFile: v['output-file'] || null,
    outputDetails: v['output-details'],
    goodput: v.goodput === null ? null : Object.fromEntries(v.goodput),
    cacheReport: v['cache-report'],
    plotThroughput: v['plot-throughput'],
    printRequests: v['print-requests'],
    disableTqdm: v['disable-tqdm'],
    tag: v.tag,
    layout,
    bugCompatible,
    out: v.out,
    exports: v.export,
    gpus: v.gpus === null ? null : whole(v.gpus, 1, '--gpus'),
    salt: v.salt,
    given: new Set(words.keys()),
  };
  return { ...args, notes: servingNotes(args) };
}

/** What was given and does nothing, a line each. */
function servingNotes(args: Omit<ServingArgs, 'notes'>): string[] {
  const { given, bugCompatible, datasetName, layout } = args;
  const idle: (readonly [name: string, why: string])[] = FLAGS.filter(
    ({ standing }) => standing === 'noted',
  ).map(({ name, about }) => [name, about]);
  idle.push(...idleDatasetFlags(given, datasetName));
  const isRandom = datasetName === 'random' || datasetName === 'random-ids';
  if (datasetName === 'generated-shared-prefix')
    idle.push(
      ['num-prompts', '--gsp-num-groups × --gsp-prompts-per-group requests are sent'],
      ['dataset-path', 'the prompts are made here'],
    );
  if (!isRandom)
    for (const name of ['random-input-len', 'random-output-len', 'random-range-ratio'])
      idle.push([name, `${datasetName} prompts have lengths of their own`]);
  if (!bugCompatible && isRandom)
    idle.push(['dataset-path', 'prompts are made here, and the file is not read']);
  if (bugCompatible) {
    if (datasetName === 'random-ids') idle.push(['dataset-path', 'random-ids reads no file']);
    idle.push(['temperature', 'sglang leaves it out in chat'], ['top-p', 'sglang leaves it out in chat']);
    idle.push(['salt', "sglang's prompts have none"]);
    if (layout === '2025-08')
      idle.push(['disable-ignore-eos', 'sglang of 2025-08 sends no ignore_eos in chat']);
  }
  const notes = idle
    .filter(([name]) => given.has(name))
    .map(([name, why]) => `--${name} has no effect here: ${why}`);
  if (!bugCompatible && datasetName === 'random-ids')
    notes.push(
      '--dataset-name random-ids: prompts are random words, as with random; --bug-compatible draws ids',
    );
  return notes;
}
