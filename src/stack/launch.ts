import { sleep } from './allocation.ts';
import { LogTail } from './log-tail.ts';
import type { PlannedStep, Probe, StackPlan } from './planned.ts';
import { type CanaryProbe, type ProbeResult, probeName, tryProbe } from './probe.ts';
import type { Recorder } from './recorder.ts';
import { isOver, jobFacts } from './slurm.ts';
import { StepWatch } from './step-watch.ts';
import { plainWhy, StackFailure, type Why } from './why.ts';

const TICK_MS = 100;
/** While the stack serves. */
const WATCH_EVERY_MS = 5_000;
/** A watch probe that does not hold for this long means that what it asks is gone. */
const LOST_AFTER_MS = 20_000;
const QUEUE_EVERY_MS = 5_000;
/** After the first sign of a failure, time for the lines that belong to it. */
const EVIDENCE_MS = 700;

export interface LaunchDeps {
  readonly env: NodeJS.ProcessEnv;
  canary(probe: CanaryProbe, signal: AbortSignal): Promise<ProbeResult>;
}

/** The steps of a plan on their way to ready, and then while they serve. */
export class Launch {
  readonly #plan: StackPlan;
  readonly #recorder: Recorder;
  readonly #signal: AbortSignal;
  readonly #tail: LogTail;
  readonly #steps: readonly StepWatch[];
  readonly #deps: LaunchDeps;
  /** Set when teardown begins: ends are expected from then on. */
  #watching = true;
  #queueAskedMs = 0;

  constructor(plan: StackPlan, recorder: Recorder, deps: LaunchDeps, signal: AbortSignal) {
    this.#plan = plan;
    this.#recorder = recorder;
    this.#signal = signal;
    this.#deps = deps;
    const byFile = new Map<string, (line: string) => void>();
    this.#tail = new LogTail(({ file, line }) => byFile.get(file)?.(line));
    this.#steps = plan.steps.map((step) => {
      const watch = new StepWatch(step, plan, recorder, this.#tail);
      byFile.set(step.logFile, (line) => watch.taskLine(line));
      this.#tail.follow(step.logFile);
      if (step.srunLogFile !== null) {
        byFile.set(step.srunLogFile, (line) => watch.srunLine(line));
        this.#tail.follow(step.srunLogFile);
      }
      return watch;
    });
    this.#tail.start();
  }

  /** Process groups of the steps that were started, by step id. */
  get pids(): ReadonlyMap<string, number> {
    return new Map(this.#steps.flatMap((step) => (step.pid === null ? [] : [[step.id, step.pid] as const])));
  }

  /** Starts each step when those before it have come far enough; resolves when the whole stack is ready. */
  async untilReady(): Promise<void> {
    const giveUpMs = performance.now() + this.#plan.readyTimeoutMs;
    let stackNextMs = 0;
    for (;;) {
      await this.#tick();
      this.#startDue();
      await Promise.all(this.#steps.map((step) => step.probe(this.#try)));
      if (this.#steps.every((step) => step.isReady) && performance.now() >= stackNextMs) {
        const open = await this.#tryAll(this.#plan.ready);
        if (open === null) return;
        this.#recorder.set({ waitingFor: [open.result.said] });
        this.#recorder.flush();
        if (performance.now() > giveUpMs) throw new StackFailure(notReady(open.probe, open.result));
        stackNextMs = performance.now() + this.#steps[0]!.planned.probeIntervalMs;
      }
      await sleep(TICK_MS, this.#signal);
      this.#throwIfStopped();
    }
  }

  /** Resolves when asked to stop; rejects when anything of the stack is lost. */
  async whileServing(): Promise<void> {
    const lostSinceMs = new Map<Probe, number>();
    let nextMs = 0;
    while (!this.#signal.aborted) {
      await this.#tick();
      if (performance.now() >= nextMs) {
        for (const probe of this.#plan.watch) {
          const result = await this.#try(probe);
          if (result.holds) {
            lostSinceMs.delete(probe);
            continue;
          }
          const sinceMs = lostSinceMs.get(probe) ?? performance.now();
          if (!lostSinceMs.has(probe)) this.#recorder.note('stack', `lost: ${result.said}`);
          lostSinceMs.set(probe, sinceMs);
          if (performance.now() - sinceMs < LOST_AFTER_MS) continue;
          throw new StackFailure(
            plainWhy(
              'lost',
              `the stack was ready and is no more: ${result.said}`,
              'see the logs of its services',
            ),
          );
        }
        nextMs = performance.now() + WATCH_EVERY_MS;
      }
      await sleep(TICK_MS, this.#signal);
    }
  }

  /** From now on steps may end. */
  stopWatching(): void {
    this.#watching = false;
  }

  /** Reads the last lines and closes the logs. */
  async close(): Promise<void> {
    await this.#tail.stop();
  }

  readonly #try = (probe: Probe): Promise<ProbeResult> =>
    tryProbe(probe, {
      signal: this.#signal,
      canary: this.#deps.canary,
      matches: (id, pattern) =>
        this.#steps.find((step) => step.id === id)?.matches(pattern) ?? { count: 0, line: null },
    });

  /** The first probe that does not hold; null when all do. The canary is tried last, since it costs. */
  async #tryAll(probes: readonly Probe[]): Promise<{ probe: Probe; result: ProbeResult } | null> {
    const ordered = [
      ...probes.filter((probe) => probe.kind !== 'canary'),
      ...probes.filter((probe) => probe.kind === 'canary'),
    ];
    for (const probe of ordered) {
      const result = await this.#try(probe);
      if (!result.holds) return { probe, result };
      this.#recorder.note('stack', `${probeName(probe)}: ${result.said}`);
    }
    return null;
  }

  #startDue(): void {
    for (const step of this.#steps) {
      if (!step.isPending) continue;
      const due = step.planned.after.every(({ step: id, condition }) => {
        const other = this.#steps.find((one) => one.id === id);
        return other === undefined || (condition === 'ready' ? other.isReady : other.hasStarted);
      });
      if (due) step.start(this.#deps.env);
    }
  }

  /** Looks for failures of any step and of the job. */
  async #tick(): Promise<void> {
    if (!this.#watching) return;
    if (this.#steps.some((step) => step.hasFailed)) await this.#failOfSteps();
    const job = this.#recorder.state.job;
    if (job === null || performance.now() - this.#queueAskedMs < QUEUE_EVERY_MS) return;
    this.#queueAskedMs = performance.now();
    const facts = await jobFacts(job.id).catch(() => undefined);
    if (facts === undefined) return;
    if (facts === null || isOver(facts.state)) {
      throw new StackFailure(
        plainWhy(
          'job-ended',
          `job ${job.id} is over (${facts?.state ?? 'SLURM does not know it any more'})`,
          'ask for more time (cluster.time), or see who cancelled it',
        ),
      );
    }
    if (facts.endsAt !== job.endsAt) this.#recorder.set({ job: { ...job, endsAt: facts.endsAt } });
  }

  /** Waits for the lines that belong to the failure, then tells the first cause among all steps. */
  async #failOfSteps(): Promise<never> {
    await sleep(EVIDENCE_MS);
    await this.#tail.poll();
    throw new StackFailure(this.#firstCause());
  }

  #firstCause(): Why {
    throw new Error('wired with the finder');
  }

  #throwIfStopped(): void {
    if (this.#signal.aborted)
      throw new StackFailure(plainWhy('cancelled', 'stopped before the stack was ready'));
  }
}

function notReady(probe: Probe, result: ProbeResult): Why {
  return plainWhy('not-ready', `not ready in time: ${result.said}`, probeName(probe));
}

export type { PlannedStep };
