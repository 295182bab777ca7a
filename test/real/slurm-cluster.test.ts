import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { buildSync } from 'esbuild';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { notRun } from './not-run.ts';
import { type Cluster, type ClusterOptions, slurmMissing, startCluster } from './slurm/cluster.ts';
import { leftovers, listeners } from './slurm/leftovers.ts';
import { rootMissing } from './slurm/root.ts';

const missing = notRun('the test cluster itself', slurmMissing());

const noRoot = missing === null ? notRun('nodes with addresses of their own', rootMissing()) : missing;

const PATIENCE = { timeout: 60_000, interval: 100 };
let cluster: Cluster | null = null;

async function start(options: ClusterOptions = {}): Promise<Cluster> {
  cluster = await startCluster(options);
  return cluster;
}

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function client(on: Cluster, argv: readonly string[], env: Readonly<Record<string, string>> = {}): Ran {
  return spawnSync(argv[0]!, argv.slice(1), {
    env: { ...process.env, ...on.env, ...env },
    encoding: 'utf8',
    timeout: 60_000,
  });
}

/** Whole nodes, kept until somebody cancels the job. */
function allocate(on: Cluster, nodes: number): string {
  const ran = client(on, ['salloc', '--no-shell', `-N${nodes}`]);
  const job = /Granted job allocation (\d+)/.exec(ran.stderr)?.[1];
  if (job === undefined) throw new Error(`no allocation: ${ran.stderr}`);
  return job;
}

/** What the kernel says of this host: command lines, without those of this test's own process and `ps`. */
function processes(): string {
  return execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' });
}

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

describe.skipIf(missing !== null)('a SLURM of several nodes on one machine', () => {
  it('has nodes with names and addresses of their own, on which steps of one job run side by side', async () => {
    const on = await start({ names: ['ptyche0336', 'ptyche0341'] });
    const job = allocate(on, 2);
    const step = (node: string): Promise<string> =>
      new Promise((resolve) => {
        const show = 'echo $SLURMD_NODENAME $(hostname) $(hostname -i) $SLURM_PROCID/$SLURM_NTASKS; sleep 1';
        const args = ['--overlap', '--jobid', job, '--nodelist', node, '-N1', '--ntasks-per-node=2'];
        const child = spawn('srun', [...args, 'bash', '-c', show], { env: { ...process.env, ...on.env } });
        let output = '';
        child.stdout.on('data', (chunk) => {
          output += chunk;
        });
        child.on('close', () => resolve(output));
      });
    const running = Promise.all(on.nodes.map(step));
    await vi.waitFor(
      () =>
        expect(
          on
            .steps()
            .map(({ nodes }) => nodes)
            .sort(),
        ).toEqual(['ptyche0336', 'ptyche0341']),
      { timeout: 10_000, interval: 20 },
    );
    expect(on.jobs()).toMatchObject([{ id: job, state: 'RUNNING', nodes: 'ptyche[0336,0341]' }]);
    const outputs = await running;
    for (const [index, node] of on.nodes.entries()) {
      const own = on.mode === 'ns' ? `${node} ${node} 127.0.0.${index + 2}` : node;
      const lines = outputs[index]!.trim().split('\n').sort();
      expect(lines).toHaveLength(2);
      expect(lines[0]).toContain(own);
      expect(lines.map((line) => line.split(' ').at(-1))).toEqual(['0/2', '1/2']);
      expect(on.addressOf(node)).toBe(on.mode === 'ns' ? `127.0.0.${index + 2}` : '127.0.0.1');
    }
    expect(() => on.addressOf('ptyche0337')).toThrow('no node ptyche0337');
  });

  it('answers a client on a node, has GPUs and a PMIx, and takes further lines of configuration', async () => {
    const on = await start({ nodes: 2, gpus: 4, extra: ['PartitionName=short Nodes=node1 MaxTime=1'] });
    const inner = "srun -N1 -n4 --mpi=pmix --gres=gpu:2 bash -c 'echo $PMIX_RANK $CUDA_VISIBLE_DEVICES'";
    const ran = client(on, [
      'srun',
      '-N1',
      '--overlap',
      '--gres=gpu:4',
      'bash',
      '-c',
      `SLURM_OVERLAP=1 ${inner}`,
    ]);
    expect(ran.stdout.trim().split('\n').sort(), ran.stderr).toEqual(['0 0,1', '1 0,1', '2 0,1', '3 0,1']);
    expect(client(on, ['sinfo', '-h', '-o', '%P %D']).stdout.trim().split('\n')).toEqual([
      'batch* 2',
      'short 1',
    ]);
  });

  it.skipIf(noRoot !== null)('loses a node as one, and SLURM sees it', async () => {
    const on = await start({ nodes: 2, nodeTimeout: 300 });
    const mark = `CLUSTER_TEST=${on.dir}`;
    const job = allocate(on, 2);
    const srun = spawn('srun', ['--jobid', job, '-N2', 'bash', '-c', 'setsid sleep 600 & sleep 601'], {
      env: { ...process.env, ...on.env, CLUSTER_TEST: on.dir },
    });
    let errors = '';
    srun.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    const closed = new Promise((resolve) => srun.once('close', resolve));
    const onNode = (seconds: number): number =>
      leftovers(mark).filter((line) => line.endsWith(`: sleep ${seconds}`)).length;
    await vi.waitFor(() => expect([onNode(600), onNode(601)]).toEqual([2, 2]), PATIENCE);
    await on.killNode('node2');
    expect([onNode(600), onNode(601)].every((count) => count <= 1)).toBe(true);
    await vi.waitFor(() => expect(errors).toMatch(/Node failure on node2/i), PATIENCE);
    await closed;
    await vi.waitFor(() => expect(on.jobs()).toEqual([]), PATIENCE);
  });

  const modes = noRoot === null ? (['ns', 'plain'] as const) : (['plain'] as const);
  it.each(modes)('comes and goes ten times without a trace, mode %s', async (mode) => {
    const mounts = readFileSync('/proc/mounts', 'utf8');
    const dirs: string[] = [];
    for (let cycle = 0; cycle < 10; cycle++) {
      const on = await start({ mode, plugin: true });
      dirs.push(on.dir);
      const job = allocate(on, 3);
      const stubborn = 'trap "" TERM; setsid sleep 600 & sleep 601 & wait; wait';
      const srun = spawn('srun', ['--jobid', job, '-N3', '--ntasks-per-node=2', 'bash', '-c', stubborn], {
        env: { ...process.env, ...on.env, CLUSTER_TEST: on.dir },
        stdio: 'ignore',
      });
      const ended = new Promise((resolve) => srun.once('close', resolve));
      await vi.waitFor(
        () => expect(leftovers(`CLUSTER_TEST=${on.dir}`).length).toBeGreaterThan(18),
        PATIENCE,
      );
      const ports = [...readFileSync(path.join(on.dir, 'slurm.conf'), 'utf8').matchAll(/Port=(\d+)/g)].map(
        (match) => Number(match[1]),
      );
      expect(listeners(ports)).toHaveLength(4);
      await on.stop();
      await ended;
      expect(leftovers(`CLUSTER_TEST=${on.dir}`)).toEqual([]);
      expect(leftovers(`BENCH_TEST_CLUSTER=${on.dir}`)).toEqual([]);
      expect(listeners(ports)).toEqual([]);
      expect(existsSync(on.dir)).toBe(false);
    }
    const seen = processes();
    expect(dirs.filter((dir) => seen.includes(dir))).toEqual([]);
    expect(readFileSync('/proc/mounts', 'utf8')).toBe(mounts);
  });

  it('goes with the process that started it, even when that is killed', async () => {
    const folder = path.join(import.meta.dirname, 'slurm');
    const { outputFiles } = buildSync({
      stdin: {
        contents: `import { startCluster } from './cluster.ts';
          console.log((await startCluster({ nodes: 2 })).dir);
          setInterval(() => {}, 1000);`,
        resolveDir: folder,
      },
      define: { 'import.meta.dirname': JSON.stringify(folder) },
      ...{ bundle: true, write: false, platform: 'node', format: 'esm' },
    });
    const child = spawn(process.execPath, ['--input-type=module', '-e', outputFiles[0]!.text], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const dir = await new Promise<string>((resolve) =>
      child.stdout.once('data', (data) => resolve(String(data).trim())),
    );
    expect(leftovers(`BENCH_TEST_CLUSTER=${dir}`).length).toBeGreaterThan(3);
    child.kill('SIGKILL');
    await vi.waitFor(() => expect(existsSync(dir)).toBe(false), PATIENCE);
    expect(leftovers(`BENCH_TEST_CLUSTER=${dir}`)).toEqual([]);
  });

  it('says why it does not come up, and leaves nothing', async () => {
    await expect(start({ extra: ['NoSuchKey=1'] })).rejects.toThrow(/NoSuchKey/);
  });
});
