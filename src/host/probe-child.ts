import { setImmediate as nextTurn } from 'node:timers/promises';
import { unreadBytes } from './receive-queue.ts';

/** Beats come at random instants, so that they do not keep step with a server: this long apart in the mean. */
const BEAT_MS = 5;
const LOOK_MS = 250;
/** Looks at the queues take at most this share of a processor. */
const LOOK_RATIO = 0.02;
/** A look that takes longer is the last. */
const LONGEST_LOOK_MS = 100;

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
  let on = false;
  for await (const text of process.stdin.setEncoding('utf8')) {
    for (const order of String(text).split('\n')) {
      if (order === PROBE_ORDERS.on && !on) {
        on = true;
        void beatWhile(pid, () => on);
      } else if (order === PROBE_ORDERS.off) {
        on = false;
        process.stdout.write(`${PROBE_LINES.end}\n`);
      }
    }
  }
  on = false;
}

async function beatWhile(pid: number, isOn: () => boolean): Promise<void> {
  const lock = new Int32Array(new SharedArrayBuffer(4));
  let looks = true;
  let lookAtMs = nowMs() + LOOK_MS * Math.random();
  while (isOn()) {
    const dueAtMs = nowMs() + 2 * BEAT_MS * Math.random();
    // Timers are good to a millisecond, this to 0.1 ms; there is nothing else to do meanwhile.
    Atomics.wait(lock, 0, 0, dueAtMs - nowMs());
    process.stdout.write(`${PROBE_LINES.beat}${dueAtMs} ${nowMs()}\n`);
    if (looks && nowMs() >= lookAtMs) {
      const startedAtMs = nowMs();
      const bytes = unreadBytes(pid);
      const tookMs = nowMs() - startedAtMs;
      if (bytes !== null) process.stdout.write(`${PROBE_LINES.queue}${bytes}\n`);
      looks = bytes !== null && tookMs <= LONGEST_LOOK_MS;
      lookAtMs = startedAtMs + Math.max(LOOK_MS, tookMs / LOOK_RATIO);
    }
    await nextTurn();
  }
}

/** CLOCK_MONOTONIC, which all processes of a host share. */
function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
