import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Argv, InferredOptionTypes, Options } from 'yargs';
import { ARRIVALS } from '../arrivals/index.ts';
import { errorText, usageError } from '../core/errors.ts';
import type { Kind } from '../core/kind.ts';
import type { RunSpec, TimeoutSpec } from '../core/spec.ts';
import { parseDurationMs } from '../core/units.ts';
import { DATASETS } from '../datasets/index.ts';
import { ENDPOINTS } from '../endpoints/index.ts';
import { SERVERS } from '../endpoints/servers.ts';
import { parseTarget } from '../endpoints/target.ts';
import type { Target, TlsMaterial } from '../endpoints/wire.ts';
import { checkShape, DEFAULT_LEVELS, makePoints, parseLevels, parseShapes } from './levels.ts';

const names = (kinds: readonly Kind[]): string[] => kinds.map((kind) => kind.name);
const describe = (kinds: readonly Kind[]): string => kinds.map((kind) => `${kind.name}: ${kind.about}`).join('; ');

const TARGET = 'Target:';
const PROMPTS = 'Prompts:';
const LOAD = 'Load:';
const OUTPUT = 'Output and verdict:';

/** How to reach the server; shared by all verbs that talk to one. */
export const TARGET_OPTIONS = {
  url: { group: TARGET, type: 'array', string: true, default: ['http://localhost:8000'], describe: 'server (http, https or unix:/path); several are used in round robin' },
  model: { group: TARGET, type: 'string', describe: 'served model name [default: the only listed model]' },
  server: { group: TARGET, choices: ['auto', ...names(SERVERS)], default: 'auto', describe: "the server's quirks; auto probes for them" },
  endpoint: { group: TARGET, choices: names(ENDPOINTS), default: 'openai-chat', describe: `API shape (${describe(ENDPOINTS)})` },
  'api-key': { group: TARGET, type: 'string', describe: 'bearer token [default: OPENAI_API_KEY]' },
  header: { group: TARGET, type: 'array', string: true, default: [] as string[], describe: 'extra request header "Name: value" (repeatable)' },
  'extra-body': { group: TARGET, type: 'string', describe: 'JSON object merged over the request body' },
  cacert: { group: TARGET, type: 'string', describe: 'PEM file of a certificate authority to trust as well' },
  cert: { group: TARGET, type: 'string', describe: 'PEM file of the client certificate' },
  key: { group: TARGET, type: 'string', describe: "PEM file of the client certificate's key" },
  wire: { group: TARGET, choices: ['socket', 'undici'] as const, default: 'socket', describe: 'what carries measured streams; undici honours the proxy variables' },
  'connection-per-request': { group: TARGET, type: 'boolean', default: false, describe: 'open a connection for each request, inside its TTFT' },
  'timeout-connect': { group: TARGET, type: 'string', default: '10s', describe: 'longest time to open a connection' },
  'timeout-first': { group: TARGET, type: 'string', default: '30m', describe: 'longest wait for the first output' },
  'timeout-idle': { group: TARGET, type: 'string', default: '5m', describe: 'longest silence between events' },
  'timeout-total': { group: TARGET, type: 'string', default: '6h', describe: 'longest time for a whole request' },
} as const satisfies Record<string, Options>;

/** What is asked. */
export const PROMPT_OPTIONS = {
  isl: { group: PROMPTS, type: 'number', describe: 'input length in tokens' },
  osl: { group: PROMPTS, type: 'number', describe: 'output length in tokens' },
  shape: { group: PROMPTS, type: 'string', describe: 'several shapes instead of --isl and --osl: 4000x1000,1000x1000' },
  dataset: { group: PROMPTS, choices: names(DATASETS), default: 'random', describe: describe(DATASETS) },
  tokenizer: { group: PROMPTS, type: 'string', describe: 'folder or file with tokenizer.json, or hf:ORG/NAME [default: embedded, calibrated by the server]' },
  'isl-counts': { group: PROMPTS, choices: ['prompt', 'content'] as const, default: 'prompt', describe: "ISL is the server's prompt_tokens, or the bare text" },
  'range-ratio': { group: PROMPTS, type: 'number', default: 1, describe: 'each length uniform in [ratio·L, L]' },
  text: { group: PROMPTS, choices: ['words', 'corpus'] as const, default: 'words', describe: 'random words, or natural text cut to length' },
  seed: { group: PROMPTS, type: 'number', default: 1, describe: 'seed of all random choices' },
  salt: { group: PROMPTS, type: 'string', describe: 'goes into the first tokens of each prompt [default: new for each run]' },
} as const satisfies Record<string, Options>;

/** How it is asked. */
export const LOAD_OPTIONS = {
  requests: { group: LOAD, type: 'number', describe: 'requests of each point, whatever its concurrency' },
  duration: { group: LOAD, type: 'string', describe: 'send for this long at each point instead of a number of requests' },
  warmup: { group: LOAD, type: 'number', describe: 'unmeasured requests before each point [default: min(C, 32), short outputs]' },
  arrival: { group: LOAD, choices: names(ARRIVALS), default: 'closed', describe: describe(ARRIVALS) },
  'hold-load': { group: LOAD, type: 'boolean', default: false, describe: 'keep slots full with unmeasured requests until the last measured one ends' },
  grace: { group: LOAD, type: 'string', default: '30s', describe: 'after Ctrl-C, time for requests in flight to end' },
  mock: { group: TARGET, type: 'boolean', default: false, describe: 'start the embedded mock server and measure that' },
  'mock-flags': { group: TARGET, type: 'string', default: '', describe: 'flags for the mock server, in one string (see bench mock --help)' },
} as const satisfies Record<string, Options>;

/** What one gets. */
export const OUTPUT_OPTIONS = {
  out: { group: OUTPUT, type: 'string', describe: 'folder for the results [default: results/<UTC>-<name>/]' },
  name: { group: OUTPUT, type: 'string', describe: 'name of the run' },
  tag: { group: OUTPUT, type: 'array', string: true, default: [] as string[], describe: 'key=value kept with the results (repeatable)' },
  gpus: { group: OUTPUT, type: 'number', describe: 'GPUs of the stack under test, for per-GPU rates' },
  quiet: { group: OUTPUT, type: 'boolean', default: false, describe: 'no progress, no table' },
  json: { group: OUTPUT, type: 'boolean', default: false, describe: 'print report.json on stdout instead of the table' },
  'require-exact': { group: OUTPUT, type: 'boolean', default: false, describe: 'exit 1 when a proven length differs from what was asked' },
  'require-valid': { group: OUTPUT, type: 'boolean', default: false, describe: 'exit 5 when the harness was the bottleneck' },
  'max-failure-ratio': { group: OUTPUT, type: 'number', default: 0, describe: 'exit 1 when more than this share of requests failed' },
  'dry-run': { group: OUTPUT, type: 'boolean', default: false, describe: 'show the plan and a sample request; send nothing' },
} as const satisfies Record<string, Options>;

/** What only a sweep of several levels has. */
export const SWEEP_OPTIONS = {
  concurrency: { group: LOAD, type: 'string', default: DEFAULT_LEVELS, describe: 'levels: 1,2,4,8 or 1..128x2' },
  'requests-per-concurrency': { group: LOAD, type: 'number', default: 4, describe: 'requests of each point, per slot' },
  skip: { group: LOAD, type: 'number', default: 0, describe: 'leave out the first N points' },
  pause: { group: LOAD, type: 'string', default: '5s', describe: 'rest between points' },
  resume: { group: OUTPUT, type: 'string', describe: 'go on with an incomplete run in this folder' },
} as const satisfies Record<string, Options>;

/** What only a run of one point has. */
export const RUN_OPTIONS = {
  concurrency: { group: LOAD, type: 'string', default: '1', describe: 'requests in flight' },
} as const satisfies Record<string, Options>;

export type TargetArgs = InferredOptionTypes<typeof TARGET_OPTIONS>;
export type MeasureArgs = TargetArgs &
  InferredOptionTypes<typeof PROMPT_OPTIONS> &
  InferredOptionTypes<typeof LOAD_OPTIONS> &
  InferredOptionTypes<typeof OUTPUT_OPTIONS> &
  Omit<InferredOptionTypes<typeof SWEEP_OPTIONS>, 'requests-per-concurrency'> & { 'requests-per-concurrency': number };

/** Everything about a target that must not reach a file. */
export interface TargetAccess {
  readonly targets: readonly Target[];
  readonly headers: readonly (readonly [string, string])[];
  readonly tls: TlsMaterial | null;
}

/** Lets one table of options serve several commands. */
export function withOptions<T extends Record<string, Options>>(yargs: Argv, options: T): Argv<InferredOptionTypes<T>> {
  return yargs.options(options) as Argv<InferredOptionTypes<T>>;
}

export function parseAccess(args: TargetArgs): TargetAccess {
  const headers: (readonly [string, string])[] = [['Content-Type', 'application/json'], ['Accept', 'text/event-stream']];
  const apiKey = args['api-key'] ?? process.env['OPENAI_API_KEY'];
  if (apiKey) headers.push(['Authorization', `Bearer ${apiKey}`]);
  for (const header of args.header) {
    const match = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*[:=]\s*(.*)$/.exec(header);
    if (!match) throw usageError('--header: a header has no "Name: value" form', 'write --header "X-Team: serving"');
    if (/[\r\n]/.test(match[2]!)) throw usageError(`--header: the value of ${match[1]} has a line break`, 'give it on one line');
    headers.push([match[1]!, match[2]!]);
  }
  const read = (flag: 'cacert' | 'cert' | 'key'): Buffer | null => {
    const file = args[flag];
    if (file === undefined) return null;
    try {
      return readFileSync(file);
    } catch (error) {
      throw usageError(`--${flag}: cannot read ${file} (${errorText(error)})`, 'name a readable PEM file');
    }
  };
  const tls = { ca: read('cacert'), cert: read('cert'), key: read('key') };
  if ((tls.cert === null) !== (tls.key === null)) throw usageError('--cert and --key go together', 'give both or none');
  return {
    targets: args.url.map(parseTarget),
    headers,
    tls: tls.ca || tls.cert ? tls : null,
  };
}

/** argv into the one spec, checked; what it says is trusted from here on. Exit 2 on bad values. */
export function parseSpec(args: MeasureArgs, access: TargetAccess, verb: string): RunSpec {
  const shapes = args.shape !== undefined ? parseShapes(args.shape) : [checkShape(oneShape(args), '--isl/--osl')];
  if (args.requests !== undefined && args.duration !== undefined) throw usageError('--requests and --duration exclude each other', 'give one of them');
  const rangeRatio = inRange(args['range-ratio'], 0, 1, '--range-ratio');
  const points = makePoints({
    shapes,
    levels: parseLevels(String(args.concurrency)),
    requestsPerConcurrency: whole(args['requests-per-concurrency'], 1, '--requests-per-concurrency'),
    requests: args.requests === undefined ? null : whole(args.requests, 1, '--requests'),
    durationMs: args.duration === undefined ? null : positive(parseDurationMs(args.duration, '--duration'), '--duration'),
    warmup: args.warmup === undefined ? null : whole(args.warmup, 0, '--warmup'),
  });
  const skip = whole(args.skip, 0, '--skip');
  if (skip >= points.length) throw usageError(`--skip: ${skip} leaves none of ${points.length} points`, 'skip fewer');
  return {
    schema: 1,
    name: args.name ?? verb,
    urls: access.targets.map((target) => target.url),
    model: args.model ?? null,
    endpoint: args.endpoint,
    server: args.server,
    arrival: args.arrival,
    dataset: args.dataset,
    points,
    skip,
    pauseMs: parseDurationMs(args.pause, '--pause'),
    graceMs: parseDurationMs(args.grace, '--grace'),
    holdLoad: args['hold-load'],
    wire: args.wire as RunSpec['wire'],
    connectionPerRequest: args['connection-per-request'],
    timeouts: parseTimeouts(args),
    prompts: {
      tokenizer: args.tokenizer ?? 'embedded',
      islCounts: args['isl-counts'] as RunSpec['prompts']['islCounts'],
      rangeRatio,
      text: args.text as RunSpec['prompts']['text'],
      seed: whole(args.seed, 0, '--seed'),
      salt: args.salt ?? newSalt(),
    },
    extraBody: parseExtraBody(args['extra-body']),
    headerNames: access.headers.map(([name]) => name),
    gpus: args.gpus === undefined ? null : whole(args.gpus, 1, '--gpus'),
    tags: parseTags(args.tag),
    requireExact: args['require-exact'],
    requireValid: args['require-valid'],
    maxFailureRatio: inRange(args['max-failure-ratio'], 0, 1, '--max-failure-ratio'),
  };
}

/** The four `--timeout-*` options in milliseconds. */
export function parseTimeouts(args: TargetArgs): TimeoutSpec {
  return {
    connectMs: parseDurationMs(args['timeout-connect'], '--timeout-connect'),
    firstMs: parseDurationMs(args['timeout-first'], '--timeout-first'),
    idleMs: parseDurationMs(args['timeout-idle'], '--timeout-idle'),
    totalMs: parseDurationMs(args['timeout-total'], '--timeout-total'),
  };
}

/** Twelve random hex digits: two runs that share them are a one in 2⁴⁸ chance. */
export function newSalt(): string {
  return randomBytes(6).toString('hex');
}

function oneShape(args: MeasureArgs): { isl: number; osl: number } {
  if (args.isl === undefined || args.osl === undefined) {
    throw usageError('the shape is missing', 'say --isl 4000 --osl 1000, or --shape 4000x1000');
  }
  return { isl: args.isl, osl: args.osl };
}

function parseExtraBody(text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw usageError(`--extra-body: not JSON (${errorText(error)})`, `write --extra-body '{"top_p": 0.9}'`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw usageError('--extra-body: not a JSON object', `write --extra-body '{"top_p": 0.9}'`);
  }
  return value as Record<string, unknown>;
}

function parseTags(tags: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    tags.map((tag) => {
      const at = tag.indexOf('=');
      if (at < 1) throw usageError(`--tag: "${tag}" is no key=value`, 'write --tag cluster=gb200');
      return [tag.slice(0, at), tag.slice(at + 1)];
    }),
  );
}

function whole(value: number, low: number, flag: string): number {
  if (!Number.isSafeInteger(value) || value < low) throw usageError(`${flag}: ${value} is no whole number from ${low} on`, 'give such a number');
  return value;
}

function inRange(value: number, low: number, high: number, flag: string): number {
  if (!(value >= low && value <= high)) throw usageError(`${flag}: ${value} is outside ${low} to ${high}`, 'give a number in that range');
  return value;
}

function positive(value: number, flag: string): number {
  if (value <= 0) throw usageError(`${flag}: nothing would be sent in 0 s`, 'give a duration above 0');
  return value;
}
