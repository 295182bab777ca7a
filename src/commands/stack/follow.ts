import { existsSync, readFileSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { BenchError, EXIT, errorLines, errorText, usageError } from '../../core/errors.ts';
import { startTicks } from '../../stack/launch/marked-processes.ts';
import { STATE_FILE } from '../../stack/launch/recorder.ts';
import type { StackState } from '../../stack/launch/state.ts';
import { shellQuote } from '../../stack/plan/shell-quote.ts';
import { printError } from '../terminal.ts';

/** A supervisor on another host that has shown no life for this long is taken for dead. */
const DEAD_AFTER_MS = 30_000;

/** Reads the state of a stack from its folder. Exit 2 when there is none. */
export function readState(dir: string): StackState {
  const state = tryReadState(dir);
  if (state !== null) return state;
  throw usageError(
    `${dir} holds no ${STATE_FILE}`,
    'name the folder of a stack: bench stack up says it, as does bench stack status',
  );
}

/** The state, or null when there is none yet. Exit 2 when there is one that cannot be read. */
export function tryReadState(dir: string): StackState | null {
  const file = path.join(dir, STATE_FILE);
  if (!existsSync(file)) return null;
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as StackState;
  } catch (error) {
    throw usageError(
      `${file}: cannot be read (${errorText(error)})`,
      'it is rewritten as a whole; was it edited?',
    );
  }
}

/** Whether the process that looks after the stack still lives; on another host, whether it has written of late. */
export function supervisorLives(state: StackState): boolean {
  if (state.supervisor.host === os.hostname())
    return startTicks(state.supervisor.pid) === state.supervisor.startTicks;
  return Date.now() - Date.parse(state.alive) < DEAD_AFTER_MS;
}

/** What teardown could not end, in words. */
export function stillThere(state: StackState): readonly string[] {
  return state.left ?? [];
}

/** Whether the stack has been torn down and nothing of it was left. */
export function isDown(state: StackState): boolean {
  return state.phase === 'stopped' && stillThere(state).length === 0;
}

/** `bench stack VERB DIR` as a shell takes it. */
export function stackLine(verb: string, dir: string): string {
  return `bench stack ${verb} ${shellQuote(dir)}`;
}

/** Says (exit 4) what teardown could not end. */
export function leftBehind(left: readonly string[], dir: string): BenchError {
  return new BenchError(
    EXIT.launch,
    `still there after teardown: ${left.join(', ')}`,
    `try again: ${stackLine('down', dir)}`,
  );
}

/** Throws (exit 4) when teardown could not end all. */
export function throwIfLeft(state: StackState, dir: string): void {
  const left = stillThere(state);
  if (left.length > 0) throw leftBehind(left, dir);
}

/** Says on stderr what teardown could not end, beside whatever else went wrong. */
export function tellLeft(dir: string): void {
  const state = tryReadState(dir);
  const left = state === null ? [] : stillThere(state);
  if (left.length > 0) printError(errorLines(leftBehind(left, dir)));
}

/** Whether a stack is up in the sense that requests may be sent to it. */
export function serves(state: StackState): boolean {
  return state.phase === 'ready' && supervisorLives(state);
}

/** Calls `changed` with each new state of a stack until stopped; a look at the file's time costs next to nothing. */
export function watchState(dir: string, everyMs: number, changed: (state: StackState) => void): () => void {
  let seen = '';
  const look = (): void => {
    try {
      const { mtimeMs, ino } = statSync(path.join(dir, STATE_FILE));
      if (seen === `${ino} ${mtimeMs}`) return;
      seen = `${ino} ${mtimeMs}`;
      const state = tryReadState(dir);
      if (state !== null) changed(state);
    } catch {
      // Not there yet, or being replaced; the next look sees it.
    }
  };
  const timer = setInterval(look, everyMs);
  look();
  return () => clearInterval(timer);
}
