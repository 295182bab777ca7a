import { setMaxListeners } from 'node:events';
import { EXIT, type ExitCode } from '../core/errors.ts';
import { printError } from './terminal.ts';

/** What a run is told to stop by. */
export interface StopSignals {
  /** Aborts when nothing more may be sent. */
  readonly stop: AbortSignal;
  /** Aborts when what is in flight is to be cancelled. */
  readonly cancel: AbortSignal;
  /** 130 or 143 after a signal, else null. */
  readonly code: ExitCode | null;
}

/**
 * Ctrl-C, in two steps: at the first signal nothing more is sent (`stop`), after the grace period what
 * is in flight is cancelled (`cancel`); at the second signal the process ends at once. What had ended
 * before is on disk by then, since records are written as they end.
 */
export class Interrupt implements StopSignals {
  readonly #stop = new AbortController();
  readonly #cancel = new AbortController();
  readonly #graceMs: number;
  readonly #say: (line: string) => void;
  readonly #folder: string | null;
  #timer: NodeJS.Timeout | null = null;
  #code: ExitCode | null = null;
  readonly #onInt = (): void => this.#signal(EXIT.interrupted);
  readonly #onTerm = (): void => this.#signal(EXIT.terminated);
  /** A terminal that closes may send several: they ask for one end. */
  readonly #onHangup = (): void => {
    if (this.#code === null) this.#signal(EXIT.terminated);
  };

  /** `say` prints a line; `folder` is where what had ended is, for the second signal: null where that is nowhere. */
  constructor(graceMs: number, say: (line: string) => void, folder: string | null = null) {
    this.#graceMs = graceMs;
    this.#say = say;
    this.#folder = folder;
    // Each request that waits for its turn listens.
    setMaxListeners(0, this.#stop.signal, this.#cancel.signal);
  }

  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  get cancel(): AbortSignal {
    return this.#cancel.signal;
  }

  get code(): ExitCode | null {
    return this.#code;
  }

  listen(): void {
    process.on('SIGINT', this.#onInt);
    process.on('SIGTERM', this.#onTerm);
    process.on('SIGHUP', this.#onHangup);
  }

  unlisten(): void {
    process.off('SIGINT', this.#onInt);
    process.off('SIGTERM', this.#onTerm);
    process.off('SIGHUP', this.#onHangup);
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** What is measured is gone: nothing more is sent, and what is in flight is cancelled at once. */
  abandon(): void {
    this.#stop.abort();
    this.#cancel.abort();
  }

  /** Nothing more is sent; what is in flight after the grace period is cancelled. */
  stopSending(): void {
    this.#stop.abort();
    this.#timer ??= setTimeout(() => this.#cancel.abort(), this.#graceMs);
  }

  #signal(code: ExitCode): void {
    if (this.#code !== null) {
      if (this.#folder !== null) printError(`what had ended is in ${this.#folder}\n`);
      process.exit(code);
    }
    this.#code = code;
    const seconds = this.#graceMs / 1_000;
    this.#say(
      `interrupted: nothing more is sent; requests in flight have ${seconds} s to end (again to quit at once)`,
    );
    this.stopSending();
  }
}
