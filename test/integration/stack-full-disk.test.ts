import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { superviseStack } from '../../src/stack/launch/supervisor.ts';
import { LOCAL_DEPS, localJob, localPlan, localStep, makeFolder } from '../unit/stack-steps.ts';

it('a stack whose state the disk refuses is given up, with the reason, and taken down', async () => {
  const dir = makeFolder();
  mkdirSync(path.join(dir, 'logs'));
  const run = `full-disk-test-${process.pid}`;
  const plan = localPlan(run, [localStep('a-0', ['sleep', '60'], dir)], { runDir: dir });
  const writeAtomic = (): never => {
    throw new Error('ENOSPC: no space left on device');
  };
  const deps = { ...LOCAL_DEPS, writeAtomic };
  const state = await superviseStack(localJob(plan), deps, AbortSignal.timeout(40_000));
  expect(state.why).toMatchObject({
    failureClass: 'disk',
    message: 'the state of the stack cannot be written: ENOSPC: no space left on device',
    hint: expect.stringContaining(dir),
  });
  expect(state.phase).toBe('stopped');
  expect(state.steps[0]).toMatchObject({ id: 'a-0', state: 'ended' });
});
