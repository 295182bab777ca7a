import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { notRun } from './not-run.ts';
import { type Cluster, slurmMissing, startCluster } from './slurm/cluster.ts';
import { leftovers } from './slurm/leftovers.ts';

const missing = notRun('the imitated stack on a real SLURM', slurmMissing());

const folder = path.join(import.meta.dirname, '../fixtures/stack-workload');
const PATIENCE = { timeout: 60_000, interval: 50 };
const PORTS = { DYN_HTTP_PORT: '18431', ETCD_PORT: '18432', NATS_PORT: '18433' };

interface Running {
  readonly child: ChildProcess;
  output(): string;
  readonly exit: Promise<number | null>;
}

describe.skipIf(missing !== null)('the imitated stack', () => {
  let work: string;
  let cluster: Cluster;
  let job: string;
  let share: string;

  beforeAll(async () => {
    work = mkdtempSync(path.join(tmpdir(), 'bench-workload-'));
    cluster = await startCluster({ nodes: 3 });
    const salloc = run('salloc', ['--no-shell', '-N3'], {});
    await salloc.exit;
    job = /allocation (\d+)/.exec(salloc.output())![1]!;
  });

  beforeEach(() => {
    share = mkdtempSync(path.join(work, 'share-'));
  });

  afterAll(async () => {
    await cluster?.stop();
    if (work) rmSync(work, { recursive: true, force: true });
  });

  function run(command: string, args: readonly string[], env: Readonly<Record<string, string>>): Running {
    const child = spawn(command, args, {
      env: { ...process.env, ...cluster.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output += chunk;
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    return { child, output: () => output, exit: new Promise((resolve) => child.once('close', resolve)) };
  }

  /** A step of several ranks on one node, numbered from 1. */
  function step(node: number, tasks: number, script: string, env: Readonly<Record<string, string>>): Running {
    const args = ['--jobid', job, '--overlap', '--nodelist', `node${node}`, '-N1', `-n${tasks}`, '--label'];
    const srun = [...args, '--kill-on-bad-exit=1', '--input=none', path.join(folder, script)];
    return run('srun', srun, { STACK_DIR: share, LIFETIME_S: '120', ...env });
  }

  const url = (at: string): string => `http://${cluster.addressOf('node1')}:${PORTS.DYN_HTTP_PORT}${at}`;
  const listed = async (): Promise<string[]> => {
    const models = (await (await fetch(url('/v1/models'))).json()) as { data: { id: string }[] };
    return models.data.map(({ id }) => id);
  };
  const chat = (): Promise<Response> =>
    fetch(url('/v1/chat/completions'), {
      method: 'POST',
      body: JSON.stringify({ model: 'm', stream: true, max_tokens: 3, messages: [] }),
    });
  const terminate = async (): Promise<void> => {
    for (const { id } of cluster.steps()) await run('scancel', ['--ctld', '--signal=TERM', id], {}).exit;
  };

  it('serves once prefill and decode have loaded on every rank, and ends gracefully', async () => {
    const mark = { WORKLOAD_TEST: share, SERVED_MODEL_NAME: 'm' };
    const frontend = step(1, 1, 'frontend.mjs', { ...PORTS, ...mark });
    const decode = step(3, 4, 'worker.sh', { ...mark, DISAGGREGATION_MODE: 'decode', WORKER_PORT: '18434' });
    await vi.waitFor(async () => expect((await chat()).status).toBe(503), PATIENCE);
    expect(await listed()).toEqual([]);
    const prefill = step(2, 4, 'worker.sh', { ...mark, DISAGGREGATION_MODE: 'prefill' });
    await vi.waitFor(async () => expect(await listed()).toEqual(['m']), PATIENCE);

    const text = await (await chat()).text();
    expect(text.match(/"content":" word"/g)).toHaveLength(3);
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
    const host = cluster.addressOf('node1');
    expect(await (await fetch(`http://${host}:${PORTS.ETCD_PORT}/health`)).json()).toEqual({
      health: 'true',
    });
    const info = await new Promise<string>((resolve) => {
      const socket = connect(Number(PORTS.NATS_PORT), host);
      socket.once('data', (data) => {
        socket.destroy();
        resolve(String(data));
      });
    });
    expect(info).toMatch(/^INFO \{.*\} \r\n$/);
    for (const worker of [prefill, decode]) {
      await vi.waitFor(() => expect(worker.output().match(/Model init total/g)).toHaveLength(4), PATIENCE);
      expect(worker.output()).toContain('rank0 run mgmn leader node with mpi_world_size: 4');
    }
    expect(frontend.output()).toContain('Prefill router activated successfully');
    const ports = leftovers(`WORKLOAD_TEST=${share}`).flatMap((line) => line.match(/:(184\d\d)\b/g) ?? []);
    expect([...new Set(ports)].sort()).toEqual([':18431', ':18432', ':18433', ':18434']);

    await terminate();
    expect(await Promise.all([frontend, prefill, decode].map(({ exit }) => exit))).toEqual([0, 0, 0]);
    await vi.waitFor(() => expect(leftovers(`WORKLOAD_TEST=${share}`)).toEqual([]), PATIENCE);
  });

  it.each([
    [{ FAULT: 'crash', FAULT_CODE: '7' }, 7, /task 2: Exited with exit code 7/],
    [{ FAULT: 'crash', FAULT_CODE: '7', PLAIN_TERM: '1' }, 143, /task 2: Exited with exit code 7/],
    [{ FAULT: 'kill' }, 137, /task 2: Killed/],
    [{ FAULT: 'host-oom' }, 137, /2: .*oom_kill/],
  ])('breaks at a rank: %j', async (fault, code, line) => {
    const worker = step(2, 4, 'worker.sh', { FAULT_RANK: '2', FAULT_AFTER_S: '0.5', ...fault });
    expect(await worker.exit).toBe(code);
    expect(worker.output()).toMatch(line);
  });

  it.each([
    [{ FAULT: 'traceback' }, /^0: Traceback/m],
    [{ FAULT: 'cuda-oom' }, /^0: torch\.OutOfMemoryError: CUDA out of memory/m],
  ])('breaks without an end: %j', async (fault, line) => {
    const worker = step(2, 2, 'worker.sh', fault);
    await vi.waitFor(() => expect(worker.output()).toMatch(line), PATIENCE);
    await vi.waitFor(() => expect(worker.output()).toMatch(/^1: Model init total/m), PATIENCE);
    expect(worker.child.exitCode).toBeNull();
    expect(worker.output()).not.toMatch(/^0: Model init total/m);
    await terminate();
    expect(await worker.exit).toBe(0);
  });

  it('breaks when a file appears, and finds a taken port', async () => {
    const signal = path.join(share, 'now');
    const frontend = step(1, 1, 'frontend.mjs', { ...PORTS, FAULT: 'crash', FAULT_FILE: signal });
    await vi.waitFor(async () => expect((await fetch(url('/live'))).status).toBe(200), PATIENCE);
    const host = cluster.addressOf('node1');
    const second = step(2, 1, 'frontend.mjs', { ...PORTS, LISTEN_HOST: host });
    const worker = step(3, 2, 'worker.sh', { WORKER_PORT: PORTS.DYN_HTTP_PORT, LISTEN_HOST: host });
    expect(await second.exit).toBe(1);
    expect(second.output()).toContain('port 18431 already in use');
    expect(second.output()).toMatch(/listen tcp .*:18432: bind: address already in use/);
    expect(second.output()).toContain('[FTL] Error listening on port');
    expect(await worker.exit).toBe(1);
    expect(worker.output()).toContain('address already in use');
    writeFileSync(signal, '');
    expect(await frontend.exit).toBe(101);
    expect(frontend.output()).toContain('panicked at');
  });

  it('ends when its step is cancelled, even where it ignores TERM', async () => {
    const mark = `WORKLOAD_TEST=${share}`;
    const worker = step(2, 2, 'worker.sh', { WORKLOAD_TEST: share, IGNORE_TERM: '1', WORKER_PORT: '18434' });
    await vi.waitFor(() => expect(worker.output().match(/Model init total/g)).toHaveLength(2), PATIENCE);
    await terminate();
    expect(leftovers(mark).some((line) => line.includes('worker.sh'))).toBe(true);
    for (const { id } of cluster.steps()) await run('scancel', [id], {}).exit;
    expect(await worker.exit).toBe(137);
    await vi.waitFor(() => expect(leftovers(mark)).toEqual([]), PATIENCE);
  });
});
