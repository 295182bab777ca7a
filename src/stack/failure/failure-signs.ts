import { levelOf } from './log-line.ts';
import type { FailureClass, Why } from './why.ts';

const MOST_MESSAGE = 300;

/** How much a sign tells of the reason, in rising order. */
export const WEIGHT = {
  /** A line of level ERROR that no pattern knows; healthy programs write some. */
  errorLine: 0,
  /** Seen where something else has failed. */
  symptom: 1,
  /** The step is over, or was told to end. */
  stepEnd: 2,
  /** A task ended by itself, with its code. */
  taskExit: 3,
  /** A program died, and its last words are known. */
  crash: 4,
  /** A line that names what is wrong. */
  cause: 5,
  /** The job or the node is gone: everything else follows from it. */
  job: 6,
} as const;

/** Signs that come this soon after the first may have happened before it: files are read in turns. */
const SAME_TIME_MS = 500;
/** Lines of a kind that come this soon after the first of them are its consequences. */
export const BURST_MS = 2_000;
/** How long before an end a symptom still counts as its explanation. */
const SYMPTOM_MS = 60_000;
/** How long after the first sign the end of the job or of a node still explains it. */
const JOB_MS = 5000;

/** Something that was seen of a failure. */
export interface FailureSign {
  readonly weight: number;
  /** Whether it alone means that the stack is broken. */
  readonly fails: boolean;
  readonly failureClass: FailureClass;
  readonly message: string;
  readonly hint: string | null;
  readonly step: string | null;
  /** Empty when not known. */
  readonly ranks: readonly number[];
  readonly node: string | null;
  readonly exitCode: number | null;
  readonly line: string | null;
  readonly before: readonly string[];
  /** Filled while the lines after it come. */
  readonly after: string[];
  readonly logFile: string | null;
  /** When it was read, in milliseconds of one clock. */
  readonly atMs: number;
}

/** The reason among the signs, with what else is known of it; null when nothing has failed. */
export function firstCause(signs: readonly FailureSign[]): FailureSign | null {
  const fails = signs.filter((sign) => sign.fails).sort((a, b) => a.atMs - b.atMs);
  const first = fails[0];
  if (first === undefined) return null;
  const job = fails.find(({ weight, atMs }) => weight === WEIGHT.job && atMs <= first.atMs + JOB_MS);
  if (job !== undefined) return job;
  const own = fails.filter((sign) => !isConsequence(sign));
  const earliest = own[0] ?? first;
  const together = (own.length > 0 ? own : fails).filter(({ atMs }) => atMs <= earliest.atMs + SAME_TIME_MS);
  return refined(heaviest(together), signs);
}

/** The heaviest of the signs that alone mean nothing; null when there is none. `step` null: of any step. */
export function suspicion(signs: readonly FailureSign[], step: string | null): FailureSign | null {
  const told = signs.filter(
    (sign) => (step === null || sign.step === step) && sign.failureClass !== 'cancelled',
  );
  return told.length === 0 ? null : heaviest(told);
}

/** Whether SLURM, which names a node then, reports of each of the steps that it was sent a signal, all at the time of the first failure. */
export function allCancelled(signs: readonly FailureSign[], steps: readonly string[]): boolean {
  const first = signs.find(({ fails }) => fails);
  return (
    first !== undefined &&
    steps.every((id) =>
      signs.some(
        ({ step, failureClass, node, atMs }) =>
          step === id &&
          failureClass === 'cancelled' &&
          node !== null &&
          Math.abs(atMs - first.atMs) <= BURST_MS,
      ),
    )
  );
}

/** Exit code of the task that the sign is about, as far as other signs tell; 143 only when nothing else is. */
export function exitCodeOf(sign: FailureSign, signs: readonly FailureSign[]): number | null {
  const codes = signs.filter(
    ({ step, exitCode, weight }) => step === sign.step && exitCode !== null && weight >= WEIGHT.symptom,
  );
  const mine = codes.filter((other) => samePlace(sign, other));
  const known = [sign, ...mine, ...(sign.ranks.length === 0 ? codes : [])].filter(
    ({ exitCode }) => exitCode !== null,
  );
  const told = known.filter(({ weight }) => weight !== WEIGHT.stepEnd);
  return (told.find(({ exitCode }) => exitCode !== TERMINATED) ?? told[0] ?? known[0])?.exitCode ?? null;
}

/** Whether another sign tells that a task of the sign's ranks, or its whole step, has ended. */
export function hasEnded(sign: FailureSign, signs: readonly FailureSign[]): boolean {
  return signs.some((other) => other.step === sign.step && other.exitCode !== null && samePlace(sign, other));
}

const TERMINATED = 143;
const KILLED = 137;
const INTERRUPTED = 130;

function isConsequence(sign: FailureSign): boolean {
  return sign.weight <= WEIGHT.symptom || sign.exitCode === TERMINATED;
}

function heaviest(signs: readonly FailureSign[]): FailureSign {
  return signs.reduce((best, sign) => (sign.weight > best.weight ? sign : best));
}

/** The cause that the same process names of its crash; else a symptom it showed before its end. */
function refined(found: FailureSign, signs: readonly FailureSign[]): FailureSign {
  const near = signs.filter(
    (sign) => sign.step === found.step && samePlace(sign, found) && sign.atMs >= found.atMs - SYMPTOM_MS,
  );
  const best = heaviest([found, ...near]);
  if (best.weight > WEIGHT.taskExit) return best;
  const explaining = near.filter((sign) => explainsEnd(sign, best, signs));
  return (
    explaining
      .filter(({ exitCode }) => exitCode === null)
      .toSorted((a, b) => loudness(b) - loudness(a))
      .at(0) ??
    explaining[0] ??
    best
  );
}

/**
 * Of what may explain an end: who ended it explains most, then a line of level ERROR, one without a level, and least a warning, as
 * of a retry.
 */
export function loudness({ line, failureClass }: FailureSign): number {
  if (failureClass === 'cancelled') return 3;
  const level = line === null ? null : levelOf(line);
  return level === 'error' ? 2 : level === 'warning' ? 0 : 1;
}

/**
 * A symptom explains an end that nothing better explains. A cancelled step explains ends by the signals
 * that cancel: SIGKILL only if no other task got SIGTERM, as those do that outlive one killed by itself.
 */
function explainsEnd(sign: FailureSign, end: FailureSign, signs: readonly FailureSign[]): boolean {
  if (sign.weight === WEIGHT.errorLine)
    return end.exitCode !== null && end.exitCode > 0 && end.exitCode < 128;
  if (sign.weight !== WEIGHT.symptom) return false;
  if (sign.failureClass !== 'cancelled') return true;
  if (end.exitCode === KILLED)
    return !signs.some(({ step, exitCode }) => step === end.step && exitCode === TERMINATED);
  // What ends well when it is told to has been told by the same.
  return end.exitCode === TERMINATED || end.exitCode === INTERRUPTED || end.exitCode === 0;
}

function samePlace(a: FailureSign, b: FailureSign): boolean {
  if (a.ranks.length === 0 || b.ranks.length === 0) return true;
  return a.ranks.some((rank) => b.ranks.includes(rank));
}

/** `lastWords`: lines to show before the one that tells, instead of those of its own file. */
export function evidenceOf(sign: FailureSign, lastWords: readonly string[] | null): Why['evidence'] {
  if (lastWords === null)
    return sign.line === null ? null : { line: sign.line, before: [...sign.before], after: [...sign.after] };
  return { line: sign.line ?? sign.message, before: lastWords, after: [] };
}

/** A message of at most 300 characters. */
export function shortened(text: string): string {
  return text.length <= MOST_MESSAGE ? text : `${text.slice(0, MOST_MESSAGE - 1)}…`;
}
