import { setImmediate as nextTurn } from 'node:timers/promises';
import { QueueLook } from './receive-queue.ts';

/** Beats come at random instants, so that they do not keep step with a server: this long apart in the mean. */
export const BEAT_MS = 5;
const LOOK_MS = 250;
/** Looks at the queues take at most this share of a processor. */
const LOOK_RATIO = 0.02;
/** So long at a time. */
const WORK_MS = 0.15;

/**
 * What the child says, a line each: `b` with two instants of CLOCK_MONOTONIC in ms between a blank, when it wanted
 * to write the line and just before it wrote it; `q` with the unread bytes of the parent's sockets; `.` after the
 * last of a level.
 */
export const PROBE_LINES = { beat: 'b', queue: 'q', end: '.' } as const;
/** What the parent says, a line each. */
export const PROBE_ORDERS = { on: 'on', off: 'off' } as const;

/**
 * The child: while it is on, it writes the time to standard output at random instants and looks now and then
 * at the receive queues of process `pid`. Resolves when standard input ends.
 */
export async function runProbe(pid: number): Promise<void> {
  const queues = new QueueWatch(pid);
  let orders = 0;
  for await (const text of process.stdin.setEncoding('utf8')) {
    for (const order of String(text).split('\n')) {
      const own = ++orders;
      if (order === PROBE_ORDERS.on) void beatWhile(queues, () => orders === own);
      else if (order === PROBE_ORDERS.off) process.stdout.write(`${PROBE_LINES.end}\n`);
      else orders--;
    }
  }
  orders++;
}

async function beatWhile(queues: QueueWatch, isOn: () => boolean): Promise<void> {
  const lock = new Int32Array(new SharedArrayBuffer(4));
  queues.begin();
  while (isOn()) {
    const dueAtMs = nowMs() + 2 * BEAT_MS * Math.random();
    // Timers are good to a millisecond, this to 0.1 ms; there is nothing else to do meanwhile.
    Atomics.wait(lock, 0, 0, dueAtMs - nowMs());
    process.stdout.write(`${PROBE_LINES.beat}${dueAtMs} ${nowMs()}\n`);
    const bytes = queues.work();
    if (bytes !== null) process.stdout.write(`${PROBE_LINES.queue}${bytes}\n`);
    await nextTurn();
  }
}

/** Looks at the queues a little at a time, so that whoever shares the processor is not kept from it. */
class QueueWatch {
  readonly #look: QueueLook;
  #parts: Iterator<undefined, number> | null = null;
  /** Time that the look under way has taken. */
  #tookMs = 0;
  #nextAtMs = 0;

  constructor(pid: number) {
    this.#look = new QueueLook(pid);
  }

  begin(): void {
    this.#parts = null;
    this.#nextAtMs = Math.min(this.#nextAtMs, nowMs() + LOOK_MS * Math.random());
  }

  /** Does a part of a look if it is time for one; the unread bytes when a look is complete. */
  work(): number | null {
    const startedAtMs = nowMs();
    if (startedAtMs < this.#nextAtMs) return null;
    if (this.#parts === null) {
      this.#parts = this.#look.parts();
      this.#tookMs = 0;
    }
    let part: IteratorResult<undefined, number>;
    try {
      do part = this.#parts.next();
      while (!part.done && nowMs() - startedAtMs < WORK_MS);
    } catch {
      // No such table here.
      this.#nextAtMs = Number.POSITIVE_INFINITY;
      return null;
    }
    const endedAtMs = nowMs();
    this.#tookMs += endedAtMs - startedAtMs;
    if (!part.done) return null;
    this.#parts = null;
    this.#nextAtMs = endedAtMs + Math.max(LOOK_MS, this.#tookMs / LOOK_RATIO);
    return part.value;
  }
}

/** CLOCK_MONOTONIC, which all processes of a host share. */
function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
