import { EXIT, type ExitCode } from '../../core/errors.ts';
import { printError } from '../terminal.ts';

/** Ctrl-C and SIGTERM while a stack comes up or is held: the first asks for its teardown. */
export class Stop {
  readonly #abort = new AbortController();
  #code: ExitCode | null = null;
  readonly #says: string;
  readonly #onInt = (): void => this.#signal(EXIT.interrupted);
  readonly #onTerm = (): void => this.#signal(EXIT.terminated);

  /** `says` is told on stderr at the first signal. */
  constructor(says = 'stopping: the stack is torn down') {
    this.#says = says;
    process.on('SIGINT', this.#onInt);
    process.on('SIGTERM', this.#onTerm);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** 130 or 143 after a signal, else null. */
  get code(): ExitCode | null {
    return this.#code;
  }

  unlisten(): void {
    process.off('SIGINT', this.#onInt);
    process.off('SIGTERM', this.#onTerm);
  }

  #signal(code: ExitCode): void {
    if (this.#code !== null) {
      printError('still tearing down; what is left then: bench stack down\n');
      return;
    }
    this.#code = code;
    printError(`${this.#says}\n`);
    this.#abort.abort();
  }
}
