import { usageError } from '../core/errors.ts';
import { parseDurationMs } from '../core/units.ts';
import type { Timing } from './engine.ts';
import { FAULTS, type Fault, parseFault } from './faults.ts';

export const FRAMINGS = ['normal', 'crlf', 'split', 'batch', 'comments'] as const;
export type Framing = (typeof FRAMINGS)[number];

const TEXTS = ['words', 'unicode'] as const;
export type TextKind = (typeof TEXTS)[number];

/** Fields that `--refuse` can name. */
export const REFUSABLE = ['ignore_eos', 'min_tokens', 'continuous_usage_stats'] as const;
export type Refusable = (typeof REFUSABLE)[number];

/** How the mock server behaves. */
export interface MockOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** File for the log of all writes; null for none. */
  readonly truthFile: string | null;
  readonly model: string;
  readonly timing: Timing;
  readonly prefixCache: boolean;
  /** Mean output length where the request lets the model end; null: always `max_tokens`. */
  readonly eosMeanTokens: number | null;
  readonly reasoningTokens: number;
  readonly text: TextKind;
  readonly roleChunk: boolean;
  readonly usage: boolean;
  readonly done: boolean;
  readonly framing: Framing;
  readonly refuseUnknown: boolean;
  readonly refuse: ReadonlySet<Refusable>;
  readonly fault: Fault | null;
  readonly faultRatio: number;
}

/** One flag of `bench mock`. */
export interface MockFlag {
  readonly name: string;
  readonly about: string;
  readonly type: 'string' | 'number' | 'boolean';
  readonly default?: string | number | boolean;
}

/** The value of each flag that is not given. */
export const MOCK_DEFAULTS = {
  host: '127.0.0.1',
  port: 8_000,
  model: 'mock',
  seed: 1,
  step: '10ms',
  spread: false,
  'step-per-stream': '0.02ms',
  'base-ttft': '20ms',
  'prefill-tokens-per-s': 200_000,
  'kv-tokens': 2_000_000,
  jitter: 0,
  'tokens-per-chunk': '1',
  'prefix-cache': true,
  reasoning: 0,
  text: 'words',
  'role-chunk': false,
  usage: true,
  done: true,
  framing: 'normal',
  'refuse-unknown': false,
  refuse: '',
  'fault-rate': 1,
} as const;

const faultList = FAULTS.map(({ name, about }) => `${name} (${about})`).join(', ');

/** The flags of `bench mock`, from which its command line is made. */
export const MOCK_FLAGS: readonly MockFlag[] = (
  [
    { name: 'host', type: 'string', about: 'address to listen on' },
    { name: 'port', type: 'number', about: 'port to listen on, 0 for any free one' },
    {
      name: 'truth',
      type: 'string',
      about: 'file for a log of when each request arrived and each piece of output was written',
    },
    { name: 'model', type: 'string', about: 'name of the served model' },
    { name: 'seed', type: 'number', about: 'seed of jitter, output lengths, words, faults and cuts' },
    {
      name: 'ttft',
      type: 'string',
      about:
        'fixed schedule: step k of each answer is due at arrival + TTFT + k times --step, with no queues, no batch and no KV limit',
    },
    { name: 'step', type: 'string', about: 'time of a decode step' },
    {
      name: 'spread',
      type: 'boolean',
      about:
        'with --ttft: make each answer later by its own share of a step, so that they do not all write at once',
    },
    { name: 'step-per-stream', type: 'string', about: 'what each stream of the batch adds to a step' },
    { name: 'base-ttft', type: 'string', about: 'time between the end of prefill and the first token' },
    {
      name: 'prefill-tokens-per-s',
      type: 'number',
      about: 'rate of the prefill queue, which is first in, first out',
    },
    {
      name: 'kv-tokens',
      type: 'number',
      about:
        'size of the decode KV cache; a request waits until its prompt and longest output fit; 0 for no limit',
    },
    {
      name: 'jitter',
      type: 'number',
      about: 'sigma of a lognormal ratio on each time, as in 0.05; 0 for none',
    },
    {
      name: 'tokens-per-chunk',
      type: 'string',
      about: 'tokens of each step and so of each chunk, or a list to cycle through: 1,2,3',
    },
    {
      name: 'prefix-cache',
      type: 'boolean',
      about:
        'remember prompts, skip prefill of what a new one shares from its start (in blocks of 64 characters) and report it as cached_tokens',
    },
    {
      name: 'eos-mean',
      type: 'number',
      about:
        'mean output length of requests without ignore_eos, geometric by seed and prompt [default: always max_tokens]',
    },
    { name: 'reasoning', type: 'number', about: 'this many first tokens come as reasoning_content' },
    {
      name: 'text',
      type: 'string',
      about: 'output words: words (one token each), or unicode (multibyte, which a client counts otherwise)',
    },
    { name: 'role-chunk', type: 'boolean', about: 'send a chunk with the role alone at arrival' },
    { name: 'usage', type: 'boolean', about: 'send usage where asked for; --no-usage never does' },
    { name: 'done', type: 'boolean', about: 'end streams with [DONE]; --no-done leaves it out' },
    {
      name: 'framing',
      type: 'string',
      about:
        'how the stream is written: normal, crlf (line ends), split (cut at any byte, also inside a character), batch (4 events a write), comments (between events)',
    },
    {
      name: 'refuse-unknown',
      type: 'boolean',
      about: 'answer 400 to top-level fields that are not known, as Dynamo does',
    },
    {
      name: 'refuse',
      type: 'string',
      about: `answer 400 to these fields, a list of ${REFUSABLE.join(', ')}`,
    },
    {
      name: 'fault',
      type: 'string',
      about: `what goes wrong, KIND or KIND@TOKENS to strike after so many tokens [default: half of them]; the request header x-mock-fault says it for one request: ${faultList}`,
    },
    { name: 'fault-rate', type: 'number', about: 'share of requests that --fault strikes, by seed' },
  ] satisfies MockFlag[]
).map((flag) => {
  const value = (MOCK_DEFAULTS as Readonly<Record<string, string | number | boolean>>)[flag.name];
  return value === undefined ? flag : { ...flag, default: value };
});

/**
 * The options that flags ask for, by their names in `MOCK_FLAGS`; those not given take their default and
 * other keys are ignored. Throws a usage error (exit 2) on a bad value.
 */
export function parseMockOptions(flags: Readonly<Record<string, unknown>>): MockOptions {
  const values = new Map<string, unknown>(Object.entries(MOCK_DEFAULTS));
  for (const { name } of MOCK_FLAGS) if (flags[name] !== undefined) values.set(name, flags[name]);
  const read = new FlagReader(values);
  const kvTokens = read.whole('kv-tokens', 0, Number.MAX_SAFE_INTEGER);
  return {
    host: read.text('host'),
    port: read.whole('port', 0, 65_535),
    truthFile: read.given('truth') ? read.text('truth') : null,
    model: read.text('model'),
    timing: {
      ttftMs: read.given('ttft') ? read.durationMs('ttft') : null,
      stepMs: read.durationMs('step'),
      spread: read.flag('spread'),
      stepPerStreamMs: read.durationMs('step-per-stream'),
      baseTtftMs: read.durationMs('base-ttft'),
      prefillTokensPerS: read.number('prefill-tokens-per-s', 1, Number.MAX_VALUE),
      kvTokens: kvTokens === 0 ? Number.POSITIVE_INFINITY : kvTokens,
      jitterRatio: read.number('jitter', 0, 2),
      tokensPerStep: read
        .list('tokens-per-chunk')
        .map((item) => wholeNumber(item, 1, 1_000, 'tokens-per-chunk')),
      seed: read.whole('seed', 0, Number.MAX_SAFE_INTEGER),
    },
    prefixCache: read.flag('prefix-cache'),
    eosMeanTokens: read.given('eos-mean') ? read.number('eos-mean', 1, 1e9) : null,
    reasoningTokens: read.whole('reasoning', 0, Number.MAX_SAFE_INTEGER),
    text: read.choice('text', TEXTS),
    roleChunk: read.flag('role-chunk'),
    usage: read.flag('usage'),
    done: read.flag('done'),
    framing: read.choice('framing', FRAMINGS),
    refuseUnknown: read.flag('refuse-unknown'),
    refuse: new Set(read.list('refuse', true).map((item) => chosen(item, REFUSABLE, 'refuse'))),
    fault: read.given('fault') ? readFault(read.text('fault')) : null,
    faultRatio: read.number('fault-rate', 0, 1),
  };
}

function readFault(text: string): Fault {
  const fault = parseFault(text);
  if (fault !== null) return fault;
  throw usageError(
    `--fault: "${text}" is no fault`,
    `write KIND or KIND@TOKENS, with one of ${FAULTS.map(({ name }) => name).join(', ')}`,
  );
}

function wholeNumber(value: unknown, low: number, high: number, name: string): number {
  const number = toNumber(value);
  if (Number.isSafeInteger(number) && number >= low && number <= high) return number;
  throw usageError(
    `--${name}: ${String(value)} is no whole number from ${low} to ${high}`,
    'give such a number',
  );
}

function toNumber(value: unknown): number {
  return typeof value === 'string' && value.trim() === '' ? Number.NaN : Number(value);
}

function chosen<T extends string>(value: unknown, choices: readonly T[], name: string): T {
  const choice = choices.find((candidate) => candidate === value);
  if (choice !== undefined) return choice;
  throw usageError(`--${name}: "${String(value)}" is not known`, `give one of ${choices.join(', ')}`);
}

class FlagReader {
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(values: ReadonlyMap<string, unknown>) {
    this.#values = values;
  }

  given(name: string): boolean {
    return this.#values.get(name) !== undefined;
  }

  text(name: string): string {
    const value = this.#values.get(name);
    if (typeof value === 'string' && value.trim() !== '') return value.trim();
    throw usageError(`--${name}: "${String(value)}" is no text`, 'give a value once');
  }

  durationMs(name: string): number {
    return parseDurationMs(String(this.#values.get(name)), `--${name}`);
  }

  number(name: string, low: number, high: number): number {
    const value = this.#values.get(name);
    const number = toNumber(value);
    if (number >= low && number <= high) return number;
    throw usageError(
      `--${name}: ${String(value)} is outside ${low} to ${high}`,
      'give a number in that range',
    );
  }

  whole(name: string, low: number, high: number): number {
    return wholeNumber(this.#values.get(name), low, high, name);
  }

  flag(name: string): boolean {
    const value = this.#values.get(name);
    if (typeof value === 'boolean') return value;
    throw usageError(`--${name}: "${String(value)}" is no switch`, `write --${name} or --no-${name}`);
  }

  choice<T extends string>(name: string, choices: readonly T[]): T {
    return chosen(this.#values.get(name), choices, name);
  }

  list(name: string, orNone = false): string[] {
    const text = String(this.#values.get(name)).trim();
    return orNone && text === '' ? [] : text.split(',').map((item) => item.trim());
  }
}
