import os from 'node:os';
import path from 'node:path';
import { EXIT, type ExitCode, usageError } from '../core/errors.ts';
import { fileStamp } from '../core/units.ts';
import { startClock } from '../host/clock.ts';
import type { StackState } from '../stack/launch/state.ts';
import { newSalt, parseAccess, parseSpec } from './arguments.ts';
import { refuseSilentRepeats } from './dataset-options.ts';
import { showPlan, stackTold } from './dry-run.ts';
import { parseExports } from './exports.ts';
import { checkFileLimit, levelFlag } from './level.ts';
import { mostStreams, parseLoad, planLoad } from './load-plan.ts';
import { type MockProcess, mockWords, startMockProcess } from './mock-process.ts';
import { whole } from './number-checks.ts';
import { measureOnce, type OneRun } from './one-run.ts';
import type { MeasureArgs } from './options.ts';
import { measureRepeats } from './repeats.ts';
import { asEarlier, type EarlierWork, earlierWork, refuseBesideResume } from './resume.ts';
import { resumedBody } from './resumed-body.ts';
import { urlOf } from './stack/link.ts';
import { holdLifeline, sendFrom, sentHeaders } from './stack/load-on.ts';
import type { StackSession } from './stack/session.ts';
import { type Telling, tellRun } from './telling.ts';
import { print, resultsAreIn } from './terminal.ts';
import { thenClose } from './then-close.ts';
import { refuseRepeatsFolder, refuseRunFolder } from './turns.ts';

/** `bench sweep` and `bench run`: from argv to results on disk and on stdout. */
export async function runMeasure(
  given: MeasureArgs,
  verb: 'sweep' | 'run',
  argv: readonly string[],
): Promise<ExitCode> {
  holdLifeline(process.env);
  const args = { ...given, header: [...sentHeaders(process.env), ...given.header] };
  const earlier = args.resume === undefined ? null : earlierWork(args.resume);
  if (earlier !== null) refuseBesideResume(argv);
  const exports = parseExports(args.export);
  refuseMixedTargets(args, argv);
  const mock = args.mock && !args['dry-run'] ? await startMockProcess(mockWords(args['mock-flags'])) : null;
  const held: { stack: StackSession | null } = { stack: null };
  return thenClose(
    () => measure({ args, verb, argv, earlier, exports, mock }, held),
    async () => {
      await mock?.stop();
      await held.stack?.close();
    },
  );
}

/** What a run is told, once that has been looked at without sending or launching anything. */
interface Order {
  readonly args: MeasureArgs;
  readonly verb: 'sweep' | 'run';
  readonly argv: readonly string[];
  readonly earlier: EarlierWork | null;
  readonly exports: ReturnType<typeof parseExports>;
  readonly mock: MockProcess | null;
}

/** Measures; the stack that it launches or attaches to is put into `held`, to be closed whatever happens. */
async function measure(
  { args, verb, argv, earlier, exports, mock }: Order,
  held: { stack: StackSession | null },
): Promise<ExitCode> {
  const told = earlier === null ? args : { ...args, ...asEarlier(earlier.spec, args) };
  const target = mock === null ? told : { ...told, url: [mock.url] };
  // Parsed before anything is launched, and again when the stack has told where it is.
  const bare = parseSpec(target, parseAccess(target), verb);
  const load = parseLoad(args, {
    concurrency: mostStreams(bare.points),
    cores: os.availableParallelism(),
  });
  const first = { ...bare, ...load };
  if (verb === 'run' && first.points.length > 1)
    throw usageError(`bench run measures one point, not ${first.points.length}`, 'use bench sweep');
  const repeats = earlier === null ? whole(args.repeats, 1, '--repeats') : (earlier.set?.of ?? 1);
  if (repeats > 1 && earlier === null && first.dataset !== 'trace')
    refuseSilentRepeats(first.prompts, '--repeats');
  if (args['dry-run']) {
    const told = await stackTold(args);
    const env = told?.job ? { ...process.env, SLURM_JOB_ID: told.job } : process.env;
    const spec = { ...first, model: first.model ?? told?.model ?? null };
    const plan = await showPlan(
      spec,
      parseAccess(target),
      planLoad(first, args, env),
      told?.where ?? null,
      repeats,
    );
    print(plan);
    return EXIT.ok;
  }
  // Load generators check their own shares.
  if (first.load === undefined) checkFileLimit(first.points, levelFlag(first));
  const only = earlier?.set === null ? earlier.runs.get(1)! : null;
  const clock = startClock(only?.origin);
  const directory =
    args.resume ?? args.out ?? path.join('results', `${fileStamp(clock.origin.utc)}-${first.name}`);
  if (repeats === 1 && earlier === null) refuseRepeatsFolder(directory);
  if (repeats > 1 && earlier === null)
    refuseRunFolder(
      directory,
      Array.from({ length: repeats }, (_, nth) => `${nth + 1}`),
    );
  if (args.stack !== undefined || args['stack-run'] !== undefined) {
    // The readers of stack files are loaded for those alone who have one.
    const { attachStack, launchStack } = await import('./stack/session.ts');
    held.stack =
      args.stack === undefined
        ? attachStack(args['stack-run']!)
        : await launchStack(args.stack, {
            ...args,
            directory,
            places: args,
            points: first.points.filter(({ lengths }) => lengths === undefined),
          });
  }
  resultsAreIn(directory);
  const { stack } = held;
  if (stack !== null && args['load-on'] !== 'login')
    return await sendFrom(args['load-on'], stack.link, argv, directory);
  const reached = stack === null ? target : { ...target, ...asLaunched(stack.link.state, target) };
  const access = parseAccess(reached);
  const asked = stack === null ? first : { ...parseSpec(reached, access, verb), ...load };
  const spec =
    earlier === null
      ? asked
      : {
          ...earlier.spec,
          urls: asked.urls,
          headerNames: asked.headerNames,
          extraBody: resumedBody(earlier.spec.extraBody, args['extra-body']),
          prompts: { ...earlier.spec.prompts, salt: newSalt() },
          ...load,
        };
  const run: Omit<OneRun, 'clock' | 'directory' | 'earlier' | 'spec'> = {
    access,
    argv,
    stack: stack?.link ?? null,
    load: planLoad(spec, args, stack === null ? process.env : jobOf(stack.link.state, process.env)),
    quiet: args.quiet,
  };
  const tell: Telling = {
    json: args.json,
    quiet: args.quiet,
    exports,
    exportDir: args['export-dir'],
  };
  if (repeats > 1)
    return await measureRepeats(
      { ...run, spec },
      { repeats, directory, earlier, salt: args.salt ?? null },
      tell,
    );
  return tellRun(await measureOnce({ ...run, spec, clock, directory, earlier: only }), tell);
}

/** A run measures one thing: a server that is there, the mock, or a stack. */
function refuseMixedTargets(args: MeasureArgs, argv: readonly string[]): void {
  const given = [
    ...(argv.some((word) => /^--url(=|$)/.test(word)) ? ['--url'] : []),
    ...(args.mock ? ['--mock'] : []),
    ...(args.stack === undefined ? [] : ['--stack']),
    ...(args['stack-run'] === undefined ? [] : ['--stack-run']),
  ];
  if (given.length > 1)
    throw usageError(`${given.join(' and ')}: each names what is measured`, 'give one of them');
  if (args.keep && args.stack === undefined)
    throw usageError('--keep: there is no stack that would be torn down', 'give --stack FILE');
  if (args['load-on'] !== 'login' && args.stack === undefined && args['stack-run'] === undefined)
    throw usageError('--load-on: there is no stack whose nodes could send', 'give --stack or --stack-run');
}

/** What a stack tells of itself, where the command line does not say otherwise. */
function asLaunched(state: StackState, args: MeasureArgs): Pick<MeasureArgs, 'url' | 'model' | 'gpus'> {
  return {
    url: [urlOf(state)],
    model: args.model ?? state.servedModel ?? undefined,
    gpus: args.gpus ?? state.gpus ?? undefined,
  };
}

/** The environment in which load generators are looked for: the stack's job is theirs too. */
function jobOf(state: StackState, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return state.job === null ? env : { ...env, SLURM_JOB_ID: state.job.id };
}
