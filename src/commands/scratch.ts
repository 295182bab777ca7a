import { mkdtempSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { errorText, usageError } from '../core/errors.ts';

/** A folder for this run's time. Exit 2 when the system's temporary folder takes none. */
export function makeScratch(): string {
  try {
    return mkdtempSync(path.join(os.tmpdir(), 'bench-'));
  } catch (error) {
    throw usageError(
      `cannot make a temporary folder in ${os.tmpdir()} (${errorText(error)})`,
      'make room there, or name another with the variable TMPDIR',
    );
  }
}
