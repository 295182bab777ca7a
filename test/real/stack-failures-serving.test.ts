import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Report } from '../../src/core/report.ts';
import { notRun } from './not-run.ts';
import { type Cluster, slurmMissing, startCluster } from './slurm/cluster.ts';
import { Bench, WORKER } from './stack-bench.ts';

const missing = notRun('failures of a stack that serves', slurmMissing());

/** Long enough that a sweep's level is under way when something ends. */
const SLOW_TOKENS = { env: { TOKEN_MS: '20' } };

/** Ends with 1 when it is asked to end, as nats-server does. */
const NATS = {
  role: 'infra',
  command: ['bash', '-c', 'trap "echo Server Exiting; exit 1" TERM; while :; do sleep 0.1; done'],
  stop: { grace: '5s' },
};

describe.skipIf(missing !== null)('a stack that breaks while it serves', () => {
  let cluster: Cluster;
  let bench: Bench;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 3 });
    bench = new Bench(cluster);
  });

  beforeEach(() => bench.next());

  afterAll(async () => {
    await cluster?.stop();
    bench?.remove();
  });

  const scancel = (...args: readonly string[]): void => {
    spawnSync('scancel', args, { env: { ...process.env, ...cluster.env } });
  };
  const later = (fault: Record<string, string>): Record<string, string> => ({
    ...fault,
    FAULT_FILE: bench.trigger,
  });

  it('ends a sweep within seconds, with the level marked', async () => {
    const file = bench.file({
      frontend: SLOW_TOKENS,
      decode: { env: later({ FAULT: 'crash', FAULT_RANK: '1', FAULT_CODE: '7' }) },
    });
    const out = path.join(bench.dir, 'run');
    const running = bench.start([
      'sweep',
      `--stack=${file}`,
      '--no-preflight',
      `--out=${out}`,
      ...['--isl', '8', '--osl', '50', '--concurrency', '2,4', '--requests', '400', '--pause', '0s'],
      '--isl-counts=content',
    ]);
    const level = (): Report => JSON.parse(readFileSync(path.join(out, 'report.json'), 'utf8')) as Report;
    await bench.until(() => /\bC=2\b/.test(running.stderr()), running);
    const brokenMs = performance.now();
    writeFileSync(bench.trigger, '');
    // The level is over, though the teardown goes on.
    await bench.until(() => / done in .* failed/.test(running.stderr()), running);
    expect(performance.now() - brokenMs).toBeLessThan(15_000);
    const ended = await running.ended;
    const stack = path.join(out, 'stack');
    const why = bench.expectFailure(
      ended,
      { failureClass: 'rank-crash', step: 'decode-0', rank: 1, node: 'node3', exitCode: 7 },
      200,
      stack,
    );
    const report = level();
    expect(report.status).toBe('failed');
    expect(report.levels).toHaveLength(1);
    expect(report.levels[0]).toMatchObject({ concurrency: 2, status: 'partial' });
    expect(report.levels[0]!.statusReason).toContain(why.message);
  });

  it('tells that the frontend has died', async () => {
    const running = await bench.held({ frontend: { env: later({ FAULT: 'crash' }) } });
    writeFileSync(bench.trigger, '');
    const why = bench.expectFailure(await running.ended, {
      failureClass: 'crash',
      step: 'frontend-0',
      node: 'node1',
      exitCode: 101,
    });
    expect(why.message).toContain('panicked at');
  });

  it('tells that a service has ended, though with 0', async () => {
    const running = await bench.held({ prefill: { env: later({ FAULT: 'exit', FAULT_RANK: 'all' }) } });
    writeFileSync(bench.trigger, '');
    bench.expectFailure(await running.ended, { failureClass: 'exit', step: 'prefill-0', exitCode: 0 });
  });

  it('names the step that somebody cancelled', async () => {
    const running = await bench.held({});
    const step = cluster.steps().find(({ name }) => name.endsWith('.decode-0'))!;
    scancel(step.id);
    bench.expectFailure(await running.ended, { failureClass: 'cancelled', step: 'decode-0', node: 'node3' });
  });

  it('misses a worker that hangs with its step alive, though the other one serves', async () => {
    const hang = { FAULT: 'hang', FAULT_RANK: 'all' };
    const running = await bench.held({
      services: {
        spare: {
          role: 'decode',
          command: [WORKER],
          depends_on: [{ service: 'frontend' }],
          placement: { share: 'decode' },
          env: { DISAGGREGATION_MODE: 'decode', PLAIN_TERM: '1', ...later(hang) },
          ready: { all: [{ log: 'Model init total' }], interval: '200ms' },
          stop: { grace: '5s' },
        },
      },
      ready: {
        all: [{ instances: { component: 'backend', min: 2 } }, { model: { listed: true } }, { canary: {} }],
      },
    });
    writeFileSync(bench.trigger, '');
    const why = bench.expectFailure(await running.ended, { failureClass: 'lost' });
    expect(why.message).toContain('1 of 2 backend instances registered');
  });

  it('reports that the job was cancelled, with any last words of its services', async () => {
    const running = await bench.held({ services: { nats: NATS } });
    const { id } = cluster.jobs()[0]!;
    scancel(id);
    const why = bench.expectFailure(await running.ended, { failureClass: 'job-ended', step: null });
    expect(why.message).toContain(`job ${id} is over: it was cancelled`);
  });

  it('reports that a signal was sent to all of the job', async () => {
    const running = await bench.held({ services: { nats: NATS } });
    const { id } = cluster.jobs()[0]!;
    scancel('--signal=TERM', id);
    const why = bench.expectFailure(await running.ended, { failureClass: 'cancelled', step: null });
    expect(why.message).toContain(`all 4 steps of job ${id} were sent a signal`);
  });

  it('goes on without a service that is not critical, and warns', async () => {
    const sidecar = { role: 'sidecar', command: ['bash', '-c', 'echo gone >&2; exit 9'] };
    const running = await bench.held({ services: { sidecar } });
    await bench.until(() => bench.state().warnings.length > 0, running);
    const { phase, warnings, steps } = bench.state();
    expect(phase).toBe('ready');
    expect(warnings).toEqual([expect.stringMatching(/not critical.*sidecar-0.*code 9/)]);
    expect(steps.find(({ id }) => id === 'sidecar-0')).toMatchObject({ state: 'failed', exitCode: 9 });
    running.child.kill('SIGINT');
    expect((await running.ended).stderr).toContain('not critical');
    expect(bench.left()).toEqual([]);
  });

  it('tells that the time is over', async () => {
    const running = await bench.held({});
    const { id } = cluster.jobs()[0]!;
    const ends = spawnSync('scontrol', ['update', `JobId=${id}`, 'EndTime=now+1'], {
      env: { ...process.env, ...cluster.env },
      encoding: 'utf8',
    });
    expect(ends.stderr).toBe('');
    // The controller looks at the limits twice a minute.
    bench.expectFailure(await running.ended, { failureClass: 'time-limit' }, 200);
  });

  // The last: the node does not come back.
  it('names the node that failed', async () => {
    const running = await bench.held({});
    await cluster.killNode('node3');
    bench.expectFailure(await running.ended, {
      failureClass: 'node-failure',
      node: 'node3',
      step: 'decode-0',
    });
  });
});
