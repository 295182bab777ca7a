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
    pattern: /^(?:NODE_FAIL|NodeDown|NodeFail|BOOT_FAIL)$/,
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
    pattern: /^OUT_OF_MEMORY$/,
    failureClass: 'host-oom',
    meaning: 'SLURM has ended it for want of memory',
    hint: 'Ask for more memory (cluster.mem: "0" for all of a node), or load fewer workers on a node.',
  },
  {
    pattern: /^(?:PENDING|REQUEUED|REQUEUE_HOLD)$/,
    failureClass: 'job-ended',
    meaning: 'SLURM has put it back into the queue',
    hint: 'It does so after a node failure or a preemption: `scontrol show job`.',
  },
  {
    pattern: /^CANCELLED/,
    failureClass: 'job-ended',
    meaning: 'it was cancelled',
    hint: 'Somebody used scancel on it: `scontrol show job`, or ask the site.',
  },
];

/** A failure of the job as a whole, without the step whose log happened to tell of it first. */
export function ofWholeJob(why: Why): Why {
  const { failureClass } = why;
  if (failureClass !== 'time-limit' && failureClass !== 'preempted') return why;
  return { ...why, step: null, rank: null, node: null, exitCode: null };
}

/** Whether the queue says how a job has ended. */
export function namesEnd({ state, reason }: JobFacts): boolean {
  return ENDS.some(({ pattern }) => pattern.test(state) || pattern.test(reason));
}

/** Why all steps of a job were ended at once though it runs on. */
export function whyAllEnded(jobId: string, steps: number): Why {
  return plainWhy(
    'cancelled',
    `all ${steps} steps of job ${jobId} were sent a signal at the same time, and the job runs on`,
    'It comes from `scancel --signal` on the job, or SLURM warned it of a preemption: `scontrol show job`.',
  );
}

/** Why a job of the stack is over, by what the queue says of it; `facts` null: it does not know it any more. */
export function whyJobEnded(jobId: string, facts: JobFacts | null): Why {
  const end =
    facts === null
      ? undefined
      : ENDS.find(({ pattern }) => pattern.test(facts.state) || pattern.test(facts.reason));
  const seen = facts === null ? 'SLURM does not know it any more' : facts.state;
  return end === undefined
    ? plainWhy(
        'job-ended',
        `job ${jobId} is over (${seen})`,
        'Ask for more time (cluster.time), or see who ended it: `scontrol show job`.',
      )
    : plainWhy(end.failureClass, `job ${jobId} is over: ${end.meaning} (${seen})`, end.hint);
}

/** What tasks may show when they are asked to end, each in its own way: with any exit code, a traceback, or what they no longer reach. */
const SHOWN_AT_THE_END: readonly FailureClass[] = [
  'cancelled',
  'job-ended',
  'exit',
  'rank-crash',
  'launcher-crash',
  'crash',
  'step-refused',
  'network',
  'lease-expired',
  'lost',
];

/** Whether the end of the job, if it has ended, is what the failure comes from: no line names a cause of its own. */
export function mayBeJobEnd({ failureClass }: Why): boolean {
  return SHOWN_AT_THE_END.includes(failureClass);
}
