import os from 'node:os';
import path from 'node:path';
import { greatest } from '../core/distribution.ts';
import { EXIT, type ExitCode, usageError, worstExit } from '../core/errors.ts';
import { publicSpec } from '../core/secrets.ts';
import { startClock } from '../host/clock.ts';
import { readProvenance } from '../host/environment.ts';
import { RunStore } from '../host/store.ts';
import type { StackState } from '../stack/launch/state.ts';
import { VERSION } from './about.ts';
import { newSalt, parseAccess, parseSpec } from './arguments.ts';
import { showPlan, stackTold } from './dry-run.ts';
import { exportDirectory, parseExports } from './exports.ts';
import { checkFileLimit } from './level.ts';
import { parseLoad, planLoad } from './load-plan.ts';
import { type MockProcess, mockWords, startMockProcess } from './mock-process.ts';
import type { MeasureArgs } from './options.ts';
import { pageOf } from './page.ts';
import { asEarlier, type EarlierRun, earlierRun, refuseBesideResume } from './resume.ts';
import { resumedBody } from './resumed-body.ts';
import { urlOf } from './stack/link.ts';
import { holdLifeline, sendFrom, sentHeaders } from './stack/load-on.ts';
import type { StackSession } from './stack/session.ts';
import { runSweep, type SweepResult } from './sweep-run.ts';
import { thenClose } from './then-close.ts';
import { withAdvice } from './unfinished.ts';

/** `bench sweep` and `bench run`: from argv to results on disk and on stdout. */
export async function runMeasure(
  given: MeasureArgs,
  verb: 'sweep' | 'run',
  argv: readonly string[],
): Promise<ExitCode> {
  holdLifeline(process.env);
  const args = { ...given, header: [...sentHeaders(process.env), ...given.header] };
  const earlier = args.resume === undefined ? null : earlierRun(args.resume);
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
  readonly earlier: EarlierRun | null;
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
    concurrency: greatest(bare.points.map((point) => point.concurrency)),
    cores: os.availableParallelism(),
  });
  const first = { ...bare, ...load };
  if (verb === 'run' && first.points.length > 1)
    throw usageError(`bench run measures one point, not ${first.points.length}`, 'use bench sweep');
  if (args['dry-run']) {
    const told = await stackTold(args);
    const env = told?.job ? { ...process.env, SLURM_JOB_ID: told.job } : process.env;
    const spec = { ...first, model: first.model ?? told?.model ?? null };
    const plan = await showPlan(spec, parseAccess(target), planLoad(first, args, env), told?.where ?? null);
    process.stdout.write(plan);
    return EXIT.ok;
  }
  // Load generators check their own shares.
  if (first.load === undefined) checkFileLimit(first.points, '--concurrency');
  const clock = startClock(earlier?.origin);
  const directory =
    args.resume ??
    args.out ??
    path.join('results', `${clock.origin.utc.replace(/[-:]|\.\d+/g, '')}-${first.name}`);
  if (args.stack !== undefined || args['stack-run'] !== undefined) {
    // The readers of stack files are loaded for those alone who have one.
    const { attachStack, launchStack } = await import('./stack/session.ts');
    held.stack =
      args.stack === undefined
        ? attachStack(args['stack-run']!)
        : await launchStack(args.stack, { ...args, directory, points: first.points });
  }
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
  const plan = planLoad(spec, args, stack === null ? process.env : jobOf(stack.link.state, process.env));
  const store = earlier === null ? RunStore.create(directory) : earlier.reopen();
  store.document('spec.json', `${JSON.stringify(publicSpec(spec), null, 2)}\n`);
  let result: SweepResult;
  try {
    result = await runSweep({
      spec,
      access,
      clock,
      provenance: readProvenance(argv, VERSION),
      store,
      quiet: args.quiet,
      earlier: earlier?.levels ?? [],
      earlierNotes: earlier?.notes ?? [],
      firstId: earlier?.firstId ?? 0,
      stack: stack?.link ?? null,
      load: plan,
    });
  } catch (error) {
    store.closeUnused();
    throw error;
  }
  const { report, exitCode } = result;
  store.close();
  if (args.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else if (!args.quiet)
    process.stdout.write(`${pageOf(withAdvice(report, directory), 'heaviest')}\nresults: ${directory}\n`);
  const exported = exportDirectory(
    store.missing === null ? exports : [],
    report,
    directory,
    args['export-dir'],
  );
  if (!args.json && !args.quiet) process.stdout.write(exported.map((file) => `export: ${file}\n`).join(''));
  if (store.missing === null) return exitCode;
  process.stderr.write(
    `bench: --out: results in ${directory} are not whole; not on disk: ${store.missing}\n` +
      '  make room on that disk and go on with --resume, or choose another folder\n',
  );
  return worstExit([exitCode, EXIT.usage]);
}

/** A run measures one thing: a server that is there, the mock, or a stack. */
function refuseMixedTargets(args: MeasureArgs, argv: readonly string[]): void {
  const given = [
    ...(argv.some((word) => /^--url(=|$)/.test(word)) ? ['--url'] : []),
    ...(args.mock ? ['--mock'] : []),
    ...(args.stack === undefined ? [] : ['--stack']),
    ...(args['stack-run'] === undefined ? [] : ['--stack-run']),
  ];
  if (given.length > 1 && given.some((name) => name.startsWith('--stack')))
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
