/** At its end what has written something within this time is given more. */
const PROGRESS_WITHIN_MS = 120_000;
/** Never more than this times the limit. */
const MOST_EXTENSION = 2;

/** A limit of time that is doubled once for what still writes at its end. All times in ms of one clock. */
export class Deadline {
  readonly #limitMs: number;
  #endMs: number | null = null;
  #extended = false;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** The time runs from the first call on; later ones change nothing. */
  start(nowMs: number): void {
    this.#endMs ??= nowMs + this.#limitMs;
  }

  /** `open` also before the start; `extended` once, when it is doubled. `wroteMs`: when something was last written. */
  look(nowMs: number, wroteMs: number): 'open' | 'extended' | 'over' {
    if (this.#endMs === null || nowMs < this.#endMs) return 'open';
    if (this.#extended || nowMs - wroteMs > PROGRESS_WITHIN_MS) return 'over';
    this.#extended = true;
    this.#endMs += (MOST_EXTENSION - 1) * this.#limitMs;
    return 'extended';
  }
}
