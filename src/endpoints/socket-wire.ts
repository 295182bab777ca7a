import net from 'node:net';
import tls from 'node:tls';
import { socketFailure } from './failures.ts';
import type { OpenTransport, TransportEvents } from './http-connection.ts';
import { PooledWire } from './pooled-wire.ts';
import { READ_BUFFER_BYTES } from './read-meter.ts';
import { tlsOptions } from './tls.ts';
import type { Arrival, WireOptions } from './wire.ts';

/** One read's bytes; shared by all sockets, since each read is used up before the next. */
const READ_BUFFER = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);

/** Keep-alive sockets read through `onread`: the clock is read on entry to the callback, before any byte is looked at. */
export class SocketWire extends PooledWire {
  readonly stampedBy = 'process';
  readonly leadMs = 0;
  #session: Buffer | undefined;

  protected readonly connect: OpenTransport = (events) => {
    const { clock } = this.options;
    let connected = false;
    const socket = openSocket(this.options, events, this.#session, () => {
      connected = true;
      events.opened(clock.now());
    });
    socket.on('session', (session: Buffer) => {
      this.#session = session;
    });
    socket.setNoDelay(true);
    socket.on('error', (error) => events.failed(socketFailure(error, connected), clock.now()));
    socket.on('end', () => events.ended(clock.now()));
    socket.on('close', () => events.failed({ class: 'reset', detail: 'connection closed' }, clock.now()));
    return {
      write(bytes) {
        const atMs = clock.now();
        socket.write(bytes);
        return atMs;
      },
      destroy: () => socket.destroy(),
    };
  };
}

function openSocket(
  { target, tls: material, clock, meter }: WireOptions,
  events: TransportEvents,
  session: Buffer | undefined,
  opened: () => void,
): net.Socket {
  const onread: net.OnReadOpts = {
    buffer: READ_BUFFER,
    callback: (bytes, buffer) => {
      const arrival: Arrival = {
        atMs: clock.now(),
        slackMs: Number.POSITIVE_INFINITY,
        lastSlackMs: Number.POSITIVE_INFINITY,
      };
      meter.note(arrival.atMs, bytes);
      events.read(buffer as Buffer, 0, bytes, arrival);
      return true;
    },
  };
  const place: { path: string } | { host: string; port: number } =
    target.socketPath === null ? { host: target.host, port: target.port } : { path: target.socketPath };
  if (!target.tls) return net.connect({ ...place, onread } as net.NetConnectOpts, opened);
  const options: tls.ConnectionOptions & { onread: net.OnReadOpts } = {
    ...place,
    ...tlsOptions(target, material, session),
    onread,
  };
  return tls.connect(options, opened);
}
