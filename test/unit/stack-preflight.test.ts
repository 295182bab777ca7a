import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlannedStep, StackPlan } from '../../src/stack/plan/planned.ts';
import { worstLevel } from '../../src/stack/preflight/findings.ts';
import { checkNode, nodeNeeds, type PreflightOptions } from '../../src/stack/preflight/preflight.ts';
import { type NodeFacts, parsePreflight } from '../../src/stack/preflight/preflight-facts.ts';
import { preflightScript } from '../../src/stack/preflight/preflight-script.ts';

const NO_OPTIONS: PreflightOptions = {
  paths: [],
  disks: [],
  ports: [],
  leastMemoryBytes: null,
  gpusPerNode: null,
  machine: null,
};

const step = (over: Partial<PlannedStep>): PlannedStep => ({
  id: 'prefill-0',
  service: 'prefill',
  replica: 0,
  role: 'prefill',
  nodes: ['n1'],
  tasks: 4,
  tasksPerNode: 4,
  stepName: 'r.prefill-0',
  argv: ['run.sh'],
  command: ['run.sh'],
  env: {},
  unset: [],
  workdir: null,
  logFile: '/run/prefill-0.log',
  srunLogFile: null,
  after: [],
  ready: [],
  loadedPattern: null,
  readyTimeoutMs: 1,
  importTimeoutMs: null,
  stallMs: 1,
  probeIntervalMs: 1,
  failOn: [],
  critical: true,
  exitZeroFails: true,
  stop: { signal: 'TERM', graceMs: 1 },
  ...over,
});

const plan = (steps: readonly PlannedStep[], over: Partial<StackPlan> = {}): StackPlan => ({
  schema: 1,
  run: 'r',
  name: 'n',
  mode: 'salloc',
  runDir: '/run',
  jobId: '1',
  nodes: ['n1', 'n2'],
  head: { node: 'n1', address: '10.0.0.1' },
  url: 'http://10.0.0.1:8000',
  servedModel: 'm',
  gpus: null,
  steps,
  ready: [],
  readyTimeoutMs: 1,
  readyIntervalMs: 1,
  watch: [],
  copies: [],
  cleanupGlobs: ['/dev/shm/moe_*'],
  warnings: [],
  ...over,
});

describe('the preflight script', () => {
  let dir: string;
  let server: Server;
  let port: number;
  beforeAll(async () => {
    dir = mkdtempSync(path.join(tmpdir(), "bench-pre flight '-"));
    writeFileSync(path.join(dir, 'moe_1'), '');
    writeFileSync(path.join(dir, 'run.sh'), '');
    server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    port = typeof address === 'object' && address !== null ? address.port : 0;
  });
  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve));
    rmSync(dir, { recursive: true });
  });

  const asked = (): string =>
    preflightScript({
      paths: [
        { path: dir, need: 'read' },
        { path: path.join(dir, 'nope'), need: 'read' },
        { path: path.join(dir, 'run.sh'), need: 'execute' },
      ],
      disks: [path.join(dir, 'not', 'yet')],
      ports: [port, 1],
      leftovers: [path.join(dir, 'moe_*'), path.join(dir, 'none_*')],
    });

  it.each(['bash', 'sh'])('tells the truth about this machine under %s', (shell) => {
    execFileSync(shell, ['-n', '-c', asked()]);
    const before = Date.now();
    const text = execFileSync(shell, ['-c', asked()], {
      encoding: 'utf8',
      env: { ...process.env, SLURMD_NODENAME: 'node7' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const after = Date.now();
    for (const line of text.trimEnd().split('\n')) expect(line).toMatch(/^\w+\t/);
    expect(text).toContain('node\tnode7\n');
    const facts = parsePreflight('node7', text);
    expect(facts.complete).toBe(true);
    expect(facts.host).toBe(execFileSync('uname', ['-n'], { encoding: 'utf8' }).trim());
    expect(facts.machine).toBe(execFileSync('uname', ['-m'], { encoding: 'utf8' }).trim());
    expect(facts.clockS! * 1000).toBeGreaterThanOrEqual(before - 1);
    expect(facts.clockS! * 1000).toBeLessThanOrEqual(after + 1);
    expect(facts.memoryTotalKb).toBeGreaterThan(facts.memoryFreeKb!);
    expect([...facts.paths]).toEqual([
      [dir, 'ok'],
      [path.join(dir, 'nope'), 'missing'],
      [path.join(dir, 'run.sh'), 'refused'],
    ]);
    expect(facts.diskFreeKb.get(path.join(dir, 'not', 'yet'))).toBeGreaterThan(0);
    expect(facts.leftovers).toEqual([path.join(dir, 'moe_1')]);
    expect(facts.listeners).toEqual([
      { port, address: '127.0.0.1', holder: expect.stringContaining(`${process.pid} `) },
    ]);
  }, 60_000);
});

/** As the script prints them on a node with two GPUs, one of them in use. */
const TOLD = `node\tn1
host\tn1.cluster
machine\taarch64
clock\t1000.500000000
address\t10.0.0.1
address\tfd00::1
memory_total_kb\t67108864
memory_free_kb\t33554432
memlock_kb\t8192
path\t/images/a.sqsh\tread\tok
path\t/model\tread\tmissing
path\t/home/u\tread\trefused
disk\t/scratch\t1048576
leftover\t/dev/shm/moe_3
listen\t8000\t00000000\t4711 python3 -m dynamo.frontend
listen\t2379\t0100007F
listen\t9000\t00000000000000000000000001000000\t7 x
listen\t9001\t0000000000000000FFFF00000500000A\t8 y
gpu\t0, NVIDIA GB200, 12, 189471, 570.86.15
gpu\t1, NVIDIA GB200, 90000, 189471, 570.86.15
gpu_clocks\t2062, 1965, 1200.00
gpu_clocks\t2062, [N/A], 1000.00
gpu_clocks\t2062, 1965, 1200.00
pyxis\tno
srun\tslurm 22.05.8
mpi\tnone
mpi\tpmi2
tool\tenroot\t3.5.0
done\tyes
`;

describe('the facts of a node', () => {
  const facts = parsePreflight('n1', TOLD);

  it('are read from what the script printed, with or without labels', () => {
    expect(facts).toMatchObject({
      host: 'n1.cluster',
      clockS: 1000.5,
      addresses: ['10.0.0.1', 'fd00::1'],
      memlockKb: '8192',
      pyxis: false,
      mpi: ['none', 'pmi2'],
      driver: '570.86.15',
      gpuClocks: '2062/1965 MHz, 1200 W; 2062/? MHz, 1000 W',
      tools: { enroot: '3.5.0' },
      gpus: [
        { index: 0, name: 'NVIDIA GB200', usedMiB: 12, totalMiB: 189471 },
        { index: 1, name: 'NVIDIA GB200', usedMiB: 90000, totalMiB: 189471 },
      ],
      complete: true,
    });
    expect(facts.listeners).toEqual([
      { port: 8000, address: '0.0.0.0', holder: '4711 python3 -m dynamo.frontend' },
      { port: 2379, address: '127.0.0.1', holder: null },
      { port: 9000, address: '::1', holder: '7 x' },
      { port: 9001, address: '10.0.0.5', holder: '8 y' },
    ]);
    expect(parsePreflight('n1', TOLD.replaceAll(/^/gm, '0: '))).toEqual(facts);
    expect(parsePreflight('n1', '').complete).toBe(false);
  });

  it('are held against what the plan needs', () => {
    const needs = nodeNeeds(
      plan(
        [
          step({
            argv: [
              'srun',
              '--mpi',
              'pmix',
              '--container-image=/images/a.sqsh',
              '--container-mounts',
              '/home/u:/mnt,/model:/model:ro',
              'run.sh',
            ],
            ready: [
              { kind: 'tcp', host: '10.0.0.1', port: 2379 },
              { kind: 'tcp', host: 'n2', port: 4222 },
            ],
          }),
        ],
        {},
      ),
      { ...NO_OPTIONS, paths: ['/weights'], disks: [{ folder: '/scratch', leastBytes: 2 * 2 ** 30 }] },
    );
    expect(needs[0]).toEqual({
      node: 'n1',
      asks: {
        paths: ['/images/a.sqsh', '/home/u', '/model', '/weights'].map((one) => ({
          path: one,
          need: 'read',
        })),
        disks: ['/scratch'],
        ports: [2379, 8000],
        leftovers: ['/dev/shm/moe_*'],
      },
      ports: [
        { port: 2379, address: '10.0.0.1' },
        { port: 8000, address: '10.0.0.1' },
      ],
      container: true,
      pmix: true,
      workers: true,
    });
    expect(needs[1]).toMatchObject({ node: 'n2', asks: { paths: [], ports: [4222] }, workers: false });

    const options: PreflightOptions = {
      ...NO_OPTIONS,
      disks: [{ folder: '/scratch', leastBytes: 2 * 2 ** 30 }],
      leastMemoryBytes: 40 * 2 ** 30,
      gpusPerNode: 4,
      machine: 'x86_64',
    };
    const found = checkNode(needs[0]!, facts, options, { askedMs: 998_000, toldMs: 999_000 });
    const told = found.map(({ level, what, value }) => `${level} ${what}: ${value}`);
    expect(told).toEqual([
      'ok path /images/a.sqsh: may read',
      'error path /home/u: may not read',
      'error path /model: does not exist',
      'warn path /weights: not looked at',
      'warn port 2379: taken on 127.0.0.1 by a process that cannot be seen from here (of another user, or in another namespace)',
      'error port 8000: taken on 0.0.0.0 by process 4711 python3 -m dynamo.frontend',
      'error disk /scratch: 1.0 GiB free',
      'error memory: 32.0 GiB of 64.0 GiB free',
      'error pyxis: not there',
      'error pmix: none, pmi2',
      'error architecture: aarch64',
      'warn locked memory: 8192 KiB',
      'error GPUs: 2 of 4',
      'warn GPU memory: 1: 90000 of 189471 MiB',
      'warn leftover /dev/shm/moe_3: there',
      'warn clock: off by at least 1500 ms',
    ]);
    for (const { level, hint, node } of found) {
      expect(node).toBe('n1');
      if (level === 'error') expect(hint).toEqual(expect.any(String));
    }
    expect(worstLevel(found)).toBe('error');
  });

  it('of a good node are all well', () => {
    const good: NodeFacts = parsePreflight(
      'n1',
      'host\tn1\nclock\t1000.5\nmachine\tx86_64\nmemory_total_kb\t9\nmemory_free_kb\t8\npyxis\tyes\nmpi\tpmix\npath\t/a.sqsh\tread\tok\ngpu\t0, H100, 0, 9, 5\ndone\tyes\n',
    );
    const argv = ['srun', '--mpi=pmix', '--container-image', '/a.sqsh', 'run.sh'];
    const [needs] = nodeNeeds(plan([step({ argv })]), NO_OPTIONS);
    const found = checkNode(needs!, good, NO_OPTIONS, { askedMs: 1_000_000, toldMs: 1_001_000 });
    expect(worstLevel(found)).toBe('ok');
    expect(found.map(({ what }) => what)).toEqual([
      'path /a.sqsh',
      'port 8000',
      'memory',
      'pyxis',
      'pmix',
      'architecture',
      'GPUs',
      'clock',
    ]);
    const cut = checkNode(needs!, { ...good, complete: false }, NO_OPTIONS);
    expect(cut[0]).toMatchObject({ level: 'error', what: 'preflight' });
  });

  it('of a step without container are its program and folder', () => {
    const own = step({ command: ['/opt/run', 'x'], argv: ['srun', '/opt/run', 'x'], workdir: '/work' });
    expect(nodeNeeds(plan([own]), NO_OPTIONS)[0]?.asks.paths).toEqual([
      { path: '/opt/run', need: 'execute' },
      { path: '/work', need: 'read' },
    ]);
  });
});
