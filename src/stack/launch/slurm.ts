import { execFile } from 'node:child_process';
import { BenchError, EXIT } from '../../core/errors.ts';
import { type CommentedRun, commentedRun } from '../plan/job-comment.ts';

/** Longest answer of a SLURM client command before it is given up. */
const COMMAND_TIMEOUT_MS = 30_000;

export interface CommandResult {
  /** Exit code; null when the command could not be run or did not end in time. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface JobFacts {
  readonly id: string;
  /** `PENDING`, `RUNNING`, `COMPLETING` … as squeue spells it. */
  readonly state: string;
  /** Why it waits; `None` when it does not. */
  readonly reason: string;
  /** Compressed list of nodes; empty while pending. */
  readonly nodeList: string;
  /** UTC at which it ends; null when there is no limit or it is unknown. */
  readonly endsAt: string | null;
}

/** A job of a stack. */
export interface StackJob extends CommentedRun {
  readonly id: string;
  /** Compressed list of nodes; empty while pending. */
  readonly nodeList: string;
}

export interface StepFacts {
  /** `JOB.STEP` */
  readonly id: string;
  readonly name: string;
}

/** Runs a client command to its end and never throws. A command that is not installed gives code null. */
export function runCommand(
  argv: readonly string[],
  options: { readonly timeoutMs?: number; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<CommandResult> {
  return new Promise((resolve) => {
    execFile(
      argv[0]!,
      argv.slice(1),
      {
        timeout: options.timeoutMs ?? COMMAND_TIMEOUT_MS,
        killSignal: 'SIGKILL',
        maxBuffer: 64 * 1024 * 1024,
        ...(options.env === undefined ? {} : { env: options.env }),
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
        resolve({ code, stdout, stderr: code === null && stderr === '' ? (error?.message ?? '') : stderr });
      },
    );
  });
}

/**
 * What the queue says of a job, also for a while after its end: null when it is not known any more. Throws (exit 4) when the controller
 * does not answer, so that a job is never taken for ended because nobody could be asked.
 */
export async function jobFacts(jobId: string): Promise<JobFacts | null> {
  const { code, stdout, stderr } = await runCommand([
    'squeue',
    '-h',
    '-t',
    'all',
    '-j',
    jobId,
    '-o',
    '%A|%T|%r|%N|%e',
  ]);
  if (code !== 0) {
    if (/Invalid job id/i.test(stderr)) return null;
    throw new BenchError(EXIT.launch, `squeue does not answer for job ${jobId}: ${firstLine(stderr)}`);
  }
  const line = stdout.split('\n').find((text) => text.includes('|'));
  if (line === undefined) return null;
  const [id = '', state = '', reason = '', nodeList = '', end = ''] = line.split('|');
  const endMs = Date.parse(end);
  return { id, state, reason, nodeList, endsAt: Number.isNaN(endMs) ? null : new Date(endMs).toISOString() };
}

/** Options that ask for nodes as a job did: partition, account, QOS and reservation; empty when the queue has forgotten it. */
export async function jobRequest(jobId: string): Promise<string[]> {
  const { stdout } = await runCommand(['squeue', '-h', '-t', 'all', '-j', jobId, '-o', '%P|%a|%q|%v']);
  const values =
    stdout
      .split('\n')
      .find((text) => text.includes('|'))
      ?.split('|') ?? [];
  return ['partition', 'account', 'qos', 'reservation'].flatMap((name, nth) => {
    const value = values[nth]?.trim() ?? '';
    return value === '' || value === '(null)' || value === 'N/A' ? [] : [`--${name}=${value}`];
  });
}

/** States of a job that has ended or is about to. */
export function isOver(state: string): boolean {
  return !/^(PENDING|CONFIGURING|RUNNING|SUSPENDED|REQUEUED|RESIZING)$/.test(state);
}

/** Whether a job that ran runs no more: it has ended, or waits anew. */
export function hasStopped(state: string): boolean {
  return isOver(state) || /^(PENDING|REQUEUED)$/.test(state);
}

/** Whether a job is over, or forgotten by the queue; false also when the controller does not answer. */
export async function jobIsOver(jobId: string): Promise<boolean> {
  const facts = await jobFacts(jobId).catch(() => undefined);
  return facts === null || (facts !== undefined && isOver(facts.state));
}

/** Node names of a compressed list, in its order. Throws (exit 4) when scontrol cannot tell. */
export async function hostNames(nodeList: string): Promise<string[]> {
  const { code, stdout, stderr } = await runCommand(['scontrol', 'show', 'hostnames', nodeList]);
  if (code !== 0) {
    throw new BenchError(
      EXIT.launch,
      `scontrol cannot tell the nodes of "${nodeList}": ${firstLine(stderr)}`,
    );
  }
  return stdout.split('\n').filter((line) => line !== '');
}

/** The address that SLURM itself uses for a node (`NodeAddr`); the name when it is not told. */
export async function nodeAddress(node: string): Promise<string> {
  const { stdout } = await runCommand(['scontrol', 'show', 'node', '-o', node]);
  return /\bNodeAddr=(\S+)/.exec(stdout)?.[1] ?? node;
}

/** Steps that a job runs now; empty when the job is gone. Throws (exit 4) when the controller does not answer. */
export async function stepsOf(jobId: string): Promise<StepFacts[]> {
  const { code, stdout, stderr } = await runCommand(['squeue', '-h', '-s', '-j', jobId, '-o', '%i|%j']);
  if (code !== 0 && !/Invalid job id/i.test(stderr))
    throw new BenchError(EXIT.launch, `squeue does not answer for job ${jobId}: ${firstLine(stderr)}`);
  return stdout
    .split('\n')
    .filter((line) => /^\d+\.\d+\|/.test(line))
    .map((line) => {
      const [id, name] = line.split('|') as [string, string];
      return { id, name };
    });
}

/** Ids of the srun processes of this host whose steps SLURM has not created yet for want of resources. */
export async function waitingSruns(jobId: string): Promise<number[]> {
  const { stdout } = await runCommand(['scontrol', 'show', 'step', jobId]);
  return stdout
    .split(/\n\s*\n/)
    .filter((step) => /\bState=PENDING\b/.test(step))
    .flatMap((step) => /\bSrunHost:Pid=\S+:(\d+)/.exec(step)?.[1] ?? [])
    .map(Number);
}

/** Those of the nodes that SLURM says are down or do not answer. Empty when it cannot be asked. */
export async function failedNodes(nodes: readonly string[]): Promise<string[]> {
  const { stdout } = await runCommand(['sinfo', '-h', '-N', '-n', nodes.join(','), '-o', '%N|%t']);
  const failed = stdout
    .split('\n')
    .filter((line) => /\|(?:down|fail|failg|.*\*)\s*$/.test(line))
    .map((line) => line.split('|', 1)[0]!.trim());
  return [...new Set(failed)];
}

/** Jobs of this user that are of stacks, waiting or running, by their comments. Empty when SLURM cannot be asked. */
export async function stackJobs(): Promise<StackJob[]> {
  const { stdout } = await runCommand(['squeue', '-h', '--me', '-o', '%A|%N|%k']);
  return stdout.split('\n').flatMap((line) => {
    const [id = '', nodeList = '', ...comment] = line.split('|');
    const named = commentedRun(comment.join('|'));
    return named === null ? [] : [{ id, nodeList, ...named }];
  });
}

/**
 * Sends a signal to the tasks of a step and to nothing else. Through the controller (`--ctld`): sent
 * straight to the nodes it fails when the step does not span the job.
 */
export async function signalStep(stepId: string, signal: string): Promise<void> {
  await runCommand(['scancel', '--ctld', `--signal=${signal}`, stepId]);
}

/** Ends a step at once (its tasks get SIGKILL) or a job (TERM, then KILL). */
export async function cancel(id: string): Promise<void> {
  await runCommand(['scancel', id]);
}

/** Whether the cluster has GPUs to ask for by `--gres` and `--gpus-per-node`. */
export async function hasGpuGres(): Promise<boolean> {
  const { stdout } = await runCommand(['scontrol', 'show', 'config']);
  return /^GresTypes\s*=.*\bgpu\b/m.test(stdout);
}

/** The first line that says something. */
export function firstLine(text: string): string {
  return (
    text
      .split('\n')
      .map((line) => line.trim())
      .find((line) => line !== '') ?? 'it said nothing'
  );
}
