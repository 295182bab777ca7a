/** Names that srun, sbatch and salloc leave in the environment of what they start, and that would steer the next srun. */
export const SCRUBBED_NAMES: ReadonlySet<string> = new Set([
  'SLURM_NTASKS',
  'SLURM_NPROCS',
  'SLURM_TASKS_PER_NODE',
  'SLURM_CPUS_PER_TASK',
  'SLURM_PROCID',
  'SLURM_LOCALID',
  'SLURM_NODEID',
  'SLURM_DISTRIBUTION',
  'SLURM_LAUNCH_NODE_IPADDR',
  'SLURM_TASK_PID',
  'SLURM_GTIDS',
  'SLURM_THREADS_PER_CORE',
  'SLURM_CORE_SPEC',
  'SLURM_EXPORT_ENV',
  'SLURM_KILL_BAD_EXIT',
  'SLURM_UMASK',
  'SLURM_PTY_PORT',
  'SLURM_PTY_WIN_COL',
  'SLURM_PTY_WIN_ROW',
  'SLURM_GPUS',
  'SLURM_CPUS_PER_GPU',
  'SLURM_HINT',
  'SLURM_EXCLUSIVE',
  'SLURM_WAIT',
  'SLURM_MPI_TYPE',
  'SLURM_OVERCOMMIT',
]);

/** Families of such names. */
export const SCRUBBED_PREFIXES: readonly string[] = [
  'SLURM_STEP_',
  'SLURM_STEPID',
  'SLURM_NTASKS_PER_',
  'SLURM_MEM_PER_',
  'SLURM_SRUN_COMM_',
  'SLURM_CPU_BIND',
  'SLURM_CPU_FREQ_',
  'SLURM_MEM_BIND',
  'SLURM_GPU_BIND',
  'SLURM_GPUS_PER_',
  'SLURM_TRES_PER_TASK',
];

/**
 * Whether a variable must not reach a new srun: it describes another step, or would be read as an option
 * of this one. What says where the cluster and the job are (SLURM_CONF, SLURM_JOB_ID) stays.
 */
export function isScrubbed(name: string): boolean {
  return SCRUBBED_NAMES.has(name) || SCRUBBED_PREFIXES.some((prefix) => name.startsWith(prefix));
}
