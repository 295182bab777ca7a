import path from 'node:path';
import { type ExitCode, worstExit } from '../core/errors.ts';
import { startClock } from '../host/clock.ts';
import { RunStore } from '../host/store.ts';
import { newSalt } from './arguments.ts';
import { exitCodeOf } from './exit-code.ts';
import { measureOnce, type OneRun, type RunEnd } from './one-run.ts';
import { readReport } from './read-report.ts';
import type { EarlierWork } from './resume.ts';
import { repeatsSet } from './sets/repeats-set.ts';
import { type RunSet, saveEnd, saveRunning, setRuns } from './sets/run-set.ts';
import { type Telling, tellRuns } from './telling.ts';
import { runTurns, type Turn } from './turns.ts';

/** Which runs are made, and where. */
export interface RepeatOrder {
  readonly repeats: number;
  /** Each run has the folder of its number in it. */
  readonly directory: string;
  readonly earlier: EarlierWork | null;
  /** As it was given; null draws a new one for each run. */
  readonly salt: string | null;
}

/**
 * Sweeps several times, all levels in each, so that what drifts meanwhile meets all of them alike. Each run has prompts of its own
 * words and the same lengths.
 */
export async function measureRepeats(
  run: Omit<OneRun, 'clock' | 'directory' | 'earlier'>,
  order: RepeatOrder,
  how: Telling,
): Promise<ExitCode> {
  const { repeats, directory, earlier, salt } = order;
  const set = earlier?.set?.set ?? newSet();
  const numbers = Array.from({ length: repeats }, (_, nth) => nth + 1);
  const turns = numbers
    .filter((number) => earlier?.runs.get(number) !== null)
    .map((number): Turn => {
      const left = earlier?.runs.get(number) ?? null;
      const folder = path.join(directory, `${number}`);
      return {
        label: `repeat ${number} of ${repeats}`,
        measure() {
          // One that was killed while it got ready.
          if (earlier !== null && left === null) RunStore.removeUnused(folder);
          return measureOnce({
            ...run,
            spec: {
              ...run.spec,
              repeat: { set, number, of: repeats },
              prompts: { ...run.spec.prompts, salt: salt === null ? newSalt() : `${salt}.${number}` },
            },
            clock: startClock(left?.origin),
            directory: folder,
            earlier: left,
          });
        },
      };
    });
  const before = numbers
    .filter((number) => earlier?.runs.get(number) === null)
    .map((number) => endOf(path.join(directory, `${number}`)));
  const allOf = (ends: readonly RunEnd[]): RunEnd[] =>
    [...before, ...ends].sort((a, b) => numberOf(a) - numberOf(b));
  const setOf = (ends: readonly RunEnd[]): RunSet => repeatsSet(setRuns(allOf(ends), directory), repeats);
  const { ends, exitCode } = await runTurns(turns, {
    pauseMs: run.spec.pauseMs,
    quiet: run.quiet,
    after: (ended) => saveRunning(setOf(ended), directory),
  });
  const results = setOf(ends);
  const saved = await saveEnd(results, directory, exitCode);
  await tellRuns(allOf(ends), results, directory, how);
  return worstExit([exitCode, saved, ...before.map((end) => end.exitCode)]);
}

/** A run that was complete before. */
function endOf(directory: string): RunEnd {
  const report = readReport(directory);
  return { report, directory, exitCode: exitCodeOf(report, []), whole: true };
}

function numberOf({ report }: RunEnd): number {
  return report.spec.repeat!.number;
}

/** A name that no other command's runs have. */
export function newSet(): string {
  return newSalt();
}
