import path from 'node:path';
import { EXIT, type ExitCode, worstExit } from '../../core/errors.ts';
import { publicSpec } from '../../core/secrets.ts';
import { fileStamp } from '../../core/units.ts';
import { EMBEDDED_TOKENIZER } from '../../datasets/tokenizer-source.ts';
import { startClock } from '../../host/clock.ts';
import { readProvenance } from '../../host/environment.ts';
import { RunStore } from '../../host/store.ts';
import { VERSION } from '../about.ts';
import { exportDirectory, parseExports } from '../exports.ts';
import { checkFileLimit } from '../level.ts';
import { runSweep, type SweepResult } from '../sweep-run.ts';
import { print, printError, resultsAreIn } from '../terminal.ts';
import { parseServing, servingHelp } from './arguments.ts';
import { tellOutcome } from './outcome.ts';
import { checkAppendable, defaultOutputFile } from './output-file.ts';
import { ServingServer } from './server.ts';
import { chooseTokenizer, servingAccess, servingSpec, TOKENIZER_VARIABLE } from './spec.ts';
import { ServingWatch } from './watch.ts';

const NAME_ONE = `name one with --tokenizer, a path in --model, or ${TOKENIZER_VARIABLE}`;
const EMBEDDED_WARNING = `no tokenizer of the model is at hand, so the embedded one makes the prompts and the server's usage proves their lengths; ${NAME_ONE}`;
const NOT_SGLANGS_WARNING = `no tokenizer of the model is at hand, so the prompts are NOT those of sglang, which takes the model's; ${NAME_ONE}`;

/** `bench serving`: the flags and the output of sglang.bench_serving, on the measuring core of `bench sweep`. */
export async function runServing(argv: readonly string[]): Promise<ExitCode> {
  if (argv.some((word) => word === '--help' || word === '-h')) {
    print(servingHelp());
    return EXIT.ok;
  }
  const args = parseServing(argv);
  const exports = parseExports(args.exports);
  const say = (line: string): void => printError(`${line}\n`);
  const outputFile = args.outputFile ?? defaultOutputFile(args, new Date());
  checkAppendable(outputFile);
  const access = servingAccess(args);
  // Everything wrong with the flags is told before the server is waited for.
  const limit =
    args.maxConcurrency === null ? '--num-prompts without --max-concurrency' : '--max-concurrency';
  checkFileLimit(servingSpec(args, access, null).points, limit, '--max-concurrency');
  for (const note of args.notes) say(`note: ${note}`);
  if (chooseTokenizer(args) === EMBEDDED_TOKENIZER)
    say(`warning: ${args.bugCompatible ? NOT_SGLANGS_WARNING : EMBEDDED_WARNING}`);
  const server = new ServingServer(args, access);
  try {
    const model = await server.ready(say);
    const spec = servingSpec(args, access, model);
    const clock = startClock();
    const store = RunStore.create(
      args.out ?? path.join('results', `${fileStamp(clock.origin.utc)}-serving`),
      'choose another folder',
    );
    resultsAreIn(store.directory);
    store.document('spec.json', `${JSON.stringify(publicSpec(spec), null, 2)}\n`);
    const watch = new ServingWatch(args, server, clock, say);
    let result: SweepResult;
    try {
      result = await runSweep({
        spec,
        access,
        clock,
        provenance: readProvenance(['serving', ...argv], VERSION),
        store,
        quiet: args.disableTqdm,
        earlier: [],
        earlierNotes: [],
        firstId: 0,
        hooks: watch,
      });
    } catch (error) {
      store.closeUnused();
      throw error;
    }
    const { report } = result;
    const told = await tellOutcome({ args, watch, report, outputFile, store });
    store.close();
    say(`results: ${store.directory}`);
    if (store.missing !== null) {
      say(
        `bench: --out: results in ${store.directory} are not whole; not on disk: ${store.missing}\n` +
          '  make room on that disk, or choose another folder',
      );
      return worstExit([result.exitCode, told, EXIT.usage]);
    }
    for (const file of await exportDirectory(exports, report, store.directory, undefined))
      say(`export: ${file}`);
    // What sglang counts as a success is no failed target, whatever our own reading of it.
    const ran = told === EXIT.ok && args.bugCompatible && result.exitCode === EXIT.target;
    return ran ? EXIT.ok : worstExit([result.exitCode, told]);
  } finally {
    await server.close();
  }
}
