import { setMaxListeners } from 'node:events';
import { EXIT, type ExitCode } from '../../core/errors.ts';
import type { StopSignals } from '../interrupt.ts';

/** A rank stops when its coordinator says so: a signal to the run reaches the coordinator alone. */
export class RankStop implements StopSignals {
  readonly #stop = new AbortController();
  readonly #cancel = new AbortController();

  constructor() {
    setMaxListeners(0, this.#stop.signal, this.#cancel.signal);
  }

  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  get cancel(): AbortSignal {
    return this.#cancel.signal;
  }

  get code(): ExitCode | null {
    return this.#stop.signal.aborted ? EXIT.interrupted : null;
  }

  stopSending(): void {
    this.#stop.abort();
  }

  cancelAll(): void {
    this.#cancel.abort();
  }

  /** Calls `act` once nothing more may be sent: at once when that is so already. */
  onStop(act: () => void): void {
    if (this.#stop.signal.aborted) act();
    else this.#stop.signal.addEventListener('abort', act, { once: true });
  }
}
