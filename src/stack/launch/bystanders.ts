import { FailureFinder } from '../failure/first-error.ts';
import { whyLine } from '../failure/why-text.ts';
import type { PlannedStep } from '../plan/planned.ts';
import type { Recorder } from './recorder.ts';

/** Looks after the steps whose end is not the stack's: what becomes of them is a warning. */
export class Bystanders {
  readonly #recorder: Recorder;
  readonly #finders = new Map<string, FailureFinder>();

  constructor(steps: readonly PlannedStep[], recorder: Recorder) {
    this.#recorder = recorder;
    for (const step of steps) if (!step.critical) this.#finders.set(step.id, new FailureFinder([step]));
  }

  /** What finds the failure of the step; null when the stack stands and falls with it, or it has been warned of. */
  of(step: PlannedStep): FailureFinder | null {
    return this.#finders.get(step.id) ?? null;
  }

  /** Warns once of each step that has failed; `lost` is told its id. */
  look(nowMs: number, lost: (step: string) => void): void {
    for (const [id, finder] of this.#finders) {
      if (finder.look(nowMs) !== 'settled') continue;
      const why = finder.why()!;
      this.give(id, whyLine(why), why.evidence?.line ?? why.message, why.exitCode);
      lost(id);
    }
  }

  /** Warns of a step that is given up. */
  give(id: string, warning: string, evidence: string, exitCode: number | null = null): void {
    this.#finders.delete(id);
    const { state } = this.#recorder;
    this.#recorder.set({ warnings: [...state.warnings, `not critical, the stack goes on: ${warning}`] });
    this.#recorder.step(id, 'failed', evidence, { exitCode, waitingFor: [] });
    this.#recorder.flush();
  }
}
