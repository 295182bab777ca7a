import { statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { BenchError, EXIT, type ExitCode } from '../../core/errors.ts';
import { sleep } from '../../stack/launch/allocation.ts';
import { isOnNodes } from '../../stack/launch/node-cleanup.ts';
import { STATE_FILE } from '../../stack/launch/recorder.ts';
import type { StackState } from '../../stack/launch/state.ts';
import { print } from '../terminal.ts';
import { endStack, readPlan } from './end.ts';
import { findStack } from './find.ts';
import { isDown, leftBehind, readState, stackLine, supervisorLives, watchState } from './follow.ts';
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
    const end = await endStack(dir, state, { by: 'by bench stack down', forget: args.forget });
    if (end.left.length > 0)
      throw end.nodesGone && end.left.every(isOnNodes)
        ? unseenAfter(end.left, state, dir)
        : leftBehind(end.left, dir);
    state = readState(dir);
    view.show(state);
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

function graceMs(dir: string): number {
  return (readPlan(dir)?.steps ?? []).reduce((most, step) => Math.max(most, step.stop.graceMs), 0) * 3;
}
