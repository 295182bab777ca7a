import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'vitest';
import type { Why } from '../../src/stack/failure/why.ts';
import type { StackState } from '../../src/stack/launch/state.ts';
import type { Cluster } from './slurm/cluster.ts';
import { leftovers, listeners } from './slurm/leftovers.ts';

const root = path.join(import.meta.dirname, '../..');
const workload = path.join(root, 'test/fixtures/stack-workload');
const MARK = 'BENCH_TEST_STACK';

/** The imitated frontend and worker. */
export const FRONTEND = path.join(workload, 'frontend.mjs');
export const WORKER = path.join(workload, 'worker.sh');
/** Apart from those of a test file that runs beside, or has just ended: each has a process of its own. */
const firstPort = 18_440 + 10 * (process.pid % 400);
export const PORTS = { http: firstPort + 1, etcd: firstPort + 2, nats: firstPort + 3 };

type Fields = Readonly<Record<string, unknown>>;

/** What a test changes of the imitated stack; keys of a service are put in place of its own, `env` is added to. */
export interface StackChange {
  readonly cluster?: Fields;
  readonly container?: Fields;
  readonly frontend?: Fields;
  readonly prefill?: Fields;
  readonly decode?: Fields;
  readonly services?: Fields;
  readonly ready?: Fields;
}

/** How a command of `bench` ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly tookS: number;
}

export interface Running {
  readonly child: ChildProcess;
  stderr(): string;
  readonly ended: Promise<Ended>;
}

/** A place for launches of the imitated stack: its folder, what it leaves behind, and `bench` itself. */
export class Bench {
  readonly work = mkdtempSync(path.join(tmpdir(), 'bench-stack-'));
  readonly #cluster: Cluster | null;
  #nth = 0;

  /** `cluster` null: in local mode. */
  constructor(cluster: Cluster | null) {
    this.#cluster = cluster;
  }

  /** Folder of the launch of this test. */
  get dir(): string {
    return path.join(this.work, String(this.#nth));
  }

  /** File that a workload waits for with FAULT_FILE. */
  get trigger(): string {
    return path.join(this.dir, 'now');
  }

  /** A new folder, for the next launch. */
  next(): void {
    this.#nth++;
    mkdirSync(this.dir);
  }

  remove(): void {
    rmSync(this.work, { recursive: true, force: true });
  }

  /** Writes the stack file of the launch and gives its path. */
  file(change: StackChange = {}): string {
    const file = path.join(this.dir, 'stack.yaml');
    writeFileSync(file, JSON.stringify(this.#stack(change)));
    return file;
  }

  /** Starts `bench` with the launch's folder and mark. */
  start(args: readonly string[]): Running {
    const startMs = performance.now();
    const child = spawn(process.execPath, [path.join(root, 'dist/main.js'), ...args], {
      env: { ...process.env, ...this.#cluster?.env, [MARK]: this.dir },
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: this.dir,
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk;
    });
    const ended = new Promise<Ended>((resolve) =>
      child.once('close', (code) =>
        resolve({ code, stdout, stderr, tookS: (performance.now() - startMs) / 1_000 }),
      ),
    );
    return { child, stderr: () => stderr, ended };
  }

  /** `bench stack up` of the changed stack, to its end. */
  up(change: StackChange, ...options: readonly string[]): Promise<Ended> {
    return this.start(['stack', 'up', this.file(change), `--out=${this.#stackDir()}`, ...options]).ended;
  }

  /** As `up`, but gives the running command once the stack is ready. */
  async held(change: StackChange): Promise<Running> {
    const running = this.start([
      'stack',
      'up',
      this.file(change),
      `--out=${this.#stackDir()}`,
      '--no-preflight',
    ]);
    await this.until(() => running.stderr().includes('holding the stack'), running);
    return running;
  }

  async until(holds: () => boolean, running: Running): Promise<void> {
    const giveUpMs = performance.now() + 60_000;
    while (!holds()) {
      if (running.child.exitCode !== null || performance.now() > giveUpMs)
        throw new Error(`it never came to it:\n${running.stderr()}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  state(dir = this.#stackDir()): StackState {
    return JSON.parse(readFileSync(path.join(dir, 'state.json'), 'utf8')) as StackState;
  }

  /** What there is of the launch: jobs, steps, processes, listening ports. Empty when nothing is left. */
  left(): readonly string[] {
    const jobs = this.#cluster?.jobs().map(({ id, state }) => `job ${id} ${state}`) ?? [];
    const steps = this.#cluster?.steps().map(({ id, name }) => `step ${id} ${name}`) ?? [];
    return [...jobs, ...steps, ...leftovers(`${MARK}=${this.dir}`), ...listeners(Object.values(PORTS))];
  }

  /**
   * That the launch has failed as it should: exit code, one line with the cause, a hint, nothing left, and long
   * before the deadlines of the file, which are 3 minutes.
   */
  expectFailure(ended: Ended, why: Partial<Record<keyof Why, unknown>>, withinS = 100, dir?: string): Why {
    expect(this.left()).toEqual([]);
    expect(ended.code, ended.stderr).toBe(4);
    const state = existsSync(path.join(dir ?? this.#stackDir(), 'state.json')) ? this.state(dir) : null;
    expect(state?.why, ended.stderr).toMatchObject(why);
    const told = state!.why!;
    const lines = ended.stderr
      .split('\n')
      .filter((line) => line.replace('bench: ', '').startsWith(`${told.failureClass}: `));
    expect(lines, ended.stderr).toHaveLength(1);
    expect(lines[0]).toContain(told.message);
    expect(told.hint).not.toBeNull();
    expect(ended.stderr).toContain(`hint: ${told.hint}`);
    expect(state!.phase).toBe('stopped');
    expect(state!.warnings.filter((warning) => warning.includes('still there'))).toEqual([]);
    expect(ended.tookS).toBeLessThan(withinS);
    if (process.env['TELL']) console.log(`${ended.tookS.toFixed(1)} s ${lines[0]}`);
    return told;
  }

  #stackDir(): string {
    return path.join(this.dir, 'stack');
  }

  #stack(change: StackChange): Fields {
    const local = this.#cluster === null;
    const cluster = local
      ? { mode: 'local' }
      : { mode: 'salloc', time: '00:10:00', network: { address: 'slurm' } };
    const share = path.join(this.dir, 'share');
    const worker = (mode: string, given: Fields = {}): Fields => {
      const { env, ...more } = given as { env?: Fields };
      return {
        role: mode,
        command: [WORKER],
        ntasks_per_node: local ? 1 : 3,
        depends_on: [{ service: 'frontend' }],
        loaded_log: 'Model init total',
        ready: { all: [{ log: 'Model init total' }], timeout: '3m', interval: '200ms' },
        stop: { grace: '5s' },
        ...more,
        env: { DISAGGREGATION_MODE: mode, PLAIN_TERM: '1', ...env },
      };
    };
    const { env: frontendEnv, ...frontend } = (change.frontend ?? {}) as { env?: Fields };
    return {
      schema: 1,
      name: 'imitated',
      cluster: { ...cluster, ...change.cluster },
      ...(change.container === undefined ? {} : { container: change.container }),
      model: { path: 'model', served_name: 'm' },
      env: {
        STACK_DIR: share,
        LISTEN_HOST: '${node.ip}',
        LIFETIME_S: '240',
        SERVED_MODEL_NAME: '${model.served_name}',
        LOAD_S: '0.5',
      },
      services: {
        frontend: {
          command: [FRONTEND],
          ports: PORTS,
          ready: {
            all: [{ http: { url: '${stack.url}/live' } }],
            timeout: '3m',
            interval: '200ms',
          },
          stop: { grace: '5s' },
          ...frontend,
          env: {
            DYN_HTTP_PORT: '${ports.http}',
            ETCD_PORT: '${ports.etcd}',
            NATS_PORT: '${ports.nats}',
            ...frontendEnv,
          },
        },
        prefill: worker('prefill', change.prefill),
        decode: worker('decode', change.decode),
        ...change.services,
      },
      stack_ready: {
        all: [
          { instances: { component: 'prefill' } },
          { instances: { component: 'backend' } },
          { model: { listed: true } },
          { canary: {} },
        ],
        timeout: '3m',
        ...change.ready,
      },
    };
  }
}
