import type { HeadlineMetric } from './audit-facts.ts';
import type { Phase } from './record.ts';
import type { SlosMs } from './slo.ts';
import type { TraceUnit } from './trace.ts';

/** One point of a sweep: a shape under a load. */
export interface PointSpec {
  /** Index in the whole sweep, from 0, skipped points included. */
  readonly index: number;
  /** At most this many requests in flight. */
  readonly concurrency: number;
  /** Mean arrivals per second of an open loop, all load generators together; absent in a closed loop. */
  readonly ratePerS?: number;
  /** Of an open loop that several load generators share: this one takes every `of`-th arrival from `nth` on, counted from 0; `requests` are all together. */
  readonly share?: { readonly nth: number; readonly of: number; readonly requests: number };
  /** Asked input and output length in tokens; of a dataset with lengths of its own their means, 0 until it was read. */
  readonly isl: number;
  readonly osl: number;
  /** Each request has the lengths of its row of the dataset. */
  readonly lengths?: 'dataset';
  /** Measured requests to send; null when `durationMs` bounds a closed loop instead. An open loop knows them from its schedule. */
  readonly requests: number | null;
  /**
   * A closed loop sends no new measured request after this long, in an open loop the last is due before it; null when `requests`
   * bounds the point.
   */
  readonly durationMs: number | null;
  /** Unmeasured requests sent before the clock of the point starts. */
  readonly warmup: number;
}

/** How lengths scatter around the nominal one: `tokens` is a standard deviation, or as far as they go to both sides. */
export interface Spread {
  readonly kind: 'normal' | 'uniform';
  readonly tokens: number;
}

/** Prompts begin with one of some texts. */
export interface PrefixSpec {
  /** Length of such a text, of the content alone. */
  readonly tokens: number;
  /** How many there are. */
  readonly groups: number;
  /** Group k of `groups` is drawn with weight 1 ÷ k^zipf; 0 draws all alike. */
  readonly zipf: number;
}

/** The file that prompts or their lengths come from. */
export interface DatasetFile {
  /** Absolute. */
  readonly path: string;
  /** sha256 in hex, as it was when the run was asked for. */
  readonly hash: string;
  readonly order: 'file' | 'shuffled';
  /** Rows may be sent more than once in a run, their text unchanged. */
  readonly repeat: boolean;
  /** Output length of rows that have none, or of all where the kind says so; null for none. */
  readonly osl: number | null;
  /** Conversations of more tokens, prompt and answer together, are left out. */
  readonly mostTokens: number;
  /** Tokens of a block of a trace; absent where its rows say it. */
  readonly blockTokens?: number;
  /** Put behind each text; absent where texts stay as they are. */
  readonly suffix?: string;
}

/** How the lengths and the text of prompts are made. */
export interface PromptSpec {
  /** `embedded`, or what the user wrote after `--tokenizer`. */
  readonly tokenizer: string;
  /** Whether ISL counts what the server reports (`prompt`, template included) or the bare text (`content`). */
  readonly islCounts: 'prompt' | 'content';
  /** Each length is uniform in [ratio·L, L]; 1 means exactly L (sglang's meaning). */
  readonly rangeRatio: number;
  readonly text: 'words' | 'corpus';
  readonly seed: number;
  /** Goes into the first tokens of each prompt, so that no two runs share a prefix. */
  readonly salt: string;
  /** Absent where each request stands for itself. */
  readonly turns?: TurnSpec;
  /** The salt of texts that several load generators send alike, where each has a `salt` of its own. */
  readonly sharedSalt?: string;
  /** Absent where `rangeRatio` alone tells the lengths. */
  readonly islSpread?: Spread;
  readonly oslSpread?: Spread;
  readonly prefix?: PrefixSpec;
  readonly file?: DatasetFile;
  /** Present when the prompts are to be those of sglang.bench_serving, drift and repeats included. */
  readonly sglang?: SglangPromptSpec;
}

/** Conversations: each has so many turns, and each turn's request holds all that was said before it. */
export interface TurnSpec {
  /** Requests of a conversation. */
  readonly count: number;
  /** Tokens of what the user says from the second turn on; the first is as long as the level says. */
  readonly isl: number;
  /** From the end of an answer until the next turn is due. */
  readonly thinkMs: number;
}

/** What decides the prompts and arrivals of a run of sglang.bench_serving, beside lengths, ratio and seed. */
export interface SglangPromptSpec {
  /** ShareGPT JSON whose first turns are repeated and cut; null for `random-ids`, which decodes drawn ids. */
  readonly path: string | null;
  /** Rows drawn: its random streams draw all lengths before anything else. */
  readonly count: number;
  /** Lowest output length ever drawn: 0 in older releases, then 1. */
  readonly leastOsl: 0 | 1;
  /** Whether each input length is shortened by what the tokenizer adds to a lone text (since 2026). */
  readonly lessSpecialTokens: boolean;
}

/** What an open loop's schedule depends on beside the rate; each kind of arrival has its own of these. */
export interface ArrivalSpec {
  /** Shape of gamma gaps, above 0: 1 is Poisson, less is more bursty. */
  readonly burstiness?: number;
  /** The rate that a ramp begins with. */
  readonly fromPerS?: number;
  /** File whose timestamps are followed. */
  readonly tracePath?: string;
  /** Unit of its timestamps, where it was given; else milliseconds. */
  readonly traceUnit?: TraceUnit;
  /** They are so many times as far apart. */
  readonly slowdown?: number;
  /** Rows of the whole file, and the time from its first to its last one as it is sent. */
  readonly traceRows?: number;
  readonly traceSpanMs?: number;
}

/** Time-outs in milliseconds; 0 means none. */
export interface TimeoutSpec {
  readonly connectMs: number;
  /** Send to the first chunk that carries output. */
  readonly firstMs: number;
  /** Between two events of a stream; comments are none. */
  readonly idleMs: number;
  readonly totalMs: number;
}

/** What carries measured streams. `auto`: the kernel's stamps where they can be had, else Node's sockets. */
export type WireName = 'auto' | 'kernel' | 'socket' | 'undici';

/** How the load is spread. */
export interface LoadSpec {
  /** Load generators. */
  readonly tasks: number;
  /** SLURM nodes that they run on; null when they run on this host. */
  readonly nodes: number | null;
}

/** One of several runs that one command makes, of one stack or of two in turn. */
export interface RepeatSpec {
  /** All runs of the command have it, and no other's. */
  readonly set: string;
  /** From 1. */
  readonly number: number;
  readonly of: number;
  /** Which of two servers it measured; absent where there is one. */
  readonly side?: 'a' | 'b';
}

/** What a run does, frozen and written to `spec.json`, secrets in its body masked, before anything is sent. */
export interface RunSpec {
  readonly schema: 1;
  readonly name: string;
  readonly urls: readonly string[];
  /** The served name; null until the server's model list gave the only one. */
  readonly model: string | null;
  readonly endpoint: string;
  readonly server: string;
  readonly arrival: string;
  /** Absent in a closed loop. */
  readonly arrivalShape?: ArrivalSpec;
  readonly dataset: string;
  readonly points: readonly PointSpec[];
  /** The first points of the sweep that are not run. */
  readonly skip: number;
  readonly pauseMs: number;
  readonly graceMs: number;
  readonly holdLoad: boolean;
  readonly wire: WireName;
  readonly connectionPerRequest: boolean;
  readonly timeouts: TimeoutSpec;
  readonly prompts: PromptSpec;
  /** Outputs may end before they are as long as asked: nothing is sent that prevents it. */
  readonly naturalEnd?: boolean;
  /** Merged over the request body last; the user wins, and null leaves a field out. */
  readonly extraBody: Readonly<Record<string, unknown>>;
  /** Fields left out of the request body, those of objects by path; absent where there are none. */
  readonly omit?: readonly string[];
  /** Path of the requests below the URLs; absent where it is the API's own. */
  readonly requestPath?: string;
  /** Names alone: values of headers never reach a file. */
  readonly headerNames: readonly string[];
  readonly gpus: number | null;
  /** Load generators that share each level; absent where this process sends alone. */
  readonly load?: LoadSpec;
  readonly tags: Readonly<Record<string, string>>;
  /** Absent where a command makes one run. */
  readonly repeat?: RepeatSpec;
  /** Limits of latencies: goodput counts the requests that met them all. */
  readonly slosMs?: SlosMs;
  /** Addresses of the server's metrics; none: they are not looked at; left out: the target's own, and those of the stack. */
  readonly serverMetrics?: readonly string[];
  readonly requireExact: boolean;
  /** The metrics that must be valid: true is all. */
  readonly requireValid: boolean | readonly HeadlineMetric[];
  readonly maxFailureRatio: number;
}

/** One prompt, ready to be sent: the text is already escaped for a JSON string. */
export interface Prompt {
  /** JSON-escaped UTF-8 text of the user message, without the quotes. */
  readonly content: Uint8Array;
  /**
   * Input length in tokens that the prompt was built to, in the sense of `PromptSpec.islCounts`; null for a given text
   * that nobody here can count.
   */
  readonly isl: number | null;
  /** Output length to ask for. */
  readonly osl: number;
  /** Length the server should report as `prompt_tokens`, null when the template's share is unknown. */
  readonly promptTokens: number | null;
  /** Bytes at the start of `content` that are shared with other prompts and stay when it is used again; 0 if absent. */
  readonly keepBytes?: number;
}

/** What a re-used prompt's first words are replaced from. */
export interface Salting {
  readonly seed: number;
  readonly salt: string;
  readonly firstWords: readonly string[];
  readonly words: readonly string[];
  /** At most this many leading words of a prompt are salt; 0 where a prompt that is used again stays as it is. */
  readonly saltWords: number;
}

/** Gives prompt number `index` of a point's phase. Each (point, phase, index) is another text. */
export interface PromptSource {
  take(point: number, phase: Phase, index: number): Prompt;
}
