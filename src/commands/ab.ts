import path from 'node:path';
import type { InferredOptionTypes, Options } from 'yargs';
import { type ExitCode, usageError, worstExit } from '../core/errors.ts';
import { lessIsBetter } from '../core/metric-ids.ts';
import { fileStamp } from '../core/units.ts';
import { startClock } from '../host/clock.ts';
import { newSalt } from './arguments.ts';
import { COMPARISON_OPTIONS, parseMargin } from './compare.ts';
import { refuseSilentRepeats } from './dataset-options.ts';
import { parseExports } from './exports.ts';
import { liveOrder } from './live-order.ts';
import { whole } from './number-checks.ts';
import { measureOnce } from './one-run.ts';
import { LOAD_OPTIONS, OUTPUT_OPTIONS, PROMPT_OPTIONS, SPREAD_OPTIONS, SWEEP_OPTIONS } from './options.ts';
import { newSet } from './repeats.ts';
import { type AbQuestion, abSet } from './sets/ab-set.ts';
import { saveEnd, saveRunning, setRuns } from './sets/run-set.ts';
import { TARGET_OPTIONS } from './target-options.ts';
import { exportRuns } from './telling.ts';
import { print, printError, printPage, resultsAreIn } from './terminal.ts';
import { refuseRunFolder, runTurns, type Turn } from './turns.ts';
import type { AddVerb } from './verb.ts';

type Side = 'a' | 'b';

const SIDES: Readonly<Record<Side, string>> = { a: 'A', b: 'B' };

const { url: _url, ...TARGET } = TARGET_OPTIONS;
const { mock: _mock, 'mock-flags': _flags, ...LOAD } = LOAD_OPTIONS;
const { resume: _resume, ...SWEEP } = SWEEP_OPTIONS;
const { 'dry-run': _dry, 'server-metrics': _metrics, ...OUTPUT } = OUTPUT_OPTIONS;

const AB_OPTIONS = {
  a: { type: 'string', demandOption: true, describe: 'server A, what the other is held against' },
  b: { type: 'string', demandOption: true, describe: 'server B' },
  ...COMPARISON_OPTIONS,
  ...TARGET,
  ...PROMPT_OPTIONS,
  ...LOAD,
  ...SPREAD_OPTIONS,
  ...SWEEP,
  repeats: { ...SWEEP.repeats, default: 6, describe: 'sweeps of each server' },
  ...OUTPUT,
} as const satisfies Record<string, Options>;

type AbArgs = InferredOptionTypes<typeof AB_OPTIONS>;

/** Whose turn it is, for an even number of repeats of each: A B B A, so that what drifts evenly is the same for both. */
export function abOrder(repeats: number): Side[] {
  return Array.from({ length: 2 * repeats }, (_, nth) => (nth % 4 === 0 || nth % 4 === 3 ? 'a' : 'b'));
}

/** `bench ab`: two servers that are there, measured in turn. Exit 1 when B is worse over all levels. */
async function runAb(args: AbArgs, argv: readonly string[]): Promise<ExitCode> {
  const repeats = whole(args.repeats, 2, '--repeats');
  if (repeats % 2 === 1)
    throw usageError(`--repeats: ${repeats} is odd, and A B B A has two of each`, 'give an even number');
  const marginRatio = parseMargin(args.margin);
  for (const metric of args.metric ?? []) lessIsBetter(metric);
  if (args.a === args.b)
    throw usageError(`--a and --b: both are ${args.a}`, 'name two servers; two runs of one: bench compare');
  const exports = parseExports(args.export);
  const told = { ...args, salt: args.salt ?? newSalt() };
  const orderFor = (url: string) =>
    liveOrder({ ...told, url: [url], mock: false, 'mock-flags': '', 'server-metrics': [] }, 'ab');
  const sides = { a: orderFor(args.a), b: orderFor(args.b) };
  if (args.dataset !== 'trace') refuseSilentRepeats(sides.a.spec.prompts, 'bench ab');
  const directory =
    args.out ?? path.join('results', `${fileStamp(startClock().origin.utc)}-${args.name ?? 'ab'}`);
  refuseRunFolder(
    directory,
    Array.from({ length: repeats }, (_, nth) => [`a/${nth + 1}`, `b/${nth + 1}`]).flat(),
  );
  resultsAreIn(directory);
  const set = newSet();
  const counts = { a: 0, b: 0 };
  const turns = abOrder(repeats).map((side): Turn => {
    const number = ++counts[side];
    const { spec, access, load } = sides[side];
    return {
      label: `${SIDES[side]} ${number} of ${repeats}: ${access.targets[0]!.url}`,
      measure() {
        return measureOnce({
          spec: {
            ...spec,
            repeat: { set, number, of: repeats, side },
            // The same lengths on both sides, and words of their own: both may share a cache.
            prompts: { ...spec.prompts, salt: `${spec.prompts.salt}.${side}${number}` },
          },
          access,
          argv,
          clock: startClock(),
          directory: path.join(directory, side, `${number}`),
          earlier: null,
          stack: null,
          load,
          quiet: args.quiet,
        });
      },
    };
  });
  const question: AbQuestion = { repeats, metrics: args.metric ?? null, marginRatio };
  const done = await runTurns(turns, {
    pauseMs: sides.a.spec.pauseMs,
    quiet: args.quiet,
    after: (ends) => saveRunning(abSet(setRuns(ends, directory), question, directory), directory),
  });
  const results = abSet(setRuns(done.ends, directory), question, directory);
  const saved = await saveEnd(results, directory, done.exitCode);
  printError(results.notes.map((note) => `${note}\n`).join(''));
  if (args.json) print(results.json());
  else if (!args.quiet) {
    printPage(`${results.text()}\n`);
    print(`results: ${directory}\n`);
  }
  const how = { json: args.json, quiet: args.quiet, exports, exportDir: args['export-dir'] };
  await exportRuns(done.ends, directory, how);
  return worstExit([done.exitCode, saved, results.code]);
}

/** Puts `bench ab` into the parser. */
export const addAb: AddVerb = (y, { usage, about, declare, set, argv: words }) =>
  y.command(
    usage,
    about,
    (inner) =>
      declare(inner, AB_OPTIONS).example(
        '$0 ab --a http://old:8000 --b http://new:8000 --isl 4000 --osl 1000 --concurrency 8,64',
        'six sweeps of each, in the order A B B A',
      ),
    async (argv) => set(await runAb(argv, words)),
  );
