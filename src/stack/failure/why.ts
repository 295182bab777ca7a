import { BenchError, errorText } from '../../core/errors.ts';

/** What kind of failure it was; the README has a line for each. */
export const FAILURE_CLASSES = [
  'job-pending',
  'allocation-refused',
  'job-ended',
  'image',
  'mount',
  'container',
  'missing-path',
  'not-executable',
  'step-blocked',
  'step-refused',
  'rank-crash',
  'launcher-crash',
  'exit',
  'port-taken',
  'cuda-oom',
  'host-oom',
  'engine-config',
  'mpi',
  'driver',
  'network',
  'lease-expired',
  'kv-transfer-deadlock',
  'node-failure',
  'time-limit',
  'preempted',
  'cancelled',
  'model-not-listed',
  'prefill-missing',
  'instances-missing',
  'canary-failed',
  'not-ready',
  'stalled',
  'lost',
  'preflight',
  'disk',
  'crash',
] as const;

export type FailureClass = (typeof FAILURE_CLASSES)[number];

/** The first error of a failed launch, found rather than the last lines of a log. */
export interface Why {
  readonly failureClass: FailureClass;
  /** One sentence: what happened, with the value. */
  readonly message: string;
  /** What to do next. */
  readonly hint: string | null;
  /** Step that failed first; null when it was none (the allocation, the stack as a whole). */
  readonly step: string | null;
  readonly rank: number | null;
  readonly node: string | null;
  /** True exit code of the task that failed first, not srun's; null when none is known. */
  readonly exitCode: number | null;
  /** The line that tells, and what stands around it (at most 20 lines each way). */
  readonly evidence: {
    readonly line: string;
    readonly before: readonly string[];
    readonly after: readonly string[];
  } | null;
  readonly logFile: string | null;
}

/** A failure that has a place in the table of failures. */
export class StackFailure extends Error {
  readonly why: Why;

  constructor(why: Why) {
    super(why.message);
    this.name = 'StackFailure';
    this.why = why;
  }
}

/** A failure of which only a sentence is known. */
export function plainWhy(failureClass: FailureClass, message: string, hint: string | null = null): Why {
  return {
    failureClass,
    message,
    hint,
    step: null,
    rank: null,
    node: null,
    exitCode: null,
    evidence: null,
    logFile: null,
  };
}

/** Whatever was thrown, as a failure of the stack. */
export function whyOf(error: unknown): Why {
  if (error instanceof StackFailure) return error.why;
  return plainWhy('crash', errorText(error), error instanceof BenchError ? error.hint : null);
}
