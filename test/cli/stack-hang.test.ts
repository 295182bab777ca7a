import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { bench, countLines, readRun, startBench, until } from '../fixtures/cli.ts';
import { leftOf, STACK_MS, scriptedStack, stateIn } from '../fixtures/stack.ts';

// The watch of a stack gives what it misses 20 s to come back.
vi.setConfig({ testTimeout: 180_000 });

/** The scripted frontend counts no prompt. */
const SHAPE = ['--isl', '20', '--isl-counts', 'content', '--warmup', '0', '--pause', '0s'];

describe('a worker that hangs', () => {
  it('is the cause of the failures of a level, which --resume measures again', async () => {
    // Its registration ends within a second, and requests are refused from then on.
    const stack = await scriptedStack({
      frontend: { LEASE_S: '2', TOKEN_MS: '10' },
      decode: { FAULT: 'hang' },
    });
    const out = path.join(stack.cwd, 'out');
    const dir = path.join(out, 'stack');
    const load = ['--osl', '40', '--concurrency', '2', '--requests', '40'];
    const running = startBench(['sweep', ...SHAPE, ...load, '--stack', stack.file, '--out', 'out'], stack);
    await until('its requests', () => countLines(path.join(out, 'records.ndjson')) >= 2, STACK_MS);
    writeFileSync(stack.faultFile, '');
    const ended = await running.ended;
    expect(ended.code, ended.stderr).toBe(4);
    const { report } = readRun(out);
    const cause =
      'lost: decode-0 on localhost: the stack was ready and is no more: 0 of 1 backend instances registered';
    expect(report.statusDetail).toBe(`the stack is gone: ${cause}`);
    expect(report.levels).toMatchObject([{ status: 'partial', statusReason: cause, requests: { sent: 40 } }]);
    expect(ended.stdout.replace(/\s+/g, ' ')).toMatch(
      /concurrency 2: \d+ of 40 requests failed: lost: decode-0/,
    );
    expect(await leftOf(dir, stack)).toEqual([]);

    rmSync(stack.faultFile);
    const resumed = await bench(['sweep', '--resume', 'out', '--stack', stack.file], stack);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(readRun(out).report.levels).toMatchObject([
      { status: 'complete', requests: { good: 40, failed: 0 } },
    ]);
  });

  it('for a while, and comes back, leaves a level that is measured again, and the next one as it is', async () => {
    const stack = await scriptedStack({ frontend: { LEASE_S: '2', TOKEN_MS: '10' } });
    const out = path.join(stack.cwd, 'out');
    const load = ['--osl', '40', '--concurrency', '2,4', '--requests', '40'];
    const running = startBench(['sweep', ...SHAPE, ...load, '--stack', stack.file, '--out', 'out'], stack);
    await until('its requests', () => countLines(path.join(out, 'records.ndjson')) >= 2, STACK_MS);
    const { pid } = stateIn(path.join(out, 'stack'))!.steps.find(({ id }) => id === 'decode-0')!;
    process.kill(-pid!, 'SIGSTOP');
    setTimeout(() => process.kill(-pid!, 'SIGCONT'), 10_000);
    const ended = await running.ended;
    expect(ended.code, ended.stderr).toBe(1);
    expect(readRun(out).report.levels).toMatchObject([
      {
        status: 'partial',
        statusReason: expect.stringMatching(/^the stack was not whole meanwhile: 0 of 1 backend instances/),
        requests: { sent: 40 },
      },
      { status: 'complete', requests: { good: 40, failed: 0 } },
    ]);
  });
});
