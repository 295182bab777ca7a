import type { Audit } from '../../core/audit-facts.ts';
import type { ExitCode } from '../../core/errors.ts';
import type { PromptFacts } from '../../core/prompt-facts.ts';
import type { Phase } from '../../core/record.ts';
import type { LevelReport } from '../../core/report.ts';
import type { RunSpec } from '../../core/spec.ts';
import type { CapField, OptionalField } from '../../endpoints/dialect.ts';
import type { Target } from '../../endpoints/wire.ts';

/** All that a rank needs to know of a run. It travels through standard input, since it holds credentials. */
export interface RankRun {
  readonly spec: RunSpec;
  readonly ranks: number;
  /** Indices of the points that are to be measured. */
  readonly points: readonly number[];
  /** Points of an earlier run whose records stay. */
  readonly keep: readonly number[];
  readonly model: string;
  /** The server is not our mock. */
  readonly foreign: boolean;
  readonly targets: readonly Target[];
  readonly headers: readonly (readonly [string, string])[];
  /** PEM files in base64; null where there is none. */
  readonly tls: {
    readonly ca: string | null;
    readonly cert: string | null;
    readonly key: string | null;
  } | null;
  /** Folder of the run, seen by all hosts. */
  readonly directory: string;
}

/** What all ranks are told. */
export type Order =
  /** Say what time it is. */
  | { readonly kind: 'ping' }
  /** Make your prompts and open your records. */
  | { readonly kind: 'prepare'; readonly run: RankRun }
  /** The server takes these fields and bodies with these edits: prove that it streams to you. */
  | {
      readonly kind: 'begin';
      readonly fields: readonly OptionalField[];
      readonly omitted: readonly string[];
      readonly capField: CapField;
    }
  /** Warm up for a point, open its connections, and wait. */
  | { readonly kind: 'level'; readonly point: number }
  /** Start at this instant of the coordinator's clock; how far each rank's clock is ahead of that, by rank. */
  | { readonly kind: 'go'; readonly startUtcMs: number; readonly offsetsMs: readonly number[] }
  /** The measured requests have ended everywhere: hold no longer. */
  | { readonly kind: 'release' }
  /** Send nothing more. */
  | { readonly kind: 'stop' }
  /** Cancel what is in flight. */
  | { readonly kind: 'cancel' }
  /** Go. */
  | { readonly kind: 'quit' };

/** What a rank did at a level. */
export interface RankLevel {
  /** Records that it wrote, which lie in its file up to `toByte`. */
  readonly records: number;
  readonly toByte: number;
  readonly status: LevelReport['status'];
  readonly connections: LevelReport['connections'];
  readonly audit: Audit;
  readonly warnings: readonly string[];
  /** What of its records is not on disk, in words; null when all are. */
  readonly missing: string | null;
}

/** What a rank did since it told last. */
export interface RankBeat {
  readonly phase: Phase;
  readonly ended: number;
  readonly failed: number;
  /** Some TTFTs of those that ended. */
  readonly ttftsMs: readonly number[];
  readonly tokens: number;
  readonly inFlight: number;
}

/** What a rank says. */
export type Answer =
  /** It is there. `originUtcMs` is where its clock starts, as it reads UTC. */
  | { readonly kind: 'hello'; readonly host: string; readonly originUtcMs: number }
  | { readonly kind: 'pong'; readonly atUtcMs: number }
  /** `facts` is null when no point has a share for it; its records so far end at `atByte`. */
  | {
      readonly kind: 'prepared';
      readonly facts: PromptFacts | null;
      readonly warnings: readonly string[];
      readonly atByte: number;
    }
  | { readonly kind: 'ready' }
  | { readonly kind: 'armed' }
  | { readonly kind: 'drained' }
  | ({ readonly kind: 'done' } & RankLevel)
  /** A sign of life, once a second. */
  | { readonly kind: 'beat'; readonly beat: RankBeat | null }
  /** It cannot go on. */
  | {
      readonly kind: 'failed';
      readonly exitCode: ExitCode;
      readonly message: string;
      readonly hint: string | null;
    };

export type AnswerOf<K extends Answer['kind']> = Extract<Answer, { readonly kind: K }>;

/** srun cuts a labelled line after 1,023 bytes and labels the rest anew. */
const PART_CHARACTERS = 900;
const MORE = '@bench+';
const LAST = '@bench.';

/** A message as lines of ASCII that no label or buffer on the way tears; each ends with a newline. */
export function encodeMessage(message: Order | Answer): string {
  const json = JSON.stringify(message).replace(
    /[\u0080-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  let lines = '';
  for (let at = 0; at < json.length; at += PART_CHARACTERS) {
    const mark = at + PART_CHARACTERS < json.length ? MORE : LAST;
    lines += `${mark}${json.slice(at, at + PART_CHARACTERS)}\n`;
  }
  return lines;
}

/** Puts messages of one sender together again, line by line. */
export class MessageReader<M extends Order | Answer> {
  #parts = '';

  /** The message that the line completes; null while more is to come, undefined for a line that is none of ours. */
  take(line: string): M | null | undefined {
    const mark = line.slice(0, LAST.length);
    if (mark !== MORE && mark !== LAST) return undefined;
    this.#parts += line.slice(LAST.length).trimEnd();
    if (mark === MORE) return null;
    const json = this.#parts;
    this.#parts = '';
    return JSON.parse(json) as M;
  }
}

/** Calls `take` with each whole line of a stream of text. */
export function eachLine(stream: NodeJS.ReadableStream, take: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) take(line);
  });
  stream.on('end', () => {
    if (rest !== '') take(rest);
  });
}
