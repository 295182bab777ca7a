import { EXIT, type ExitCode, worstExit } from '../core/errors.ts';
import type { Report } from '../core/report.ts';
import { publicSpec } from '../core/secrets.ts';
import type { RunSpec } from '../core/spec.ts';
import type { RunClock } from '../host/clock.ts';
import { readProvenance } from '../host/environment.ts';
import { RunStore } from '../host/store.ts';
import { VERSION } from './about.ts';
import type { TargetAccess } from './arguments.ts';
import type { LoadPlan } from './load-plan.ts';
import type { EarlierRun } from './resume.ts';
import type { StackLink } from './stack/link.ts';
import { runSweep, type SweepResult } from './sweep-run.ts';
import { printError } from './terminal.ts';

/** One run of all its levels, into a folder of its own. */
export interface OneRun {
  readonly spec: RunSpec;
  readonly access: TargetAccess;
  readonly argv: readonly string[];
  readonly clock: RunClock;
  readonly directory: string;
  /** What is gone on with; null for a new run. */
  readonly earlier: EarlierRun | null;
  readonly stack: StackLink | null;
  readonly load: LoadPlan | null;
  readonly quiet: boolean;
}

/** What came of a run that was begun. */
export interface RunEnd {
  readonly report: Report;
  readonly directory: string;
  readonly exitCode: ExitCode;
  /** Whether all of it is on disk. */
  readonly whole: boolean;
}

/** Measures and writes the results; what the disk refused is told on stderr and makes exit 2. */
export async function measureOnce(run: OneRun): Promise<RunEnd> {
  const { spec, earlier, directory } = run;
  const store = earlier === null ? RunStore.create(directory) : earlier.reopen();
  store.document('spec.json', `${JSON.stringify(publicSpec(spec), null, 2)}\n`);
  let result: SweepResult;
  try {
    result = await runSweep({
      spec,
      access: run.access,
      clock: run.clock,
      provenance: readProvenance(run.argv, VERSION),
      store,
      quiet: run.quiet,
      earlier: earlier?.levels ?? [],
      earlierNotes: earlier?.notes ?? [],
      firstId: earlier?.firstId ?? 0,
      stack: run.stack,
      load: run.load,
    });
  } catch (error) {
    store.closeUnused();
    throw error;
  }
  const { report, exitCode } = result;
  store.close();
  if (store.missing === null) return { report, directory, exitCode, whole: true };
  printError(
    `bench: --out: results in ${directory} are not whole; not on disk: ${store.missing}\n` +
      '  make room on that disk and go on with --resume, or choose another folder\n',
  );
  return { report, directory, exitCode: worstExit([exitCode, EXIT.usage]), whole: false };
}
