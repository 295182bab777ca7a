import { chmodSync } from 'node:fs';
import type { InferredOptionTypes, Options } from 'yargs';
import { EXIT, type ExitCode, errorText, usageError } from '../../core/errors.ts';
import { writeAtomic } from '../../host/store.ts';
import { renderSbatch } from '../../stack/batch/sbatch.ts';
import { readStack } from '../../stack/plan/plan.ts';
import { print, printError } from '../terminal.ts';

export const RENDER_OPTIONS = {
  sbatch: {
    type: 'boolean',
    default: false,
    describe: 'as a batch script, which needs no bench on the nodes',
  },
  out: { type: 'string', describe: 'file to write [default: standard output]' },
} as const satisfies Record<string, Options>;

/** `bench stack render FILE --sbatch`: the stack in a form that runs without bench. */
export function runRender(args: InferredOptionTypes<typeof RENDER_OPTIONS> & { file: string }): ExitCode {
  if (!args.sbatch) throw usageError('bench stack render: the form is missing', 'write --sbatch');
  const stack = readStack(args.file);
  const script = renderSbatch(stack);
  for (const warning of stack.warnings) printError(`warning: ${warning}\n`);
  if (args.out === undefined) {
    print(script);
    return EXIT.ok;
  }
  try {
    writeAtomic(args.out, script);
    chmodSync(args.out, 0o755);
  } catch (error) {
    throw usageError(`--out: cannot write ${args.out} (${errorText(error)})`, 'name another file');
  }
  printError(`next: sbatch ${args.out} [COMMAND that is run with BENCH_URL and BENCH_MODEL]\n`);
  return EXIT.ok;
}
