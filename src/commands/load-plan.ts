import { greatest } from '../core/distribution.ts';
import { usageError } from '../core/errors.ts';
import type { LoadSpec, PointSpec, RunSpec } from '../core/spec.ts';
import { whole } from './number-checks.ts';
import type { MeasureArgs } from './options.ts';

/** More load generators than this would only wait for one another. */
const MOST_TASKS = 1_024;

/** Where the load generators of a run are started. */
export interface LoadPlan {
  readonly tasks: number;
  /** null for processes of this host. */
  readonly slurm: SlurmPlace | null;
}

/** Nodes of a running SLURM job. */
export interface SlurmPlace {
  readonly job: string;
  readonly nodes: number;
  /** null leaves the choice among the job's nodes to SLURM. */
  readonly nodelist: readonly string[] | null;
}

/** `--workers auto` gives a worker to so many streams: half of what one core carries at 100 events/s each. */
const STREAMS_PER_WORKER = 256;

/** An open loop is taken to have as many streams as come within so long: its slots are only a limit. */
const OPEN_STREAM_S = 60;

/** Streams that the largest of these points may have at once, for `--workers auto`. */
export function mostStreams(points: readonly PointSpec[]): number {
  return greatest(
    points.map(({ concurrency, ratePerS }) =>
      ratePerS === undefined ? concurrency : Math.min(concurrency, Math.ceil(OPEN_STREAM_S * ratePerS)),
    ),
  );
}

type SpreadArgs = Pick<MeasureArgs, 'workers' | 'load-nodes' | 'load-tasks' | 'load-job' | 'load-nodelist'>;

/** What `--workers auto` goes by. */
export interface WorkerNeed {
  /** Slots of the largest level. */
  readonly concurrency: number;
  /** Cores that this process may use. */
  readonly cores: number;
}

/**
 * `--workers`, `--load-nodes` and `--load-tasks` as the spec has them; empty when this process sends all
 * by itself. Exit 2 on bad values.
 */
export function parseLoad(args: SpreadArgs, need: WorkerNeed): { readonly load?: LoadSpec } {
  const nodes = args['load-nodes'] === undefined ? null : whole(args['load-nodes'], 1, '--load-nodes');
  if (args.workers !== undefined && args['load-tasks'] !== undefined)
    throw usageError('--workers and --load-tasks: both say how many load generators there are', 'give one');
  const workers = args.workers === undefined ? null : countWorkers(args.workers, nodes ?? 1, need);
  // One worker is this process.
  if (nodes === null && workers === 1) return {};
  if (nodes === null && workers === null && args['load-tasks'] === undefined) return {};
  const tasks =
    args['load-tasks'] === undefined
      ? (nodes ?? 1) * (workers ?? 1)
      : whole(args['load-tasks'], 1, '--load-tasks');
  const flag = args['load-tasks'] === undefined ? '--workers' : '--load-tasks';
  if (tasks > MOST_TASKS)
    throw usageError(`${flag}: ${tasks} is more than ${MOST_TASKS}`, 'start fewer load generators');
  if (nodes !== null && tasks < nodes)
    throw usageError(
      `--load-tasks: ${tasks} load generators leave some of ${nodes} nodes empty`,
      `give at least ${nodes}, or fewer --load-nodes`,
    );
  return { load: { tasks, nodes } };
}

/** Workers of each node. `auto` leaves a core to the rest of the machine, and starts no more than the largest level needs. */
function countWorkers(text: string, nodes: number, { concurrency, cores }: WorkerNeed): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  if (text !== 'auto')
    throw usageError(
      `--workers: "${text}" is no number of workers`,
      'give a whole number from 1 on, or auto',
    );
  return Math.max(1, Math.min(cores - 1, Math.ceil(concurrency / nodes / STREAMS_PER_WORKER)));
}

/**
 * Where the load generators of a spec are started. The job is `--load-job`, else the one around us. Exit 2
 * when nodes are asked for and there is no job, and for what several load generators cannot do.
 */
export function planLoad(
  spec: Pick<RunSpec, 'load' | 'arrival' | 'prompts'>,
  args: SpreadArgs,
  env: Readonly<Record<string, string | undefined>>,
): LoadPlan | null {
  const { load } = spec;
  const nodelist =
    args['load-nodelist']
      ?.split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '') ?? null;
  if (load === undefined || load.nodes === null) {
    for (const name of ['load-job', 'load-nodelist'] as const) {
      if (args[name] !== undefined)
        throw usageError(`--${name}: it says where --load-nodes are`, 'give --load-nodes as well');
    }
  }
  if (load === undefined) return null;
  if (spec.prompts.turns !== undefined)
    throw usageError(
      '--dataset multi-turn: conversations are not shared out among load generators',
      'leave out --workers and --load-tasks',
    );
  // Each takes rows of its own of a dataset, which are not every so many-th.
  if (spec.arrival === 'trace')
    throw usageError(
      '--arrival trace: a recorded load is not shared out among load generators',
      'leave out --workers and --load-tasks',
    );
  if (load.nodes === null) return { tasks: load.tasks, slurm: null };
  const job = args['load-job'] ?? env['SLURM_JOB_ID'] ?? '';
  if (job === '')
    throw usageError(
      '--load-nodes: there is no SLURM job to send the load from (SLURM_JOB_ID is not set)',
      'run inside of salloc or sbatch; --load-tasks alone starts load generators on this host',
    );
  if (nodelist !== null && nodelist.length !== load.nodes)
    throw usageError(
      `--load-nodelist: ${nodelist.length} names for ${load.nodes} nodes`,
      'name as many nodes as --load-nodes says',
    );
  return { tasks: load.tasks, slurm: { job, nodes: load.nodes, nodelist } };
}
