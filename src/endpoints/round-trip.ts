import { createConnection } from 'node:net';
import type { Target } from './wire.ts';

const CONNECTS = 5;
const TIMEOUT_MS = 2_000;

/**
 * Milliseconds of a round trip to the target's host: the median of five TCP connects, one after another, each the
 * time from the first packet to the answer of the kernel there. Sends nothing. null for a Unix socket, and when any
 * of them fails or takes longer than two seconds. Looking up the host's name is not counted. Never rejects.
 */
export async function roundTripMs(
  target: Pick<Target, 'host' | 'port' | 'socketPath'>,
): Promise<number | null> {
  if (target.socketPath !== null) return null;
  const times: number[] = [];
  for (let nth = 0; nth < CONNECTS; nth++) {
    const ms = await connectMs(target);
    if (ms === null) return null;
    times.push(ms);
  }
  return times.sort((a, b) => a - b)[Math.floor(CONNECTS / 2)]!;
}

function connectMs({ host, port }: Pick<Target, 'host' | 'port'>): Promise<number | null> {
  return new Promise((resolve) => {
    let startMs = performance.now();
    const socket = createConnection({ host, port, timeout: TIMEOUT_MS });
    const finish = (ms: number | null): void => {
      socket.destroy();
      resolve(ms);
    };
    // Told for the last address tried, so that of several only the one that answers is counted.
    socket.on('connectionAttempt', () => {
      startMs = performance.now();
    });
    socket.once('connect', () => finish(performance.now() - startMs));
    socket.once('timeout', () => finish(null));
    socket.once('error', () => finish(null));
  });
}
