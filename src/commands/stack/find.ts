import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { usageError } from '../../core/errors.ts';
import { STATE_FILE } from '../../stack/launch/recorder.ts';
import { isDown, tryReadState } from './follow.ts';

const RESULTS = 'results';

/**
 * The folder of a stack: the one named (or its newest `stack/`, when a sweep's folder is named), else the only one
 * under `results/` that has not been torn down wholly. Exit 2 when there is none, or several.
 */
export function findStack(named: string | undefined, verb: string): string {
  if (named !== undefined) {
    const found = [named, ...stacksOf(named).reverse()].find((dir) => existsSync(path.join(dir, STATE_FILE)));
    if (found !== undefined) return found;
    throw usageError(`${named} holds no stack`, `see bench stack status, or bench stack ${verb} --help`);
  }
  const live = listStacks().filter((dir) => {
    const state = tryReadState(dir);
    return state === null || !isDown(state);
  });
  if (live.length === 1) return live[0]!;
  const how = `bench stack ${verb} ${verb === 'logs' ? '--run ' : ''}DIR`;
  throw live.length === 0
    ? usageError(`no stack under ${RESULTS}/ is up`, `name its folder: ${how}`)
    : usageError(`several stacks are up: ${live.join(', ')}`, `name one: ${how}`);
}

/** Folders below `results/` that hold a stack, oldest first. */
export function listStacks(): string[] {
  if (!existsSync(RESULTS)) return [];
  return readdirSync(RESULTS)
    .sort()
    .flatMap((name) => [path.join(RESULTS, name), ...stacksOf(path.join(RESULTS, name))])
    .filter((dir) => existsSync(path.join(dir, STATE_FILE)));
}

/** Folders that a sweep gives its stack: `stack` first, then `stack-2` and so on, one for each time that it is resumed. */
export function stackFolder(directory: string, nth: number): string {
  return path.join(directory, nth === 1 ? 'stack' : `stack-${nth}`);
}

/** Those of them that are there, the first first. */
export function stacksOf(directory: string): string[] {
  const dirs: string[] = [];
  for (let nth = 1; existsSync(stackFolder(directory, nth)); nth++) dirs.push(stackFolder(directory, nth));
  return dirs;
}
