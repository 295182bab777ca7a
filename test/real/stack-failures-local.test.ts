import { createServer } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Bench, PORTS } from './stack-bench.ts';

describe('a launch on this machine that fails', () => {
  let bench: Bench;

  beforeAll(() => {
    bench = new Bench(null);
  });

  beforeEach(() => bench.next());

  afterAll(() => bench?.remove());

  it.each([
    ['a process that ends', { FAULT: 'exit', FAULT_CODE: '5' }, 'exit', 5],
    ['a process that ends with 0', { FAULT: 'exit' }, 'exit', 0],
    ['a process that crashes', { FAULT: 'crash' }, 'crash', 3],
    ['the want of GPU memory', { FAULT: 'cuda-oom' }, 'cuda-oom', null],
  ])('finds %s', async (_, env, failureClass, exitCode) => {
    const ended = await bench.up({ decode: { env: { ...env, LOAD_S: '60' } } });
    bench.expectFailure(ended, { failureClass, step: 'decode-0', exitCode });
  });

  it('names a program that is not there', async () => {
    const ended = await bench.up({ decode: { command: ['no-such-program'] } }, '--no-preflight');
    const why = bench.expectFailure(ended, { failureClass: 'missing-path', step: 'decode-0' });
    expect(why.message).toContain('no-such-program');
  });

  it('reports that the supervisor is gone, and takes down what it launched', async () => {
    const running = await bench.held({});
    process.kill(bench.state().supervisor.pid, 'SIGKILL');
    const ended = await running.ended;
    expect([ended.code, ended.stderr]).toEqual([
      4,
      expect.stringMatching(/ended without a word\n.*was killed.*what it launched was taken down/),
    ]);
    expect([bench.state().phase, bench.left()]).toEqual(['stopped', []]);
  });

  it('tells of a taken port: preflight, or the service itself', async () => {
    const holder = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => holder.listen(PORTS.http, '127.0.0.1', resolve));
    try {
      const looked = await bench.up({});
      expect([looked.code, looked.stderr]).toEqual([4, expect.stringContaining(`port ${PORTS.http}: taken`)]);
      bench.next();
      const ended = await bench.up({}, '--no-preflight');
      expect(ended.stderr).toContain('bench: port-taken: frontend-0');
      expect(ended.code).toBe(4);
    } finally {
      await new Promise((resolve) => holder.close(resolve));
    }
    expect(bench.left()).toEqual([]);
  });

  it('tells of a service that is never ready', async () => {
    const ready = { all: [{ log: 'never printed' }], timeout: '2s', stall_timeout: '1s', interval: '200ms' };
    const ended = await bench.up({ frontend: { ready } });
    const why = bench.expectFailure(ended, { failureClass: 'stalled', step: 'frontend-0' });
    expect(why.message).toContain('/never printed/');
  });
});
