import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { BenchError, EXIT, errorText } from '../../core/errors.ts';
import { plainWhy, type Why, whyOf } from '../failure/why.ts';
import { secretsOf } from '../file/redaction.ts';
import type { AllocationPlan, StackPlan } from '../plan/planned.ts';
import { type AbandonedStack, type Allocation, allocate, sleep } from './allocation.ts';
import { Launch } from './launch.ts';
import { startTicks } from './marked-processes.ts';
import type { CanaryProbe, ProbeResult } from './probe.ts';
import { Recorder } from './recorder.ts';
import type { StackState, StepStatus } from './state.ts';
import { tearDown } from './teardown.ts';

/** What was found on the nodes. */
export type PreflightResult = Pick<StackState, 'warnings' | 'versions' | 'drivers' | 'gpuClocks' | 'image'>;

/** What the supervisor is to do; everything about the stack file is decided before. */
export interface SupervisorJob {
  readonly run: string;
  readonly name: string;
  readonly dir: string;
  readonly allocation: AllocationPlan;
  /** Makes the plan once the nodes are known. Throws with a reason when they do not fit. */
  plan(allocation: Allocation | null): Promise<StackPlan>;
  /** Looks at the nodes before anything is started; throws what forbids the launch. */
  preflight(plan: StackPlan, signal: AbortSignal): Promise<PreflightResult>;
  /** Jobs of earlier stacks whose supervisors have died. */
  abandoned(): Promise<readonly AbandonedStack[]>;
  /** Ends after this, with the nodes given back and nothing started (`bench stack check`). */
  readonly checkOnly: boolean;
}

export interface SupervisorDeps {
  /** Environment of everything that is started. */
  readonly env: NodeJS.ProcessEnv;
  writeAtomic(file: string, text: string): void;
  canary(probe: CanaryProbe, signal: AbortSignal): Promise<ProbeResult>;
  /** The plan as it may be shown and kept: no secret is in it. */
  redacted(plan: StackPlan): StackPlan;
  /** The plan as a shell script, for people. */
  script(plan: StackPlan): string;
}

/** A state that the disk has refused for this long cannot be followed by anybody: the stack is given up. */
const UNWRITTEN_MS = 5_000;
/** A sign of life at least this often. */
const ALIVE_EVERY_MS = 5_000;

/**
 * Brings a stack up, watches it until `signal` aborts or it fails, and tears it down. The folder tells how far
 * it is at any time (`state.json`, `events.jsonl`). Never rejects; gives the last state.
 */
export async function superviseStack(
  job: SupervisorJob,
  deps: SupervisorDeps,
  signal: AbortSignal,
): Promise<StackState> {
  const recorder = new Recorder(job.dir, firstState(job), deps.writeAtomic);
  const disk = new AbortController();
  const alive = setInterval(() => {
    recorder.flush(ALIVE_EVERY_MS);
    const { unwritten } = recorder;
    if (unwritten !== null && performance.now() - unwritten.sinceMs > UNWRITTEN_MS) disk.abort();
  }, ALIVE_EVERY_MS / 5);
  const supervision = new Supervision(job, deps, recorder, AbortSignal.any([signal, disk.signal]));
  try {
    await supervision.run();
  } catch (error) {
    if (!signal.aborted && !disk.signal.aborted) supervision.fail(whyOf(error));
  }
  await supervision.failIfBroken().catch((error: unknown) => supervision.fail(whyOf(error)));
  if (disk.signal.aborted && recorder.state.why === null) supervision.fail(whyUnwritten(recorder, job.dir));
  await supervision.end();
  clearInterval(alive);
  return recorder.state;
}

function whyUnwritten({ unwritten, diskError }: Recorder, dir: string): Why {
  const said = unwritten?.error ?? diskError ?? 'it could not be written';
  return plainWhy(
    'disk',
    `the state of the stack cannot be written: ${said}`,
    `Free space or quota for ${dir}.`,
  );
}

class Supervision {
  readonly #job: SupervisorJob;
  readonly #deps: SupervisorDeps;
  readonly #recorder: Recorder;
  readonly #signal: AbortSignal;
  #launch: Launch | null = null;
  #plan: StackPlan | null = null;

  constructor(job: SupervisorJob, deps: SupervisorDeps, recorder: Recorder, signal: AbortSignal) {
    this.#job = job;
    this.#deps = deps;
    this.#recorder = recorder;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    const recorder = this.#recorder;
    const allocation = await this.#allocate();
    this.#throwIfStopped();
    const plan = await this.#job.plan(allocation);
    this.#plan = plan;
    recorder.hide(secretsOf(plan));
    this.#keep(plan);
    recorder.set({
      url: plan.url,
      servedModel: plan.servedModel,
      gpus: plan.gpus,
      steps: plan.steps.map(firstStatus),
      warnings: [...recorder.state.warnings, ...plan.warnings],
    });
    recorder.phase('preflight');
    const { warnings, ...found } = await this.#job.preflight(plan, this.#signal);
    recorder.set({ ...found, warnings: [...recorder.state.warnings, ...warnings] });
    this.#throwIfStopped();
    if (this.#job.checkOnly) return;
    this.#launch = new Launch(plan, recorder, this.#deps, this.#signal);
    recorder.phase('starting');
    await this.#launch.untilReady();
    this.#throwIfStopped();
    recorder.set({ waitingFor: [] });
    recorder.phase('ready', `at ${plan.url}`);
    await this.#launch.whileServing();
  }

  async #allocate(): Promise<Allocation | null> {
    const { allocation, run } = this.#job;
    const recorder = this.#recorder;
    if (allocation.mode === 'local') return null;
    const abandoned = await this.#job.abandoned();
    const left = abandoned.map(
      ({ jobId, remedy }) =>
        `job ${jobId} of an earlier stack, whose supervisor is gone, is still there: ${remedy}`,
    );
    recorder.set({ warnings: [...recorder.state.warnings, ...left] });
    let submitted = { id: '', ours: false };
    const found = await allocate(
      allocation,
      run,
      {
        submitted: (id, ours) => {
          submitted = { id, ours };
          recorder.set({ job: { id, ours, nodes: [], endsAt: null } });
          recorder.event('stack', null, 'job', `job ${id}`);
          recorder.flush();
        },
        waiting: (reason) => {
          recorder.set({ waitingFor: [`job ${submitted.id} is pending: ${reason}`] });
          recorder.note('stack', `job ${submitted.id} is pending: ${reason}`);
          recorder.flush();
        },
        abandoned: () => this.#job.abandoned(),
      },
      this.#signal,
    );
    recorder.set({
      waitingFor: [],
      job: { id: found.jobId, ours: found.ours, nodes: found.nodes, endsAt: found.endsAt },
    });
    recorder.event('stack', null, 'nodes', found.nodes.join(' '));
    recorder.flush();
    return found;
  }

  #throwIfStopped(): void {
    if (this.#signal.aborted) throw new BenchError(EXIT.launch, 'stopped before the stack was ready');
  }

  /** Writes what is launched, and copies of the files that decide how, into the folder. */
  #keep(plan: StackPlan): void {
    const { writeAtomic, redacted, script } = this.#deps;
    try {
      writeAtomic(path.join(this.#job.dir, 'resolved.json'), `${JSON.stringify(redacted(plan), null, 2)}\n`);
      writeAtomic(path.join(this.#job.dir, 'plan.sh'), script(redacted(plan)));
      const engine = path.join(this.#job.dir, 'engine');
      for (const { service, file } of plan.copies) {
        if (!existsSync(file)) continue;
        mkdirSync(engine, { recursive: true });
        copyFileSync(file, path.join(engine, `${service}-${path.basename(file)}`));
      }
    } catch (error) {
      this.#recorder.note('stack', `not kept: ${errorText(error)}`);
    }
  }

  /** A failure that the wish to stop overtook is told nevertheless. */
  async failIfBroken(): Promise<void> {
    const why = this.#recorder.state.why === null ? await this.#launch?.brokeBefore() : null;
    if (why) this.fail(why);
  }

  fail(why: Why): void {
    const recorder = this.#recorder;
    if (why.step !== null && recorder.state.steps.some((step) => step.id === why.step)) {
      recorder.step(why.step, 'failed', why.evidence?.line ?? why.message, { exitCode: why.exitCode });
    }
    recorder.set({ why });
    recorder.phase('failed', why.message);
  }

  /** Ends everything; whatever happens here is told and changes nothing of why it failed. */
  async end(): Promise<void> {
    const recorder = this.#recorder;
    const { state } = recorder;
    recorder.set({ waitingFor: [] });
    if (state.why === null) recorder.phase('stopping', this.#signal.aborted ? 'asked to stop' : null);
    this.#launch?.stopWatching();
    const left = await tearDown({
      run: this.#job.run,
      plan: this.#plan,
      job: state.job === null ? null : { id: state.job.id, ours: state.job.ours },
      pids: this.#launch?.pids ?? new Map<string, number>(),
      env: this.#deps.env,
      stopping: (step) => recorder.step(step, 'stopping', null),
      ended: (step) => recorder.step(step, 'ended', null),
      note: (text) => recorder.note('stack', text),
    }).catch((error: unknown) => [`teardown: ${errorText(error)}`]);
    await this.#launch?.close();
    if (left.length > 0) {
      recorder.set({
        left,
        warnings: [...recorder.state.warnings, `still there after teardown: ${left.join(', ')}`],
      });
    }
    recorder.phase('stopped', left.length === 0 ? 'nothing is left' : `left: ${left.join(', ')}`);
    await sleep(0);
  }
}

function firstState(job: SupervisorJob): StackState {
  const now = new Date().toISOString();
  return {
    schema: 1,
    run: job.run,
    name: job.name,
    phase: 'allocating',
    updated: now,
    alive: now,
    supervisor: { pid: process.pid, startTicks: startTicks(process.pid) ?? '', host: os.hostname() },
    mode: job.allocation.mode,
    job: null,
    url: null,
    servedModel: null,
    gpus: null,
    steps: [],
    startupS: {},
    waitingFor: [],
    why: null,
    warnings: [],
    versions: {},
    drivers: {},
    image: null,
  };
}

function firstStatus(step: StackPlan['steps'][number]): StepStatus {
  return {
    id: step.id,
    state: 'pending',
    since: new Date().toISOString(),
    nodes: step.nodes,
    slurmStep: null,
    pid: null,
    loaded: null,
    waitingFor: step.after.map(({ step: id, condition }) => `${id} ${condition}`),
    exitCode: null,
  };
}
