import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import type { Installed } from './client.ts';

/** A program by the path in `variable`, else by its name on PATH; or what is missing. */
export function findProgram(name: string, variable: string, install: string): Installed | string {
  const named = process.env[variable];
  if (named !== undefined && named !== '') {
    return isProgram(named) ? { words: [named], env: {} } : `${variable} is ${named}, which is no program`;
  }
  const found = (process.env['PATH'] ?? '')
    .split(path.delimiter)
    .map((folder) => path.join(folder, name))
    .find(isProgram);
  return found === undefined
    ? `no ${name} on PATH (${install}, or name its path in ${variable})`
    : { words: [found], env: {} };
}

export function isProgram(file: string): boolean {
  return isThere(file, constants.X_OK);
}

export function isThere(file: string, mode = constants.R_OK): boolean {
  try {
    accessSync(file, mode);
    return true;
  } catch {
    return false;
  }
}
