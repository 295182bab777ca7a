import type { Clock } from '../core/clock.ts';
import { pairClocks } from '../core/clock-pair.ts';

/** The run's clock and the instant it starts at, told on both clocks of the machine. */
export interface RunClock extends Clock {
  readonly origin: { readonly utc: string; readonly monotonicNs: string };
}

/**
 * UTC in milliseconds with a fraction. It follows the monotonic clock from the start of the process on, so
 * that two readings differ by what lay between them whatever is done to the system's clock meanwhile.
 */
export function utcNowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** How far the two clocks of a machine may drift apart over a run before the monotonic one is not believed. */
const SAME_BOOT_MS = 60_000;

/**
 * A clock whose origin is now, or `earlier` when a run goes on: on the monotonic clock while that is
 * still the same one, by UTC after a reboot. `performance.now()` reads CLOCK_MONOTONIC and, unlike
 * hrtime.bigint(), allocates nothing.
 */
export function startClock(earlier?: RunClock['origin']): RunClock {
  const { atMs: nowMs, other: monotonicNs } = pairClocks(() => performance.now(), process.hrtime.bigint);
  const sinceMs = earlier === undefined ? 0 : sinceOrigin(earlier, monotonicNs);
  const originMs = nowMs - sinceMs;
  const origin = earlier ?? { utc: new Date().toISOString(), monotonicNs: monotonicNs.toString() };
  const now = (): number => performance.now() - originMs;
  return {
    origin,
    now,
    async sleepUntil(atMs, signal) {
      // A timer counts whole milliseconds from the start of its turn of the loop, so it may fire a little before its time.
      while (now() < atMs && !signal?.aborted) await sleep(atMs - now(), signal);
    },
  };
}

function sinceOrigin(earlier: RunClock['origin'], monotonicNs: bigint): number {
  const byMonotonic = Number(monotonicNs - BigInt(earlier.monotonicNs)) / 1e6;
  const byUtc = Date.now() - Date.parse(earlier.utc);
  return Math.abs(byMonotonic - byUtc) < SAME_BOOT_MS ? byMonotonic : byUtc;
}

/** The longest time that a timer of Node takes. */
const LONGEST_MS = 2 ** 31 - 1;

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, Math.min(Math.ceil(ms), LONGEST_MS));
    signal?.addEventListener('abort', finish, { once: true });
  });
}
