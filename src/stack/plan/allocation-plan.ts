import { usageError } from '../../core/errors.ts';
import { parseDurationMs } from '../../core/units.ts';
import type { Stack } from '../file/stack.ts';
import { jobComment } from './job-comment.ts';
import type { AllocationPlan } from './planned.ts';

export interface ClusterFacts {
  /** Whether the cluster counts GPUs (`GresTypes` has gpu): only then may a job ask for them. */
  readonly gpuGres?: boolean;
  /** Absolute folder of the stack; left out where there is none yet. */
  readonly dir?: string;
}

/**
 * How the stack gets its nodes. The job carries the run's name and folder in its comment, by which it is found again.
 * Throws (exit 2) when there is no job to attach to.
 */
export function allocationOf(stack: Stack, runId: string, facts: ClusterFacts = {}): AllocationPlan {
  const { cluster } = stack;
  const { mode } = cluster;
  const jobName = cluster.job_name ?? runId;
  const nodeCount = typeof cluster.nodes === 'number' ? cluster.nodes : stack.nodesNeeded;
  const jobId = mode === 'attach' ? (cluster.attach?.job_id ?? null) : null;
  if (mode === 'attach' && (jobId === null || !/^\d+([+_]\d+)?$/.test(jobId)))
    throw usageError(
      jobId === null ? 'there is no job to attach to' : `"${jobId}" is no id of a job`,
      'set SLURM_JOB_ID to a running job, or cluster.attach.job_id; with cluster.mode: salloc one is asked for',
    );
  const ask = [
    ...jobOptions(cluster, jobName, nodeCount, facts),
    `--comment=${jobComment(runId, facts.dir ?? null)}`,
  ];
  const extra = cluster.extra ?? [];
  const argv =
    mode === 'salloc'
      ? ['salloc', '--no-shell', ...ask, ...extra]
      : mode === 'sbatch'
        ? ['sbatch', '--parsable', ...ask, '--output=/dev/null', ...extra, '--wrap=exec sleep infinity']
        : null;
  return {
    mode,
    argv,
    jobId,
    nodeCount,
    pendingTimeoutMs: parseDurationMs(cluster.pending_timeout ?? '30m', 'cluster.pending_timeout'),
    cancelOnExit: (cluster.on_exit ?? (argv === null ? 'keep' : 'cancel')) === 'cancel',
    jobName,
  };
}

/** What salloc, sbatch and the header of a batch script ask for. */
export function jobOptions(
  cluster: Stack['cluster'],
  jobName: string,
  nodeCount: number,
  { gpuGres }: ClusterFacts,
): string[] {
  const gres = cluster.gres ?? 'auto';
  const withGpus =
    cluster.gpus_per_node !== undefined && (gres === 'always' || (gres === 'auto' && gpuGres === true));
  const optional: readonly (readonly [string, string | number | undefined])[] = [
    ['partition', cluster.partition],
    ['account', cluster.account],
    ['qos', cluster.qos],
    ['reservation', cluster.reservation],
    ['constraint', cluster.constraint],
    ['time', cluster.time],
    ['mem', cluster.mem],
    ['segment', cluster.segment],
    ['gpus-per-node', withGpus ? cluster.gpus_per_node : undefined],
  ];
  return [
    `--job-name=${jobName}`,
    `--nodes=${nodeCount}`,
    ...optional.flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`])),
    ...(cluster.exclusive === false ? [] : ['--exclusive']),
  ];
}
