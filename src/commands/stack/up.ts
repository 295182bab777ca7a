import path from 'node:path';
import { EXIT, type ExitCode } from '../../core/errors.ts';
import { fileStamp } from '../../core/units.ts';
import type { StackState } from '../../stack/launch/state.ts';
import { shellQuote } from '../../stack/plan/shell-quote.ts';
import { print, printError } from '../terminal.ts';
import { readState, stackLine, tellLeft, throwIfLeft, watchState } from './follow.ts';
import { LiveView } from './live-view.ts';
import { newOrder } from './order.ts';
import { failedStack, startStack } from './start.ts';
import { Stop } from './stop.ts';

export const UP_OPTIONS = {
  detach: {
    type: 'boolean',
    default: false,
    alias: 'd',
    describe: 'return when the stack is ready; a supervisor stays and looks after it',
  },
  out: { type: 'string', describe: "the stack's folder [default: results/<UTC>-<name>-stack/]" },
  preflight: { type: 'boolean', default: true, describe: 'look at the nodes before anything is started' },
  quiet: { type: 'boolean', default: false, describe: 'show no progress' },
} as const;

/**
 * `bench stack up FILE`: launches and waits until the stack is ready. In the foreground it then holds it until
 * Ctrl-C; with `--detach` it returns. Exit 4 when the launch fails, or the stack does while it is held.
 */
export async function runUp(args: {
  file: string;
  detach: boolean;
  out: string | undefined;
  preflight: boolean;
  quiet: boolean;
}): Promise<ExitCode> {
  const dir = args.out ?? newFolder(args.file, 'stack');
  const view = new LiveView(process.stderr);
  const show = (state: StackState): void => {
    if (!args.quiet) view.show(state);
  };
  const { order } = newOrder(args.file, dir, { lifeline: !args.detach, preflight: args.preflight });
  const stop = new Stop();
  try {
    const started = startStack(order);
    let state: StackState;
    try {
      state = await started.untilUp(show, stop.signal);
    } catch (error) {
      tellLeft(dir);
      if (stop.code !== null) return stop.code;
      throw error;
    }
    view.done();
    const job = state.job === null ? '' : `job:   ${state.job.id} on ${state.job.nodes.join(', ')}\n`;
    print(
      `url:   ${state.url}\nmodel: ${state.servedModel}\n${job}ready: after ${state.startupS['stack.ready']} s\n` +
        `next:  bench sweep --isl 4000 --osl 1000 --stack-run ${shellQuote(dir)}\n       ${stackLine('down', dir)}\n`,
    );
    if (args.detach) {
      started.release();
      return EXIT.ok;
    }
    printError('holding the stack; Ctrl-C tears it down\n');
    const end = await untilFailedOrStopped(order.dir, started.ended, stop.signal);
    if (end !== 'stopped') {
      const last = await started.stop(show);
      tellLeft(dir);
      throw failedStack(last, dir);
    }
    throwIfLeft(await started.stop(show), dir);
    return EXIT.ok;
  } finally {
    stop.unlisten();
  }
}

/** Also a supervisor that was killed has failed. */
function untilFailedOrStopped(
  dir: string,
  ended: Promise<void>,
  signal: AbortSignal,
): Promise<'failed' | 'stopped'> {
  return new Promise((resolve) => {
    const finish = (how: 'failed' | 'stopped'): void => {
      unwatch();
      resolve(how);
    };
    const unwatch = watchState(dir, 200, (state) => {
      if (state.why !== null) setImmediate(() => finish('failed'));
      else if (state.phase === 'stopped') setImmediate(() => finish('stopped'));
    });
    void ended.then(() => {
      const { phase, why } = readState(dir);
      finish(phase === 'stopped' && why === null ? 'stopped' : 'failed');
    });
    if (signal.aborted) finish('stopped');
    else signal.addEventListener('abort', () => finish('stopped'), { once: true });
  });
}

/** A folder under `results/` that is named after the time, the file and what it is for. */
export function newFolder(file: string, kind: 'stack' | 'check'): string {
  const utc = fileStamp(new Date().toISOString());
  return path.join('results', `${utc}-${path.basename(file).replace(/\.ya?ml$/, '')}-${kind}`);
}
