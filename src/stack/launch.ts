import { sleep } from './allocation.ts';
import { FailureFinder } from './first-error.ts';
import { LogTail } from './log-tail.ts';
import { whyNotReady } from './not-ready.ts';
import type { Probe, StackPlan } from './planned.ts';
import { type CanaryProbe, type ProbeResult, probeName, tryProbe } from './probe.ts';
import { readinessSeen } from './readiness.ts';
import type { Recorder } from './recorder.ts';
import { isOver, jobFacts } from './slurm.ts';
import { type LineListener, StepWatch } from './step-watch.ts';
import { plainWhy, StackFailure } from './why.ts';

const TICK_MS = 100;
/** Between two tries of the stack's own probes. */
const READY_EVERY_MS = 500;
/** While the stack serves. */
const WATCH_EVERY_MS = 5_000;
/** A watch probe that does not hold for this long means that what it asks is gone. */
const LOST_AFTER_MS = 20_000;
const QUEUE_EVERY_MS = 5_000;

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
  readonly #finder: FailureFinder;
  readonly #steps: readonly StepWatch[];
  readonly #deps: LaunchDeps;
  readonly #startedMs = performance.now();
  /** Unset when teardown begins: ends are expected from then on. */
  #watching = true;
  #queueAskedMs = 0;
  #lastCanary: string | null = null;

  constructor(plan: StackPlan, recorder: Recorder, deps: LaunchDeps, signal: AbortSignal) {
    this.#plan = plan;
    this.#recorder = recorder;
    this.#signal = signal;
    this.#deps = deps;
    this.#finder = new FailureFinder(plan.steps);
    const now = (): number => performance.now();
    const listener: LineListener = {
      taskLine: (step, raw) => this.#watching && this.#finder.taskLine(step.id, step.logFile, raw, now()),
      srunLine: (step, raw) =>
        this.#watching && this.#finder.srunLine(step.id, step.srunLogFile!, raw, now()),
      // Its last lines are read first: they tell why.
      ended: (step, end) =>
        void this.#tail.poll().then(() => this.#watching && this.#finder.stepEnded(step.id, end, now())),
    };
    const byFile = new Map<string, (line: string) => void>();
    this.#tail = new LogTail(({ file, line }) => byFile.get(file)?.(line));
    this.#steps = plan.steps.map((step) => {
      const watch = new StepWatch(step, plan, recorder, this.#tail, listener);
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
    return new Map(
      this.#steps.flatMap((step) => (step.pid === null ? [] : [[step.planned.id, step.pid] as const])),
    );
  }

  /** Starts each step when those before it have come far enough; resolves when the whole stack is ready. */
  async untilReady(): Promise<void> {
    let nextMs = 0;
    for (;;) {
      await this.#lookForFailure();
      this.#startDue();
      await Promise.all(this.#steps.map((step) => step.probe(this.#try)));
      if (this.#steps.every((step) => step.isReady) && performance.now() >= nextMs) {
        const open = await this.#firstOpen(this.#plan.ready);
        if (open === null) return;
        this.#recorder.set({ waitingFor: [open.said] });
        this.#recorder.flush();
        nextMs = performance.now() + READY_EVERY_MS;
      }
      await this.#giveUpIfOverdue();
      await sleep(TICK_MS, this.#signal);
      if (this.#signal.aborted)
        throw new StackFailure(plainWhy('cancelled', 'stopped before the stack was ready'));
    }
  }

  /** Resolves when asked to stop; rejects when anything of the stack is lost. */
  async whileServing(): Promise<void> {
    const lostSinceMs = new Map<Probe, number>();
    let nextMs = 0;
    while (!this.#signal.aborted) {
      await this.#lookForFailure();
      if (performance.now() >= nextMs) {
        await Promise.all(this.#plan.watch.map((probe) => this.#watch(probe, lostSinceMs)));
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

  async #watch(probe: Probe, lostSinceMs: Map<Probe, number>): Promise<void> {
    const result = await this.#try(probe);
    if (result.holds) {
      lostSinceMs.delete(probe);
      return;
    }
    const sinceMs = lostSinceMs.get(probe);
    if (sinceMs === undefined) {
      lostSinceMs.set(probe, performance.now());
      this.#recorder.note('stack', `lost: ${result.said}`);
    } else if (performance.now() - sinceMs > LOST_AFTER_MS && !this.#signal.aborted) {
      throw new StackFailure(
        this.#finder.suspect(null) ??
          plainWhy(
            'lost',
            `the stack was ready and is no more: ${result.said}`,
            'see the logs of its services',
          ),
      );
    }
  }

  readonly #try = async (probe: Probe): Promise<ProbeResult> => {
    const result = await tryProbe(probe, {
      signal: this.#signal,
      canary: this.#deps.canary,
      matches: (id, pattern) =>
        this.#steps.find((step) => step.planned.id === id)?.matches(pattern) ?? { count: 0, line: null },
    });
    if (probe.kind === 'canary') this.#lastCanary = result.said;
    return result;
  };

  /** The first probe that does not hold; null when all do. The canary is tried last, since it costs. */
  async #firstOpen(probes: readonly Probe[]): Promise<ProbeResult | null> {
    const ordered = [
      ...probes.filter((probe) => probe.kind !== 'canary'),
      ...probes.filter((probe) => probe.kind === 'canary'),
    ];
    const held: string[] = [];
    for (const probe of ordered) {
      const result = await this.#try(probe);
      if (!result.holds) return result;
      held.push(`${probeName(probe)}: ${result.said}`);
    }
    for (const line of held) this.#recorder.note('stack', line);
    return null;
  }

  #startDue(): void {
    for (const step of this.#steps) {
      if (!step.isPending) continue;
      const due = step.planned.after.every(({ step: id, condition }) => {
        const other = this.#steps.find((one) => one.planned.id === id);
        return other === undefined || (condition === 'ready' ? other.isReady : other.hasStarted);
      });
      if (due) step.start(this.#deps.env);
    }
  }

  /** Throws the first cause once a step has failed and the lines that belong to it have come, or the job is over. */
  async #lookForFailure(): Promise<void> {
    const finding = this.#finder.look(performance.now());
    if (finding === 'settled') {
      await this.#tail.poll();
      throw new StackFailure(this.#finder.why() ?? plainWhy('crash', 'a step failed without a word'));
    }
    // While a failure is settling its own cause is about to be told; the job's end would only follow from it.
    if (finding === 'failing') {
      this.#recorder.phase('failing');
      return;
    }
    await this.#lookAtJob();
  }

  async #lookAtJob(): Promise<void> {
    const { job } = this.#recorder.state;
    if (job === null || performance.now() - this.#queueAskedMs < QUEUE_EVERY_MS) return;
    this.#queueAskedMs = performance.now();
    const facts = await jobFacts(job.id).catch(() => undefined);
    if (facts === undefined) return;
    if (facts === null || isOver(facts.state)) {
      await this.#tail.poll();
      throw new StackFailure(
        this.#finder.why() ??
          plainWhy(
            'job-ended',
            `job ${job.id} is over (${facts?.state ?? 'SLURM does not know it any more'})`,
            'ask for more time (cluster.time), or see who cancelled it',
          ),
      );
    }
    if (facts.endsAt !== job.endsAt) this.#recorder.set({ job: { ...job, endsAt: facts.endsAt } });
  }

  async #giveUpIfOverdue(): Promise<void> {
    const waitedMs = performance.now() - this.#startedMs;
    const overdue = this.#steps.map((step) => step.overdue()).find((one) => one !== null) ?? null;
    const canary = this.#lastCanary !== null && !/^\d+ of/.test(this.#lastCanary);
    const ended = overdue ?? (waitedMs > this.#plan.readyTimeoutMs ? (canary ? 'canary' : 'deadline') : null);
    if (ended === null) return;
    throw new StackFailure(
      whyNotReady({
        ended,
        waitedMs,
        steps: this.#steps.map((step) => step.standing()),
        ...(await readinessSeen(this.#plan, this.#signal)),
        servedModel: this.#plan.servedModel,
        canary: canary ? this.#lastCanary : null,
        suspect: this.#finder.suspect(null),
      }),
    );
  }
}
