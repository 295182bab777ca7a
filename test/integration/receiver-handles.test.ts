import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { nativeReceiver } from '../../src/endpoints/receiver/native.ts';
import { type HandleEvents, Receiver } from '../../src/endpoints/receiver/receiver.ts';

const NO_RECEIVER = typeof nativeReceiver() === 'string';

/** Notes what is reported. */
class Heard implements HandleEvents {
  readonly words: string[] = [];
  opened(): void {
    this.words.push('opened');
  }
  read(): void {
    this.words.push('read');
  }
  ended(): void {
    this.words.push('ended');
  }
  failed(errno: number): void {
    this.words.push(`failed ${errno}`);
  }
}

describe.skipIf(NO_RECEIVER)('a receiver', () => {
  it('reports the end of a connection whose slot has been taken by the next one meanwhile', async () => {
    const receiver = Receiver.hold();
    if (typeof receiver === 'string') throw new Error(receiver);
    const peers: Socket[] = [];
    const server = createServer((peer) => peers.push(peer.on('error', () => undefined)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      const first = new Heard();
      const one = receiver.connect('127.0.0.1', port, first);
      await expect.poll(() => [first.words, peers.length]).toEqual([['opened'], 1]);
      peers[0]!.resetAndDestroy();
      // The thread sees it, this one cannot look.
      const until = performance.now() + 50;
      while (performance.now() < until);
      const second = new Heard();
      const other = receiver.connect('127.0.0.1', port, second);
      expect(other & 0xffff).toBe(one & 0xffff);
      expect(other).not.toBe(one);
      // ECONNRESET
      await expect.poll(() => first.words).toEqual(['opened', 'failed 104']);
      await expect.poll(() => second.words).toEqual(['opened']);
      receiver.close(other);
    } finally {
      receiver.release();
      server.close();
      for (const peer of peers) peer.destroy();
    }
  });
});
