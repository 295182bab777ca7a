import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { roundTripMs } from '../../src/endpoints/round-trip.ts';
import { parseTarget } from '../../src/endpoints/target.ts';

let server: Server | null = null;

afterEach(() => {
  server?.close();
  server = null;
});

/** A port of the loopback that counts who connects, and sees to it that nobody sends anything. */
async function listen(): Promise<{ port: number; connects(): number; bytes(): number }> {
  let connects = 0;
  let bytes = 0;
  const one = createServer((socket) => {
    connects++;
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      bytes += data.length;
    });
  });
  server = one;
  await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve));
  const address = one.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { port: address.port, connects: () => connects, bytes: () => bytes };
}

describe('a round trip', () => {
  it('is a time of five connects that send nothing, by address or by name', async () => {
    const target = await listen();
    const byAddress = await roundTripMs(parseTarget(`http://127.0.0.1:${target.port}/base`));
    expect(byAddress).toBeGreaterThan(0);
    expect(byAddress).toBeLessThan(2_000);
    expect(target.connects()).toBe(5);
    // `localhost` may stand for ::1 too, where nobody listens.
    expect(await roundTripMs(parseTarget(`http://localhost:${target.port}`))).toBeGreaterThan(0);
    expect(target.connects()).toBe(10);
    expect(target.bytes()).toBe(0);
  });

  it('is unknown for a Unix socket and where nobody listens', async () => {
    expect(await roundTripMs(parseTarget('unix:/run/no-such.sock'))).toBeNull();
    const { port } = await listen();
    await new Promise((resolve) => server!.close(resolve));
    expect(await roundTripMs(parseTarget(`http://127.0.0.1:${port}`))).toBeNull();
  });
});
