import type { Argv } from 'yargs';
import type { AddVerb, VerbTools } from '../verb.ts';
import { CHECK_OPTIONS, runStackCheck } from './check.ts';
import { DOWN_OPTIONS, runDown } from './down.ts';
import { LOGS_OPTIONS, runLogs } from './logs.ts';
import { PLAN_OPTIONS, runPlan } from './plan.ts';
import { RENDER_OPTIONS, runRender } from './render.ts';
import { runStatus, STATUS_OPTIONS } from './status.ts';
import { runUp, UP_OPTIONS } from './up.ts';

const DIR = { type: 'string', describe: "the stack's folder [default: the only one that is up]" } as const;
const FILE = { type: 'string', demandOption: true, describe: 'stack file (see datasets/stacks/)' } as const;

/** Puts `bench stack` with its own verbs into the parser. */
export const addStack: AddVerb = (y, tools) =>
  y.command(tools.usage, tools.about, (inner) => stackCommands(inner, tools));

function stackCommands(y: Argv, { declare, set }: VerbTools): Argv {
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
      'check <file>',
      'look at the nodes and the limits of the engines; start nothing',
      (inner) =>
        declare(inner.positional('file', FILE), CHECK_OPTIONS).example(
          '$0 stack check stack.yaml --isl 4000 --osl 1000 --concurrency 1..128x2',
          'will the launch fail, and do the engines take this load?',
        ),
      async (argv) => set(await runStackCheck({ ...argv, file: String(argv['file']) })),
    )
    .command(
      'up <file>',
      'launch the stack and wait until it is ready',
      (inner) =>
        declare(inner.positional('file', FILE), UP_OPTIONS)
          .example('$0 stack up stack.yaml', 'hold it in the foreground; Ctrl-C tears it down')
          .example('$0 stack up stack.yaml --detach', 'leave it to a supervisor'),
      async (argv) => set(await runUp({ ...argv, file: String(argv['file']) })),
    )
    .command(
      'status [dir]',
      'how a stack is; without a folder all under results/',
      (inner) =>
        declare(inner.positional('dir', DIR), STATUS_OPTIONS)
          .example('$0 stack status', 'all stacks under results/')
          .example('$0 stack status DIR --json', 'state.json, for a script'),
      (argv) => set(runStatus({ ...argv, dir: textOf(argv['dir']) })),
    )
    .command(
      'logs [service]',
      'the output of the tasks, each line with its step',
      (inner) =>
        declare(
          inner.positional('service', { type: 'string', describe: 'service or step [default: all]' }),
          LOGS_OPTIONS,
        )
          .example('$0 stack logs decode -f', 'of all decode workers, until the stack is down')
          .example('$0 stack logs decode-0 --srun --run DIR', 'of one, with what srun itself said'),
      async (argv) => set(await runLogs({ ...argv, service: textOf(argv['service']) })),
    )
    .command(
      'down [dir]',
      'tear a stack down, whatever became of its supervisor',
      (inner) =>
        declare(inner.positional('dir', DIR), DOWN_OPTIONS)
          .example('$0 stack down', 'the only stack that is up under results/')
          .example('$0 stack down DIR', "also after kill -9 of bench or of the stack's supervisor"),
      async (argv) => set(await runDown({ ...argv, dir: textOf(argv['dir']) })),
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

function textOf(value: unknown): string | undefined {
  return value === undefined ? undefined : String(value);
}
