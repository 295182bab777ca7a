import os from 'node:os';
import { BenchError, EXIT } from '../../core/errors.ts';
import type { PointSpec } from '../../core/spec.ts';
import { whyText } from '../../stack/failure/why-text.ts';
import { shellQuote } from '../../stack/plan/shell-quote.ts';
import { printError } from '../terminal.ts';
import { findStack, stackFolder, stacksOf } from './find.ts';
import {
  readState,
  serves,
  stackLine,
  supervisorLives,
  tellLeft,
  throwIfLeft,
  tryReadState,
} from './follow.ts';
import { StackLink } from './link.ts';
import { LiveView } from './live-view.ts';
import { checkAttachedPlaces, checkLoadPlaces, type LoadPlaces } from './load-places.ts';
import { newOrder } from './order.ts';
import { endAbandoned, failedStack, startStack } from './start.ts';
import { Stop } from './stop.ts';

/** The stack of a sweep: launched for it, or found up and only attached to. */
export interface StackSession {
  readonly link: StackLink;
  /** Tears down what was launched for the sweep, unless it is to be kept; ends the watching. Exit 4 when something is left. */
  close(): Promise<void>;
}

export interface LaunchArgs {
  readonly keep: boolean;
  readonly preflight: boolean;
  readonly quiet: boolean;
  /** Folder of the sweep; the stack's own is `stack/` in it. */
  readonly directory: string;
  readonly points: readonly PointSpec[];
  readonly places: LoadPlaces;
}

/** Attaches to the stack in a folder, which is up. */
export function attachStack(dir: string): StackSession {
  const link = new StackLink(findStack(dir, 'status'));
  return {
    link,
    async close() {
      link.close();
      const { phase } = link.state;
      if (phase !== 'stopped' && !supervisorLives(link.state))
        printError(
          `the supervisor of ${link.dir} is gone, what it launched is not: ${stackLine('down', link.dir)}\n`,
        );
    },
  };
}

/** Launches the stack of a file and waits until it is ready. */
export async function launchStack(file: string, args: LaunchArgs): Promise<StackSession> {
  const view = new LiveView(process.stderr);
  const show = (state: Parameters<LiveView['show']>[0]): void => {
    if (!args.quiet) view.show(state);
  };
  const { order, stack, jobId } = newOrder(file, freeFolder(args.directory), {
    lifeline: !args.keep,
    preflight: args.preflight,
    shapes: args.points.map(({ isl, osl, concurrency }) => ({ isl, osl, concurrency })),
  });
  checkLoadPlaces(stack, args.places, process.env['SLURM_JOB_ID']);
  if (jobId !== null) await checkAttachedPlaces(jobId, args.places);
  await endEarlier(args.directory);
  const started = startStack(order);
  const stop = new Stop();
  try {
    await started.untilUp(show, stop.signal);
    // A service may have failed in the moment since: its supervisor finds out why.
    if (!serves(readState(started.dir))) {
      const last = await started.stop(show);
      if (last.why !== null) throw failedStack(last, started.dir);
    }
    const link = new StackLink(started.dir);
    view.done();
    return {
      link,
      async close() {
        link.close();
        // Without its supervisor a stack can be neither watched nor attached to.
        if (!args.keep || !supervisorLives(link.state)) {
          const last = await started.stop(show);
          if (last.why !== null) printError(`${whyText(last.why)}\n`);
          throwIfLeft(last, started.dir);
          return;
        }
        started.release();
        printError(
          `the stack stays up: bench sweep --stack-run ${shellQuote(started.dir)}, ${stackLine('down', started.dir)}\n`,
        );
      },
    };
  } catch (error) {
    tellLeft(started.dir);
    if (stop.code !== null) throw new BenchError(stop.code, 'stopped while the stack was coming up');
    throw error;
  } finally {
    stop.unlisten();
  }
}

/**
 * Ends the stack of an earlier try in the sweep's folder whose supervisor has died over it: it holds the nodes that the next one
 * waits for. Exit 4 when that cannot be done from here.
 */
async function endEarlier(directory: string): Promise<void> {
  for (const dir of stacksOf(directory)) {
    const state = tryReadState(dir);
    if (state === null || state.phase === 'stopped' || supervisorLives(state)) continue;
    if (state.supervisor.host !== os.hostname())
      throw new BenchError(
        EXIT.launch,
        `the stack of an earlier try may still be there: its supervisor on ${state.supervisor.host} shows no life`,
        `end it: ${stackLine('down', dir)}`,
      );
    await endAbandoned(dir);
    tellLeft(dir);
  }
}

/** `stack/` in the sweep's folder; a sweep that is resumed finds that of its first try there. */
function freeFolder(directory: string): string {
  return stackFolder(directory, stacksOf(directory).length + 1);
}
