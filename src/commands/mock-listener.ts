import { isIP } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { getSystemErrorName } from 'node:util';
import { type Read, Receiver } from '../endpoints/receiver/receiver.ts';
import type { ConnectionEvents, ListenStamped, StampedConnection } from '../mock/stamped-listener.ts';
import { processClock } from '../mock/ticker.ts';

/** Listens with the kernel's stamps: on Linux, on an address in digits. */
export const listenStamped: ListenStamped = (host, port, accept) => {
  if (isIP(host) === 0) return null;
  const receiver = Receiver.hold();
  if (typeof receiver === 'string') return null;
  const originMs = receiver.originMs(processClock);
  const take = (handle: number) => {
    const events: ConnectionEvents = accept(connectionOf(receiver, handle));
    return {
      read: ({ buffer, start, end, atMs }: Read) =>
        events.arrived(Buffer.from(buffer.subarray(start, end)), atMs - originMs),
      ended: () => events.ended(),
      failed: (errno: number) => events.failed(readError(errno)),
    };
  };
  let handle: number;
  try {
    handle = receiver.listen(host, port, take);
  } catch {
    // An address with a zone that is not there.
    handle = -1;
  }
  if (handle < 0) {
    receiver.release();
    return null;
  }
  return {
    port: receiver.native.port(handle),
    stop: () => receiver.close(handle),
    async release() {
      // It is the receiver's thread that closes.
      while (receiver.native.port(handle) !== 0) await setTimeout(1);
      receiver.release();
    },
  };
};

function connectionOf(receiver: Receiver, handle: number): StampedConnection {
  const { native } = receiver;
  return {
    send: (bytes) => void native.send(handle, bytes),
    unsent: () => native.unsent(handle),
    end: () => native.end(handle),
    close: () => receiver.close(handle),
    reset: () => receiver.reset(handle),
  };
}

/** As Node makes it of a read that failed. */
function readError(errno: number): Error {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`read ${code}`), { code, errno: -errno, syscall: 'read' });
}
