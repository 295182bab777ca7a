import { closeSync, openSync, writeSync } from 'node:fs';
import type { InferredOptionTypes, Options } from 'yargs';
import { EXIT, type ExitCode, errorText, usageError } from '../core/errors.ts';
import { defaultCacheDir, findDataset, iteratePrompts } from '../datasets/index.ts';
import { parsePrompts } from './arguments.ts';
import { DATASET_OPTIONS, parseAskedShapes } from './dataset-options.ts';
import { PROMPT_OPTIONS } from './options.ts';
import { print, printError, written } from './terminal.ts';
import type { AddVerb } from './verb.ts';

const { isl, osl, tokenizer, text, seed, salt } = PROMPT_OPTIONS;

export const PROMPTS_OPTIONS = {
  isl,
  osl,
  count: { type: 'number', default: 1, describe: 'how many prompts' },
  'isl-counts': PROMPT_OPTIONS['isl-counts'],
  'range-ratio': PROMPT_OPTIONS['range-ratio'],
  ...DATASET_OPTIONS,
  tokenizer,
  text,
  seed,
  salt,
  out: { type: 'string', describe: 'write JSON lines to this file instead of stdout' },
} as const satisfies Record<string, Options>;

/** `bench prompts`: one JSON line per prompt with its counts. */
export async function runPrompts(args: InferredOptionTypes<typeof PROMPTS_OPTIONS>): Promise<ExitCode> {
  // Where only prompts are looked at, nobody needs to say how long answers would be.
  const isMade = findDataset(args.dataset)!.needs !== 'file';
  if (isMade && args.isl === undefined)
    throw usageError(
      '--isl: the length of the prompts is missing',
      'say --isl 4000; see bench prompts --help',
    );
  const asked = { ...args, osl: args.osl ?? (isMade || args.dataset === 'jsonl' ? 1 : undefined) };
  const [shape] = parseAskedShapes(asked);
  if (!Number.isSafeInteger(args.count) || args.count < 1)
    throw usageError(`--count: ${args.count} is no whole number from 1 on`, 'give such a number');
  const prompts = parsePrompts(asked);
  const point = { index: 0, concurrency: 1, ...shape!, requests: args.count, durationMs: null, warmup: 0 };
  const handle = args.out === undefined ? null : openOut(args.out);
  const job = {
    dataset: args.dataset,
    prompts,
    points: [{ point, counts: { warmup: 0, measured: args.count, hold: 0 } }],
    cacheDir: defaultCacheDir(process.env),
    // Nobody is there to be probed; the bare text can be counted all the same.
    calibration: prompts.islCounts === 'content' ? ('unknown' as const) : null,
    foreignServer: false,
  };
  let told = false;
  for await (const made of iteratePrompts(job)) {
    if (!told && made.promptTokens !== null && prompts.islCounts === 'prompt')
      printError(`note: ${templateNote(prompts.tokenizer)}\n`);
    told = true;
    const line = `${JSON.stringify({ prompt: made.text, isl: made.isl, osl: made.osl, promptTokens: made.promptTokens })}\n`;
    if (handle !== null) writeSync(handle, line);
    else {
      print(line);
      if ((await written()) !== EXIT.ok) return EXIT.usage;
    }
  }
  if (handle !== null) closeSync(handle);
  return EXIT.ok;
}

function templateNote(tokenizer: string): string {
  const whose = tokenizer === 'embedded' ? 'the embedded chat template' : `the chat template of ${tokenizer}`;
  return `isl and promptTokens count ${whose} too, as a server would; --isl-counts content counts the bare text`;
}

function openOut(file: string): number {
  try {
    return openSync(file, 'w');
  } catch (error) {
    throw usageError(
      `--out: cannot write ${file} (${errorText(error)})`,
      'name a file in a folder that exists',
    );
  }
}

/** Puts `bench prompts` into the parser. */
export const addPrompts: AddVerb = (y, { usage, about, declare, set }) =>
  y.command(
    usage,
    about,
    (inner) =>
      declare(inner, PROMPTS_OPTIONS).example(
        '$0 prompts --isl 4000 --count 2 --tokenizer /models/r1 --out prompts.jsonl',
        'two prompts of 4,000 tokens',
      ),
    async (argv) => set(await runPrompts(argv)),
  );
