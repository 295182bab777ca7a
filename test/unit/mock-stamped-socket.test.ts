import { describe, expect, it, vi } from 'vitest';
import type { StampedConnection } from '../../src/mock/stamped-listener.ts';
import { StampedSocket } from '../../src/mock/stamped-socket.ts';

/** A connection that notes what it is asked to do. It has sent what it was given once `unsentBytes` is set to 0. */
class Line implements StampedConnection {
  readonly calls: string[] = [];
  sentBytes = 0;
  unsentBytes = 0;

  send(bytes: Uint8Array): void {
    this.calls.push('send');
    this.sentBytes += bytes.length;
  }
  unsent(): number {
    return this.unsentBytes;
  }
  end(): void {
    this.calls.push('end');
  }
  close(): void {
    this.calls.push('close');
  }
  reset(): void {
    this.calls.push('reset');
  }
}

const MIB = 1024 * 1024;

function open(): { readonly line: Line; readonly socket: StampedSocket } {
  const line = new Line();
  return { line, socket: new StampedSocket(line) };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const closed = (socket: StampedSocket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', resolve);
  });

describe('what arrives', () => {
  it('is given with its own stamp, also when the reader paused meanwhile', async () => {
    const { socket } = open();
    const got: [string, number][] = [];
    socket.on('data', (part: Buffer) => {
      got.push([part.toString(), socket.arrivedAtMs]);
      if (got.length === 2) socket.pause();
    });
    await turn();
    for (const [i, text] of ['a', 'b', 'c', 'd'].entries()) socket.arrived(Buffer.from(text), 10 + i);
    expect(got).toEqual([
      ['a', 10],
      ['b', 11],
    ]);
    socket.arrived(Buffer.from('e'), 20);
    socket.resume();
    await turn();
    expect(got.slice(2)).toEqual([
      ['c', 12],
      ['d', 13],
      ['e', 20],
    ]);
  });

  it('ends, or fails with its error', async () => {
    const { socket } = open();
    const end = new Promise((resolve) => socket.once('end', resolve));
    socket.ended();
    await end;

    const { socket: broken, line } = open();
    const error = new Promise((resolve) => broken.once('error', resolve));
    broken.failed(new Error('read ECONNRESET'));
    expect(await error).toMatchObject({ message: 'read ECONNRESET' });
    expect(line.calls).toEqual(['close']);
  });

  it('is too much from 64 MiB on that the reader does not take', async () => {
    const { socket, line } = open();
    socket.pause();
    const part = Buffer.alloc(MIB);
    for (let i = 0; i < 64; i++) socket.arrived(part, i);
    expect(socket.destroyed).toBe(false);
    socket.arrived(part, 64);
    await closed(socket);
    expect(line.calls).toEqual(['reset']);
  });
});

describe('what is written', () => {
  it('goes out at once, and in one piece where it was corked', () => {
    const { socket, line } = open();
    socket.write('abc', 'latin1');
    expect(line.sentBytes).toBe(3);
    socket.cork();
    for (let i = 0; i < 5; i++) socket.write('de');
    socket.uncork();
    expect(line).toMatchObject({ sentBytes: 13, calls: ['send', 'send'] });
  });

  it('waits here while the system takes no more', async () => {
    const { socket, line } = open();
    line.unsentBytes = MIB;
    for (let i = 0; i < 100; i++) socket.write(Buffer.alloc(10_000));
    await turn();
    // The first look is after 64 KiB.
    expect(line.sentBytes).toBe(70_000);
    expect(socket.writableLength).toBe(930_000 + 10_000);
    line.unsentBytes = 0;
    await vi.waitFor(() => expect(line.sentBytes).toBe(1_000_000));
    expect(socket.destroyed).toBe(false);
  });

  it('is too much for a client that leaves 64 MiB of it unread', async () => {
    const { socket, line } = open();
    line.unsentBytes = MIB;
    for (let i = 0; i < 66; i++) socket.write(Buffer.alloc(MIB));
    await closed(socket);
    expect(line.calls).toEqual(['send', 'reset']);
  });
});

describe('the end', () => {
  it('comes once all is sent', async () => {
    const { socket, line } = open();
    socket.write('abc');
    line.unsentBytes = 3;
    socket.destroySoon();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(line.calls).toEqual(['send', 'end']);
    line.unsentBytes = 0;
    await closed(socket);
    expect(line.calls).toEqual(['send', 'end', 'close']);
  });

  it('comes at once where it is asked for, as a reset or not', async () => {
    const { socket, line } = open();
    line.unsentBytes = 1;
    socket.end('abc');
    socket.destroy();
    await closed(socket);
    expect(line.calls).toEqual(['send', 'end', 'close']);

    const { socket: other, line: reset } = open();
    other.resetAndDestroy();
    other.resetAndDestroy();
    other.destroySoon();
    await closed(other);
    expect(reset.calls).toEqual(['reset']);
  });

  it('is reported as idle after the time set, and not before', async () => {
    const { socket } = open();
    const timeout = vi.fn();
    socket.on('timeout', timeout);
    socket.setTimeout(5);
    socket.setTimeout(0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(timeout).not.toHaveBeenCalled();
    socket.setTimeout(5);
    await vi.waitFor(() => expect(timeout).toHaveBeenCalledOnce());
  });
});
