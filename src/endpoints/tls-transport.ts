import { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Clock } from '../core/clock.ts';
import { socketFailure } from './failures.ts';
import type { OpenTransport, Transport, TransportEvents } from './http-connection.ts';
import { tlsOptions } from './tls.ts';
import type { Arrival, Target, TlsMaterial } from './wire.ts';

export interface SecureOptions {
  readonly target: Target;
  readonly material: TlsMaterial | null;
  /** Of an earlier connection, to be resumed. */
  readonly session: Buffer | undefined;
  readonly clock: Clock;
  keepSession(session: Buffer): void;
}

/**
 * TLS over a transport that stamps its bytes. Node decrypts within the call that hands it the ciphertext, so what comes out of
 * that call arrived with those bytes; anything that comes out later has the instant at which it did, and no lower end.
 */
export function secured(open: OpenTransport, events: TransportEvents, options: SecureOptions): Transport {
  const { clock } = options;
  /** When the ciphertext that is being decrypted arrived. */
  let feeding: Arrival | null = null;
  let connected = false;
  const cipher = new Duplex({
    read: () => undefined,
    write(bytes: Buffer, _encoding, done) {
      inner.write(bytes);
      done();
    },
    final: (done) => done(),
  });
  const inner = open({
    opened: () => {
      const secure = tls.connect({
        ...tlsOptions(options.target, options.material, options.session),
        // The name that the certificate is checked for; nothing is dialled.
        host: options.target.host,
        socket: cipher,
      });
      plain = secure;
      secure.on('secureConnect', () => {
        connected = true;
        events.opened(clock.now());
      });
      secure.on('session', options.keepSession);
      secure.on('data', (bytes: Buffer) => {
        events.read(bytes, 0, bytes.length, plaintextArrival(feeding, clock));
      });
      secure.on('end', () => events.ended(clock.now()));
      secure.on('error', (error) => events.failed(socketFailure(error, connected), clock.now()));
    },
    sent: () => undefined,
    read(buffer, start, end, arrival) {
      feeding = arrival;
      cipher.push(Buffer.from(buffer.subarray(start, end)));
      feeding = null;
    },
    ended(atMs) {
      if (connected) events.ended(atMs);
      else
        events.failed(
          { class: 'tls', detail: 'the server closed the connection during the TLS handshake' },
          atMs,
        );
    },
    failed: (failure, atMs) => events.failed(failure, atMs),
  });
  let plain: tls.TLSSocket | null = null;
  return {
    write(bytes) {
      const atMs = clock.now();
      plain!.write(bytes);
      return atMs;
    },
    destroy() {
      plain?.destroy();
      cipher.destroy();
      inner.destroy();
    },
  };
}

/** Records and segments have other borders, so of several segments none is known to have brought the last record. */
function plaintextArrival(feeding: Arrival | null, clock: Clock): Arrival {
  const slackMs = feeding?.slackMs ?? Number.POSITIVE_INFINITY;
  return { atMs: feeding?.atMs ?? clock.now(), slackMs, lastSlackMs: slackMs };
}
