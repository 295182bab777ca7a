import { once } from 'node:events';
import net from 'node:net';
import { expect, it } from 'vitest';
import { LoopTurns } from '../../src/host/loop-turns.ts';

it('gives turns in the order of asking, also to who asks during one', async () => {
  const turns = new LoopTurns();
  const given: string[] = [];
  const take = async (name: string): Promise<void> => {
    await turns.next();
    given.push(name);
    if (name === 'a') void take('late');
  };
  await Promise.all(['a', 'b', 'c'].map(take));
  await turns.next();
  expect(given).toEqual(['a', 'b', 'c', 'late']);
});

it('gives one turn to several askers where that is asked for', async () => {
  const turns = new LoopTurns(2);
  const given: string[] = [];
  const all = ['a', 'b', 'c'].map(async (name) => {
    await turns.next();
    given.push(name);
  });
  setImmediate(() => given.push('turn'));
  await Promise.all(all);
  expect(given).toEqual(['a', 'b', 'turn', 'c']);
});

it('has what came from the network read between two turns', async () => {
  const server = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  const turns = new LoopTurns();
  let taken = 0;
  let readAfter = -1;
  socket.once('data', () => {
    readAfter = taken;
  });
  socket.write('x');
  const count = 1_000;
  await Promise.all(
    Array.from({ length: count }, async () => {
      await turns.next();
      taken++;
      // Work that takes its time: all of it in one piece would be half a second.
      const untilMs = performance.now() + 0.5;
      while (performance.now() < untilMs);
    }),
  );
  expect(taken).toBe(count);
  expect(readAfter).toBeGreaterThan(-1);
  expect(readAfter).toBeLessThan(count / 2);
  socket.destroy();
  server.close();
});
