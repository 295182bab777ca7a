import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import { errorText } from '../../core/errors.ts';
import type { PlannedStep } from '../plan/planned.ts';
import { RUN_MARK } from './marked-processes.ts';

/** How a step's process ended: its exit code, or the signal that ended it. */
export interface StepEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A step that was started: srun, or the command itself in local mode. */
export interface StepProcess {
  /** Process and process-group id; null when it could not be started. */
  readonly pid: number | null;
  readonly ended: Promise<StepEnd>;
  /** Set as soon as it has ended. */
  readonly end: StepEnd | null;
  /** Signals the whole process group; nothing happens when it is gone. */
  signal(name: NodeJS.Signals): void;
}

/**
 * Starts a step in a process group of its own, so that a Ctrl-C in the terminal does not reach it. It reads
 * no input. In local mode both its streams go to the log; of srun the log of its tasks is its own affair
 * (`--output`), and what it says itself goes to the srun log. `inherited` is this process's environment.
 */
export function startStep(step: PlannedStep, run: string, inherited: NodeJS.ProcessEnv): StepProcess {
  const file = step.srunLogFile ?? step.logFile;
  mkdirSync(path.dirname(step.logFile), { recursive: true });
  mkdirSync(path.dirname(file), { recursive: true });
  const log = openSync(file, 'a');
  const child = spawn(step.argv[0]!, step.argv.slice(1), {
    detached: true,
    stdio: ['ignore', log, log],
    env: stepEnvironment(step, run, inherited),
    ...(step.workdir === null || step.srunLogFile !== null ? {} : { cwd: step.workdir }),
  });
  let end: StepEnd | null = null;
  const ended = new Promise<StepEnd>((resolve) => {
    const finish = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (end !== null) return;
      end = { code, signal };
      closeSync(log);
      resolve(end);
    };
    child.once('error', (error) => {
      writeSync(log, `cannot start ${step.argv[0]}: ${errorText(error)}\n`);
      finish(127, null);
    });
    child.once('exit', finish);
  });
  const pid = child.pid ?? null;
  return {
    pid,
    ended,
    get end() {
      return end;
    },
    signal(name) {
      if (pid !== null) signalGroup(pid, name);
    },
  };
}

/** Signals a process group; nothing happens when it is gone. */
export function signalGroup(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name);
  } catch {
    // All of it has ended.
  }
}

/** The environment of a step: the inherited one without what the step must not see, then its own. */
function stepEnvironment(
  step: PlannedStep,
  run: string,
  inherited: NodeJS.ProcessEnv,
): Record<string, string | undefined> {
  const env: Record<string, string | undefined> = { ...inherited };
  for (const name of step.unset) delete env[name];
  return { ...env, ...step.env, [RUN_MARK]: run };
}
