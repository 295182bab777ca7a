import { describe, expect, it } from 'vitest';
import {
  mayBeJobEnd,
  namesEnd,
  ofWholeJob,
  whyAllEnded,
  whyJobEnded,
} from '../../src/stack/failure/job-end.ts';
import { type FailureClass, plainWhy } from '../../src/stack/failure/why.ts';

const facts = (state: string, reason = 'None') => ({ id: '7', state, reason, nodeList: '', endsAt: null });

describe('a job that is over', () => {
  it.each([
    ['TIMEOUT', 'TimeLimit', 'time-limit'],
    ['COMPLETING', 'TimeLimit', 'time-limit'],
    ['NODE_FAIL', 'NodeDown', 'node-failure'],
    ['PREEMPTED', 'None', 'preempted'],
    ['BOOT_FAIL', 'None', 'node-failure'],
    ['OUT_OF_MEMORY', 'None', 'host-oom'],
    ['CANCELLED', 'None', 'job-ended'],
    ['PENDING', 'BeginTime', 'job-ended'],
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

  it('says how it ended, or not yet', () => {
    expect(namesEnd(facts('COMPLETING'))).toBe(false);
    expect(namesEnd(facts('COMPLETING', 'TimeLimit'))).toBe(true);
    expect(namesEnd(facts('CANCELLED'))).toBe(true);
    expect(whyJobEnded('7', facts('PENDING')).message).toContain('back into the queue');
  });

  it('explains ends with any code and what tasks show then, and none whose cause is named', () => {
    const ends = (failureClass: FailureClass, exitCode: number | null) =>
      mayBeJobEnd({ ...plainWhy(failureClass, 'x'), exitCode });
    // nats-server ends with 1 when it is asked to end.
    expect([ends('exit', 1), ends('exit', 143), ends('rank-crash', 134), ends('cancelled', 3)]).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect([ends('crash', 1), ends('network', 1), ends('lease-expired', 0)]).toEqual([true, true, true]);
    expect([ends('cuda-oom', 137), ends('port-taken', 1), ends('node-failure', null)]).toEqual([
      false,
      false,
      false,
    ]);
  });

  it('is of no step, though one has reported it', () => {
    const reported = { ...plainWhy('time-limit', 'over'), step: 'nats-0', node: 'n1', rank: 0, exitCode: 1 };
    expect(ofWholeJob(reported)).toEqual(plainWhy('time-limit', 'over'));
    const other = { ...reported, failureClass: 'node-failure' as const };
    expect(ofWholeJob(other)).toBe(other);
  });

  it('that runs on though all its steps were sent a signal says so', () => {
    expect(whyAllEnded('7', 5)).toMatchObject({
      failureClass: 'cancelled',
      message: 'all 5 steps of job 7 were sent a signal at the same time, and the job runs on',
      step: null,
    });
  });
});
