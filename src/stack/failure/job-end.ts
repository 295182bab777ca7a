import type { JobFacts } from '../launch/slurm.ts';
import { type FailureClass, plainWhy, type Why } from './why.ts';

interface JobEnd {
  readonly pattern: RegExp;
  readonly failureClass: FailureClass;
  readonly meaning: string;
  readonly hint: string;
}

/** By the state of the job, or by the reason while its nodes are still being cleared. */
const ENDS: readonly JobEnd[] = [
  {
    pattern: /^(?:TIMEOUT|DEADLINE|TimeLimit)$/,
    failureClass: 'time-limit',
    meaning: 'its time limit is reached',
    hint: 'Ask for more time (cluster.time), or measure less.',
  },
  {
    pattern: /^(?:NODE_FAIL|NodeDown|NodeFail)$/,
    failureClass: 'node-failure',
    meaning: 'a node of it has failed',
    hint: 'See `sinfo -R`; take the node out (cluster.extra: [--exclude=NODE]) and launch again.',
  },
  {
    pattern: /^(?:PREEMPTED|Preempted)$/,
    failureClass: 'preempted',
    meaning: 'another job has preempted it',
    hint: 'Use a partition or QOS that is not preempted.',
  },
  {
    pattern: /^CANCELLED/,
    failureClass: 'job-ended',
    meaning: 'it was cancelled',
    hint: 'Somebody used scancel on it: `scontrol show job`, or ask the site.',
  },
];

/** Why a job of the stack is over, by what the queue says of it; `facts` null: it does not know it any more. */
export function whyJobEnded(jobId: string, facts: JobFacts | null): Why {
  const said = facts === null ? [] : [facts.state, facts.reason];
  const end = ENDS.find(({ pattern }) => said.some((word) => pattern.test(word)));
  const seen = facts === null ? 'SLURM does not know it any more' : facts.state;
  return end === undefined
    ? plainWhy(
        'job-ended',
        `job ${jobId} is over (${seen})`,
        'Ask for more time (cluster.time), or see who ended it: `scontrol show job`.',
      )
    : plainWhy(end.failureClass, `job ${jobId} is over: ${end.meaning} (${seen})`, end.hint);
}

/** How the signals that end the tasks of a job show, 0 where they end well; by themselves they name no reason. */
const ENDED_BY_SIGNAL: readonly (number | null)[] = [null, 0, 130, 137, 143];

/** Whether the end of the job, if it has ended, is what the failure comes from. */
export function mayBeJobEnd({ failureClass, exitCode }: Why): boolean {
  if (failureClass === 'cancelled' || failureClass === 'job-ended') return true;
  const plain = failureClass === 'exit' || failureClass === 'rank-crash' || failureClass === 'step-refused';
  return plain && ENDED_BY_SIGNAL.includes(exitCode);
}
