import type { Answer, Order } from './protocol.ts';

/** How a rank, or all of them, came to an end. */
export interface RankEnd {
  /** null when it is not known which. */
  readonly rank: number | null;
  /** null when nobody has told. */
  readonly host: string | null;
  /** `exit code 3`, `killed by SIGKILL (exit code 137)`, or what srun said. */
  readonly how: string;
}

/** Who listens to the ranks. */
export interface RankListener {
  answered(rank: number, answer: Answer): void;
  /** A line of a rank's log, or of what started it. Holds no secret. */
  logged(line: string): void;
  /** A rank is gone, whether it was told to go or not. */
  ended(end: RankEnd): void;
}

/** The only way between the coordinator and its ranks. */
export interface RankChannel {
  /** Starts the ranks; called once. */
  start(listener: RankListener): void;
  /** Tells all ranks, in the order of the calls. */
  send(order: Order): void;
  /** Resolves when all ranks are gone; those that do not go by themselves within `graceMs` are killed. */
  close(graceMs: number): Promise<void>;
}

/** Exit code and signal in words; `code` of a shell for a signal is 128 and its number. */
export function endOf(
  code: number | null,
  signal: NodeJS.Signals | null,
  number: number | undefined,
): string {
  return signal === null ? `exit code ${code}` : `killed by ${signal} (exit code ${128 + (number ?? 0)})`;
}
