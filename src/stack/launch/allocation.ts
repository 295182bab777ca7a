import { spawn } from 'node:child_process';
import { BenchError, EXIT } from '../../core/errors.ts';
import { allocationRefusal } from '../failure/allocation-refusal.ts';
import { whyJobEnded } from '../failure/job-end.ts';
import { pendingReason, whyPending } from '../failure/pending-reasons.ts';
import { plainWhy, StackFailure } from '../failure/why.ts';
import type { AllocationPlan } from '../plan/planned.ts';
import { RUN_MARK } from './marked-processes.ts';
import {
  cancel,
  firstLine,
  hostNames,
  isOver,
  type JobFacts,
  jobFacts,
  runCommand,
  stackJobs,
} from './slurm.ts';

const QUEUE_POLL_MS = 1_000;
/** Looks at the queue between two looks for jobs of abandoned stacks. */
const ABANDONED_EVERY = 30;
/** How long a controller may be silent while a job waits. */
const SILENT_CONTROLLER_MS = 120_000;
/** How long a job that was cancelled may take to leave the queue before nobody waits any longer. */
const GONE_WITHIN_MS = 60_000;

/** Nodes that are there to be used. */
export interface Allocation {
  readonly jobId: string;
  /** Whether the job goes when the stack goes. */
  readonly ours: boolean;
  readonly nodes: readonly string[];
  readonly endsAt: string | null;
}

export interface AllocationEvents {
  /** The job exists, though it may wait: from here on it must be cancelled when the launch is given up. */
  submitted(jobId: string, ours: boolean): void;
  /** Why it waits; told when it changes. */
  waiting(reason: string): void;
  /** Jobs of earlier stacks without a supervisor. */
  abandoned(): Promise<readonly AbandonedStack[]>;
}

/** A job that a stack has left whose supervisor has died. */
export interface AbandonedStack {
  readonly jobId: string;
  /** Compressed list of its nodes; empty while it waits itself. */
  readonly nodeList: string;
  /** The stack's folder. */
  readonly dir: string;
  /** Command that ends it. */
  readonly remedy: string;
}

/**
 * Gets the nodes: asks for a job and waits until it runs, or looks at the one to attach to. Rejects (exit 4)
 * when it is refused, hopeless, not running in time, or `signal` aborts; what was asked for is cancelled then.
 * `patienceMs`: how long the controller may be silent.
 */
export async function allocate(
  plan: AllocationPlan,
  run: string,
  events: AllocationEvents,
  signal: AbortSignal,
  patienceMs = SILENT_CONTROLLER_MS,
): Promise<Allocation> {
  if (plan.argv === null) {
    events.submitted(plan.jobId!, false);
    return waitUntilRunning(plan, plan.jobId!, false, events, patienceMs, signal);
  }
  const submission = plan.mode === 'sbatch' ? submitBatch(plan.argv) : submitSalloc(plan.argv, run, signal);
  let jobId: string | null = null;
  try {
    jobId = await submission;
    events.submitted(jobId, plan.cancelOnExit);
    return await waitUntilRunning(plan, jobId, plan.cancelOnExit, events, patienceMs, signal);
  } catch (error) {
    // Also a job whose number never came back is found, by its comment.
    const ids =
      jobId === null ? (await stackJobs()).filter((job) => job.run === run).map(({ id }) => id) : [jobId];
    for (const id of ids) await cancel(id);
    if (error instanceof Refusal) {
      throw new StackFailure(
        allocationRefusal(error.stderr, error.exitCode) ?? plainWhy('allocation-refused', error.message),
      );
    }
    throw error;
  }
}

/** What salloc or sbatch said when it gave no job. */
class Refusal extends Error {
  readonly stderr: string;
  readonly exitCode: number | null;

  constructor(stderr: string, exitCode: number | null) {
    super(firstLine(stderr));
    this.stderr = stderr;
    this.exitCode = exitCode;
  }
}

/** The number of the job, as soon as salloc tells it; salloc itself goes on waiting and then ends. */
function submitSalloc(argv: readonly string[], run: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0]!, argv.slice(1), {
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, [RUN_MARK]: run },
    });
    let stderr = '';
    const give = (): void => {
      // What follows the number shows that all of it has come.
      const id = /(?:Pending job allocation|Granted job allocation|job) (\d+)\s/.exec(stderr)?.[1];
      if (id !== undefined) resolve(id);
    };
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      give();
    });
    const abort = (): void => {
      child.kill('SIGTERM');
    };
    signal.addEventListener('abort', abort, { once: true });
    child.once('error', (error) => reject(new Refusal(`salloc: error: ${error.message}`, null)));
    child.once('close', (code) => {
      signal.removeEventListener('abort', abort);
      give();
      reject(new Refusal(stderr, code));
    });
  });
}

/**
 * The job's own process runs on its first node and is without the mark of the run: what ends marked processes there would
 * end the job before the nodes are cleaned. The job is found by its comment.
 */
async function submitBatch(argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(argv);
  const id = /^(\d+)/m.exec(stdout)?.[1];
  if (id === undefined) throw new Refusal(stderr, code);
  return id;
}

async function waitUntilRunning(
  plan: AllocationPlan,
  jobId: string,
  ours: boolean,
  events: AllocationEvents,
  patienceMs: number,
  signal: AbortSignal,
): Promise<Allocation> {
  const startMs = performance.now();
  let reason = '';
  let seen = 0;
  for (;;) {
    if (signal.aborted) throw new BenchError(EXIT.launch, 'stopped while the job was waiting for nodes');
    const job = await patientFacts(jobId, patienceMs, signal);
    if (job === null || isOver(job.state)) {
      throw new StackFailure(
        ours
          ? whyJobEnded(jobId, job)
          : plainWhy(
              'job-ended',
              `job ${jobId} is not running (${job === null ? 'SLURM does not know it' : job.state})`,
              'Name a running job: cluster.attach.job_id, or SLURM_JOB_ID.',
            ),
      );
    }
    if (job.state === 'RUNNING') return granted(job, ours);
    seen = job.reason === reason ? seen + 1 : 1;
    reason = job.reason;
    if (seen === 1) events.waiting(`${pendingReason(reason).meaning} (${reason})`);
    const waitedMs = performance.now() - startMs;
    // A reason may be there for a moment only, right after the submission.
    if ((pendingReason(reason).terminal && seen > 1) || waitedMs > plan.pendingTimeoutMs)
      throw new StackFailure(whyPending(jobId, reason, waitedMs));
    if (ours && seen % ABANDONED_EVERY === 2) throwIfBehind(jobId, reason, await events.abandoned());
    await sleep(QUEUE_POLL_MS, signal);
  }
}

/** A job that waits for nodes of an abandoned one would wait until a person looks. */
function throwIfBehind(jobId: string, reason: string, abandoned: readonly AbandonedStack[]): void {
  const holder = abandoned.find(({ nodeList }) => nodeList !== '');
  if (holder === undefined) return;
  throw new StackFailure(
    plainWhy(
      'job-pending',
      `job ${jobId} waits (${reason}) while job ${holder.jobId} of an earlier stack, whose supervisor is gone, holds ${holder.nodeList}`,
      `End that stack, then launch again: ${holder.remedy}`,
    ),
  );
}

/** As `jobFacts`; a controller that does not answer is asked again for a while, for a job may wait for hours. */
async function patientFacts(
  jobId: string,
  patienceMs: number,
  signal: AbortSignal,
): Promise<JobFacts | null> {
  const giveUpMs = performance.now() + patienceMs;
  for (;;) {
    try {
      return await jobFacts(jobId);
    } catch (error) {
      if (signal.aborted || performance.now() > giveUpMs) throw error;
      await sleep(QUEUE_POLL_MS, signal);
    }
  }
}

async function granted(job: JobFacts, ours: boolean): Promise<Allocation> {
  return { jobId: job.id, ours, nodes: await hostNames(job.nodeList), endsAt: job.endsAt };
}

/** Cancels a job and waits until it has left the queue or only its record is there. Says whether it has. */
export async function endJob(jobId: string): Promise<boolean> {
  await cancel(jobId);
  const giveUpMs = performance.now() + GONE_WITHIN_MS;
  for (;;) {
    const job = await jobFacts(jobId).catch(() => undefined);
    if (job === null || (job !== undefined && isOver(job.state) && job.state !== 'COMPLETING')) return true;
    if (performance.now() > giveUpMs) return false;
    await sleep(100);
  }
}

/** Resolves after so long, or at once when the signal aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal?.addEventListener('abort', finish, { once: true });
  });
}
