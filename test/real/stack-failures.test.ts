import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { notRun } from './not-run.ts';
import { type Cluster, slurmMissing, startCluster } from './slurm/cluster.ts';
import { Bench, PORTS, type StackChange, WORKER } from './stack-bench.ts';

const missing = notRun("failures of a stack's launch", slurmMissing());

const SECOND_FAILS = `[ \${service.index} = 0 ] || export FAULT=never-register; exec ${WORKER}`;
const IN_CONTAINER = { runtime: 'pyxis', image: 'some/image:1' };

describe.skipIf(missing !== null)('a launch that fails', () => {
  let cluster: Cluster;
  let bench: Bench;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 3, plugin: 'fail_image=no/such' });
    bench = new Bench(cluster);
  });

  beforeEach(() => bench.next());

  afterAll(async () => {
    await cluster?.stop();
    bench?.remove();
  });

  describe('for want of nodes', () => {
    it('does not wait for more nodes than there are', async () => {
      const ended = await bench.up({ cluster: { nodes: 9 } });
      const why = bench.expectFailure(ended, { failureClass: 'job-pending', step: null });
      expect(why.message).toContain('PartitionNodeLimit');
    });

    it('waits for busy nodes as long as it may', async () => {
      const args = ['--no-shell', '-N3', '--job-name=other'];
      const held = spawnSync('salloc', args, { env: { ...process.env, ...cluster.env }, encoding: 'utf8' });
      const other = /allocation (\d+)/.exec(held.stderr)![1]!;
      const ended = await bench.up({ cluster: { pending_timeout: '2s' } });
      expect(cluster.jobs().map(({ name }) => name)).toEqual(['other']);
      spawnSync('scancel', [other], { env: { ...process.env, ...cluster.env } });
      await expect.poll(() => cluster.jobs(), { timeout: 20_000 }).toEqual([]);
      const why = bench.expectFailure(ended, { failureClass: 'job-pending', step: null });
      expect(why.message).toMatch(/has not started in \d s: .*\((Resources|Priority)\)/);
    });

    it('tells a partition that there is not', async () => {
      const ended = await bench.up({ cluster: { partition: 'no-such' } });
      const why = bench.expectFailure(ended, { failureClass: 'allocation-refused', exitCode: 1 });
      expect(why.message).toMatch(/partition/i);
      expect(why.hint).toContain('sinfo');
    });
  });

  it('is no launch at all when the file is wrong', async () => {
    const ended = await bench.up({ cluster: { partitoin: 'batch' } });
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining('partition')]);
    expect(bench.left()).toEqual([]);
  });

  describe('before any task runs', () => {
    it('names an image that cannot be imported', async () => {
      const ended = await bench.up({
        container: { ...IN_CONTAINER, image: 'registry/no/such:1' },
        frontend: { container: false },
      });
      const why = bench.expectFailure(ended, {
        failureClass: 'image',
        step: expect.stringMatching(/^(prefill|decode)-0$/),
      });
      expect(why.message).toContain('registry/no/such:1');
      expect(why.evidence!.line).toContain('failed to import docker image');
    });

    it('names a mount whose source is missing: preflight, or the container itself', async () => {
      const container = { ...IN_CONTAINER, mounts: ['/no/such/source:/mnt'] };
      const looked = await bench.up({ container });
      const found = bench.expectFailure(looked, { failureClass: 'preflight', node: 'node1' });
      expect(found.message).toContain('/no/such/source');
      bench.next();
      const ended = await bench.up({ container }, '--no-preflight');
      const why = bench.expectFailure(ended, { failureClass: 'mount', step: 'frontend-0', node: 'node1' });
      expect(why.message).toContain('/no/such/source');
    });

    it('names a program that is not there, and one that is not executable', async () => {
      const command = [path.join(bench.work, 'no-such.sh')];
      const gone = await bench.up({ decode: { command } }, '--no-preflight');
      const why = bench.expectFailure(gone, {
        failureClass: 'missing-path',
        step: 'decode-0',
        node: 'node3',
      });
      expect(why.message).toContain('no-such.sh');
      bench.next();
      const script = path.join(bench.work, 'plain.sh');
      writeFileSync(script, '#!/bin/sh\n', { mode: 0o644 });
      const looked = await bench.up({ decode: { command: [script] } });
      bench.expectFailure(looked, { failureClass: 'preflight', node: 'node3' });
      bench.next();
      const refused = await bench.up({ decode: { command: [script] } }, '--no-preflight');
      bench.expectFailure(refused, { failureClass: 'not-executable', step: 'decode-0', node: 'node3' });
    });

    it('tells of a taken port: preflight, or the service itself', async () => {
      const holder = createServer((socket) => socket.destroy());
      const host = cluster.addressOf('node1');
      await new Promise<void>((resolve) => holder.listen(PORTS.http, host, resolve));
      try {
        const looked = await bench.up({});
        bench.next();
        const ended = await bench.up({}, '--no-preflight');
        await new Promise((resolve) => holder.close(resolve));
        const why = bench.expectFailure(ended, {
          failureClass: 'port-taken',
          step: 'frontend-0',
          node: 'node1',
          exitCode: 1,
        });
        expect(why.evidence!.line).toContain(String(PORTS.http));
        expect(looked.code).toBe(4);
        expect(looked.stderr).toContain(`port ${PORTS.http}: taken on ${host}`);
      } finally {
        holder.close();
      }
    });
  });

  it('tells of a step that asks for more than a node has', async () => {
    const ended = await bench.up(
      // The job has so many CPUs, but no node of it.
      { prefill: { ntasks_per_node: 1, srun: { cpus_per_task: 20 } } },
      '--no-preflight',
    );
    const why = bench.expectFailure(ended, { failureClass: 'step-refused', step: 'prefill-0' });
    expect(why.message).toContain('More processors requested than permitted');
  });

  describe('while it loads', () => {
    it.each<[string, Record<string, string>, string, number | null, number | null]>([
      ['a rank that ends', { FAULT: 'crash', FAULT_RANK: '2' }, 'rank-crash', 2, 3],
      ['a rank that is killed', { FAULT: 'kill', FAULT_RANK: '1' }, 'rank-crash', 1, 137],
      ['a rank that ends with 0', { FAULT: 'exit', FAULT_RANK: 'all' }, 'exit', null, 0],
      ['rank 0 dead inside of its launcher', { FAULT: 'traceback' }, 'launcher-crash', 0, null],
      ['the want of GPU memory', { FAULT: 'cuda-oom' }, 'cuda-oom', 0, null],
      ['the want of host memory', { FAULT: 'host-oom', FAULT_RANK: '1' }, 'host-oom', 1, 137],
    ])('finds %s', async (_, env, failureClass, rank, exitCode) => {
      const ended = await bench.up({ decode: { env: { ...env, LOAD_S: '60' } } }, '--no-preflight');
      const why = bench.expectFailure(ended, {
        failureClass,
        step: 'decode-0',
        rank,
        exitCode,
        node: 'node3',
      });
      expect(why.evidence!.before.length).toBeGreaterThan(0);
      expect(why.logFile).toMatch(/decode-0\.(srun\.)?log$/);
    });
  });

  describe('for it never serves', () => {
    const ready = { timeout: '6s' };
    it.each<[string, string, string | null, StackChange]>([
      [
        'that registers nothing',
        'model-not-listed',
        'frontend-0',
        { prefill: { env: { FAULT: 'never-register' } }, decode: { env: { FAULT: 'never-register' } } },
      ],
      ['without prefill', 'prefill-missing', 'prefill-0', { prefill: { env: { FAULT: 'never-register' } } }],
      [
        'with one of two replicas',
        'instances-missing',
        null,
        {
          prefill: { placement: { share: 'frontend' } },
          decode: {
            replicas: 2,
            command: ['bash', '-c', SECOND_FAILS],
          },
          ready: { ...ready, all: [{ instances: { component: 'backend', min: 2 } }] },
        },
      ],
      [
        'that answers without tokens',
        'canary-failed',
        'frontend-0',
        { frontend: { env: { FAULT: 'no-tokens' } } },
      ],
      [
        'whose model is not listed',
        'model-not-listed',
        'frontend-0',
        { frontend: { env: { FAULT: 'unlisted' } } },
      ],
    ])('tells of a stack %s', async (_, failureClass, step, change) => {
      const ended = await bench.up({ ready, ...change }, '--no-preflight');
      bench.expectFailure(ended, { failureClass, step });
    });
  });
});
