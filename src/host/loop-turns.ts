/**
 * Turns of the event loop, one for each who asks, in the order of asking. Between two of them whatever has come from
 * the network is read: work that is cut into turns, such as many sends that are due at once, holds up no time stamp
 * for longer than one of its parts takes.
 */
export class LoopTurns {
  readonly #waiting: (() => void)[] = [];
  readonly #atOnce: number;
  #running = false;

  /** The number of callers that share a turn. */
  constructor(atOnce = 1) {
    this.#atOnce = atOnce;
  }

  /** Resolves when it is the caller's turn; within the current pass of the loop when nobody else waits. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#running) return;
      this.#running = true;
      setImmediate(this.#give);
    });
  }

  readonly #give = (): void => {
    for (const give of this.#waiting.splice(0, this.#atOnce)) give();
    // An immediate that is asked for in an immediate comes after the next poll for events.
    if (this.#waiting.length > 0) setImmediate(this.#give);
    else this.#running = false;
  };
}
