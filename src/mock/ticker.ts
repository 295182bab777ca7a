import type { Clock } from '../core/clock.ts';

/** Timers may fire this late; the rest of a wait is spent in naps. */
const TIMER_SLACK_MS = 1.2;
const SHORTEST_TIMER_MS = 1;
/** A nap blocks the loop, so it is short: it bounds how much later sockets are looked at. */
const LONGEST_NAP_MS = 0.1;
/** Waking from a nap takes about this long. */
const NAP_SLACK_MS = 0.06;

/** A monotonic clock in milliseconds. */
export const processClock: Pick<Clock, 'now'> = { now: () => performance.now() };

/**
 * Calls `run` at the instants that it asks for, never early. One timer serves the whole process. It wakes
 * a little before the instant, since timers have a granularity of 1 ms, and spends the rest in short naps
 * between turns of the event loop. Sockets are served all the while.
 */
export class Ticker {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #run: () => void;
  readonly #nextAtMs: () => number;
  readonly #mayNap: () => boolean;
  readonly #lock = new Int32Array(new SharedArrayBuffer(4));
  #timer: NodeJS.Timeout | null = null;
  #immediate: NodeJS.Immediate | null = null;

  /**
   * `run` does all that is due; `nextAtMs` then says when more is, Infinity for nothing. `mayNap` is false
   * while other work waits for a turn.
   */
  constructor(clock: Pick<Clock, 'now'>, run: () => void, nextAtMs: () => number, mayNap: () => boolean) {
    this.#clock = clock;
    this.#run = run;
    this.#nextAtMs = nextAtMs;
    this.#mayNap = mayNap;
  }

  /** To be called when an earlier instant than before may be due. */
  wake(): void {
    if (this.#immediate !== null) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#plan();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#timer = null;
    this.#immediate = null;
  }

  #plan(): void {
    const waitMs = this.#nextAtMs() - this.#clock.now();
    if (waitMs === Number.POSITIVE_INFINITY) return;
    const timerMs = Math.floor(waitMs - TIMER_SLACK_MS);
    if (timerMs >= SHORTEST_TIMER_MS) this.#timer = setTimeout(this.#tick, Math.min(timerMs, 60_000));
    else this.#immediate = setImmediate(this.#tick);
  }

  readonly #tick = (): void => {
    this.#timer = null;
    this.#immediate = null;
    const waitMs = this.#nextAtMs() - this.#clock.now();
    if (waitMs <= 0) this.#run();
    else if (waitMs > NAP_SLACK_MS && waitMs <= TIMER_SLACK_MS + SHORTEST_TIMER_MS && this.#mayNap()) {
      Atomics.wait(this.#lock, 0, 0, Math.min(waitMs - NAP_SLACK_MS, LONGEST_NAP_MS));
    }
    if (this.#timer === null && this.#immediate === null) this.#plan();
  };
}
