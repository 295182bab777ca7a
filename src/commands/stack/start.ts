import { type ChildProcess, spawn } from 'node:child_process';
import fs, { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { BenchError, EXIT, errorText, usageError } from '../../core/errors.ts';
import { makeFolders } from '../../core/folders.ts';
import { writeAtomic } from '../../host/store.ts';
import { whyText } from '../../stack/failure/why-text.ts';
import { keptText } from '../../stack/file/redaction.ts';
import { STATE_FILE } from '../../stack/launch/recorder.ts';
import type { StackState } from '../../stack/launch/state.ts';
import { OWN_VERBS } from '../own-verbs.ts';
import { printError } from '../terminal.ts';
import { endStack } from './end.ts';
import { isDown, stackLine, supervisorLives, tryReadState, watchState } from './follow.ts';
import { Stop } from './stop.ts';

export const ORDER_FILE = 'order.json';
const SUPERVISOR_LOG = 'supervisor.log';
const LOOK_EVERY_MS = 200;

/** What a supervisor is told, in the stack's folder. Holds no secret. */
export interface StackOrder {
  /** Absolute path of the stack file. */
  readonly file: string;
  readonly run: string;
  readonly dir: string;
  /** Ends with the process that started it: when its standard input closes. */
  readonly lifeline: boolean;
  readonly checkOnly: boolean;
  readonly preflight: boolean;
  /** What will be asked of the stack, for the engine's own limits; empty when that is not known. */
  readonly shapes: readonly { readonly isl: number; readonly osl: number; readonly concurrency: number }[];
}

/** A stack whose supervisor was started by this process. */
export interface StartedStack {
  readonly dir: string;
  /** Resolves when the supervisor has ended, however. */
  readonly ended: Promise<void>;
  /** Resolves with the state once the stack is ready, or has only been checked; rejects (exit 4) when it fails or `signal` aborts. */
  untilUp(show: (state: StackState) => void, signal: AbortSignal): Promise<StackState>;
  /** Asks the supervisor to tear the stack down and waits until it has; where it has died, the stack is ended from here. */
  stop(show: (state: StackState) => void): Promise<StackState>;
  /** Lets the supervisor live on when this process ends. */
  release(): void;
}

/** Starts a supervisor for the stack file in a new folder. Exit 2 when the folder holds a stack already. */
export function startStack(order: StackOrder): StartedStack {
  const { dir } = order;
  if (existsSync(path.join(dir, STATE_FILE)))
    throw usageError(`${dir} already holds a stack`, 'choose another folder');
  try {
    makeFolders(dir, fs);
    writeFileSync(path.join(dir, 'stack.yaml'), keptText(readFileSync(order.file, 'utf8')));
    writeAtomic(path.join(dir, ORDER_FILE), `${JSON.stringify(order, null, 2)}\n`);
  } catch (error) {
    throw usageError(`cannot write to ${dir} (${errorText(error)})`, 'choose a folder that can be written');
  }
  const log = openSync(path.join(dir, SUPERVISOR_LOG), 'a');
  const child = spawn(process.execPath, [process.argv[1]!, OWN_VERBS.supervise, dir], {
    // Neither a Ctrl-C in the terminal nor its closing reaches it: it has its own way to be stopped.
    detached: true,
    stdio: [order.lifeline ? 'pipe' : 'ignore', log, log],
  });
  closeSync(log);
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  });
  return {
    dir,
    ended,
    untilUp: (show, signal) => follow(dir, child, ended, show, signal),
    async stop(show) {
      const unwatch = watchState(dir, LOOK_EVERY_MS, show);
      child.kill('SIGTERM');
      await ended;
      await endAbandoned(dir);
      unwatch();
      const state = tryReadState(dir);
      if (state === null) throw supervisorDied(dir);
      show(state);
      return state;
    },
    release() {
      child.stdin?.destroy();
      child.unref();
    },
  };
}

function follow(
  dir: string,
  child: ChildProcess,
  ended: Promise<void>,
  show: (state: StackState) => void,
  signal: AbortSignal,
): Promise<StackState> {
  return new Promise((resolve, reject) => {
    let settled = false;
    const finish = (): void => {
      settled = true;
      unwatch();
      signal.removeEventListener('abort', stop);
    };
    const stop = (): void => {
      child.kill('SIGTERM');
    };
    const unwatch = watchState(dir, LOOK_EVERY_MS, (state) => {
      show(state);
      if (state.phase !== 'ready') return;
      // The first look comes before there is anything to end.
      setImmediate(() => {
        finish();
        resolve(state);
      });
    });
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    void ended.then(async () => {
      if (settled) return;
      // Its last state never came to the disk: it was killed, or the disk is full.
      const died = await endAbandoned(dir);
      finish();
      const state = tryReadState(dir);
      if (state === null) return reject(supervisorDied(dir));
      show(state);
      if (state.why !== null) return reject(failedStack(state, dir));
      if (died) return reject(supervisorDied(dir));
      if (signal.aborted) return reject(new BenchError(EXIT.launch, 'stopped before the stack was ready'));
      resolve(state);
    });
  });
}

/** The failure of a stack as an error (exit 4) with its first cause and where to read on. */
export function failedStack(state: StackState, dir: string): BenchError {
  if (state.why === null) return supervisorDied(dir);
  return new BenchError(EXIT.launch, whyText(state.why), `all of it is in ${dir}: ${stackLine('logs', dir)}`);
}

/**
 * Ends what a supervisor that has died left of its stack. Says whether there was such a one; what could not be ended is in
 * the stack's state.
 */
export async function endAbandoned(dir: string): Promise<boolean> {
  const state = tryReadState(dir);
  if (state === null || state.phase === 'stopped' || supervisorLives(state)) return false;
  const stop = new Stop('still taking the stack down');
  try {
    printError(`the supervisor of ${dir} is gone: what it launched is taken down\n`);
    await endStack(dir, state, { by: 'its supervisor has died' });
  } finally {
    stop.unlisten();
  }
  return true;
}

function supervisorDied(dir: string): BenchError {
  const log = path.join(dir, SUPERVISOR_LOG);
  const said = existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n').slice(-3).join(' ') : '';
  const state = tryReadState(dir);
  return new BenchError(
    EXIT.launch,
    `the supervisor of ${dir} ended without a word${said === '' ? '' : `: ${said}`}`,
    state !== null && isDown(state)
      ? 'it was killed, by the kernel for lack of memory perhaps; what it launched was taken down'
      : `clean up: ${stackLine('down', dir)}`,
  );
}
