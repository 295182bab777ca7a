import { WEIGHT } from '../failure/failure-signs.ts';
import type { FailureFinder } from '../failure/first-error.ts';
import { plainWhy, StackFailure, type Why } from '../failure/why.ts';
import { whyLine } from '../failure/why-text.ts';
import type { PlannedStep, Probe, StackPlan } from '../plan/planned.ts';
import { type ProbeResult, probeName } from './probe.ts';
import { roleOf } from './readiness.ts';
import type { Recorder } from './recorder.ts';

/** A watch probe that does not hold for this long means that what it asks is gone. */
const LOST_AFTER_MS = 20_000;
/** What a log showed this long before something was lost may explain it. */
const EXPLAINS_MS = 60_000;

/** A watch probe and the answer to it. */
export interface Look extends ProbeResult {
  readonly probe: Probe;
}

/** What is told of a stack while it serves: what is lost, and crashes that it outlives. */
export class ServingWatch {
  readonly #plan: StackPlan;
  readonly #finder: FailureFinder;
  readonly #recorder: Recorder;
  readonly #lostSinceMs = new Map<Probe, number>();
  readonly #warned = new Set<string>();
  #looks = 0;

  constructor(plan: StackPlan, finder: FailureFinder, recorder: Recorder) {
    this.#plan = plan;
    this.#finder = finder;
    this.#recorder = recorder;
  }

  /** Takes the answers to all watch probes. Throws a StackFailure once one has not held for 20 s. */
  seen(looks: readonly Look[], nowMs: number): void {
    const open = looks.filter(({ holds }) => !holds);
    for (const { probe, holds, said } of looks) {
      if (holds) this.#lostSinceMs.delete(probe);
      else if (!this.#lostSinceMs.has(probe)) {
        this.#lostSinceMs.set(probe, nowMs);
        this.#recorder.note('stack', `lost: ${said}`);
      }
    }
    this.#looks++;
    const saidOf = (silent: boolean): string[] =>
      open.filter((look) => (look.silent === true) === silent).map(({ said }) => said);
    this.#recorder.set({ watch: { looks: this.#looks, missing: saidOf(false), silent: saidOf(true) } });
    this.#recorder.flush();
    const sinceMs = Math.min(...open.map(({ probe }) => this.#lostSinceMs.get(probe)!));
    if (nowMs - sinceMs > LOST_AFTER_MS) throw new StackFailure(this.#whyLost(open, sinceMs));
  }

  /** Warns once of each step that has shown a crash and goes on. */
  warn(): void {
    for (const why of this.#finder.outlived()) {
      const warning = `it goes on after an error in its log: ${whyLine(why)}`;
      if (this.#warned.has(why.step ?? '')) continue;
      this.#warned.add(why.step ?? '');
      this.#recorder.set({ warnings: [...this.#recorder.state.warnings, warning] });
      this.#recorder.note(why.step ?? 'stack', warning);
      this.#recorder.flush();
    }
  }

  /**
   * Missing workers tell more than a model that is not listed for want of them, and both more than a line of a log that only
   * shows that something was not reached.
   */
  #whyLost(open: readonly Look[], sinceMs: number): Why {
    const short = open.filter(({ probe, silent }) => probe.kind === 'instances' && silent !== true);
    const named = short.length > 0 ? short : open.slice(0, 1);
    const steps = [...new Set(named.flatMap(({ probe, silent }) => this.#stepsOf(probe, silent === true)))];
    const lost = `the stack was ready and is no more: ${named.map((look) => this.#said(look)).join('; ')}`;
    const fromMs = sinceMs - EXPLAINS_MS;
    // Any step may be why the frontend does not answer or lists nothing.
    const suspects = short.length > 0 ? steps.map(({ id }) => id) : [null];
    const cause = suspects
      .map((id) => this.#finder.suspect(id, fromMs, WEIGHT.crash))
      .find((found) => found !== null);
    if (cause !== undefined)
      return { ...cause, hint: [cause.hint, lost].filter((part) => part !== null).join(' ') };
    const [only] = steps;
    const where = steps.length === 1 ? only! : null;
    const suspect = this.#finder.suspect(null, fromMs);
    const said = suspect === null ? '' : ` The log of ${suspect.step} says: ${suspect.message}`;
    return {
      ...plainWhy('lost', lost, `${hintOf(steps, short.length > 0)}${said}`),
      step: where?.id ?? null,
      node: where?.nodes.length === 1 ? where.nodes[0]! : null,
      logFile: where?.logFile ?? null,
      evidence: suspect?.evidence ?? null,
    };
  }

  #said({ probe, silent, said }: Look): string {
    if (silent !== true || probe.kind === 'tcp') return said;
    return `${this.#plan.url} does not answer: ${said.replace(`${probeName(probe)}: `, '')}`;
  }

  /** Whose loss a probe shows: workers, or what should have answered. */
  #stepsOf(probe: Probe, silent: boolean): PlannedStep[] {
    const role = probe.kind === 'instances' && !silent ? roleOf(probe, this.#plan) : 'frontend';
    return this.#plan.steps.filter((step) => step.role === role);
  }
}

function hintOf(steps: readonly PlannedStep[], registered: boolean): string {
  const names = steps.map(({ id }) => id).join(', ');
  if (names === '') return 'See the logs of its services.';
  return registered
    ? `The step of ${names} lives, but is not registered any more: it hangs, was stopped, or does not reach etcd. See its log and its processes (py-spy dump).`
    : `See the log of ${names} and its processes: does it hang?`;
}
