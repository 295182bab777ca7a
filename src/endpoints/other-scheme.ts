import net from 'node:net';
import tls from 'node:tls';
import type { Target } from './wire.ts';

const TIMEOUT_MS = 2_000;

/**
 * Whether the target's port speaks the other of http and https: it shakes hands for TLS although the URL has http, or answers
 * plain HTTP although it has https. Opens one connection, for at most two seconds. Never rejects.
 */
export function speaksOtherScheme(
  target: Pick<Target, 'tls' | 'host' | 'port' | 'socketPath' | 'authority'>,
): Promise<boolean> {
  const { host, port, socketPath, authority } = target;
  if (socketPath !== null) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = target.tls
      ? net.connect({ host, port })
      : // Nothing is sent to it, so whose certificate it is does not matter.
        tls.connect({
          host,
          port,
          rejectUnauthorized: false,
          ...(net.isIP(host) ? {} : { servername: host }),
        });
    const finish = (speaks: boolean): void => {
      socket.destroy();
      resolve(speaks);
    };
    socket.setTimeout(TIMEOUT_MS, () => finish(false));
    socket.once('error', () => finish(false));
    socket.once('close', () => finish(false));
    if (target.tls) {
      socket.once('connect', () => socket.write(`HEAD / HTTP/1.1\r\nHost: ${authority}\r\n\r\n`));
      socket.once('data', (bytes: Buffer) => finish(bytes.toString('latin1').startsWith('HTTP/')));
    } else {
      socket.once('secureConnect', () => finish(true));
    }
  });
}
