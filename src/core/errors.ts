import { printableLine } from './printable.ts';

/** Exit codes of the command line, one table for the whole program. */
export const EXIT = {
  /** Ran to the end; a gate passed. */
  ok: 0,
  /** A verdict: a failure budget, `--require-exact` or a gate was not met. */
  verdict: 1,
  /** Wrong usage: flags, unreadable tokenizer, dataset or report. */
  usage: 2,
  /** The target was never ready, or every request failed. */
  target: 3,
  /** A service of the stack under test failed. */
  launch: 4,
  /** A metric that `--require-valid` asks for is not valid. */
  invalid: 5,
  /** A gate was inconclusive and `--fail-inconclusive` was given. */
  inconclusive: 6,
  /** A bug of the harness. */
  bug: 70,
  /** Interrupted by SIGINT; partial results are on disk. */
  interrupted: 130,
  /** Terminated by SIGTERM; partial results are on disk. */
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Where several codes hold, the first of these that holds is the exit code. */
const PRECEDENCE: readonly ExitCode[] = [
  EXIT.interrupted,
  EXIT.terminated,
  EXIT.bug,
  EXIT.usage,
  EXIT.launch,
  EXIT.target,
  EXIT.invalid,
  EXIT.verdict,
  EXIT.inconclusive,
];

/** Picks the exit code that wins among those that hold; 0 when none does. */
export function worstExit(codes: Iterable<ExitCode>): ExitCode {
  const held = new Set(codes);
  return PRECEDENCE.find((code) => held.has(code)) ?? EXIT.ok;
}

/**
 * An error with a place in the exit-code table. The message is one line that says what was wrong,
 * with the value; `hint` says what to do next.
 */
export class BenchError extends Error {
  readonly exitCode: ExitCode;
  readonly hint: string | null;

  constructor(exitCode: ExitCode, message: string, hint: string | null = null) {
    super(message);
    this.name = 'BenchError';
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

/** Wrong usage (exit 2): `message` says what was wrong with the value, `hint` what to do. */
export function usageError(message: string, hint: string | null = null): BenchError {
  return new BenchError(EXIT.usage, message, hint);
}

/** What a system refuses for want of something, or by its settings, and what to do: nothing that bench could mend. */
const SYSTEM_HINTS: Readonly<Record<string, string>> = {
  EMFILE: 'raise the limit of open files first, as with ulimit -n 4096',
  ENFILE: 'the whole system has too many open files',
  ENOSPC: 'make room on that disk',
  EDQUOT: 'make room: the quota on that disk is used up',
  EROFS: 'name a folder on a file system that can be written',
  EACCES: 'see who may read and write there',
  EPERM: 'see who may do that',
  EIO: 'the disk or terminal behind it has failed',
  ENOMEM: 'free some memory',
  EAGAIN: 'raise the limit of processes first, as with ulimit -u 4096',
};

/** The error where it is no bug: one of ours, or what the system refused (exit 2); null for any other. */
export function knownError(thrown: unknown): BenchError | null {
  if (thrown instanceof BenchError) return thrown.exitCode === EXIT.bug ? null : thrown;
  if (!(thrown instanceof Error)) return null;
  const { code, syscall } = thrown as { readonly code?: unknown; readonly syscall?: unknown };
  const hint = typeof code === 'string' && syscall !== undefined ? SYSTEM_HINTS[code] : undefined;
  return hint === undefined ? null : usageError(errorText(thrown), hint);
}

/** The text of whatever was thrown, on one line. */
export function errorText(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message || thrown.name : String(thrown);
  return text.replace(/\s*\n\s*/g, ' ').trim();
}

/**
 * An error as it stands on stderr: a line, and its hint below it. Only what a stack failed of is a block of lines: a
 * name that holds a line feed begins no line of its own.
 */
export function errorLines({ exitCode, message, hint }: BenchError): string {
  const text = exitCode === EXIT.launch ? message : printableLine(message);
  return `bench: ${text}\n${hint === null ? '' : `  ${hint}\n`}`;
}
