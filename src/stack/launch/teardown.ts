import type { PlannedStep, StackPlan } from '../plan/planned.ts';
import { endJob, sleep } from './allocation.ts';
import { cleanupScript, markedProcesses, processGroup } from './marked-processes.ts';
import { cleanAfterJob, cleanNodes, leftOvers, NOTHING_TO_CLEAN } from './node-cleanup.ts';
import { cancel, runCommand, signalStep, stackJobs, stepsOf } from './slurm.ts';
import { signalGroup } from './step-process.ts';

const POLL_MS = 100;
/** After a step was cancelled or its processes killed, how long their end may take. */
const KILL_MS = 15_000;

export interface TeardownJob {
  readonly run: string;
  /** null when the launch ended before there was a plan. */
  readonly plan: StackPlan | null;
  readonly job: { readonly id: string; readonly ours: boolean } | null;
  /** Process groups of the steps on this host, by step id. */
  readonly pids: ReadonlyMap<string, number>;
  /** What an earlier teardown could not end on the nodes of a job that is over, in words. */
  readonly before?: readonly string[];
  /** Environment of the commands that are sent to the nodes. */
  readonly env: NodeJS.ProcessEnv;
  stopping(step: string): void;
  ended(step: string): void;
  note(text: string): void;
}

/**
 * Ends all of a launch and nothing else: TERM to the tasks of the last layer, their time to end, then the
 * hard way; then the layer before it; then what was left over on the nodes; then the job, when it is ours.
 * Needs nothing of the process that started it. Gives what is still there, in words; empty when nothing is.
 */
export async function tearDown(job: TeardownJob): Promise<string[]> {
  const live = job.plan === null ? null : new LiveSteps(job.plan, job);
  if (job.plan !== null && live !== null) {
    for (const layer of layersOf(job.plan.steps).reverse()) await endLayer(layer, live, job);
  }
  await endMarked(job.run);
  const nodes =
    job.job !== null && job.plan !== null ? await cleanNodes(job.plan, job.job.id, job) : NOTHING_TO_CLEAN;
  const files = job.plan !== null && job.job === null ? await cleanHere(job.plan) : [];
  const ours = new Set(job.job?.ours ? [job.job.id] : []);
  // A job that was asked for by a supervisor that died before it knew the number.
  if (job.plan === null || job.plan.mode !== 'local') {
    for (const { id, run } of await stackJobs()) if (run === job.run) ours.add(id);
  }
  // What outlived KILL outlives the job too.
  const stuck = [...nodes.left, ...files];
  for (const id of ours) if (!(await endJob(id))) stuck.push(`job ${id} is still in the queue`);
  const { before = [] } = job;
  // Where nothing was started there is nothing to remove.
  const missed = job.pids.size > 0 || before.length > 0 ? nodes.missed : [];
  if (job.plan !== null && job.job !== null)
    stuck.push(...(await cleanAfterJob(job.plan, { missed, before }, job.job.id, job)));
  await endMarked(job.run);
  const steps = live === null ? [] : (await live.alive(job.plan!.steps)).map((step) => `step ${step.id}`);
  return [...stuck, ...steps, ...markedProcesses(job.run).map((pid) => `process ${pid}`)];
}

/** Steps in layers: those that nothing stands on come last. */
export function layersOf(steps: readonly PlannedStep[]): PlannedStep[][] {
  const depths = new Map<string, number>();
  const depthOf = (step: PlannedStep): number => {
    const known = depths.get(step.id);
    if (known !== undefined) return known;
    const below = step.after.map(({ step: id }) => {
      const other = steps.find((one) => one.id === id);
      return other === undefined ? 0 : depthOf(other) + 1;
    });
    const depth = Math.max(0, ...below);
    depths.set(step.id, depth);
    return depth;
  };
  const layers: PlannedStep[][] = [];
  for (const step of steps) {
    const depth = depthOf(step);
    while (layers.length <= depth) layers.push([]);
    layers[depth]!.push(step);
  }
  return layers;
}

/** Which steps run now, asked of SLURM or of this host's processes. */
class LiveSteps {
  readonly #plan: StackPlan;
  readonly #job: TeardownJob;
  /** `JOB.STEP` by step id, as last seen. */
  readonly slurmIds = new Map<string, string>();

  constructor(plan: StackPlan, job: TeardownJob) {
    this.#plan = plan;
    this.#job = job;
  }

  async alive(steps: readonly PlannedStep[]): Promise<PlannedStep[]> {
    if (this.#job.job === null) {
      // A group is ours only while a marked process is in it: its number may be another's by now.
      const groups = new Set(markedProcesses(this.#plan.run).map(processGroup));
      return steps.filter((step) => groups.has(this.#job.pids.get(step.id) ?? null));
    }
    // While the controller does not answer nothing counts as ended.
    const running = await stepsOf(this.#job.job.id).catch(() => null);
    if (running === null) return [...steps];
    return steps.filter((step) => {
      const found = running.find((one) => one.name === step.stepName);
      if (found !== undefined) this.slurmIds.set(step.id, found.id);
      return found !== undefined;
    });
  }

  async signal(step: PlannedStep, name: string): Promise<void> {
    const slurmId = this.slurmIds.get(step.id);
    if (slurmId !== undefined) await signalStep(slurmId, name);
    else this.#signalGroup(step, `SIG${name}` as NodeJS.Signals);
  }

  async kill(step: PlannedStep): Promise<void> {
    const slurmId = this.slurmIds.get(step.id);
    if (slurmId !== undefined) await cancel(slurmId);
    else this.#signalGroup(step, 'SIGKILL');
  }

  #signalGroup(step: PlannedStep, name: NodeJS.Signals): void {
    const pid = this.#job.pids.get(step.id);
    // In a job it is srun, whose end kills its tasks at once: they are asked for by their step, or end with the job.
    if (pid !== undefined && this.#job.job === null) signalGroup(pid, name);
  }
}

async function endLayer(layer: readonly PlannedStep[], live: LiveSteps, job: TeardownJob): Promise<void> {
  const alive = await live.alive(layer);
  for (const step of layer) if (!alive.includes(step) && job.pids.has(step.id)) job.ended(step.id);
  await Promise.all(
    alive.map((step) => {
      job.stopping(step.id);
      return live.signal(step, step.stop.signal.replace(/^SIG/, ''));
    }),
  );
  const startMs = performance.now();
  let left = alive;
  const cancelled = new Set<string>();
  while (left.length > 0) {
    await sleep(POLL_MS);
    const now = await live.alive(left);
    for (const step of left) if (!now.includes(step)) job.ended(step.id);
    left = now;
    const tookMs = performance.now() - startMs;
    for (const step of left) {
      if (tookMs < step.stop.graceMs || cancelled.has(step.id)) continue;
      cancelled.add(step.id);
      job.note(`${step.id} did not end within ${step.stop.graceMs / 1_000} s of ${step.stop.signal}; killed`);
      await live.kill(step);
    }
    if (left.every((step) => tookMs > step.stop.graceMs + KILL_MS)) return;
  }
}

/** Ends this host's processes of the run: srun itself, and what left its group. */
async function endMarked(run: string): Promise<void> {
  for (const name of ['SIGTERM', 'SIGKILL'] as const) {
    const pids = markedProcesses(run);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, name);
      } catch {
        // It has just ended.
      }
    }
    const giveUpMs = performance.now() + 2_000;
    while (markedProcesses(run).length > 0 && performance.now() < giveUpMs) await sleep(POLL_MS);
  }
}

/** Gives the files that could not be removed, in words. */
async function cleanHere(plan: StackPlan): Promise<string[]> {
  if (plan.cleanupGlobs.length === 0) return [];
  const { stdout } = await runCommand(['bash', '-c', cleanupScript(plan.run, plan.cleanupGlobs)]);
  // Processes of this host are counted at the very end.
  return leftOvers(stdout).filter((one) => one.startsWith('file '));
}
