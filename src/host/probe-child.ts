import { unreadBytes } from './receive-queue.ts';

/** Beats come at random instants, so that they do not keep step with a server: this long apart in the mean. */
const BEAT_MS = 10;
const LOOK_MS = 250;
/** Looks at the queues take at most this share of a processor. */
const LOOK_RATIO = 0.02;
/** A look that takes longer is the last. */
const LONGEST_LOOK_MS = 100;

/**
 * What the child says, a line each: `b` and CLOCK_MONOTONIC in ms just before the line was written, `q` and the
 * unread bytes of the parent's sockets, `.` after the last of a level.
 */
export const PROBE_LINES = { beat: 'b', queue: 'q', end: '.' } as const;
/** What the parent says, a line each. */
export const PROBE_ORDERS = { on: 'on', off: 'off' } as const;

/**
 * The child: while it is on, it writes the time to standard output at random instants and looks now and then
 * at the receive queues of process `pid`. Resolves when standard input ends.
 */
export async function runProbe(pid: number): Promise<void> {
  let beat: NodeJS.Timeout | null = null;
  let look: NodeJS.Timeout | null = null;
  let looks = true;
  const say = (kind: string, value: string | number): void => {
    process.stdout.write(`${kind}${value}\n`);
  };
  const beatLater = (): void => {
    beat = setTimeout(
      () => {
        say(PROBE_LINES.beat, Number(process.hrtime.bigint()) / 1e6);
        beatLater();
      },
      BEAT_MS * (0.5 + Math.random()),
    );
  };
  const lookAfter = (ms: number): void => {
    if (!looks) return;
    look = setTimeout(() => {
      const startedMs = performance.now();
      const bytes = unreadBytes(pid);
      const tookMs = performance.now() - startedMs;
      looks = bytes !== null && tookMs <= LONGEST_LOOK_MS;
      if (bytes !== null) say(PROBE_LINES.queue, bytes);
      lookAfter(Math.max(LOOK_MS, tookMs / LOOK_RATIO));
    }, ms);
  };
  const rest = (): void => {
    if (beat !== null) clearTimeout(beat);
    if (look !== null) clearTimeout(look);
  };
  for await (const text of process.stdin.setEncoding('utf8')) {
    for (const order of String(text).split('\n')) {
      if (order === PROBE_ORDERS.on) {
        rest();
        beatLater();
        lookAfter(LOOK_MS * Math.random());
      } else if (order === PROBE_ORDERS.off) {
        rest();
        say(PROBE_LINES.end, '');
      }
    }
  }
  rest();
}
