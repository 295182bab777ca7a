import { readFileSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { BenchError, EXIT, type ExitCode } from '../../core/errors.ts';
import { writeAtomic } from '../../host/store.ts';
import { sleep } from '../../stack/launch/allocation.ts';
import { commandEnvironment } from '../../stack/launch/command-environment.ts';
import { Recorder, STATE_FILE } from '../../stack/launch/recorder.ts';
import { jobIsOver } from '../../stack/launch/slurm.ts';
import type { StackState } from '../../stack/launch/state.ts';
import { isOnNodes, tearDown } from '../../stack/launch/teardown.ts';
import type { StackPlan } from '../../stack/plan/planned.ts';
import { print } from '../terminal.ts';
import { findStack } from './find.ts';
import {
  isDown,
  leftBehind,
  readState,
  stackLine,
  stillThere,
  supervisorLives,
  watchState,
} from './follow.ts';
import { LiveView } from './live-view.ts';

/** How long a supervisor that was asked to stop may take beyond the grace of its steps. */
const PATIENCE_MS = 120_000;

/**
 * `bench stack down [DIR]`: ends a stack and all that is left of it. A living supervisor does it; of a dead one
 * the folder, SLURM and the processes' marks tell what there is. Exit 0 when nothing is left, else 4. `forget`: what was
 * left on nodes where nobody can look any more is taken for gone.
 */
export async function runDown(args: { dir: string | undefined; forget: boolean }): Promise<ExitCode> {
  const dir = findStack(args.dir, 'down');
  const first = readState(dir);
  const view = new LiveView(process.stderr);
  const looked = supervisorLives(first);
  if (!looked) refuseForeign(dir);
  const { host, pid } = first.supervisor;
  if (host !== os.hostname() && (looked || (first.mode === 'local' && !isDown(first)))) {
    const what = looked ? `the supervisor of ${dir} runs` : `the processes of ${dir} ran`;
    throw new BenchError(
      EXIT.launch,
      `${what} on ${host}, process ${pid}`,
      `run it there: ${stackLine('down', dir)}`,
    );
  }
  if (looked) {
    askToStop(pid, dir);
    const unwatch = watchState(dir, 200, (state) => view.show(state));
    const giveUpMs = performance.now() + PATIENCE_MS + graceMs(dir);
    while (supervisorLives(readState(dir)) && performance.now() < giveUpMs) await sleep(100);
    unwatch();
  }
  let state = readState(dir);
  if (!looked || !isDown(state)) {
    // Nodes that have been given back take no step: nobody can look there.
    const nodesGone = state.job !== null && (await jobIsOver(state.job.id));
    const unseen = args.forget || !nodesGone ? [] : stillThere(state).filter(isOnNodes);
    const recorder = new Recorder(dir, state, writeAtomic);
    recorder.phase('stopping', 'by bench stack down');
    const seen = await tearDown({
      run: state.run,
      plan: readPlan(dir),
      job: state.job === null ? null : { id: state.job.id, ours: state.job.ours },
      pids: new Map(state.steps.flatMap((step) => (step.pid === null ? [] : [[step.id, step.pid] as const]))),
      env: commandEnvironment(process.env),
      stopping: (step) => recorder.step(step, 'stopping', null),
      ended: (step) => recorder.step(step, 'ended', null),
      note: (text) => recorder.note('stack', text),
    });
    const left = [...unseen, ...seen];
    recorder.set({ left });
    if (left.length > 0) {
      recorder.phase('stopped', `left: ${left.join(', ')}`);
      throw seen.length > 0 ? leftBehind(left, dir) : unseenAfter(unseen, state, dir);
    }
    recorder.phase('stopped', 'nothing is left');
    view.show(recorder.state);
    state = recorder.state;
  }
  print(`stack ${state.name} is down: no step, no job of ours, no process is left\n`);
  return EXIT.ok;
}

export const DOWN_OPTIONS = {
  forget: {
    type: 'boolean',
    default: false,
    describe: 'take what was left on the nodes of a job that has ended for gone: somebody has looked there',
  },
} as const;

function unseenAfter(unseen: readonly string[], { job }: StackState, dir: string): BenchError {
  return new BenchError(
    EXIT.launch,
    `job ${job?.id} has ended, so bench cannot see whether this is still there: ${unseen.join(', ')}`,
    `look on the node, then say: ${stackLine('down', dir)} --forget`,
  );
}

/** Exit 4 for what another user started: it cannot be seen and not be ended. */
function refuseForeign(dir: string): void {
  const owner = statSync(path.join(dir, STATE_FILE)).uid;
  const self = process.getuid?.() ?? owner;
  if (owner !== self && self !== 0)
    throw new BenchError(EXIT.launch, `the stack in ${dir} is of user ${owner}`, 'its user can end it');
}

/** Asks a supervisor to tear down. Exit 4 when it is another user's. */
function askToStop(pid: number, dir: string): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    // Else it has ended in the meantime.
    if ((error as NodeJS.ErrnoException).code === 'EPERM')
      throw new BenchError(
        EXIT.launch,
        `the supervisor of ${dir}, process ${pid}, is another user's`,
        'its user can stop it',
      );
  }
}

function readPlan(dir: string): StackPlan | null {
  try {
    return JSON.parse(readFileSync(path.join(dir, 'resolved.json'), 'utf8')) as StackPlan;
  } catch {
    return null;
  }
}

function graceMs(dir: string): number {
  return (readPlan(dir)?.steps ?? []).reduce((most, step) => Math.max(most, step.stop.graceMs), 0) * 3;
}
