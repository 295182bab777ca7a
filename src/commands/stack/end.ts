import { readFileSync } from 'node:fs';
import path from 'node:path';
import { writeAtomic } from '../../host/store.ts';
import { commandEnvironment } from '../../stack/launch/command-environment.ts';
import { isOnNodes } from '../../stack/launch/node-cleanup.ts';
import { Recorder } from '../../stack/launch/recorder.ts';
import { jobIsOver } from '../../stack/launch/slurm.ts';
import type { StackState } from '../../stack/launch/state.ts';
import { tearDown } from '../../stack/launch/teardown.ts';
import type { StackPlan } from '../../stack/plan/planned.ts';
import { stillThere } from './follow.ts';

export interface StackEnd {
  /** What is still there, in words; empty when nothing is. */
  readonly left: readonly string[];
  /** Whether its job had ended before. */
  readonly nodesGone: boolean;
}

/**
 * Ends what is there of a stack whose supervisor has ended: the folder, SLURM and the processes' marks tell what that
 * is. `by` says who ends it. `forget`: what may be left on nodes that cannot be looked at is taken for gone. The outcome is in the folder's state too.
 */
export async function endStack(
  dir: string,
  state: StackState,
  { by, forget = false }: { readonly by: string; readonly forget?: boolean },
): Promise<StackEnd> {
  // Nodes that have been given back can be looked at by another job alone, where they take one.
  const nodesGone = state.job !== null && (await jobIsOver(state.job.id));
  const recorder = new Recorder(dir, state, writeAtomic);
  recorder.phase('stopping', by);
  const seen = await tearDown({
    run: state.run,
    plan: readPlan(dir),
    job: state.job === null ? null : { id: state.job.id, ours: state.job.ours },
    pids: new Map(state.steps.flatMap((step) => (step.pid === null ? [] : [[step.id, step.pid] as const]))),
    before: nodesGone ? stillThere(state).filter(isOnNodes) : [],
    env: commandEnvironment(process.env),
    stopping: (step) => recorder.step(step, 'stopping', null),
    ended: (step) => recorder.step(step, 'ended', null),
    note: (text) => recorder.note('stack', text),
  });
  const left = forget && nodesGone ? seen.filter((one) => !isOnNodes(one)) : seen;
  recorder.set({ left });
  recorder.phase('stopped', left.length === 0 ? 'nothing is left' : `left: ${left.join(', ')}`);
  return { left, nodesGone };
}

/** The plan of a stack, as its supervisor wrote it; null where the launch ended before there was one. */
export function readPlan(dir: string): StackPlan | null {
  try {
    return JSON.parse(readFileSync(path.join(dir, 'resolved.json'), 'utf8')) as StackPlan;
  } catch {
    return null;
  }
}
