import { type FailureSign, WEIGHT } from './failure-signs.ts';
import type { SrunEvent } from './srun-says.ts';

/** What an event of srun adds to the signs of a failure. */
type Told = Pick<
  FailureSign,
  'weight' | 'fails' | 'failureClass' | 'message' | 'hint' | 'ranks' | 'node' | 'exitCode'
>;

/** What an event of srun is a sign of; null when of nothing. */
export function toldBy(event: SrunEvent): Told | null {
  switch (event.kind) {
    case 'task-exit':
      return taskExit(event);
    case 'broken': {
      const { failureClass, message, hint, node } = event;
      const gone = failureClass === 'node-failure' || failureClass === 'job-ended';
      const weight = gone ? WEIGHT.job : event.vague ? WEIGHT.crash : WEIGHT.cause;
      return { weight, fails: true, failureClass, message, hint, ranks: [], node, exitCode: null };
    }
    case 'cancelled':
      return cancelled(event);
    case 'complaint':
      return {
        weight: WEIGHT.symptom,
        fails: false,
        failureClass: 'step-refused',
        message: event.message,
        hint: null,
        ranks: [],
        node: event.node,
        exitCode: null,
      };
    default:
      return null;
  }
}

function taskExit({ ranks, node, exitCode, signal }: Extract<SrunEvent, { kind: 'task-exit' }>): Told {
  const who = ranks.length === 1 ? `task ${ranks[0]}` : `tasks ${ranks.join(', ')}`;
  const terminated = exitCode === 143;
  return {
    weight: terminated ? WEIGHT.symptom : WEIGHT.taskExit,
    fails: exitCode !== 0,
    failureClass: terminated ? 'cancelled' : 'exit',
    message: signal === null ? `${who} exited with code ${exitCode}` : `${who} died: ${signal}`,
    hint:
      exitCode === 137
        ? 'SIGKILL: of the kernel for lack of memory (dmesg on the node), or of somebody who cancelled the step.'
        : null,
    ranks,
    node,
    exitCode,
  };
}

const CANCELLED = {
  'time-limit': ['the time limit of the allocation is reached', 'Ask for more time, or measure less.'],
  'node-failure': ['a node of the job has failed', 'Take the node out (--exclude) and launch again.'],
  preempted: ['the job was preempted by another', 'Use a partition or QOS that is not preempted.'],
  'host-oom': ['SLURM ended the step: out of memory', 'Ask for --mem=0, or load less on the node.'],
  cancelled: ['the step was cancelled', 'Somebody used scancel, or SLURM ended it after a task failed.'],
} as const;

function cancelled(event: Extract<SrunEvent, { kind: 'cancelled' }>): Told {
  const [message, hint] = CANCELLED[event.because];
  const wish = event.because === 'cancelled';
  const weight = wish ? WEIGHT.symptom : event.because === 'host-oom' ? WEIGHT.cause : WEIGHT.job;
  const told = event.reason === null ? message : `${message} (${event.what} ${event.id}: ${event.reason})`;
  return {
    weight,
    fails: !wish,
    failureClass: event.because,
    message: told,
    hint,
    ranks: [],
    node: event.node,
    exitCode: null,
  };
}
