import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { type SupervisorJob, superviseStack } from '../../src/stack/launch/supervisor.ts';
import { localPlan, localStep, makeFolder } from '../unit/stack-steps.ts';

it('a stack whose state the disk refuses is given up, with the reason, and taken down', async () => {
  const dir = makeFolder();
  mkdirSync(path.join(dir, 'logs'));
  const run = `full-disk-test-${process.pid}`;
  const job: SupervisorJob = {
    run,
    name: 'x',
    dir,
    allocation: {
      mode: 'local',
      argv: null,
      jobId: null,
      nodeCount: 1,
      pendingTimeoutMs: 1,
      cancelOnExit: false,
      jobName: 'x',
    },
    plan: () => Promise.resolve(localPlan(run, [localStep('a-0', ['sleep', '60'], dir)], { runDir: dir })),
    preflight: () => Promise.resolve({ warnings: [], versions: {}, drivers: {}, image: null }),
    checkOnly: false,
  };
  const deps = {
    env: process.env,
    writeAtomic: () => {
      throw new Error('ENOSPC: no space left on device');
    },
    canary: () => Promise.resolve({ holds: true, said: '' }),
    redacted: (plan: ReturnType<typeof localPlan>) => plan,
    script: () => '',
  };
  const state = await superviseStack(job, deps, AbortSignal.timeout(40_000));
  expect(state.why).toMatchObject({
    failureClass: 'disk',
    message: 'the state of the stack cannot be written: ENOSPC: no space left on device',
    hint: expect.stringContaining(dir),
  });
  expect(state.phase).toBe('stopped');
  expect(state.steps[0]).toMatchObject({ id: 'a-0', state: 'ended' });
});
