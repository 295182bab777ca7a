import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { StackEvent } from '../../src/stack/launch/state.ts';
import type { StackPlan } from '../../src/stack/plan/planned.ts';
import { bench, newOut, onlyLevel, type Run, readRun, startBench } from '../fixtures/cli.ts';
import {
  mockerStack,
  PATIENCE,
  type Rig,
  shippedStack,
  stackMissing,
  startRig,
  startSweep,
  stateOf,
  untilReady,
} from './stack-rig.ts';

const missing = stackMissing('a stack of Dynamo on SLURM', 'dynamo');
const SHAPE = ['--isl', '200', '--osl', '40', '--warmup', '0', '--pause', '0s'];
const LOAD = [...SHAPE, '--concurrency', '2,4', '--require-exact'];

/** Every request is on record, ended well, and was as long as asked by the server's own count. */
function expectWhole(run: Run, concurrencies: readonly number[]): void {
  const { report, records } = run;
  expect(report.status).toBe('complete');
  expect(report.levels.map(({ concurrency, status }) => [concurrency, status])).toEqual(
    concurrencies.map((concurrency) => [concurrency, 'complete']),
  );
  for (const { requests, concurrency, islProof, oslProof } of report.levels) {
    const sent = 4 * concurrency;
    expect(requests).toMatchObject({ sent, good: sent, failed: 0 });
    expect(islProof).toMatchObject({ asked: 200, provenByUsage: sent, deviations: 0, unknown: 0 });
    expect(oslProof).toMatchObject({ asked: 40, provenByUsage: sent, deviations: 0, unknown: 0 });
  }
  expect(records).toHaveLength(concurrencies.reduce((sum, concurrency) => sum + 4 * concurrency, 0));
  for (const { isl, osl, outcome } of records)
    expect([outcome, isl.counted, isl.by, osl.counted, osl.by]).toEqual(['good', 200, 'usage', 40, 'usage']);
}

describe.skipIf(missing !== null)('a Dynamo of real parts on three nodes', () => {
  let rig: Rig;
  let file: string;

  beforeAll(async () => {
    rig = await startRig();
    file = mockerStack(rig);
  });

  afterAll(async () => {
    await rig?.stop();
  });

  it('is launched in a batch job, measured and torn down by one command', async () => {
    // The job's own process is on the node whose files are removed before it ends.
    const batch = mockerStack(rig, 'sbatch');
    const { out, dir, running } = startSweep(rig, [...LOAD, '--stack', batch]);
    const state = await untilReady(dir, running);
    const steps = rig.cluster.steps();
    const ended = await running.ended;
    expect(ended.code, ended.stderr).toBe(0);
    await rig.nothingLeft([dir]);
    const run = readRun(out);
    expectWhole(run, [2, 4]);

    const plan = JSON.parse(readFileSync(path.join(dir, 'resolved.json'), 'utf8')) as StackPlan;
    const nodeOf = (id: string): readonly string[] => plan.steps.find((step) => step.id === id)!.nodes;
    const names = ['etcd-0', 'nats-0', 'frontend-0', 'prefill-0', 'decode-0'];
    expect(names.map(nodeOf)).toEqual([['node1'], ['node1'], ['node1'], ['node2'], ['node3']]);
    // SLURM itself had each step where the plan has it, under the name that the plan gives it.
    expect(steps.map(({ name, nodes }) => `${name} ${nodes}`).sort()).toEqual(
      plan.steps.map(({ stepName, nodes }) => `${stepName} ${nodes.join(',')}`).sort(),
    );

    expect(run.report.stack).toMatchObject({
      name: 'mocker-test',
      run: plan.run,
      mode: 'sbatch',
      jobId: state.job!.id,
      nodes: ['node1', 'node2', 'node3'],
      failure: null,
    });
    const { startupS } = run.report.stack!;
    const order = ['etcd-0.ready', 'frontend-0.ready', 'decode-0.ready', 'stack.ready'].map(
      (k) => startupS[k]!,
    );
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(order[0]).toBeGreaterThan(0);
    expect(run.report.target.urls).toEqual([plan.url]);
    expect(ended.stdout).toContain(`mocker-test (job ${state.job!.id} on node1, node2, node3), ready after`);

    // What was launched, and how it came up, is kept with the results.
    expect(readFileSync(path.join(dir, 'stack.yaml'), 'utf8')).toBe(readFileSync(batch, 'utf8'));
    expect(readdirSync(path.join(dir, 'engine'))).toEqual(['decode-decode-engine.json']);
    expect(
      JSON.parse(readFileSync(path.join(dir, 'engine/decode-decode-engine.json'), 'utf8')),
    ).toMatchObject({
      worker_type: 'Decode',
    });
    expect(readFileSync(path.join(dir, 'plan.sh'), 'utf8')).toContain('dynamo.mocker');
    const events = readFileSync(path.join(dir, 'events.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as StackEvent);
    for (const id of names) {
      const states = events.flatMap(({ subject, from, to }) => (subject === id && from !== null ? [to] : []));
      expect(states[0]).toBe('submitted');
      expect(states.slice(-3)).toEqual(['ready', 'stopping', 'ended']);
    }
    expect(events.at(-1)).toMatchObject({ subject: 'stack', to: 'stopped', evidence: 'nothing is left' });
    // The first tokens of a stream came through the prefill worker.
    expect(readFileSync(path.join(dir, 'logs/prefill-0.log'), 'utf8')).toContain('request completed');
  });

  it('as it ships is attached to a job, and may be kept up; its steps go, the job stays', async () => {
    const job = /job allocation (\d+)/.exec(rig.client(['salloc', '--no-shell', '-N2']))![1]!;
    const shipped = shippedStack(rig);
    const options = { ...rig.options, env: { ...rig.options.env, ...shipped.env, SLURM_JOB_ID: job } };
    const sweep = startSweep(
      rig,
      [...SHAPE, '--concurrency', '2', '--stack', shipped.file, '--keep'],
      options,
    );
    const ended = await sweep.running.ended;
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stderr).toContain(`the stack stays up: bench sweep --stack-run ${sweep.dir}`);
    const run = readRun(sweep.out);
    expectWhole(run, [2]);
    expect(run.report.stack).toMatchObject({ mode: 'attach', jobId: job, nodes: ['node1', 'node2'] });
    expect(
      rig.cluster
        .steps()
        .map(({ name, nodes }) => `${name.replace(/^.*\./, '')} ${nodes}`)
        .sort(),
    ).toEqual(['decode-0 node2', 'etcd-0 node1', 'frontend-0 node1', 'nats-0 node1', 'prefill-0 node1']);

    const down = await bench(['stack', 'down', sweep.dir], options);
    expect(down.code, down.stderr).toBe(0);
    await rig.nothingLeft([sweep.dir], job);
    expect(rig.cluster.jobs()).toEqual([expect.objectContaining({ id: job, state: 'RUNNING' })]);
    rig.client(['scancel', job]);
    await rig.nothingLeft([]);
  });

  describe('that was left to its supervisor', () => {
    let dir: string;
    let urls: readonly string[];

    beforeAll(async () => {
      dir = newOut();
      const up = startBench(['stack', 'up', file, '--detach', '--out', dir], rig.options);
      const ended = await up.ended;
      expect(ended.code, ended.stderr).toBe(0);
      urls = [stateOf(dir).url!];
      expect(ended.stdout).toContain(`url:   ${urls[0]}\nmodel: mocker\n`);
    });

    /** A sweep of the stack that is up. */
    async function sweep(args: readonly string[]): Promise<{ run: Run; stdout: string }> {
      const out = newOut();
      const command = ['sweep', ...SHAPE, '--stack-run', dir, '--out', out, ...args];
      const ended = await startBench(command, rig.options).ended;
      expect(ended.code, ended.stderr).toBe(0);
      return { run: readRun(out), stdout: ended.stdout };
    }

    it('tells how it is, and is measured again and again', async () => {
      const status = await bench(['stack', 'status', dir], rig.options);
      expect(status.code).toBe(0);
      expect(status.stdout).toMatch(/^stack mocker-test {2}ready {2}\(job \d+ on node1, node2, node3/);
      for (const service of ['etcd-0', 'nats-0', 'frontend-0', 'prefill-0', 'decode-0'])
        expect(status.stdout).toMatch(new RegExp(`✓ ${service} +ready`));
      const first = await sweep(['--concurrency', '2,4']);
      const second = await sweep(['--concurrency', '4']);
      expectWhole(first.run, [2, 4]);
      expectWhole(second.run, [4]);
      expect(second.run.report.stack!.run).toBe(first.run.report.stack!.run);
      // No prompt of the first run came again: the mocker caches prefixes.
      expect(onlyLevel(second.run).witness).toMatchObject({ reason: null });
      const { roundTripMs } = second.run.report.target;
      expect(roundTripMs).toBeGreaterThan(0);
      expect(second.stdout).toContain(`ms from ${second.run.report.provenance.host}`);
    });

    it('is loaded from its head node', async () => {
      const { run, stdout } = await sweep(['--concurrency', '2,4', '--load-on', 'head']);
      expectWhole(run, [2, 4]);
      const host = rig.cluster.mode === 'ns' ? 'node1' : run.report.provenance.host;
      expect(run.report.provenance.host).toBe(host);
      expect(run.report.provenance.slurm).toMatchObject({ SLURM_JOB_ID: stateOf(dir).job!.id });
      expect(run.report.target).toMatchObject({ urls, roundTripMs: expect.any(Number) });
      expect(stdout).toMatch(new RegExp(`round trip [\\d.]+ ms from ${host}`));
    });

    it('is loaded by four processes on two of its nodes', async () => {
      const spread = ['--load-nodes', '2', '--load-tasks', '4'];
      const { run } = await sweep(['--concurrency', '2,4', ...spread]);
      expectWhole(run, [2, 4]);
      const ranks = run.report.levels[1]!.ranks!;
      expect(ranks.map(({ rank, requests }) => [rank, requests])).toEqual(
        [0, 1, 2, 3].map((rank) => [rank, 4]),
      );
      if (rig.cluster.mode === 'ns') expect(new Set(ranks.map(({ host }) => host)).size).toBe(2);
      // The job is the stack's: nothing around the command says so.
      expect(rig.options.env).not.toHaveProperty('SLURM_JOB_ID');
    });

    it('shows the output of its tasks, and blames none of them for the end of its job', async () => {
      const logs = await bench(['stack', 'logs', 'frontend', '--run', dir], rig.options);
      expect(logs.code).toBe(0);
      const lines = logs.stdout.trimEnd().split('\n');
      expect(lines.every((line) => line.startsWith('frontend-0 | '))).toBe(true);
      expect(logs.stdout).toContain('model=mocker endpoint=chat_completions request_type=stream');
      expect(await bench(['stack', 'logs', 'nobody', '--run', dir], rig.options)).toMatchObject({ code: 2 });

      const { job } = stateOf(dir);
      rig.client(['scancel', job!.id]);
      await vi.waitFor(() => expect(stateOf(dir).phase).toBe('stopped'), PATIENCE);
      expect(stateOf(dir).why).toMatchObject({
        failureClass: 'job-ended',
        message: `job ${job!.id} is over: it was cancelled (CANCELLED)`,
        step: null,
      });
      // The files of etcd and NATS are removed though their job has ended.
      await rig.nothingLeft([dir]);
      const down = await bench(['stack', 'down', dir], rig.options);
      expect(down.code, down.stderr).toBe(0);
      expect(down.stdout).toContain('stack mocker-test is down: no step, no job of ours, no process is left');
      const status = await bench(['stack', 'status', dir], rig.options);
      expect([status.code, status.stdout]).toEqual([
        4,
        expect.stringContaining('stack mocker-test  stopped'),
      ]);
      const again = startSweep(rig, [...LOAD, '--stack-run', dir]);
      expect((await again.running.ended).code).toBe(4);
      expect(existsSync(again.out)).toBe(false);
    });
  });
});
