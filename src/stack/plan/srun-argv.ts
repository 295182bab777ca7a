import type { Service, Stack } from '../file/stack.ts';

export interface SrunStep {
  readonly jobId: string;
  readonly nodes: readonly string[];
  readonly tasks: number;
  readonly tasksPerNode: number;
  readonly stepName: string;
  readonly logFile: string;
  readonly workdir: string | null;
  /** Names of the variables that the container must take from outside. */
  readonly envNames: readonly string[];
  readonly command: readonly string[];
}

/**
 * The command that starts a step in a running job. Everything that srun would otherwise guess from its
 * environment is said, and no value of a variable is on it.
 */
export function srunArgv(
  step: SrunStep,
  srun: Service['srun'],
  container: Stack['container'] | null,
): string[] {
  const { mpi, wait, cpu_bind, cpus_per_task, mem, het_group, extra } = srun;
  return [
    'srun',
    `--jobid=${step.jobId}`,
    '--overlap',
    `--nodes=${step.nodes.length}`,
    `--ntasks=${step.tasks}`,
    `--ntasks-per-node=${step.tasksPerNode}`,
    `--nodelist=${step.nodes.join(',')}`,
    '-J',
    step.stepName,
    ...(mpi === undefined ? [] : [`--mpi=${mpi}`]),
    '--verbose',
    '--label',
    `--kill-on-bad-exit=${srun.kill_on_bad_exit === false ? 0 : 1}`,
    '--input=none',
    `--output=${step.logFile}`,
    '--open-mode=append',
    ...(wait === undefined ? [] : [`--wait=${wait}`]),
    ...(cpu_bind === undefined ? [] : [`--cpu-bind=${cpu_bind}`]),
    ...(cpus_per_task === undefined ? [] : [`--cpus-per-task=${cpus_per_task}`]),
    ...(mem === undefined ? [] : [`--mem=${mem}`]),
    ...(het_group === undefined ? [] : [`--het-group=${het_group}`]),
    ...(container === null ? chdir(step) : containerOptions(step, container)),
    ...(extra ?? []),
    ...step.command,
  ];
}

const chdir = ({ workdir }: SrunStep): string[] => (workdir === null ? [] : [`--chdir=${workdir}`]);

function containerOptions(step: SrunStep, container: Stack['container']): string[] {
  const mounts = mountList(container);
  const names = [...new Set([...step.envNames, ...(container.env_passthrough ?? [])])].sort();
  const workdir = step.workdir ?? container.workdir;
  return [
    `--container-image=${container.image}`,
    ...(mounts.length === 0 ? [] : [`--container-mounts=${mounts.join(',')}`]),
    ...(names.length === 0 ? [] : [`--container-env=${names.join(',')}`]),
    container.mount_home === true ? '--container-mount-home' : '--no-container-mount-home',
    ...(container.entrypoint === undefined
      ? []
      : [container.entrypoint ? '--container-entrypoint' : '--no-container-entrypoint']),
    ...(container.writable === undefined
      ? []
      : [container.writable ? '--container-writable' : '--container-readonly']),
    ...(container.remap_root === undefined
      ? []
      : [container.remap_root ? '--container-remap-root' : '--no-container-remap-root']),
    ...(container.name === undefined ? [] : [`--container-name=${container.name}`]),
    ...(workdir === undefined ? [] : [`--container-workdir=${workdir}`]),
  ];
}

/** Mounts as pyxis takes them: `SOURCE:TARGET[:FLAG+FLAG]`. */
export function mountList(container: Stack['container']): string[] {
  return (container.mounts ?? []).map((mount) =>
    typeof mount === 'string'
      ? mount
      : [mount.host, mount.container, ...(mount.flags === undefined ? [] : [mount.flags.join('+')])].join(
          ':',
        ),
  );
}
