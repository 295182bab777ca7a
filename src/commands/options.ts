import type { InferredOptionTypes, Options } from 'yargs';
import { ARRIVALS } from '../arrivals/index.ts';
import { HEADLINE_METRICS } from '../core/audit-facts.ts';
import { TRACE_UNITS } from '../core/trace.ts';
import { DATASET_OPTIONS } from './dataset-options.ts';
import { EXPORT_OPTIONS } from './exports.ts';
import { DEFAULT_LEVELS } from './levels.ts';
import { describe, names, TARGET, type TargetArgs } from './target-options.ts';

const PROMPTS = 'Prompts:';
const LOAD = 'Load:';
const OUTPUT = 'Output and verdict:';
const STACK = 'Stack under test:';

/** What is asked. */
export const PROMPT_OPTIONS = {
  isl: {
    group: PROMPTS,
    type: 'number',
    describe: 'input length in tokens; needed unless --shape or the dataset says it',
  },
  osl: { group: PROMPTS, type: 'number', describe: 'output length in tokens; needed as --isl is' },
  shape: {
    group: PROMPTS,
    type: 'string',
    describe: 'several shapes instead of --isl and --osl: 4000x1000,1000x1000',
  },
  ...DATASET_OPTIONS,
  tokenizer: {
    group: PROMPTS,
    type: 'string',
    describe:
      'folder or file with tokenizer.json, or hf:ORG/NAME [default: embedded, calibrated by the server]',
  },
  'isl-counts': {
    group: PROMPTS,
    choices: ['prompt', 'content'] as const,
    default: 'prompt',
    describe: "ISL is the server's prompt_tokens, or the bare text",
  },
  'range-ratio': {
    group: PROMPTS,
    type: 'number',
    default: 1,
    describe: 'each length uniform in [ratio·L, L]',
  },
  text: {
    group: PROMPTS,
    choices: ['words', 'corpus'] as const,
    default: 'words',
    describe: 'random words, or natural text cut to length',
  },
  seed: { group: PROMPTS, type: 'number', default: 1, describe: 'seed of all random choices' },
  salt: {
    group: PROMPTS,
    type: 'string',
    describe: 'goes into the first tokens of each prompt [default: new for each run]',
  },
} as const satisfies Record<string, Options>;

/** How it is asked. */
export const LOAD_OPTIONS = {
  requests: { group: LOAD, type: 'number', describe: 'requests of each point, whatever its concurrency' },
  duration: {
    group: LOAD,
    type: 'string',
    describe:
      'send for so long at each point, as in 90s or 5m, instead of a number of requests [default: with --rate 60s]',
  },
  warmup: {
    group: LOAD,
    type: 'number',
    describe:
      'unmeasured requests before each point [default: min(C, 32) or a second of --rate, short outputs]',
  },
  arrival: {
    group: LOAD,
    choices: names(ARRIVALS),
    describe: `${describe(ARRIVALS)} [default: closed, with --rate poisson]`,
  },
  rate: {
    group: LOAD,
    type: 'string',
    describe: 'open loop: mean requests per second, or several: 0.5,1,2 or 1..16x2',
  },
  'max-in-flight': {
    group: LOAD,
    type: 'number',
    describe: 'open loop: what is due beyond so many waits, and that is told [default: 4096]',
  },
  burstiness: {
    group: LOAD,
    type: 'number',
    describe: 'gamma: 1 is Poisson, less comes in bursts, more is more even [default: 1]',
  },
  'rate-from': { group: LOAD, type: 'number', describe: 'ramp: the rate it begins with [default: 0]' },
  slowdown: {
    group: LOAD,
    type: 'number',
    describe: 'trace: its timestamps so many times as far apart [default: 1]',
  },
  'trace-unit': {
    group: LOAD,
    choices: TRACE_UNITS,
    describe: 'trace: unit of its timestamps [default: ms]',
  },
  'hold-load': {
    group: LOAD,
    type: 'boolean',
    default: false,
    describe: 'keep slots full with unmeasured requests until the last measured one ends',
  },
  grace: {
    group: LOAD,
    type: 'string',
    default: '30s',
    describe: 'after Ctrl-C, time for requests in flight to end',
  },
  mock: {
    group: TARGET,
    type: 'boolean',
    default: false,
    describe: 'start the embedded mock server and measure that',
  },
  'mock-flags': {
    group: TARGET,
    type: 'string',
    default: '',
    describe: 'flags for the mock server, in one string (see bench mock --help)',
  },
} as const satisfies Record<string, Options>;

/** Where the load is sent from. */
export const SPREAD_OPTIONS = {
  'load-nodes': {
    group: LOAD,
    type: 'number',
    describe: 'send each level from load generators on so many nodes of the SLURM job',
  },
  workers: {
    group: LOAD,
    type: 'string',
    describe:
      'processes that share each level, each with its own sockets and core: N or auto (on each of --load-nodes)',
  },
  'load-tasks': {
    group: LOAD,
    type: 'number',
    describe:
      'load generators that share each level [default: one per node; without --load-nodes on this host]',
  },
  'load-job': { type: 'string', hidden: true, describe: 'SLURM job of --load-nodes [default: SLURM_JOB_ID]' },
  'load-nodelist': { type: 'string', hidden: true, describe: 'nodes of --load-nodes, between commas' },
} as const satisfies Record<string, Options>;

/** What one gets. */
export const OUTPUT_OPTIONS = {
  out: { group: OUTPUT, type: 'string', describe: 'folder for the results [default: results/<UTC>-<name>/]' },
  name: { group: OUTPUT, type: 'string', describe: 'name of the run' },
  tag: {
    group: OUTPUT,
    type: 'array',
    string: true,
    default: [] as string[],
    describe: 'key=value kept with the results (repeatable)',
  },
  export: { ...EXPORT_OPTIONS.export, group: OUTPUT },
  'export-dir': { ...EXPORT_OPTIONS['export-dir'], group: OUTPUT },
  slo: {
    group: OUTPUT,
    type: 'string',
    describe: 'limits of latencies, as in ttft=2s,tpot=50ms,e2e=30s: tells how many requests met them all',
  },
  gpus: { group: OUTPUT, type: 'number', describe: 'GPUs of the stack under test, for per-GPU rates' },
  quiet: { group: OUTPUT, type: 'boolean', default: false, describe: 'no progress, no table' },
  json: {
    group: OUTPUT,
    type: 'boolean',
    default: false,
    describe: 'print report.json on stdout instead of the table',
  },
  'server-metrics': {
    group: OUTPUT,
    type: 'array',
    string: true,
    default: [] as string[],
    describe:
      "where the server tells Prometheus its metrics, looked at once a second (repeatable; off: nowhere) [default: the target's own, and those of the stack]",
  },
  'require-exact': {
    group: OUTPUT,
    type: 'boolean',
    default: false,
    describe: 'exit 1 when a proven length differs from what was asked',
  },
  'require-valid': {
    group: OUTPUT,
    describe: `exit 5 when a metric is not valid: all of ${HEADLINE_METRICS.join(', ')}, or =METRICS for some`,
  },
  'max-failure-ratio': {
    group: OUTPUT,
    type: 'number',
    default: 0,
    describe: 'exit 1 when more than this share of requests failed',
  },
  'dry-run': {
    group: OUTPUT,
    type: 'boolean',
    default: false,
    describe: 'show the plan and a sample request; send nothing',
  },
} as const satisfies Record<string, Options>;

/** The stack under test, where bench launches it or has launched it. */
export const STACK_OPTIONS = {
  stack: {
    group: STACK,
    type: 'string',
    describe: 'stack file: launch it, wait until it is ready, measure it, tear it down',
  },
  'stack-run': {
    group: STACK,
    type: 'string',
    describe: 'folder of a stack that is up (bench stack up --detach), to measure that',
  },
  keep: {
    group: STACK,
    type: 'boolean',
    default: false,
    describe: 'leave the stack of --stack up afterwards',
  },
  preflight: {
    group: STACK,
    type: 'boolean',
    default: true,
    describe: 'look at the nodes before anything is started on them',
  },
  'load-on': {
    group: STACK,
    type: 'string',
    default: 'login',
    describe: 'where the load is sent from: login (this host), head, or a node of the job',
  },
} as const satisfies Record<string, Options>;

/** What only a sweep of several levels has. */
export const SWEEP_OPTIONS = {
  concurrency: {
    group: LOAD,
    type: 'string',
    describe: `levels: 1,2,4,8 or 1..128x2 [default: ${DEFAULT_LEVELS}]`,
  },
  'requests-per-concurrency': {
    group: LOAD,
    type: 'number',
    default: 4,
    describe: 'requests of each point, per slot',
  },
  repeats: {
    group: LOAD,
    type: 'number',
    default: 1,
    describe: 'sweep so many times, each into a folder of its own, to tell changes from chance',
  },
  skip: { group: LOAD, type: 'number', default: 0, describe: 'leave out the first N points' },
  pause: { group: LOAD, type: 'string', default: '5s', describe: 'rest between points' },
  resume: { group: OUTPUT, type: 'string', describe: 'go on with an incomplete run in this folder' },
} as const satisfies Record<string, Options>;

/** What only a run of one point has. */
export const RUN_OPTIONS = {
  concurrency: { group: LOAD, type: 'string', describe: 'requests in flight [default: 1]' },
} as const satisfies Record<string, Options>;

export type MeasureArgs = TargetArgs &
  InferredOptionTypes<typeof PROMPT_OPTIONS> &
  InferredOptionTypes<typeof LOAD_OPTIONS> &
  InferredOptionTypes<typeof SPREAD_OPTIONS> &
  InferredOptionTypes<typeof OUTPUT_OPTIONS> &
  InferredOptionTypes<typeof STACK_OPTIONS> &
  Omit<InferredOptionTypes<typeof SWEEP_OPTIONS>, 'requests-per-concurrency'> & {
    'requests-per-concurrency': number;
  };
