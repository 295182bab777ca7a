import path from 'node:path';
import type { InferredOptionTypes, Options } from 'yargs';
import { usageError } from '../core/errors.ts';
import { parseSpread } from '../core/length-spread.ts';
import type { DatasetFile, PromptSpec, TurnSpec } from '../core/spec.ts';
import { LEAST_BLOCK_TOKENS } from '../core/trace-blocks.ts';
import { parseDurationMs } from '../core/units.ts';
import { DATASETS, type DatasetKind, findDataset, hashFile } from '../datasets/index.ts';
import { checkShape, parseShapes, type Shape } from './levels.ts';
import { inRange, whole } from './number-checks.ts';
import { describe, names } from './target-options.ts';

const PROMPTS = 'Prompts:';

/** What prompts are made from. */
export const DATASET_OPTIONS = {
  dataset: { group: PROMPTS, choices: names(DATASETS), default: 'random', describe: describe(DATASETS) },
  'dataset-path': { group: PROMPTS, type: 'string', describe: 'file of the dataset, or of the trace' },
  'dataset-order': {
    group: PROMPTS,
    choices: ['file', 'shuffled'] as const,
    describe: 'order in which rows are sent [default: sharegpt shuffled by --seed, jsonl as in the file]',
  },
  'dataset-repeat': {
    group: PROMPTS,
    type: 'boolean',
    default: false,
    describe: 'rows may be sent more than once in a run, unchanged: a prefix cache then answers them faster',
  },
  'dataset-max-tokens': {
    group: PROMPTS,
    type: 'number',
    describe:
      'leave out conversations of sharegpt whose question and answer have more tokens [default: 2048]',
  },
  'trace-block': {
    group: PROMPTS,
    type: 'number',
    describe:
      'tokens of a block of trace, which each of hash_ids stands for [default: by the ids of its rows, else 512]',
  },
  'prefix-tokens': {
    group: PROMPTS,
    type: 'number',
    describe: 'tokens that prompts of one group begin with alike, of the --isl (--dataset prefix)',
  },
  'prefix-groups': { group: PROMPTS, type: 'number', describe: 'groups, each with its prefix [default: 1]' },
  'prefix-zipf': {
    group: PROMPTS,
    type: 'number',
    describe: 'group k is drawn with weight 1/k^S; 0 draws all alike [default: 0]',
  },
  turns: { group: PROMPTS, type: 'number', describe: 'turns of a conversation of multi-turn [default: 4]' },
  'turn-isl': {
    group: PROMPTS,
    type: 'number',
    describe: 'tokens of what the user says from the second turn on [default: --isl]',
  },
  'think-time': {
    group: PROMPTS,
    type: 'string',
    describe: 'from the end of an answer until the next turn is sent [default: 0s]',
  },
  'isl-dist': {
    group: PROMPTS,
    type: 'string',
    describe: 'input lengths around --isl: normal:500 (standard deviation) or uniform:500 (to both sides)',
  },
  'osl-dist': { group: PROMPTS, type: 'string', describe: 'the same for output lengths around --osl' },
} as const satisfies Record<string, Options>;

type DatasetName = keyof typeof DATASET_OPTIONS;

type DatasetArgs = InferredOptionTypes<typeof DATASET_OPTIONS> & {
  readonly isl?: number | undefined;
  readonly osl?: number | undefined;
  readonly shape?: string | undefined;
  readonly text: string;
  readonly 'range-ratio': number;
  /** `trace` reads `--dataset-path`, whatever the dataset. */
  readonly arrival?: string | undefined;
};

const DEFAULT_MOST_TOKENS = 2_048;
const DEFAULT_TURNS = 4;
const MOST_TURNS = 10_000;
const MOST_TOKENS = 10_000_000;

/** Which option belongs to which datasets alone. */
const OPTIONS_OF: Readonly<Record<string, readonly string[]>> = {
  'dataset-path': ['sharegpt', 'jsonl', 'trace'],
  'dataset-order': ['sharegpt', 'jsonl'],
  'dataset-repeat': ['sharegpt', 'jsonl', 'trace'],
  'dataset-max-tokens': ['sharegpt'],
  'trace-block': ['trace'],
  'prefix-tokens': ['prefix'],
  'prefix-groups': ['prefix'],
  'prefix-zipf': ['prefix'],
  turns: ['multi-turn'],
  'turn-isl': ['multi-turn'],
  'think-time': ['multi-turn'],
  'isl-dist': ['random', 'prefix'],
  'osl-dist': ['random', 'prefix'],
  isl: ['random', 'prefix', 'multi-turn'],
  osl: ['random', 'prefix', 'multi-turn', 'sharegpt', 'jsonl'],
  shape: ['random', 'prefix', 'multi-turn'],
};

/** The part of the prompts' spec that the dataset decides. Its file is read and checked. Exit 2 on bad values. */
export function parseDataset(
  args: DatasetArgs,
): Pick<PromptSpec, 'islSpread' | 'oslSpread' | 'prefix' | 'turns' | 'file'> {
  const kind = kindOf(args);
  refuseOthers(args, kind);
  const islSpread = args['isl-dist'];
  const oslSpread = args['osl-dist'];
  if ((islSpread ?? oslSpread) !== undefined && args['range-ratio'] !== 1)
    throw usageError(
      `--range-ratio and ${islSpread === undefined ? '--osl-dist' : '--isl-dist'}: both say how lengths scatter`,
      'give one of them',
    );
  if (kind.needs === 'file' && args['range-ratio'] !== 1)
    throw usageError(`--range-ratio: the rows of --dataset ${kind.name} have lengths`, 'leave it out');
  if (kind.needs === 'file' && kind.name !== 'trace' && args.text !== 'words')
    throw usageError(`--text: the rows of --dataset ${kind.name} have texts`, 'leave it out');
  return {
    ...(islSpread === undefined ? {} : { islSpread: parseSpread(islSpread, '--isl-dist') }),
    ...(oslSpread === undefined ? {} : { oslSpread: parseSpread(oslSpread, '--osl-dist') }),
    ...(kind.needs === 'prefix' ? { prefix: prefixOf(args) } : {}),
    ...(kind.needs === 'turns' ? { turns: turnsOf(args) } : {}),
    ...(kind.needs === 'file' ? { file: fileOf(kind, args) } : {}),
  };
}

/** The shapes that are asked for; of a dataset with lengths of its own one, whose lengths are known once it was read. */
export function parseAskedShapes(args: DatasetArgs): Shape[] {
  if (kindOf(args).needs === 'file') return [{ isl: 0, osl: 0, lengths: 'dataset' }];
  if (args.shape === undefined) return [checkShape(oneShape(args), '--isl/--osl')];
  if (args.isl !== undefined || args.osl !== undefined)
    throw usageError(
      `--shape and ${args.isl === undefined ? '--osl' : '--isl'}: both say what is asked`,
      'give --shape alone, or --isl and --osl',
    );
  return parseShapes(args.shape);
}

/** Refuses (exit 2) a load that takes rows without an end, or the same ones again, where nobody said that they may repeat. */
export function refuseSilentRepeats({ file }: PromptSpec, why: string | null): void {
  if (why === null || file === undefined || file.repeat) return;
  throw usageError(
    `--dataset-path: ${why} may send rows of ${file.path} more than once`,
    'say --dataset-repeat where that is meant: a server with a prefix cache answers such prompts faster',
  );
}

function kindOf({ dataset }: Pick<DatasetArgs, 'dataset'>): DatasetKind {
  return findDataset(dataset)!;
}

function oneShape(args: DatasetArgs): Shape {
  if (args.isl === undefined || args.osl === undefined) {
    throw usageError(
      '--isl and --osl: the shape is missing',
      'say --isl 4000 --osl 1000, or --shape 4000x1000',
    );
  }
  return { isl: args.isl, osl: args.osl };
}

function refuseOthers(args: DatasetArgs, { name, needs }: DatasetKind): void {
  for (const [option, kinds] of Object.entries(OPTIONS_OF)) {
    const value = args[option as DatasetName];
    if (value === undefined || value === false || kinds.includes(name)) continue;
    if (option === 'dataset-path' && args.arrival === 'trace') continue;
    throw usageError(
      `--${option}: --dataset ${name} has no use for it`,
      needs === 'file' && !/^(prefix|trace)-/.test(option)
        ? 'leave it out: the rows of the file say it'
        : `leave it out, or give --dataset ${kinds.join(' or ')}`,
    );
  }
}

function prefixOf(args: DatasetArgs): NonNullable<PromptSpec['prefix']> {
  const tokens = args['prefix-tokens'];
  if (tokens === undefined)
    throw usageError('--dataset prefix: the length of the prefix is missing', 'say --prefix-tokens 1000');
  return {
    tokens: inRange(whole(tokens, 1, '--prefix-tokens'), 1, MOST_TOKENS, '--prefix-tokens'),
    groups: inRange(whole(args['prefix-groups'] ?? 1, 1, '--prefix-groups'), 1, 1_000_000, '--prefix-groups'),
    zipf: inRange(args['prefix-zipf'] ?? 0, 0, 100, '--prefix-zipf'),
  };
}

function turnsOf(args: DatasetArgs): TurnSpec {
  const isl = args['turn-isl'] ?? parseAskedShapes(args)[0]!.isl;
  return {
    count: inRange(whole(args.turns ?? DEFAULT_TURNS, 2, '--turns'), 2, MOST_TURNS, '--turns'),
    isl: inRange(whole(isl, 1, '--turn-isl'), 1, MOST_TOKENS, '--turn-isl'),
    thinkMs: args['think-time'] === undefined ? 0 : parseDurationMs(args['think-time'], '--think-time'),
  };
}

function fileOf(kind: DatasetKind, args: DatasetArgs): DatasetFile {
  const named = args['dataset-path'];
  if (named === undefined)
    throw usageError(`--dataset ${kind.name}: the file is missing`, 'name it with --dataset-path FILE');
  const file = path.resolve(named);
  const osl = args.osl === undefined ? null : checkShape({ isl: 1, osl: args.osl }, '--osl').osl;
  const hash = hashFile(file);
  const blockTokens = args['trace-block'];
  const block =
    blockTokens === undefined
      ? {}
      : {
          blockTokens: inRange(
            whole(blockTokens, 1, '--trace-block'),
            LEAST_BLOCK_TOKENS,
            MOST_TOKENS,
            '--trace-block',
          ),
        };
  kind.check?.({ path: file, osl, ...block });
  return {
    path: file,
    hash,
    order: args['dataset-order'] ?? (kind.name === 'sharegpt' ? 'shuffled' : 'file'),
    repeat: args['dataset-repeat'],
    osl,
    mostTokens: whole(args['dataset-max-tokens'] ?? DEFAULT_MOST_TOKENS, 8, '--dataset-max-tokens'),
    ...block,
  };
}
