import type { AbandonedStack } from '../../stack/launch/allocation.ts';
import { stackJobs } from '../../stack/launch/slurm.ts';
import { isDown, stackLine, supervisorLives, tryReadState } from './follow.ts';

/** Jobs of this user that stacks have left whose supervisor has died, as far as their folders can be seen from here. Never rejects. */
export async function abandonedStacks(ownRun: string): Promise<AbandonedStack[]> {
  const jobs = (await stackJobs()).filter(({ run }) => run !== ownRun);
  return jobs.flatMap(({ id, run, dir, nodeList }) => {
    const state = dir === null ? null : readable(dir);
    if (dir === null || state?.run !== run || isDown(state) || supervisorLives(state)) return [];
    return [{ jobId: id, nodeList, dir, remedy: stackLine('down', dir) }];
  });
}

function readable(dir: string): ReturnType<typeof tryReadState> {
  try {
    return tryReadState(dir);
  } catch {
    return null;
  }
}
