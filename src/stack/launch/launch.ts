import { FailureFinder } from '../failure/first-error.ts';
import { mayBeJobEnd, ofWholeJob, whyAllEnded } from '../failure/job-end.ts';
import { whyNotReady } from '../failure/not-ready.ts';
import { plainWhy, StackFailure, type Why } from '../failure/why.ts';
import type { PlannedStep, Probe, StackPlan } from '../plan/planned.ts';
import { sleep } from './allocation.ts';
import { Bystanders } from './bystanders.ts';
import { Deadline } from './deadline.ts';
import { whyJobOver } from './job-over.ts';
import { LogTail } from './log-tail.ts';
import { type CanaryProbe, type ProbeResult, probeName, tryProbe } from './probe.ts';
import { readinessSeen } from './readiness.ts';
import type { Recorder } from './recorder.ts';
import { type Look, ServingWatch } from './serving-watch.ts';
import { failedNodes, hasStopped, jobFacts, waitingSruns } from './slurm.ts';
import type { StepEnd } from './step-process.ts';
import { GIVEN_MORE, type LineListener, StepWatch } from './step-watch.ts';

const TICK_MS = 100;
/** While the stack serves. */
const WATCH_EVERY_MS = 5_000;
const QUEUE_EVERY_MS = 3_000;
/** A step that SLURM has not started by then is looked for among those that wait for resources. */
const SLOW_START_MS = 5_000;
/** Once the queue says that the job is over, what srun says of it is worth waiting for. */
const LAST_WORDS_MS = 2_000;

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
  readonly #bystanders: Bystanders;
  readonly #steps: readonly StepWatch[];
  readonly #deps: LaunchDeps;
  readonly #startedMs = performance.now();
  /** Of the stack as a whole, from when all steps are ready: until then each step has its own. */
  readonly #deadline: Deadline;
  /** Unset when teardown begins: ends are expected from then on. */
  #watching = true;
  /** Something is broken, and what explains it is on its way: nothing new is begun. */
  #failing = false;
  #lastCanary: string | null = null;

  constructor(plan: StackPlan, recorder: Recorder, deps: LaunchDeps, signal: AbortSignal) {
    this.#plan = plan;
    this.#recorder = recorder;
    this.#signal = signal;
    this.#deps = deps;
    this.#deadline = new Deadline(plan.readyTimeoutMs);
    this.#finder = new FailureFinder(plan.steps.filter(({ critical }) => critical));
    this.#bystanders = new Bystanders(plan.steps, recorder);
    const now = (): number => performance.now();
    const listener: LineListener = {
      taskLine: (step, raw) => this.#finderOf(step)?.taskLine(step.id, step.logFile, raw, now()),
      srunLine: (step, raw) => this.#finderOf(step)?.srunLine(step.id, step.srunLogFile!, raw, now()),
      ended: (step, end) => void this.#ended(step, end),
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
    await this.#unlessBroken((signal) => this.#comeUp(signal));
    if (this.#signal.aborted)
      throw new StackFailure(plainWhy('cancelled', 'stopped before the stack was ready'));
  }

  /** Resolves when asked to stop; rejects when anything of the stack is lost. */
  async whileServing(): Promise<void> {
    this.#finder.serving();
    const watch = new ServingWatch(this.#plan, this.#finder, this.#recorder);
    const ask = async (probe: Probe, signal: AbortSignal): Promise<Look> => ({
      probe,
      ...(await this.#try(probe, signal)),
    });
    await this.#unlessBroken(async (signal) => {
      while (!signal.aborted) {
        const looks = await Promise.all(this.#plan.watch.map((probe) => ask(probe, signal)));
        if (!this.#failing && !signal.aborted) watch.seen(looks, performance.now());
        watch.warn();
        await sleep(WATCH_EVERY_MS, signal);
      }
    });
  }

  /**
   * Does the work while steps and job are looked at beside it: a probe or a test request that hangs delays no
   * bad news. Ends the work, and rejects with the first cause, when anything is broken.
   */
  async #unlessBroken(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const done = new AbortController();
    const signal = AbortSignal.any([this.#signal, done.signal]);
    try {
      await Promise.race([work(signal), this.#watchSteps(signal), this.#watchJob(signal)]);
    } finally {
      done.abort();
    }
  }

  async #comeUp(signal: AbortSignal): Promise<void> {
    let nextMs = 0;
    for (; !signal.aborted; await sleep(TICK_MS, signal)) {
      if (this.#failing) continue;
      this.#startDue();
      await Promise.all(this.#steps.map((step) => step.probe((probe) => this.#try(probe, signal))));
      const allReady = this.#steps.every((step) => step.isReady);
      if (allReady) this.#deadline.start(performance.now());
      if (allReady && performance.now() >= nextMs) {
        const open = await this.#firstOpen(this.#plan.ready, signal);
        if (open === null && !this.#failing) return;
        this.#recorder.set({ waitingFor: open === null ? [] : [open.said] });
        this.#recorder.flush();
        nextMs = performance.now() + this.#plan.readyIntervalMs;
      }
      if (!this.#failing) await this.#giveUpIfOverdue(signal);
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

  /** null when nothing is to be found any more: ends are expected. */
  #finderOf(step: PlannedStep): FailureFinder | null {
    if (!this.#watching) return null;
    return step.critical ? this.#finder : this.#bystanders.of(step);
  }

  /** The last lines of a step are read before its end is told: they tell why. */
  async #ended(step: PlannedStep, end: StepEnd): Promise<void> {
    await this.#tail.finish(step.logFile);
    if (step.srunLogFile !== null) await this.#tail.finish(step.srunLogFile);
    if (!this.#watching) return;
    this.#finderOf(step)?.stepEnded(step.id, end, performance.now());
    this.#steps.find((one) => one.planned === step)!.ended(end);
  }

  async #try(probe: Probe, signal: AbortSignal): Promise<ProbeResult> {
    const result = await tryProbe(probe, {
      signal,
      canary: this.#deps.canary,
      matches: (id, pattern) =>
        this.#steps.find((step) => step.planned.id === id)?.matches(pattern) ?? { count: 0, line: null },
    });
    if (probe.kind === 'canary') this.#lastCanary = result.said;
    return result;
  }

  /** The first probe that does not hold; null when all do. The canary is tried last, since it costs. */
  async #firstOpen(probes: readonly Probe[], signal: AbortSignal): Promise<ProbeResult | null> {
    const ordered = [
      ...probes.filter((probe) => probe.kind !== 'canary'),
      ...probes.filter((probe) => probe.kind === 'canary'),
    ];
    const held: string[] = [];
    for (const probe of ordered) {
      const result = await this.#try(probe, signal);
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

  /** Rejects with the first cause once a step has failed and the lines that belong to it have come. */
  async #watchSteps(signal: AbortSignal): Promise<void> {
    for (; !signal.aborted; await sleep(TICK_MS, signal)) {
      const nowMs = performance.now();
      this.#bystanders.look(nowMs, (id) => this.#steps.find((step) => step.planned.id === id)?.leave());
      const finding = this.#finder.look(nowMs);
      if (finding === 'quiet') continue;
      this.#failing = true;
      this.#recorder.phase('failing');
      if (finding === 'failing') continue;
      const why = await this.brokeBefore();
      if (why !== null) throw new StackFailure(why);
    }
  }

  /** The first cause of what had broken before the stack was asked to stop, once what explains it has come; null when nothing had. */
  async brokeBefore(): Promise<Why | null> {
    if (!this.#failing && this.#finder.look(performance.now()) === 'quiet') return null;
    while (this.#finder.look(performance.now()) === 'failing') await sleep(TICK_MS);
    await this.#tail.poll();
    return await this.#withNode(await this.#firstCause());
  }

  async #firstCause(): Promise<Why> {
    const why = this.#finder.why() ?? plainWhy('crash', 'a step failed without a word');
    const { job } = this.#recorder.state;
    if (job === null || !mayBeJobEnd(why)) return ofWholeJob(why);
    const facts = await jobFacts(job.id).catch(() => undefined);
    if (facts === undefined) return why;
    if (facts === null || hasStopped(facts.state)) return await whyJobOver(job.id, facts);
    return this.#finder.allCancelled() ? whyAllEnded(job.id, this.#steps.length) : why;
  }

  /** All steps of a job tell of a node's failure, those on other nodes too: SLURM knows which it was. */
  async #withNode(why: Why): Promise<Why> {
    if (why.failureClass !== 'node-failure') return why;
    const [node] = await failedNodes(this.#plan.nodes);
    if (node === undefined) return why;
    const step = this.#plan.steps.find(({ nodes }) => nodes.includes(node))?.id ?? why.step;
    return { ...why, node, step, rank: null, message: `${node} has failed: ${why.message}` };
  }

  /** Rejects once the job is over and no step has told of it. */
  async #watchJob(signal: AbortSignal): Promise<void> {
    for (; !signal.aborted; await sleep(QUEUE_EVERY_MS, signal)) {
      const { job } = this.#recorder.state;
      const facts = job === null ? undefined : await jobFacts(job.id).catch(() => undefined);
      if (job === null || facts === undefined) continue;
      if (facts !== null && !hasStopped(facts.state)) {
        if (facts.endsAt !== job.endsAt) this.#recorder.set({ job: { ...job, endsAt: facts.endsAt } });
        await this.#lookForBlocked(job.id);
        continue;
      }
      await sleep(LAST_WORDS_MS, signal);
      // The steps end with the job, and one of them may say more of it.
      if (this.#failing || signal.aborted) continue;
      throw new StackFailure(await this.#withNode(await whyJobOver(job.id, facts)));
    }
  }

  /** srun says nothing while its step waits. */
  async #lookForBlocked(jobId: string): Promise<void> {
    const slow = this.#steps.filter(({ submittedForMs }) => (submittedForMs ?? 0) > SLOW_START_MS);
    if (slow.length === 0) return;
    const waiting = await waitingSruns(jobId);
    for (const step of slow) if (waiting.includes(step.pid ?? 0)) step.blocked('the step is pending');
  }

  async #giveUpIfOverdue(signal: AbortSignal): Promise<void> {
    const late = this.#steps.map((step) => ({ step, how: step.overdue() })).filter(({ how }) => how !== null);
    for (const { step } of late) {
      const { id, critical } = step.planned;
      if (critical) continue;
      const { waitingFor } = this.#recorder.stepStatus(id);
      this.#bystanders.give(id, `${id} is not ready (${waitingFor.join('; ')})`, 'given up');
      step.leave();
    }
    const overdue = late.find(({ step }) => step.planned.critical)?.how ?? null;
    const canary = this.#lastCanary !== null && !/^\d+ of/.test(this.#lastCanary);
    const ended = overdue ?? (this.#isOver() ? (canary ? 'canary' : 'deadline') : null);
    if (ended === null) return;
    throw new StackFailure(
      whyNotReady({
        ended,
        waitedMs: performance.now() - this.#startedMs,
        waitingFor: this.#recorder.state.waitingFor,
        steps: this.#steps.map((step) => step.standing()),
        ...(await readinessSeen(this.#plan, signal)),
        servedModel: this.#plan.servedModel,
        canary: canary ? this.#lastCanary : null,
        suspect: this.#finder.suspect(null),
      }),
    );
  }

  /** Whether the whole is given up though each of its steps is ready. */
  #isOver(): boolean {
    const look = this.#deadline.look(performance.now(), Math.max(...this.#steps.map(({ grewMs }) => grewMs)));
    if (look === 'extended') this.#recorder.note('stack', GIVEN_MORE);
    return look === 'over';
  }
}
