import { usageError } from '../core/errors.ts';
import type { Kind } from '../core/kind.ts';
import type { Phase } from '../core/record.ts';
import type { DatasetFile } from '../core/spec.ts';
import { datasetLines } from './dataset-file.ts';
import { openJsonlPrompts, parseJsonl } from './jsonl.ts';
import { openMultiTurnPrompts } from './multi-turn.ts';
import { openPrefixPrompts } from './prefix.ts';
import {
  checkMaker,
  type MadePrompt,
  numberOf,
  PHASES,
  type PrepareJob,
  type PrepareResult,
  type Probe,
  type PromptMaker,
  type PromptSink,
  writePrompts,
} from './prepare.ts';
import { openRandomPrompts } from './random.ts';
import { openSglangPrompts } from './sglang.ts';
import { checkShareGpt, openShareGptPrompts } from './sharegpt.ts';
import { type LoadedTokenizer, loadTokenizer } from './tokenizer.ts';
import { readTokenizerFiles } from './tokenizer-source.ts';
import { checkTrace, openTracePrompts } from './trace.ts';

/** A way to make prompts. */
export interface DatasetKind extends Kind {
  /** What it needs and takes beside the lengths. */
  readonly needs: 'nothing' | 'prefix' | 'turns' | 'file';
  /** Reads all of its file as far as that can be done without a tokenizer. Exit 2 with file, line and value. */
  check?(file: Pick<DatasetFile, 'path' | 'osl' | 'blockTokens'>): void;
  /** The maker of prompts, or the probes that must be sent before it can be made. */
  open(job: PrepareJob): Promise<PromptMaker | { readonly needsProbe: readonly [Probe, Probe] }>;
}

export const DATASETS: readonly DatasetKind[] = [
  {
    name: 'random',
    about: 'synthetic text of exact length, each prompt another',
    needs: 'nothing',
    open: openRandomPrompts,
  },
  {
    name: 'prefix',
    about: 'the same behind prefixes that prompts share (--prefix-tokens)',
    needs: 'prefix',
    open: openPrefixPrompts,
  },
  {
    name: 'multi-turn',
    about: 'conversations of --turns turns, each with the answers so far',
    needs: 'turns',
    open: openMultiTurnPrompts,
  },
  {
    name: 'sharegpt',
    about: 'first questions of a ShareGPT JSON, answers as long as there',
    needs: 'file',
    check: ({ path }) => checkShareGpt(path),
    open: openShareGptPrompts,
  },
  {
    name: 'jsonl',
    about: 'prompts of your own, {"prompt", "osl"} a line',
    needs: 'file',
    check: ({ path, osl }) => void parseJsonl(datasetLines(path), path, osl),
    open: openJsonlPrompts,
  },
  {
    name: 'trace',
    about: 'lengths and shared blocks of a recorded load in the format of Mooncake',
    needs: 'file',
    check: checkTrace,
    open: openTracePrompts,
  },
];

/** Datasets of `bench serving --bug-compatible` alone. */
const SGLANG_DATASETS: readonly DatasetKind[] = [
  {
    name: 'sglang-random',
    about: 'first turns of a ShareGPT file, repeated and cut as sglang does',
    needs: 'nothing',
    open: openSglangPrompts,
  },
  {
    name: 'sglang-random-ids',
    about: 'runs of the vocabulary, decoded as sglang does',
    needs: 'nothing',
    open: openSglangPrompts,
  },
];

/**
 * Makes every prompt of the job into `out`, after encoding and comparing a few of each point. Throws
 * usage errors (exit 2) for an unreadable tokenizer and for lengths that cannot be made.
 */
export async function preparePrompts(
  job: PrepareJob,
  out: PromptSink,
  onProgress?: (done: number, total: number) => void,
): Promise<PrepareResult> {
  const opened = await openDataset(job);
  if ('needsProbe' in opened) return opened;
  const { maker, checked } = checkMaker(opened, job.points);
  const { inexact } = writePrompts(maker, job.points, out, onProgress);
  const warnings = [...maker.warnings];
  if (maker !== opened)
    warnings.push('a prompt did not encode to its length: each is now encoded and corrected');
  if (inexact > 0) warnings.push(`${inexact} prompts could not be made to the exact length`);
  return { facts: { ...maker.facts, checked }, salting: maker.salting, inexact, warnings };
}

/** The dataset of that name. */
export function findDataset(name: string): DatasetKind | undefined {
  return DATASETS.find((kind) => kind.name === name);
}

/** One prompt of an iteration, with its place. */
export interface PlacedPrompt extends MadePrompt {
  readonly point: number;
  readonly phase: Phase;
  readonly index: number;
}

/**
 * The prompts of a job one by one as text, in the order that `preparePrompts` makes them. Throws a usage
 * error when the template's share is unknown, since nobody is there to be probed.
 */
export async function* iteratePrompts(job: PrepareJob): AsyncGenerator<PlacedPrompt> {
  const opened = await openDataset(job);
  if ('needsProbe' in opened) {
    throw usageError(
      `--tokenizer ${job.prompts.tokenizer} has no chat template, so the length that a server counts is unknown`,
      'put chat_template.jinja beside tokenizer.json, or count the bare text with --isl-counts content',
    );
  }
  const { maker } = checkMaker(opened, job.points);
  for (const entry of job.points) {
    const { point, counts } = entry;
    for (const phase of PHASES) {
      for (let index = 0; index < counts[phase]; index++) {
        yield {
          point: point.index,
          phase,
          index,
          ...maker.make(point, phase, numberOf(entry, phase, index)),
        };
      }
    }
  }
}

/** Loads the tokenizer that `--tokenizer` names. Throws a usage error (exit 2) when it cannot be read. */
export async function openTokenizer(choice: string): Promise<LoadedTokenizer> {
  return loadTokenizer(await readTokenizerFiles(choice, { env: process.env, fetch }));
}

function openDataset(job: PrepareJob): ReturnType<DatasetKind['open']> {
  const kind = [...DATASETS, ...SGLANG_DATASETS].find(({ name }) => name === job.dataset);
  if (kind === undefined) {
    const known = DATASETS.map(({ name }) => name).join(', ');
    throw usageError(`--dataset: there is no "${job.dataset}"`, `known: ${known}`);
  }
  return kind.open(job);
}

export { fitCalibration } from './calibration.ts';
export type { ChunkedText } from './chunk-file.ts';
export { LEAST_SHOWN_RATIO, splitTokens } from './chunk-tokens.ts';
export { hashFile } from './dataset-file.ts';
export type {
  Calibration,
  MadePrompt,
  PointPrompts,
  PreparedPrompts,
  PrepareJob,
  PrepareResult,
  Probe,
  PromptMaker,
  PromptSink,
} from './prepare.ts';
export { openEmbeddedCounter, type TokenCounter } from './token-counter.ts';
export { defaultCacheDir } from './word-list.ts';
