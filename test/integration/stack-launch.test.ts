import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeAtomic } from '../../src/host/store.ts';
import type { Why } from '../../src/stack/failure/why.ts';
import { StackFailure } from '../../src/stack/failure/why.ts';
import { Launch } from '../../src/stack/launch/launch.ts';
import { EVENTS_FILE, Recorder } from '../../src/stack/launch/recorder.ts';
import type { StackState } from '../../src/stack/launch/state.ts';
import { tearDown } from '../../src/stack/launch/teardown.ts';
import type { PlannedStep, StackPlan } from '../../src/stack/plan/planned.ts';
import { localPlan, localStep, makeFolder, stackState, stepStatus } from '../unit/stack-steps.ts';

interface Launched {
  readonly why: Why | null;
  readonly state: StackState;
  readonly events: string;
}

let nth = 0;

/** A step that runs a line of bash. */
const bash = (id: string, dir: string, line: string, over: Partial<PlannedStep> = {}): PlannedStep =>
  localStep(id, ['bash', '-c', line], dir, over);

const logged = (step: string, pattern: string, count = 1) =>
  ({ kind: 'log', steps: [step], pattern, count }) as const;

/** Brings processes of this machine up, serves for `servesMs`, and takes them down; the first error, if any. */
async function launch(
  dir: string,
  steps: readonly PlannedStep[],
  over: Partial<StackPlan> = {},
  servesMs = 0,
): Promise<Launched> {
  mkdirSync(path.join(dir, 'logs'));
  const plan = localPlan(`launch-test-${process.pid}-${nth++}`, steps, { runDir: dir, ...over });
  const recorder = new Recorder(
    dir,
    stackState({ steps: steps.map(({ id }) => stepStatus(id)) }),
    writeAtomic,
  );
  const stop = new AbortController();
  const canary = () => Promise.resolve({ holds: true, said: 'tokens' });
  const one = new Launch(plan, recorder, { env: process.env, canary }, stop.signal);
  let why: Why | null = null;
  try {
    await one.untilReady();
    const timer = setTimeout(() => stop.abort(), servesMs);
    await one.whileServing().finally(() => clearTimeout(timer));
  } catch (error) {
    if (!(error instanceof StackFailure)) throw error;
    why = error.why;
  }
  one.stopWatching();
  const nothing = (): void => {};
  const { run } = plan;
  const env = process.env;
  await tearDown({
    run,
    plan,
    job: null,
    pids: one.pids,
    env,
    stopping: nothing,
    ended: nothing,
    note: nothing,
  });
  await one.close();
  recorder.flush();
  return { why, state: recorder.state, events: readFileSync(path.join(dir, EVENTS_FILE), 'utf8') };
}

describe('the whole', () => {
  it('is asked again after the interval that its file says', async () => {
    const dir = makeFolder();
    const step = bash('a-0', dir, 'echo up; sleep 0.3; echo late; sleep 60', {
      ready: [logged('a-0', '^up')],
    });
    const startMs = performance.now();
    // The first look comes too early.
    const { why } = await launch(dir, [step], { ready: [logged('a-0', '^late')], readyIntervalMs: 2_500 });
    expect(why).toBeNull();
    expect(performance.now() - startMs).toBeGreaterThan(2_500);
  });
});

describe('the deadline of a launch', () => {
  /** Writes a line five times a second, and "up" after 1.6 s. */
  const loading = 'for i in {1..8}; do echo "loading $i"; sleep 0.2; done; echo up; sleep 60';

  it('is that of the step while it loads, doubled as it still writes, however short the one of the whole', async () => {
    const dir = makeFolder();
    const step = bash('a-0', dir, loading, { ready: [logged('a-0', '^up')], readyTimeoutMs: 1_200 });
    const { why, events } = await launch(dir, [step], { readyTimeoutMs: 500 });
    expect(why).toBeNull();
    expect(events).toContain('given as long again');
  });

  it.each([
    ['is not that of its tasks while the image is imported', 30_000, null],
    ['has its own limit while the image is imported', 500, 'image'],
  ])('%s', async (_, importTimeoutMs, failureClass) => {
    const dir = makeFolder();
    const log = path.join(dir, 'logs', 'a-0');
    // As srun: what it says itself goes to its own log, what its tasks write to theirs.
    const srun = `echo 'srun: launching StepId=1.0 on host n1, 1 tasks: 0' >&2; sleep 2
      echo 'srun: launch/slurm: _task_start: Node n1, 1 tasks started' >&2; echo up >>${log}.log; sleep 60`;
    const step = bash('a-0', dir, srun, {
      srunLogFile: `${log}.srun.log`,
      ready: [logged('a-0', '^up')],
      readyTimeoutMs: 1_000,
      stallMs: 800,
      importTimeoutMs,
    });
    const { why } = await launch(dir, [step]);
    expect(why?.failureClass ?? null).toBe(failureClass);
  });

  it('is that of the whole once every step is ready, doubled likewise', async () => {
    const dir = makeFolder();
    const plan = { ready: [logged('a-0', '^up')], readyTimeoutMs: 1_200 };
    const { why, events } = await launch(dir, [bash('a-0', dir, loading)], plan);
    expect(why).toBeNull();
    expect(events).toContain(
      '"subject":"stack","from":null,"to":"note","evidence":"not ready at its deadline',
    );
  });

  it('ends with what the whole waits for', async () => {
    const dir = makeFolder();
    const plan = { ready: [logged('a-0', '^never')], readyTimeoutMs: 300 };
    const { why } = await launch(dir, [bash('a-0', dir, 'sleep 60')], plan);
    expect(why).toMatchObject({
      failureClass: 'not-ready',
      message: expect.stringContaining('waiting for log line /^never/ 0 of 1'),
      hint: expect.stringContaining('stack_ready.timeout'),
    });
  });
});

describe('a stack that serves', () => {
  const traceback = `printf '%s\\n' 'Traceback (most recent call last):' '  File "a.py"' 'ValueError: bad'`;

  it('goes on after a traceback that its process outlives, and warns', async () => {
    const dir = makeFolder();
    const step = bash('a-0', dir, `echo up; sleep 1; ${traceback}; sleep 60`, {
      ready: [logged('a-0', '^up')],
    });
    const { why, state } = await launch(dir, [step], {}, 6_500);
    expect(why).toBeNull();
    expect(state.warnings).toEqual([
      expect.stringMatching(/^it goes on after an error.*a-0.*ValueError: bad/),
    ]);
  });
});
