import type { Why } from '../failure/why.ts';
import type { ImageFacts } from '../preflight/image-facts.ts';

/** How far the whole stack is. */
export type StackPhase =
  | 'allocating'
  | 'preflight'
  | 'starting'
  | 'ready'
  /** Something is broken; its first cause is being looked for. */
  | 'failing'
  | 'failed'
  | 'stopping'
  | 'stopped';

/** How far one step is. A step only moves forward, until it ends. */
export type StepState =
  | 'pending'
  | 'submitted'
  | 'started'
  | 'loading'
  | 'registered'
  | 'ready'
  | 'stopping'
  | 'ended'
  | 'failed';

export interface StepStatus {
  readonly id: string;
  readonly state: StepState;
  /** UTC, ISO 8601. */
  readonly since: string;
  readonly nodes: readonly string[];
  /** `JOB.STEP`, once SLURM has told it. */
  readonly slurmStep: string | null;
  /** Process (and group) id on the supervisor's host. */
  readonly pid: number | null;
  /** Ranks that have loaded, of how many; null when no line tells. */
  readonly loaded: { readonly done: number; readonly of: number } | null;
  /** What it waits for, in words; empty when ready. */
  readonly waitingFor: readonly string[];
  readonly exitCode: number | null;
}

/** What the last look at a serving stack has shown. */
export interface StackWatch {
  /** Looks so far. */
  readonly looks: number;
  /** What the frontend says is missing, in words. */
  readonly missing: readonly string[];
  /** What did not answer, in words. */
  readonly silent: readonly string[];
}

/** Contents of `state.json`: rewritten atomically at every change, so that other processes can follow. */
export interface StackState {
  readonly schema: 1;
  readonly run: string;
  readonly name: string;
  readonly phase: StackPhase;
  /** UTC of the last change. */
  readonly updated: string;
  /** UTC of the last sign of life of the supervisor, rewritten at least every 5 s. */
  readonly alive: string;
  readonly supervisor: { readonly pid: number; readonly startTicks: string; readonly host: string };
  readonly mode: 'salloc' | 'sbatch' | 'attach' | 'local';
  readonly job: {
    readonly id: string;
    readonly ours: boolean;
    readonly nodes: readonly string[];
    /** UTC at which the allocation ends; null when there is no limit or none is known. */
    readonly endsAt: string | null;
  } | null;
  readonly url: string | null;
  readonly servedModel: string | null;
  readonly gpus: number | null;
  readonly steps: readonly StepStatus[];
  /** Seconds from the launch to each state, by step id; `stack` is the whole. */
  readonly startupS: Readonly<Record<string, number>>;
  /** What the stack as a whole waits for. */
  readonly waitingFor: readonly string[];
  readonly why: Why | null;
  readonly warnings: readonly string[];
  /** What is asked of the stack again and again while it serves; left out before. */
  readonly watch?: StackWatch;
  /** What teardown could not end, in words; empty or left out when there is nothing. */
  readonly left?: readonly string[];
  /** Versions of engines and packages, as logs and a Python on the head node told them. */
  readonly versions: Readonly<Record<string, string>>;
  /** GPU driver by node; empty where no node told one. */
  readonly drivers: Readonly<Record<string, string>>;
  /** Clocks and power limit of the GPUs by node, in words; left out where nobody asked. */
  readonly gpuClocks?: Readonly<Record<string, string>>;
  readonly image: ImageFacts | null;
}

/** A line of `events.jsonl`. */
export interface StackEvent {
  readonly utc: string;
  /** Seconds since the supervisor started, on its monotonic clock. */
  readonly atS: number;
  /** Step id, or `stack`. */
  readonly subject: string;
  readonly from: string | null;
  readonly to: string;
  /** The log line, answer or number that shows it. */
  readonly evidence: string | null;
}
