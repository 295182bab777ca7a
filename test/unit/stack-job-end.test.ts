import { describe, expect, it } from 'vitest';
import { mayBeJobEnd, whyJobEnded } from '../../src/stack/failure/job-end.ts';
import { plainWhy } from '../../src/stack/failure/why.ts';

const facts = (state: string, reason = 'None') => ({ id: '7', state, reason, nodeList: '', endsAt: null });

describe('a job that is over', () => {
  it.each([
    ['TIMEOUT', 'TimeLimit', 'time-limit'],
    ['COMPLETING', 'TimeLimit', 'time-limit'],
    ['NODE_FAIL', 'NodeDown', 'node-failure'],
    ['PREEMPTED', 'None', 'preempted'],
    ['CANCELLED', 'None', 'job-ended'],
    ['COMPLETED', 'None', 'job-ended'],
  ])('in state %s for %s is called %s', (state, reason, failureClass) => {
    const why = whyJobEnded('7', facts(state, reason));
    expect(why).toMatchObject({ failureClass, step: null });
    expect(why.message).toContain(`(${state})`);
    expect(why.hint).not.toBeNull();
  });

  it('and forgotten is told so', () => {
    expect(whyJobEnded('7', null).message).toBe('job 7 is over (SLURM does not know it any more)');
  });

  it('explains ends by its signals, and none that has a reason of its own', () => {
    const ends = (failureClass: 'exit' | 'rank-crash' | 'cancelled' | 'cuda-oom', exitCode: number | null) =>
      mayBeJobEnd({ ...plainWhy(failureClass, 'x'), exitCode });
    expect([ends('exit', 143), ends('exit', 0), ends('rank-crash', 137), ends('cancelled', 3)]).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect([ends('exit', 3), ends('rank-crash', 134), ends('cuda-oom', 137)]).toEqual([false, false, false]);
  });
});
