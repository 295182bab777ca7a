import type { PromptFacts } from '../core/prompt-facts.ts';
import type { Phase } from '../core/record.ts';
import type { PointSpec, Prompt, PromptSpec, Salting } from '../core/spec.ts';

/** A point of the sweep and how many prompts of each phase to make for it. */
export interface PointPrompts {
  readonly point: PointSpec;
  readonly counts: Readonly<Record<Phase, number>>;
  /** Prompts of each phase that others make before these: lengths go on behind theirs. None when absent. */
  readonly before?: Readonly<Record<Phase, number>>;
}

/** How the server counted two probes: `prompt_tokens = interceptTokens + slope · tokens`. */
export interface Calibration {
  readonly slope: number;
  readonly interceptTokens: number;
}

/** What to make. Plain data: it crosses to a child process as JSON. */
export interface PrepareJob {
  /** Name in the table of datasets. */
  readonly dataset: string;
  readonly prompts: PromptSpec;
  readonly points: readonly PointPrompts[];
  /** All points of the run, for all load generators together, those that are made elsewhere included; absent: `points`. */
  readonly run?: readonly PointPrompts[];
  /** Where word lists are kept between runs; null keeps none. */
  readonly cacheDir: string | null;
  /** What the probes gave: null before they were sent, `unknown` when they told nothing or cannot be sent. */
  readonly calibration: Calibration | 'unknown' | null;
  /** The target is not our mock: the embedded tokenizer and its template say nothing about it. */
  readonly foreignServer: boolean;
  /** `chat_template_kwargs` of the request, which a template may read. */
  readonly templateVariables?: Readonly<Record<string, unknown>>;
}

/** A text whose tokens the server should count, to find out what its template adds. */
export interface Probe {
  readonly content: string;
  /** Tokens of the bare content by the local tokenizer. */
  readonly tokens: number;
}

export interface PreparedPrompts {
  readonly facts: PromptFacts;
  readonly salting: Salting;
  /** Prompts whose length could not be met exactly. */
  readonly inexact: number;
  readonly warnings: readonly string[];
}

/** `needsProbe`: send these with `max_tokens` 1, fit the counts and prepare again with the calibration. */
export type PrepareResult = PreparedPrompts | { readonly needsProbe: readonly [Probe, Probe] };

/** Takes prompts as they are made, each phase of a point in the order of its indices from 0. */
export interface PromptSink {
  add(point: number, phase: Phase, index: number, prompt: Prompt): void;
}

/** A prompt as text, for people and files. */
export interface MadePrompt {
  readonly text: string;
  readonly isl: number | null;
  readonly osl: number;
  readonly promptTokens: number | null;
  /** Tokens beyond `isl`; 0 when exact. */
  readonly excess: number;
  /** The start of `text` that other prompts share on purpose; absent for none. */
  readonly head?: string;
}

/** Makes prompt number `index` of a point's phase; the same arguments always give the same prompt. */
export interface PromptMaker {
  readonly facts: PromptFacts;
  readonly salting: Salting;
  readonly warnings: readonly string[];
  /** How many prompts of each point are to be encoded and compared before the run. */
  readonly checksPerPoint: number;
  make(point: PointSpec, phase: Phase, index: number): MadePrompt;
  /** Whether the prompt, encoded as the server will, has the tokens it was made to have. */
  holds(prompt: MadePrompt): boolean;
  /** A maker that encodes and corrects each prompt, for when a check did not hold. */
  adjusted(): PromptMaker;
}

export const PHASES: readonly Phase[] = ['warmup', 'measured', 'hold'];

/** What prompt `index` of a phase is called among those of all load generators that share its point. */
export function numberOf({ point, before }: PointPrompts, phase: Phase, index: number): number {
  // Of an open loop each takes every so many-th arrival.
  return point.share === undefined
    ? (before?.[phase] ?? 0) + index
    : point.share.nth + index * point.share.of;
}

/** Progress is told once per so many prompts. */
const PROGRESS_STEP = 64;

/** Checks a few prompts of each point; gives the maker to use and how many were checked. */
export function checkMaker(
  maker: PromptMaker,
  points: readonly PointPrompts[],
): { readonly maker: PromptMaker; readonly checked: number } {
  if (maker.facts.method !== 'words') return { maker, checked: 0 };
  let checked = 0;
  for (const entry of points) {
    const { point, counts } = entry;
    const phase = PHASES.find((name) => name === 'measured' && counts[name] > 0) ?? 'warmup';
    const count = Math.min(maker.checksPerPoint, Math.max(counts[phase], 1));
    for (let index = 0; index < count; index++) {
      if (!maker.holds(maker.make(point, phase, numberOf(entry, phase, index))))
        return { maker: maker.adjusted(), checked };
      checked++;
    }
  }
  return { maker, checked };
}

/** Makes all prompts of the points into `out`. The outcome is told by the caller, who knows the facts. */
export function writePrompts(
  maker: PromptMaker,
  points: readonly PointPrompts[],
  out: PromptSink,
  onProgress?: (done: number, total: number) => void,
): { readonly inexact: number } {
  const total = points.reduce(
    (sum, { counts }) => sum + PHASES.reduce((n, phase) => n + counts[phase], 0),
    0,
  );
  let done = 0;
  let inexact = 0;
  for (const entry of points) {
    const { point, counts } = entry;
    for (const phase of PHASES) {
      for (let index = 0; index < counts[phase]; index++) {
        const made = maker.make(point, phase, numberOf(entry, phase, index));
        if (made.excess !== 0) inexact++;
        out.add(point.index, phase, index, {
          content: escapeForJson(made.text),
          isl: made.isl,
          osl: made.osl,
          promptTokens: made.promptTokens,
          ...(made.head === undefined ? {} : { keepBytes: escapeForJson(made.head).length }),
        });
        done++;
        if (done % PROGRESS_STEP === 0) onProgress?.(done, total);
      }
    }
  }
  onProgress?.(done, total);
  return { inexact };
}

/** UTF-8 of a text as it stands between the quotes of a JSON string. */
export function escapeForJson(text: string): Uint8Array {
  return Buffer.from(/^[a-z ]*$/.test(text) ? text : JSON.stringify(text).slice(1, -1), 'utf8');
}
