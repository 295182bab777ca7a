/** What a service of the stack does for requests; `infra` is what the others need (etcd, NATS). */
export type Role = 'infra' | 'frontend' | 'prefill' | 'decode' | 'agg' | 'sidecar';

/** How the nodes come about: an allocation of our own, one that is there already, or this machine alone. */
export type ClusterMode = 'salloc' | 'sbatch' | 'attach' | 'local';

/** Something that must hold before a step, or the stack, counts as ready. All addresses are resolved. */
export type Probe =
  | {
      readonly kind: 'log';
      /** Ids of the steps whose output is read; any of them may show the line. */
      readonly steps: readonly string[];
      /** Source of a regular expression, tried on lines without rank label and colours. */
      readonly pattern: string;
      /** Lines that must match (of a step with several ranks: the number of ranks for "each"). */
      readonly count: number;
    }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | {
      readonly kind: 'http';
      readonly url: string;
      readonly status: number;
      /** A field of the JSON answer (`$.health`, `$.a.b[0]`) and what it must equal, compared as text. */
      readonly json: { readonly path: string; readonly equals: string } | null;
    }
  | {
      /** Entries of a Dynamo frontend's `/health` under `instances`. */
      readonly kind: 'instances';
      readonly url: string;
      /** Names a component may have; they changed with Dynamo's versions. */
      readonly components: readonly string[];
      readonly endpoint: string;
      readonly least: number;
    }
  | { readonly kind: 'model'; readonly url: string; readonly model: string }
  | {
      /** Streamed chat requests, each of which must give `leastTokens` chunks with text or count them. */
      readonly kind: 'canary';
      readonly url: string;
      readonly model: string;
      readonly requests: number;
      readonly maxTokens: number;
      readonly leastTokens: number;
      readonly prompt: string;
    }
  | { readonly kind: 'exec'; readonly argv: readonly string[]; readonly exit: number };

/** A line that means the step is broken although it may still run. */
export interface FailOn {
  /** Source of a regular expression. */
  readonly pattern: string;
  /** Class of the failure, as in `why.ts`. */
  readonly failureClass: string;
  readonly action: 'fail' | 'warn';
}

/** One process group: an srun step, or a child of the supervisor in local mode. */
export interface PlannedStep {
  /** `prefill-0`; with one step per node of a replica, `prefill-0.1` for its second node. */
  readonly id: string;
  readonly service: string;
  readonly replica: number;
  readonly role: Role;
  readonly nodes: readonly string[];
  readonly tasks: number;
  readonly tasksPerNode: number;
  /** Name of the step in SLURM: `RUN.SERVICE-i`. */
  readonly stepName: string;
  /** What the supervisor spawns: srun with all options, or the command itself in local mode. */
  readonly argv: readonly string[];
  /** The command alone, as it runs inside of the container or on the node. */
  readonly command: readonly string[];
  /** Set for the step, beside the supervisor's own environment. No value is on a command line. */
  readonly env: Readonly<Record<string, string>>;
  /** Taken out of the inherited environment. */
  readonly unset: readonly string[];
  readonly workdir: string | null;
  /** Output of the tasks, both streams, with rank labels in SLURM modes. */
  readonly logFile: string;
  /** What srun itself says; null in local mode. */
  readonly srunLogFile: string | null;
  /** Steps that must have come so far before this one is started. */
  readonly after: readonly { readonly step: string; readonly condition: 'started' | 'ready' }[];
  readonly ready: readonly Probe[];
  /** A line of the log that tells that a rank has loaded (`Model init total`); null when none does. */
  readonly loadedPattern: string | null;
  readonly readyTimeoutMs: number;
  /** Longest time from SLURM's start of the step to its tasks' start, for the container's image; null without one. */
  readonly importTimeoutMs: number | null;
  /** No new output and no change of state for this long, while not ready, is a failure. */
  readonly stallMs: number;
  readonly probeIntervalMs: number;
  readonly failOn: readonly FailOn[];
  /** Its end is the stack's end. */
  readonly critical: boolean;
  /** Whether an end with exit code 0 is a failure too (for what is to serve on and on). */
  readonly exitZeroFails: boolean;
  readonly stop: { readonly signal: string; readonly graceMs: number };
}

export interface EngineCopy {
  readonly service: string;
  /** Path on the host. */
  readonly file: string;
}

/** The stack with every name, node, port and command filled in. Pure data: written to `resolved.json`. */
export interface StackPlan {
  readonly schema: 1;
  /** Unique name of this launch, in step names and in the environment of every process (`BENCH_STACK_RUN`). */
  readonly run: string;
  readonly name: string;
  readonly mode: ClusterMode;
  readonly runDir: string;
  /** null until an allocation exists, and in local mode. */
  readonly jobId: string | null;
  /** In the order of the allocation; the first is the head unless the file says otherwise. */
  readonly nodes: readonly string[];
  readonly head: { readonly node: string; readonly address: string };
  /** Where requests go. */
  readonly url: string;
  readonly servedModel: string;
  /** GPUs of all services that compute; null when the file does not say. */
  readonly gpus: number | null;
  readonly steps: readonly PlannedStep[];
  /** Beyond every step's own readiness. */
  readonly ready: readonly Probe[];
  readonly readyTimeoutMs: number;
  /** Between two tries of `ready`. */
  readonly readyIntervalMs: number;
  /** Tried again and again while the stack serves; one that fails for long makes the stack fail. */
  readonly watch: readonly Probe[];
  /** Engine configurations, as the host sees them; copied into the run before the launch. */
  readonly copies: readonly EngineCopy[];
  /** Patterns of files that our processes leave on the nodes and that teardown removes (`/dev/shm/moe_*`). */
  readonly cleanupGlobs: readonly string[];
  readonly warnings: readonly string[];
}

/** How to get nodes: the command that asks for them, without any step. */
export interface AllocationPlan {
  readonly mode: ClusterMode;
  /** `salloc …` or `sbatch …` as argv; null for attach and local. */
  readonly argv: readonly string[] | null;
  /** Job to attach to; null unless attach. */
  readonly jobId: string | null;
  readonly nodeCount: number;
  readonly pendingTimeoutMs: number;
  /** Whether the job goes when the stack goes. */
  readonly cancelOnExit: boolean;
  readonly jobName: string;
}
