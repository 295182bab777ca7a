import type { FailureFinder } from '../failure/first-error.ts';
import { plainWhy, StackFailure } from '../failure/why.ts';
import { whyLine } from '../failure/why-text.ts';
import type { Probe } from '../plan/planned.ts';
import type { ProbeResult } from './probe.ts';
import type { Recorder } from './recorder.ts';

/** A watch probe that does not hold for this long means that what it asks is gone. */
const LOST_AFTER_MS = 20_000;
/** What a log showed this long before something was lost may explain it. */
const EXPLAINS_MS = 60_000;

/** What is told of a stack while it serves: what is lost, and crashes that it outlives. */
export class ServingWatch {
  readonly #finder: FailureFinder;
  readonly #recorder: Recorder;
  readonly #lostSinceMs = new Map<Probe, number>();
  readonly #warned = new Set<string>();

  constructor(finder: FailureFinder, recorder: Recorder) {
    this.#finder = finder;
    this.#recorder = recorder;
  }

  /** Takes the answer to a watch probe. Throws a StackFailure once it has not held for 20 s. */
  seen(probe: Probe, { holds, said }: ProbeResult, nowMs: number): void {
    if (holds) {
      this.#lostSinceMs.delete(probe);
      return;
    }
    const sinceMs = this.#lostSinceMs.get(probe);
    if (sinceMs === undefined) {
      this.#lostSinceMs.set(probe, nowMs);
      this.#recorder.note('stack', `lost: ${said}`);
      return;
    }
    if (nowMs - sinceMs <= LOST_AFTER_MS) return;
    const lost = `the stack was ready and is no more: ${said}`;
    const suspect = this.#finder.suspect(null, sinceMs - EXPLAINS_MS);
    if (suspect === null) throw new StackFailure(plainWhy('lost', lost, 'see the logs of its services'));
    throw new StackFailure({
      ...suspect,
      hint: [suspect.hint, lost].filter((part) => part !== null).join(' '),
    });
  }

  /** Warns once of each step that has shown a crash and goes on. */
  warn(): void {
    for (const why of this.#finder.outlived()) {
      const warning = `it goes on after a crash in its log: ${whyLine(why)}`;
      if (this.#warned.has(why.step ?? '')) continue;
      this.#warned.add(why.step ?? '');
      this.#recorder.set({ warnings: [...this.#recorder.state.warnings, warning] });
      this.#recorder.note(why.step ?? 'stack', warning);
      this.#recorder.flush();
    }
  }
}
