import type { Argv, InferredOptionTypes, Options } from 'yargs';
import type { ExitCode } from '../../core/errors.ts';
import { PLAN_OPTIONS, runPlan } from './plan.ts';
import { RENDER_OPTIONS, runRender } from './render.ts';

/** Declares options so that a misspelt one is refused, as everywhere. */
type Declare = <T extends Record<string, Options>>(y: Argv, options: T) => Argv<InferredOptionTypes<T>>;

const FILE = { type: 'string', demandOption: true, describe: 'stack file (see datasets/stacks/)' } as const;

/** The verbs of `bench stack`. */
export function stackCommands(y: Argv, declare: Declare, set: (code: ExitCode) => void): Argv {
  return y
    .command(
      'plan <file>',
      'show the nodes and every command of a launch; run nothing',
      (inner) =>
        declare(inner.positional('file', FILE), PLAN_OPTIONS)
          .example('$0 stack plan stack.yaml --nodes a,b', 'for these two nodes, on any machine')
          .example('$0 stack plan stack.yaml --full', 'the file with what its preset fills in'),
      (argv) => set(runPlan({ ...argv, file: String(argv['file']) })),
    )
    .command(
      'render <file>',
      'write the stack as a batch script',
      (inner) =>
        declare(inner.positional('file', FILE), RENDER_OPTIONS).example(
          '$0 stack render stack.yaml --sbatch --out stack.sh && sbatch stack.sh',
          'launch it without bench on the nodes',
        ),
      (argv) => set(runRender({ ...argv, file: String(argv['file']) })),
    )
    .demandCommand(1, 'say what to do: bench stack plan, check, up, status, logs, down or render');
}
