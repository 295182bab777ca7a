import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { errorText } from '../../core/errors.ts';

export interface ChildOrder {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Takes all that it says. */
  readonly log: string;
  readonly timeoutMs: number;
  /** Ends it, and all that it started. */
  readonly signal: AbortSignal;
  /** Told of the process, which leads a group of its own. */
  readonly started: (pid: number | undefined) => void;
}

/** Why a command did not end well, in a phrase; null when it did. */
export async function runChild({
  words,
  env,
  cwd,
  log,
  timeoutMs,
  signal,
  started,
}: ChildOrder): Promise<string | null> {
  signal.throwIfAborted();
  const file = openSync(log, 'w');
  const child = spawn(words[0]!, words.slice(1), {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', file, file],
    // A group of its own, so that what it starts can be ended with it.
    detached: true,
  });
  closeSync(file);
  started(child.pid);
  const kill = (): void => endGroup(child.pid);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    kill();
  }, timeoutMs);
  process.once('exit', kill);
  signal.addEventListener('abort', kill, { once: true });
  try {
    const ended = await new Promise<string | null>((resolve) => {
      child.once('error', (error) => resolve(errorText(error)));
      child.once('close', (code, name) => resolve(code === 0 ? null : `exit ${code ?? name}`));
    });
    signal.throwIfAborted();
    const how = late ? `not finished within ${timeoutMs / 1_000} s` : ended;
    return how === null ? null : [how, lastLine(log)].filter((text) => text !== '').join(': ');
  } finally {
    clearTimeout(timer);
    process.off('exit', kill);
    signal.removeEventListener('abort', kill);
    // Workers that outlive their parent would take time from the next case.
    kill();
  }
}

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

function lastLine(log: string): string {
  const lines = readFileSync(log, 'utf8')
    .split('\n')
    .map((line) => line.trim());
  return (lines.findLast((line) => line !== '') ?? '').slice(0, 300);
}
