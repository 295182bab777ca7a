import { statSync } from 'node:fs';
import path from 'node:path';
import { usageError } from '../../core/errors.ts';
import type { DatasetFile, PrefixSpec, PromptSpec, RunSpec } from '../../core/spec.ts';
import { findDataset, hashFile } from '../../datasets/index.ts';
import type { Shape } from '../levels.ts';
import { inRange, whole } from '../number-checks.ts';
import type { ServingArgs } from './arguments.ts';
import type { TakenValues } from './flags.ts';
import { DATASET_FLAGS } from './flags-dataset.ts';

const MOST_TOKENS = 10_000_000;
/** Flags that only some datasets read. */
const READERS: readonly (readonly [prefix: string, datasets: readonly string[]])[] = [
  ['sharegpt-', ['sharegpt', 'custom']],
  ['prompt-suffix', ['sharegpt', 'custom']],
  ['gsp-', ['generated-shared-prefix']],
];

/** What sglang calls generated-shared-prefix: `isl` is a prompt's whole length. */
export interface SharedPrefixArgs extends PrefixSpec {
  readonly isl: number;
  readonly osl: number;
  readonly requests: number;
}

/** The `--gsp-*` flags, checked (exit 2). */
export function parseSharedPrefix(v: TakenValues): SharedPrefixArgs {
  const count = (name: 'gsp-num-groups' | 'gsp-prompts-per-group'): number =>
    inRange(whole(v[name], 1, `--${name}`), 1, 1_000_000, `--${name}`);
  const tokens = (name: 'gsp-system-prompt-len' | 'gsp-question-len' | 'gsp-output-len'): number =>
    inRange(whole(v[name], 1, `--${name}`), 1, MOST_TOKENS, `--${name}`);
  if (v['gsp-range-ratio'] !== 1)
    throw usageError(
      `--gsp-range-ratio: ${v['gsp-range-ratio']} is refused: the prefix of a group has one length`,
      'leave it out, or give 1',
    );
  const isZipf = v['gsp-group-distribution'] === 'zipf';
  const alpha = v['gsp-zipf-alpha'];
  if (isZipf !== (alpha !== null))
    throw usageError(
      isZipf
        ? '--gsp-group-distribution: zipf needs its exponent'
        : `--gsp-zipf-alpha: ${alpha} goes with --gsp-group-distribution zipf alone`,
      'give --gsp-group-distribution zipf and --gsp-zipf-alpha 1.1, or neither',
    );
  const prefix = tokens('gsp-system-prompt-len');
  const groups = count('gsp-num-groups');
  return {
    tokens: prefix,
    groups,
    zipf: alpha ?? 0,
    isl: prefix + tokens('gsp-question-len'),
    osl: tokens('gsp-output-len'),
    requests: groups * count('gsp-prompts-per-group'),
  };
}

/** Names of the given flags that the dataset does not read, and which datasets do. */
export function idleDatasetFlags(
  given: ReadonlySet<string>,
  datasetName: ServingArgs['datasetName'],
): [name: string, why: string][] {
  return [...given].flatMap((name): [string, string][] => {
    const isOurs = DATASET_FLAGS.some((flag) => flag.name === name);
    const reader = isOurs ? READERS.find(([start]) => name.startsWith(start)) : undefined;
    if (reader === undefined || reader[1].includes(datasetName)) return [];
    return [[name, `only ${reader[1].join(' and ')} prompts use it`]];
  });
}

/** What is asked, by the dataset. A file is read and checked. Exit 2 on one that cannot be used. */
export function servingDataset(args: ServingArgs): Pick<RunSpec, 'dataset'> & {
  readonly shape: Shape;
  readonly requests: number;
  readonly prompts: Pick<PromptSpec, 'file' | 'prefix'>;
} {
  const { bugCompatible, datasetName, numPrompts: requests } = args;
  const shape = { isl: args.randomInputLen, osl: args.randomOutputLen };
  if (datasetName === 'random' || datasetName === 'random-ids')
    return { dataset: bugCompatible ? `sglang-${datasetName}` : 'random', shape, requests, prompts: {} };
  if (bugCompatible)
    throw usageError(
      `--bug-compatible: bench makes random and random-ids prompts as sglang does, ${datasetName} ones in its own way`,
      'leave it out, or choose --dataset-name random',
    );
  if (datasetName === 'generated-shared-prefix') {
    const { isl, osl, requests: all, ...prefix } = args.sharedPrefix;
    return { dataset: 'prefix', shape: { isl, osl }, requests: all, prompts: { prefix } };
  }
  const own = { isl: 0, osl: 0, lengths: 'dataset' } as const;
  return { dataset: 'sharegpt', shape: own, requests, prompts: { file: conversations(args) } };
}

function conversations(args: ServingArgs): DatasetFile {
  const { datasetPath, datasetName, promptSuffix } = args;
  if (datasetPath === null || !statSync(datasetPath, { throwIfNoEntry: false })?.isFile())
    throw usageError(
      datasetPath === null
        ? `--dataset-path: ${datasetName} prompts come from a file, and none is named`
        : `--dataset-path: there is no file ${datasetPath}`,
      'name a local ShareGPT JSON, or JSON lines of conversations (bench downloads nothing)',
    );
  const file = path.resolve(datasetPath);
  const osl = args.sharegptOutputLen;
  const hash = hashFile(file);
  findDataset('sharegpt')!.check!({ path: file, osl });
  return {
    path: file,
    hash,
    order: 'shuffled',
    repeat: false,
    osl,
    mostTokens: args.sharegptContextLen ?? MOST_TOKENS,
    ...(promptSuffix === '' ? {} : { suffix: promptSuffix }),
  };
}
