import type { StepState } from '../launch/state.ts';
import type { Role } from '../plan/planned.ts';
import type { FailureClass, Why } from './why.ts';

/** Roles whose instances a frontend counts. */
export type WorkerRole = Extract<Role, 'prefill' | 'decode' | 'agg'>;
type Counts = Readonly<Record<WorkerRole, number>>;

/** A step as it stands when the waiting ends. */
export interface WaitingStep {
  readonly id: string;
  readonly role: Role;
  readonly state: StepState;
  readonly loaded: { readonly done: number; readonly of: number } | null;
  /** In words, as in the state; empty when ready. */
  readonly waitingFor: readonly string[];
  /** How long since it last printed or changed. */
  readonly quietMs: number;
  readonly logFile: string;
}

/** What is known when a stack that has not failed is given up. */
export interface NotReadyFacts {
  /** A deadline passed, nothing moved for too long, a container did not start, or the canary gave no tokens. */
  readonly ended: 'deadline' | 'stalled' | 'import' | 'canary';
  readonly waitedMs: number;
  /** What the stack as a whole waits for, once its steps are ready. */
  readonly waitingFor: readonly string[];
  readonly steps: readonly WaitingStep[];
  /** Generate endpoints the frontend counts, by role; null when it did not answer, or is none that counts. */
  readonly instances: Counts | null;
  readonly expected: Counts;
  /** What `/v1/models` lists; null when it did not answer. */
  readonly models: readonly string[] | null;
  readonly servedModel: string;
  /** What the last canary got; null when none was sent. */
  readonly canary: string | null;
  /** What the logs show that explains it. */
  readonly suspect: Why | null;
}

interface Verdict {
  readonly failureClass: FailureClass;
  readonly message: string;
  readonly hint: string;
  readonly step: WaitingStep | null;
}

const SHARED =
  'Do frontend and workers share ETCD_ENDPOINTS and NATS_SERVER (no localhost), DYN_NAMESPACE, discovery backend and request plane?';

/** Why a stack is not ready although nothing in it has failed: the most specific that the facts show. */
export function whyNotReady(facts: NotReadyFacts): Why {
  const verdict =
    blocked(facts) ??
    notImported(facts) ??
    prefillMissing(facts) ??
    otherModel(facts) ??
    notListed(facts) ??
    instancesMissing(facts) ??
    canaryFailed(facts) ??
    waitedTooLong(facts);
  const { failureClass, message, hint, step } = verdict;
  const { suspect } = facts;
  const told = suspect === null ? '' : ` The log of ${suspect.step} says: ${suspect.message}`;
  return {
    failureClass,
    message,
    hint: `${hint}${told}`,
    step: step?.id ?? suspect?.step ?? null,
    rank: suspect?.rank ?? null,
    node: suspect?.node ?? null,
    exitCode: null,
    evidence: suspect?.evidence ?? null,
    logFile: suspect?.logFile ?? step?.logFile ?? null,
  };
}

function blocked({ steps }: NotReadyFacts): Verdict | null {
  const step = steps.find(({ state }) => state === 'submitted');
  if (step === undefined) return null;
  return {
    failureClass: 'step-blocked',
    message: `SLURM has not started the step in ${duration(step.quietMs)}`,
    hint: 'It waits for resources of the job, as `squeue -s` and `scontrol show step` show: every step needs --overlap, and the job whole nodes.',
    step,
  };
}

function notImported({ ended, waitedMs, steps }: NotReadyFacts): Verdict | null {
  if (ended !== 'import') return null;
  const waiting = steps.filter(({ state }) => state === 'started');
  const step = waiting.toSorted((a, b) => b.quietMs - a.quietMs)[0] ?? null;
  return {
    failureClass: 'image',
    message: `no task has started in ${duration(step?.quietMs ?? waitedMs)}: the image is still being imported, or its container hangs`,
    hint: 'See what pyxis says: bench stack logs --srun. Import a large image once, into a .sqsh file that all nodes see.',
    step,
  };
}

function prefillMissing({ instances, expected, steps }: NotReadyFacts): Verdict | null {
  if (instances === null || expected.prefill === 0 || instances.prefill > 0) return null;
  if (instances.decode === 0) return null;
  return {
    failureClass: 'prefill-missing',
    message: `decode has registered (${instances.decode} of ${expected.decode}), but no prefill instance has (0 of ${expected.prefill})`,
    hint: `See the log of prefill. If it has loaded: ${SHARED}`,
    step: steps.find(({ role }) => role === 'prefill') ?? null,
  };
}

function otherModel({ models, servedModel }: NotReadyFacts): Verdict | null {
  if (models === null || models.length === 0 || models.includes(servedModel)) return null;
  return {
    failureClass: 'model-not-listed',
    message: `the frontend lists ${models.join(', ')}, not ${servedModel}`,
    hint: 'Is model.served_name what the workers serve, and is it this frontend that answers, not one of another run?',
    step: null,
  };
}

function notListed({ models, servedModel, steps, instances }: NotReadyFacts): Verdict | null {
  if (models === null || models.includes(servedModel)) return null;
  const workers = steps.filter(({ role }) => isWorker(role));
  if (workers.length === 0 || !workers.every((step) => hasLoaded(step, instances))) return null;
  const seen = instances === null ? '' : `; it counts ${counted(instances)}`;
  return {
    failureClass: 'model-not-listed',
    message: `all workers have loaded, but the frontend never listed ${servedModel}${seen}`,
    hint: SHARED,
    step: steps.find(({ role }) => role === 'frontend') ?? null,
  };
}

function instancesMissing({ instances, expected, steps }: NotReadyFacts): Verdict | null {
  if (instances === null) return null;
  const short = ROLES.filter((role) => instances[role] < expected[role]);
  // None at all is a start that is not over, or never will be: the steps tell more.
  if (short.length === 0 || ROLES.every((role) => instances[role] === 0)) return null;
  const missing = short.map((role) => `${instances[role]} of ${expected[role]} ${role}`).join(', ');
  return {
    failureClass: 'instances-missing',
    message: `only ${missing} instances have registered`,
    hint: 'See the logs of the workers that are not ready.',
    step: steps.find(({ role, state }) => short.some((one) => one === role) && state !== 'ready') ?? null,
  };
}

function canaryFailed({ ended, canary, steps }: NotReadyFacts): Verdict | null {
  if (ended !== 'canary' && canary === null) return null;
  return {
    failureClass: 'canary-failed',
    message: `the model is listed, but a test request got no tokens: ${canary ?? 'no answer'}`,
    hint: 'Can prefill and decode reach each other (UCX, NIXL, NCCL interfaces)? Their logs around the request tell.',
    step: steps.find(({ role }) => role === 'frontend') ?? null,
  };
}

function waitedTooLong({ ended, waitedMs, waitingFor, steps }: NotReadyFacts): Verdict {
  const open = steps.filter(({ state }) => state !== 'ready' && state !== 'ended');
  // What has not been begun waits for another step, which tells more.
  const begun = open.filter(({ state }) => state !== 'pending');
  const late = begun.length > 0 ? begun : open;
  const step = late.toSorted((a, b) => b.quietMs - a.quietMs)[0] ?? null;
  const wanted = step?.waitingFor ?? waitingFor;
  const waits = wanted.length === 0 ? '' : `, waiting for ${wanted.join('; ')}`;
  const loaded =
    step === null || step.loaded === null ? '' : ` (${step.loaded.done} of ${step.loaded.of} ranks loaded)`;
  if (ended === 'stalled')
    return {
      failureClass: 'stalled',
      message: `nothing printed and nothing changed for ${duration(step?.quietMs ?? waitedMs)}${loaded}${waits}`,
      hint: 'A hang: see the end of its log, and the processes on the node (py-spy dump). A slow load wants a longer stall_timeout.',
      step,
    };
  return {
    failureClass: 'not-ready',
    message: `not ready after ${duration(waitedMs)}${loaded}${waits}`,
    hint: `If its log still moves, it is only slow: raise ${step === null ? 'stack_ready.timeout' : 'ready.timeout of the service'}.`,
    step,
  };
}

const ROLES: readonly WorkerRole[] = ['prefill', 'decode', 'agg'];

function isWorker(role: Role): role is WorkerRole {
  return ROLES.some((worker) => worker === role);
}

function hasLoaded({ role, state, loaded }: WaitingStep, instances: Counts | null): boolean {
  if (state === 'ready' || (loaded !== null && loaded.done >= loaded.of)) return true;
  return instances !== null && isWorker(role) && instances[role] > 0;
}

function counted(instances: Counts): string {
  const parts = ROLES.filter((role) => instances[role] > 0).map((role) => `${instances[role]} ${role}`);
  return parts.length === 0 ? 'no instance' : parts.join(', ');
}

/** `45 s`, `12 min`. */
function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
