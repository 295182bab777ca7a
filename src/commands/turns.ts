import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BenchError, EXIT, type ExitCode, errorLines, usageError, worstExit } from '../core/errors.ts';
import { RECORDS_FILE } from '../host/records-file.ts';
import type { RunEnd } from './one-run.ts';
import { Stop } from './stack/stop.ts';
import { printError } from './terminal.ts';

/** One of several runs that a command makes one after another. */
export interface Turn {
  /** `repeat 2 of 5`, told on stderr before it begins; null where there is nothing to tell. */
  readonly label: string | null;
  measure(): Promise<RunEnd>;
}

/** After such an end another turn could not do better. */
const LAST: ReadonlySet<ExitCode> = new Set([
  EXIT.usage,
  EXIT.target,
  EXIT.launch,
  EXIT.bug,
  EXIT.interrupted,
  EXIT.terminated,
]);

/** What came of all turns. */
export interface TurnsEnd {
  readonly ends: readonly RunEnd[];
  readonly exitCode: ExitCode;
}

/**
 * Runs all turns in order with a pause between. A turn that was cut or found no server is the last. What comes next may hang on
 * what came before: it is asked for when that has ended.
 */
export async function runTurns(
  turns: Iterable<Turn>,
  {
    pauseMs,
    quiet,
    after,
  }: {
    readonly pauseMs: number;
    readonly quiet: boolean;
    /** Called with all ends so far as soon as a run has ended. */
    readonly after: (ends: readonly RunEnd[]) => void;
  },
): Promise<TurnsEnd> {
  const ends: RunEnd[] = [];
  const codes: ExitCode[] = [];
  for (const turn of turns) {
    const cut = codes.length === 0 ? null : await pause(pauseMs);
    if (cut !== null) {
      codes.push(cut);
      break;
    }
    if (!quiet && turn.label !== null) printError(`${turn.label}\n`);
    try {
      const end = await turn.measure();
      ends.push(end);
      after(ends);
      codes.push(end.exitCode);
    } catch (error) {
      if (!(error instanceof BenchError) || ends.length === 0) throw error;
      printError(errorLines(error));
      codes.push(error.exitCode);
    }
    if (LAST.has(codes.at(-1)!)) break;
  }
  return { ends, exitCode: worstExit(codes) };
}

/** Rests; 130 or 143 where a signal came meanwhile, else null. Between two runs nothing else listens. */
async function pause(ms: number): Promise<ExitCode | null> {
  const stop = new Stop('stopping: no further run is begun');
  try {
    await sleep(ms, null, { signal: stop.signal }).catch(() => undefined);
    return stop.code;
  } finally {
    stop.unlisten();
  }
}

/** Refuses a folder for several runs that holds one itself, or one of the names that these will have (exit 2). */
export function refuseRunFolder(directory: string, names: readonly string[]): void {
  const taken = ['', ...names].find((name) => existsSync(path.join(directory, name, RECORDS_FILE)));
  if (taken !== undefined)
    throw usageError(
      `--out: ${path.join(directory, taken)} already holds a run`,
      'choose another folder, or go on with it: bench sweep --resume DIR',
    );
}

/** Refuses a folder for one run that holds several (exit 2): a run beside them would hide them. */
export function refuseRepeatsFolder(directory: string): void {
  const taken = ['1', 'a/1', 'b/1'].find((name) => existsSync(path.join(directory, name, RECORDS_FILE)));
  if (taken !== undefined)
    throw usageError(
      `--out: ${directory} holds runs already, as in ${path.join(directory, taken)}`,
      'choose another folder',
    );
}
