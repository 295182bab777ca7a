import { isScrubbed } from '../../core/slurm-env.ts';

/**
 * The environment for SLURM commands of our own: without what an enclosing allocation or step left there about
 * tasks, which srun would take for its own options.
 */
export function commandEnvironment(inherited: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(inherited).filter(([name]) => !isScrubbed(name)));
}
