import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeAtomic } from '../../src/host/store.ts';
import { whyText } from '../../src/stack/failure/why-text.ts';
import { STATE_FILE } from '../../src/stack/launch/recorder.ts';
import type { StackState } from '../../src/stack/launch/state.ts';
import { superviseStack } from '../../src/stack/launch/supervisor.ts';
import type { PlannedStep } from '../../src/stack/plan/planned.ts';
import { LOCAL_DEPS, localJob, localPlan, localStep, makeFolder, until } from '../unit/stack-steps.ts';

let nth = 0;

/** Supervises steps of this machine, asks it to stop as soon as the stack is in `phase`, and gives the last state. */
async function stopAt(
  phase: StackState['phase'],
  steps: (dir: string) => PlannedStep[],
): Promise<StackState> {
  const dir = makeFolder();
  mkdirSync(path.join(dir, 'logs'));
  const run = `supervisor-test-${process.pid}-${nth++}`;
  const plan = localPlan(run, steps(dir), { runDir: dir });
  const stop = new AbortController();
  const supervised = superviseStack(localJob(plan), { ...LOCAL_DEPS, writeAtomic }, stop.signal);
  const file = path.join(dir, STATE_FILE);
  await until(
    `the stack to be ${phase}`,
    () => existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).phase === phase,
  );
  stop.abort();
  return await supervised;
}

describe('a stack that is asked to stop', () => {
  it('in the moment after a service failed still tells why it failed', async () => {
    const state = await stopAt('failing', (dir) => [
      localStep('good-0', ['sleep', '60'], dir),
      localStep('bad-0', ['bash', '-c', 'sleep 0.3; echo "Error: no such model" >&2; exit 3'], dir),
    ]);
    expect(state.phase).toBe('stopped');
    expect(state.why).toMatchObject({ step: 'bad-0', exitCode: 3 });
    expect(whyText(state.why!)).toContain('no such model');
  });

  it('while all is well has no failure', async () => {
    const state = await stopAt('ready', (dir) => [localStep('good-0', ['sleep', '60'], dir)]);
    expect([state.phase, state.why]).toEqual(['stopped', null]);
  });
});
