import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, vi } from 'vitest';
import type { StackState, StepStatus } from '../../src/stack/launch/state.ts';
import type { SupervisorDeps, SupervisorJob } from '../../src/stack/launch/supervisor.ts';
import type { PlannedStep, StackPlan } from '../../src/stack/plan/planned.ts';

const folders: string[] = [];
const children: ChildProcess[] = [];

afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder that goes away with the test file. */
export function makeFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'stack-test-'));
  folders.push(folder);
  return folder;
}

/** A process that ends with the test file, with nothing of the tests' environment but what is given. */
export function startProcess(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  const child = spawn(argv[0]!, argv.slice(1), {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: process.env['PATH'], ...env },
  });
  children.push(child);
  return child;
}

/** A step of local mode that runs `command`, its log in `dir`. */
export function localStep(
  id: string,
  command: readonly string[],
  dir: string,
  over: Partial<PlannedStep> = {},
): PlannedStep {
  return {
    id,
    service: id.replace(/-\d.*$/, ''),
    replica: 0,
    role: 'sidecar',
    nodes: ['localhost'],
    tasks: 1,
    tasksPerNode: 1,
    stepName: `run.${id}`,
    argv: command,
    command,
    env: {},
    unset: [],
    workdir: null,
    logFile: path.join(dir, 'logs', `${id}.log`),
    srunLogFile: null,
    after: [],
    ready: [],
    loadedPattern: null,
    readyTimeoutMs: 60_000,
    importTimeoutMs: null,
    stallMs: 60_000,
    probeIntervalMs: 100,
    failOn: [],
    critical: true,
    exitZeroFails: true,
    stop: { signal: 'TERM', graceMs: 10_000 },
    ...over,
  };
}

export function localPlan(
  run: string,
  steps: readonly PlannedStep[],
  over: Partial<StackPlan> = {},
): StackPlan {
  return {
    schema: 1,
    run,
    name: 'test',
    mode: 'local',
    runDir: '/nowhere',
    jobId: null,
    nodes: ['localhost'],
    head: { node: 'localhost', address: '127.0.0.1' },
    url: 'http://127.0.0.1:1',
    servedModel: 'm',
    gpus: null,
    steps,
    ready: [],
    readyTimeoutMs: 60_000,
    readyIntervalMs: 100,
    watch: [],
    copies: [],
    cleanupGlobs: [],
    warnings: [],
    ...over,
  };
}

/** What a supervisor is told of a plan of local mode. */
export function localJob(plan: StackPlan): SupervisorJob {
  const { run, runDir, name } = plan;
  return {
    run,
    name,
    dir: runDir,
    allocation: {
      mode: 'local',
      argv: null,
      jobId: null,
      nodeCount: 1,
      pendingTimeoutMs: 1,
      cancelOnExit: false,
      jobName: run,
    },
    plan: () => Promise.resolve(plan),
    preflight: () => Promise.resolve({ warnings: [], versions: {}, drivers: {}, image: null }),
    abandoned: () => Promise.resolve([]),
    checkOnly: false,
  };
}

/** What a supervisor is given by the tests' world. */
export const LOCAL_DEPS: Omit<SupervisorDeps, 'writeAtomic'> = {
  env: process.env,
  canary: () => Promise.resolve({ holds: true, said: 'tokens' }),
  redacted: (plan) => plan,
  script: () => '',
};

/** Programs by their names, each a piece of bash, in a folder that comes first on the PATH. */
export function putPrograms(dir: string, scripts: Readonly<Record<string, string>>): void {
  for (const [name, script] of Object.entries(scripts))
    writeFileSync(path.join(dir, name), `#!/bin/bash\n${script}\n`, { mode: 0o755 });
  vi.stubEnv('PATH', `${dir}:${process.env['PATH']}`);
}

export function stepStatus(id: string, over: Partial<StepStatus> = {}): StepStatus {
  return {
    id,
    state: 'pending',
    since: '2026-01-01T00:00:00.000Z',
    nodes: ['n1'],
    slurmStep: null,
    pid: null,
    loaded: null,
    waitingFor: [],
    exitCode: null,
    ...over,
  };
}

export function stackState(over: Partial<StackState> = {}): StackState {
  return {
    schema: 1,
    run: 'bench-1',
    name: 'test',
    phase: 'starting',
    updated: '2026-01-01T00:00:00.000Z',
    alive: '2026-01-01T00:00:00.000Z',
    supervisor: { pid: 1, startTicks: 'never', host: os.hostname() },
    mode: 'local',
    job: null,
    url: null,
    servedModel: null,
    gpus: null,
    steps: [],
    startupS: {},
    waitingFor: [],
    why: null,
    warnings: [],
    versions: {},
    drivers: {},
    image: null,
    ...over,
  };
}

/** Looks again and again until `look` holds, for what takes a time that nobody knows. */
export async function until(what: string, look: () => boolean): Promise<void> {
  const giveUpMs = performance.now() + 20_000;
  while (!look()) {
    if (performance.now() > giveUpMs) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
