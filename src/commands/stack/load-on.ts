import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { BenchError, EXIT, type ExitCode, usageError } from '../../core/errors.ts';
import type { Report } from '../../core/report.ts';
import { reportJson } from '../../exporters/json.ts';
import { writeAtomic } from '../../host/store.ts';
import { sleep } from '../../stack/launch/allocation.ts';
import { commandEnvironment } from '../../stack/launch/command-environment.ts';
import { signalStep, stepsOf } from '../../stack/launch/slurm.ts';
import type { StackPlan } from '../../stack/plan/planned.ts';
import type { StackLink } from './link.ts';
import { Stop } from './stop.ts';

/** Options of the outer command that the inner one is not given; those with a value. */
const DROPPED_WITH_VALUE = new Set(['--stack', '--stack-run', '--load-on', '--out', '--api-key', '--header']);
const DROPPED = new Set(['--keep', '--no-keep', '--no-preflight', '--preflight']);

/**
 * Runs the same command as a step of the job on one of its nodes, attached to the stack, and gives its exit code:
 * the load then starts next to the frontend and not on a login node far from it. Results go to the same folder,
 * which all hosts must see. Exit 2 when the stack has no such node.
 */
export async function sendFrom(
  where: string,
  link: StackLink,
  argv: readonly string[],
  directory: string,
): Promise<ExitCode> {
  const { job, run } = link.state;
  const node = where === 'head' ? headOf(link) : job?.nodes.find((name) => name === where);
  if (job === null || node === undefined) {
    throw usageError(
      `--load-on: ${where} is no node of the stack (${job?.nodes.join(', ') || 'it is local'})`,
      'say login, head or one of its nodes',
    );
  }
  const stepName = `${run}.load`;
  // Before there is a step: a signal in the moment of its start ends it too.
  const stop = new Stop('stopping: the load generator ends its requests');
  const child = spawn(
    'srun',
    [
      `--jobid=${job.id}`,
      '--overlap',
      '--nodes=1',
      '--ntasks=1',
      '--ntasks-per-node=1',
      '--kill-on-bad-exit=1',
      `--nodelist=${node}`,
      '-J',
      stepName,
      '--unbuffered',
      process.execPath,
      path.resolve(process.argv[1]!),
      ...innerWords(argv, link.dir, directory),
    ],
    {
      // srun hands the end of its input on: the inner command ends with this process, however that ends.
      stdio: ['pipe', 'inherit', 'inherit'],
      detached: true,
      env: { ...childEnvironment(argv, process.env), ...plainOutput(), [LIFELINE]: '1' },
    },
  );
  // A child that has ended breaks its pipe; its end is told below.
  child.stdin!.on('error', () => undefined);
  // srun itself would kill its tasks at once. A step that has just been asked for is not known yet.
  stop.signal.addEventListener('abort', async () => {
    while (child.exitCode === null && child.signalCode === null) {
      const step = (await stepsOf(job.id).catch(() => [])).find(({ name }) => name === stepName);
      if (step !== undefined) {
        await signalStep(step.id, stop.code === EXIT.terminated ? 'TERM' : 'INT');
        return;
      }
      await sleep(STEP_POLL_MS);
    }
  });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (stop.code !== null) return stop.code;
    endReport(directory, `the load generator on ${node} ended with ${code ?? 'a signal'}`);
    const known = Object.values(EXIT).find((exit) => exit === code);
    if (known !== undefined) return known;
    throw new BenchError(
      EXIT.launch,
      `the load generator on ${node} ended with ${code ?? 'a signal'}`,
      'see above',
    );
  } finally {
    stop.unlisten();
  }
}

/** With `--unbuffered` the inner command writes to a terminal of its own, also where this one writes to a file. */
function plainOutput(): NodeJS.ProcessEnv {
  return process.stdout.isTTY && process.stderr.isTTY ? {} : { NO_COLOR: '1' };
}

/** A load generator that was killed leaves a report that states that it runs. */
function endReport(directory: string, why: string): void {
  const file = path.join(directory, 'report.json');
  try {
    const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
    if (report.status !== 'running') return;
    const ended: Report = {
      ...report,
      status: 'failed',
      statusDetail: why,
      finishedUtc: new Date().toISOString(),
    };
    writeAtomic(file, reportJson(ended));
  } catch {
    // There is none, or the disk is full: the error that follows names the cause.
  }
}

/** Tells the inner command that its input is a lifeline. */
const LIFELINE = 'BENCH_LOAD_LIFELINE';
const STEP_POLL_MS = 200;

/** On a node: ends this process, as SIGTERM does, when the one that sent it there is gone. */
export function holdLifeline(env: NodeJS.ProcessEnv): void {
  if (env[LIFELINE] === undefined) return;
  // Its own children must not wait for the same input.
  delete env[LIFELINE];
  process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM')).resume();
  process.stdin.on('error', () => undefined);
  // A run that has ended does not wait for it.
  (process.stdin as { unref?(): void }).unref?.();
}

/** The node of the frontend, by the plan; without one the first of the job. */
export function headOf({ dir, state }: Pick<StackLink, 'dir' | 'state'>): string | undefined {
  try {
    const plan = JSON.parse(readFileSync(path.join(dir, 'resolved.json'), 'utf8')) as StackPlan;
    return plan.head.node;
  } catch {
    return state.job?.nodes[0];
  }
}

/** What the inner command is told: the same, attached to the stack. A resumed run has its folder already. */
export function innerWords(argv: readonly string[], stackDir: string, directory: string): string[] {
  const resumed = argv.some((word) => word === '--resume' || word.startsWith('--resume='));
  return [
    ...withoutLaunch(argv),
    `--stack-run=${path.resolve(stackDir)}`,
    ...(resumed ? [] : [`--out=${path.resolve(directory)}`]),
  ];
}

/** The arguments without what launches, and without what must not be seen on a node. */
export function withoutLaunch(argv: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const [name = ''] = argv[at]!.split('=', 1);
    if (DROPPED.has(name)) continue;
    if (!DROPPED_WITH_VALUE.has(name)) kept.push(argv[at]!);
    else if (!argv[at]!.includes('=')) at++;
  }
  return kept;
}

/** Holds, as a JSON list, the values of `--header` that are not on the command line of the inner command. */
const HEADERS = 'BENCH_LOAD_HEADERS';

/** Values of `--header` that this process was given by the one that sent it to a node. */
export function sentHeaders(env: NodeJS.ProcessEnv): string[] {
  const text = env[HEADERS];
  return text === undefined ? [] : (JSON.parse(text) as string[]);
}

/** Keys and headers from the command line go through the environment, which other users cannot see. */
export function childEnvironment(argv: readonly string[], inherited: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const key = valuesOf('--api-key', argv).at(-1);
  const headers = valuesOf('--header', argv);
  return {
    ...commandEnvironment(inherited),
    ...(key === undefined ? {} : { OPENAI_API_KEY: key }),
    ...(headers.length === 0 ? {} : { [HEADERS]: JSON.stringify(headers) }),
  };
}

function valuesOf(name: string, argv: readonly string[]): string[] {
  return argv.flatMap((word, at) => {
    if (word === name) return argv[at + 1] ?? [];
    return word.startsWith(`${name}=`) ? word.slice(name.length + 1) : [];
  });
}
