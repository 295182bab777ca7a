import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, vi } from 'vitest';
import type { StackState } from '../../src/stack/launch/state.ts';
import { type BenchOptions, MAIN, newOut, type Running, startBench } from '../fixtures/cli.ts';
import { dynamoMissing, dynamoPython, freePorts, makeModelDir } from './dynamo.ts';
import { notRun } from './not-run.ts';
import { type Cluster, slurmMissing, startCluster } from './slurm/cluster.ts';
import { leftovers, listeners } from './slurm/leftovers.ts';

/** How long a thing may take on a machine that has other things to do. */
export const PATIENCE = { timeout: 90_000, interval: 200 };
const WORKLOAD = path.join(import.meta.dirname, '../fixtures/stack-workload');

/** Why stacks cannot be tested here, in one line; null when they can. In CI, where all must be there, it throws. */
export function stackMissing(what: string, needs: 'slurm' | 'dynamo'): string | null {
  const found = (name: string): boolean =>
    [...process.env['PATH']!.split(':'), '/usr/sbin', '/sbin'].some((dir) =>
      existsSync(path.join(dir, name)),
    );
  const servers = ['etcd', 'nats-server'].filter((name) => !found(name));
  const missing =
    slurmMissing() ??
    (needs === 'slurm'
      ? null
      : servers.length > 0
        ? `no ${servers.join(', ')}; apt-get install etcd-server nats-server`
        : dynamoMissing());
  return notRun(what, missing);
}

/** A SLURM of three nodes with what is needed to launch stacks on it, and to see what they leave. */
export interface Rig {
  readonly cluster: Cluster;
  /** Folder that goes away with the rig. */
  readonly work: string;
  /** For bench as a user of the cluster; the environment goes on into all that is started. */
  readonly options: BenchOptions;
  /** All ports that the rig's stacks listen on. */
  readonly ports: readonly number[];
  /** Writes a stack file and gives its path. */
  write(name: string, text: string): string;
  /** A SLURM client as that user; gives what it printed on both streams. Throws when it fails. */
  client(argv: readonly string[]): string;
  /** What runs with the rig's mark: processes of bench, of srun, and of the steps. */
  running(): string[];
  /** Resolves when nothing of the stacks in these folders is left but the job that is named, if any. */
  nothingLeft(dirs: readonly string[], job?: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startRig(): Promise<Rig> {
  const work = mkdtempSync(path.join(tmpdir(), 'bench-rig-'));
  const cluster = await startCluster({ nodes: 3 });
  const name = 'BENCH_TEST_STACK';
  const mark = `${name}=${randomBytes(6).toString('hex')}`;
  const env = { ...cluster.env, [name]: mark.split('=')[1]!, BENCH_DYNAMO_PYTHON: dynamoPython() };
  const ports = await freePorts(9);
  const running = (): string[] => leftovers(mark);
  return {
    cluster,
    work,
    options: { env, serves: true, cwd: work },
    ports,
    write(file, text) {
      writeFileSync(path.join(work, file), text);
      return path.join(work, file);
    },
    client(argv) {
      const child = { cwd: work, env: { ...process.env, ...env }, encoding: 'utf8' } as const;
      // salloc tells the job's number on standard error.
      return execFileSync('bash', ['-c', '"$@" 2>&1', 'bash', ...argv], child);
    },
    running,
    async nothingLeft(dirs, job) {
      const runs = dirs
        .filter((dir) => existsSync(path.join(dir, 'state.json')))
        .map((dir) => stateOf(dir).run);
      const left = (): unknown => ({
        processes: running(),
        jobs: cluster.jobs().map(({ id }) => id),
        steps: cluster.steps(),
        ports: listeners(ports),
        files: ['/tmp', '/dev/shm'].flatMap((dir) =>
          readdirSync(dir).filter((file) => runs.some((run) => file.includes(run))),
        ),
      });
      const nothing = {
        processes: [],
        jobs: job === undefined ? [] : [job],
        steps: [],
        ports: [],
        files: [],
      };
      await vi.waitFor(() => expect(left()).toEqual(nothing), { timeout: 20_000, interval: 250 });
    },
    async stop() {
      await cluster.stop();
      rmSync(work, { recursive: true, force: true });
    },
  };
}

/** State of the stack in a folder. */
export function stateOf(dir: string): StackState {
  return JSON.parse(readFileSync(path.join(dir, 'state.json'), 'utf8')) as StackState;
}

/** Resolves with the state of a stack that a command brings up, once it is ready; rejects with the command's words. */
export async function untilReady(dir: string, command: Running): Promise<StackState> {
  const ended = command.ended.then(({ code, stderr }) => {
    throw new Error(`bench ended with ${code}:\n${stderr}`);
  });
  const ready = vi.waitFor(() => {
    const state = stateOf(dir);
    expect(state.phase, state.waitingFor.join('; ')).toBe('ready');
    return state;
  }, PATIENCE);
  return Promise.race([ready, ended]);
}

/** A stack of real parts: etcd, NATS and Dynamo's frontend on the head, a mocker worker on each of two more nodes. */
export function mockerStack(rig: Rig, mode: 'salloc' | 'sbatch' = 'salloc'): string {
  const [http, etcd, peer, nats, prefill, decode, bootstrap] = rig.ports;
  mkdirSync(path.join(rig.work, 'mocker'), { recursive: true });
  const engine = rig.write(
    'decode-engine.json',
    '{"speedup_ratio": 10.0, "max_num_seqs": 512, "worker_type": "Decode"}\n',
  );
  return rig.write(
    `mocker-${mode}.yaml`,
    `schema: 1
name: mocker-test
preset: dynamo-mocker
cluster: {mode: ${mode}, network: {address: slurm}}
model: {path: "${makeModelDir(path.join(rig.work, 'mocker'))}", served_name: mocker}
runtime:
  dynamo: "1.4"
  python: \${env:BENCH_DYNAMO_PYTHON}
  etcd: {port: ${etcd}, peer_port: ${peer}}
  nats: {port: ${nats}}
env: {DYN_TCP_RPC_HOST: "\${node.ip}", DYN_SYSTEM_HOST: "\${node.ip}"}
services:
  frontend:
    ports: {http: ${http}}
    args: {--http-host: "\${head.bind}"}
  prefill:
    ports: {system: ${prefill}, bootstrap: ${bootstrap}}
    args: {--speedup-ratio: 10, --max-num-seqs: 512}
  decode:
    ports: {system: ${decode}}
    engine_config: ${engine}
`,
  );
}

/** The stack of simulated workers that comes with bench, and what it asks of the environment. */
export function shippedStack(rig: Rig): {
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
} {
  const [http, etcd, peer, nats] = rig.ports.map(String) as [string, string, string, string];
  mkdirSync(path.join(rig.work, 'shipped'), { recursive: true });
  return {
    file: path.join(import.meta.dirname, '../../datasets/stacks/mocker-slurm.yaml'),
    env: {
      BENCH_MOCKER_MODEL: makeModelDir(path.join(rig.work, 'shipped')),
      BENCH_MOCKER_PORT: http,
      BENCH_ETCD_PORT: etcd,
      BENCH_ETCD_PEER_PORT: peer,
      BENCH_NATS_PORT: nats,
    },
  };
}

/** A stack that is up within a second: scripts that say and do what a Dynamo's parts do. A token takes 20 ms. */
export function scriptedStack(rig: Rig): string {
  const [http, etcd, nats, worker] = rig.ports;
  const service = (role: string): string => `
  ${role}:
    ntasks_per_node: 2
    command: [${path.join(WORKLOAD, 'worker.sh')}]
    env: {DISAGGREGATION_MODE: ${role}}
    ready: {all: [{log: {pattern: Model init total, count: world}}], interval: 200ms}
    stop: {grace: 5s}`;
  return rig.write(
    'scripted.yaml',
    `schema: 1
name: scripted
preset: custom
cluster: {mode: salloc, network: {address: slurm}}
container: {runtime: none}
model: {path: "${rig.work}", served_name: scripted}
env:
  STACK_DIR: \${run.dir}/share
  SERVED_MODEL_NAME: scripted
  LIFETIME_S: "300"
services:
  frontend:
    ports: {http: ${http}, etcd: ${etcd}, nats: ${nats}}
    command: [${process.execPath}, ${path.join(WORKLOAD, 'frontend.mjs')}]
    env:
      LISTEN_HOST: \${head.ip}
      DYN_HTTP_PORT: \${ports.http}
      ETCD_PORT: \${ports.etcd}
      NATS_PORT: \${ports.nats}
      TOKEN_MS: "20"
    ready: {all: [{http: {url: "http://\${head.ip}:\${ports.http}/live"}}], interval: 200ms}
    stop: {grace: 5s}${service('prefill')}${service('decode')}
`.replace(
      'env: {DISAGGREGATION_MODE: decode}',
      `env: {DISAGGREGATION_MODE: decode, WORKER_PORT: "${worker}", LISTEN_HOST: "\${node.ip}"}`,
    ),
  );
}

/** A stack of one node whose server has a known schedule, in a job of two minutes: a request of 10 tokens takes 0.38 s. */
export function shortLivedStack(rig: Rig): string {
  return rig.write(
    'short-lived.yaml',
    `schema: 1
name: short-lived
preset: custom
cluster: {mode: salloc, time: "2", network: {address: slurm}}
container: {runtime: none}
model: {path: "${rig.work}", served_name: slow}
services:
  frontend:
    ports: {http: ${rig.ports[0]}}
    command: [${process.execPath}, ${MAIN}, mock]
    args: {--port: "\${ports.http}", --host: "\${head.ip}", --model: slow, --ttft: 200ms, --step: 20ms}
    ready: {all: [{tcp: "\${head.ip}:\${ports.http}"}], interval: 200ms}
`,
  );
}

/** A sweep of a stack under way; `dir` is the stack's folder. */
export interface Sweep {
  readonly out: string;
  readonly dir: string;
  readonly running: Running;
}

export function startSweep(rig: Rig, args: readonly string[], options = rig.options): Sweep {
  const out = newOut();
  const running = startBench(['sweep', '--out', out, ...args], options);
  return { out, dir: path.join(out, 'stack'), running };
}
