import { accessSync, appendFileSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import path from 'node:path';
import { errorText, usageError } from '../../core/errors.ts';
import type { ServingArgs } from './arguments.ts';

/**
 * sglang's own choice of a name, by the local date: `{backend}_{MMDD}_{prompts}_{isl}_{osl}.jsonl`, or
 * `…_{prompts}_{dataset}.jsonl` where prompts have lengths of their own (in 2025-08 `sharegpt` for all of these).
 */
export function defaultOutputFile(args: ServingArgs, now: Date): string {
  const date = `${String(now.getMonth() + 1).padStart(2, '0')}${String(now.getDate()).padStart(2, '0')}`;
  const start = `${args.backend}_${date}_${args.numPrompts}`;
  if (!args.datasetName.startsWith('random'))
    return `${start}_${args.layout === '2025-08' ? 'sharegpt' : args.datasetName}.jsonl`;
  return `${start}_${args.randomInputLen}_${args.randomOutputLen}.jsonl`;
}

/** Refuses an output file that cannot be appended to (exit 2), before anything is sent. Makes none. */
export function checkAppendable(file: string): void {
  const refuse = (why: string): never => {
    throw usageError(
      `--output-file: cannot append to ${file} (${why})`,
      'name a file in a folder that exists',
    );
  };
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isDirectory()) refuse('it is a folder');
  try {
    accessSync(found === undefined ? path.dirname(file) : file, constants.W_OK);
  } catch (error) {
    refuse(errorText(error));
  }
}

/** Appends the line behind whatever is there, on a line of its own. */
export function appendLine(file: string, line: string): void {
  appendFileSync(file, `${endsOpen(file) ? '\n' : ''}${line}\n`);
}

/** Whether the file's last line has no end, so that more text would run into it. */
function endsOpen(file: string): boolean {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0) return false;
  const handle = openSync(file, 'r');
  try {
    const last = Buffer.alloc(1);
    readSync(handle, last, 0, 1, size - 1);
    return last[0] !== 0x0a;
  } finally {
    closeSync(handle);
  }
}
