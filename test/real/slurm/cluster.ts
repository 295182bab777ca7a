import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const script = path.join(import.meta.dirname, 'cluster.sh');
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const COMMANDS = [
  'munged',
  'slurmctld',
  'slurmd',
  'srun',
  'salloc',
  'sbatch',
  'scancel',
  'squeue',
  'scontrol',
];
const SPANK_HEADER = '/usr/include/slurm/spank.h';
const CLIENT_TIMEOUT_MS = 20_000;

/** What a cluster is to be like; `cluster.sh` describes each and says what holds when one is left out. */
export interface ClusterOptions {
  readonly nodes?: number;
  /** Names of the nodes, instead of `node1` and so on. */
  readonly names?: readonly string[];
  readonly cpus?: number;
  readonly gpus?: number;
  readonly partition?: string;
  readonly oversubscribe?: string;
  /** Seconds between TERM and KILL for the tasks of a cancelled job. */
  readonly killWait?: number;
  /** Seconds of silence after which a node counts as failed. */
  readonly nodeTimeout?: number;
  /** Further lines for slurm.conf. */
  readonly extra?: readonly string[];
  /** Whether srun takes pyxis' options; a text gives the stand-in arguments (`fail_image=broken`). */
  readonly plugin?: boolean | string;
  readonly mode?: 'ns' | 'plain';
}

export interface Job {
  readonly id: string;
  readonly name: string;
  /** As `squeue` writes it: `RUNNING`, `PENDING`, `COMPLETING` … */
  readonly state: string;
  /** Node list in SLURM's short form, such as `node[1-2]`. */
  readonly nodes: string;
}

export interface Step {
  /** `JOB.STEP`. */
  readonly id: string;
  readonly name: string;
  readonly nodes: string;
}

export interface Cluster {
  readonly dir: string;
  /** `ns`: each node has its own host name, address and process ids. `plain`: they share the host's. */
  readonly mode: 'ns' | 'plain';
  readonly nodes: readonly string[];
  /** What a client of the cluster needs in its environment beside its own. */
  readonly env: Readonly<Record<string, string>>;
  /** Address of a node on the loopback, reachable from this host. Throws for a name that is no node. */
  addressOf(node: string): string;
  /** Command line that runs another one where the nodes' names resolve. */
  entered(argv: readonly string[]): readonly string[];
  /** Ends a node with all that runs on it, as if its power were cut; resolves when that is gone. */
  killNode(name: string): Promise<void>;
  /** Jobs that have not ended. Throws when the controller does not answer. */
  jobs(): readonly Job[];
  /** Steps that have not ended, without those that SLURM keeps for batch scripts and allocations. */
  steps(): readonly Step[];
  /** Cancels all jobs and ends the cluster; resolves when nothing of it is left. May be called again. */
  stop(): Promise<void>;
}

/** Why no cluster can be started here, in one line; null when one can. The plugin also wants a C compiler. */
export function slurmMissing(): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(':'), ...SYSTEM_FOLDERS];
  const found = (command: string): boolean =>
    folders.some((folder) => existsSync(path.join(folder, command)));
  const missing = [...COMMANDS, 'gcc'].filter((command) => !found(command));
  if (!existsSync(SPANK_HEADER)) missing.push(SPANK_HEADER);
  return missing.length === 0
    ? null
    : `no ${missing.join(', ')}; apt-get install slurmctld slurmd slurm-client munge libslurm-dev gcc libc6-dev`;
}

/**
 * Brings a cluster up in a new folder below the system's temporary one and resolves when all nodes are idle. Throws
 * with the ends of the logs when it does not come up. The cluster ends with this process, however that ends.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const missing = slurmMissing();
  if (missing !== null) throw new Error(missing);
  const dir = mkdtempSync(path.join(tmpdir(), 'slurm-'));
  // The script brings the cluster down at the end of its input: when this process, which has the other end, is gone.
  const holder = spawn(script, ['hold', dir], {
    env: { ...process.env, ...settings(options) },
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended = new Promise<void>((resolve) => holder.once('close', () => resolve()));
  const said = await firstLine(holder);
  if (said.line !== 'ready') {
    holder.stdin.end();
    await ended;
    if (existsSync(dir)) rmdirSync(dir);
    throw new Error(`no cluster came up in ${dir}:\n${said.errors()}`);
  }
  const addresses = nodeAddresses(dir);
  const mode = readFileSync(path.join(dir, 'mode'), 'utf8').trim() as Cluster['mode'];
  const env = { SLURM_CONF: path.join(dir, 'slurm.conf') };
  return {
    dir,
    mode,
    nodes: [...addresses.keys()],
    env,
    addressOf: (node) => {
      const address = addresses.get(node);
      if (address === undefined)
        throw new Error(`no node ${node}; there are ${[...addresses.keys()].join(', ')}`);
      return address;
    },
    entered: (argv) => [script, 'enter', dir, ...argv],
    killNode: async (name) => {
      await promisify(execFile)(script, ['kill', dir, name], { timeout: CLIENT_TIMEOUT_MS });
    },
    jobs: () =>
      table(['squeue', '-h', '-o', '%A|%j|%T|%N'], env).map(([id, name, state, nodes]) => ({
        id: id!,
        name: name!,
        state: state!,
        nodes: nodes!,
      })),
    steps: () =>
      table(['squeue', '-h', '-s', '-o', '%i|%j|%N'], env)
        .filter(([id]) => /^\d+\.\d+$/.test(id!))
        .map(([id, name, nodes]) => ({ id: id!, name: name!, nodes: nodes! })),
    stop: async () => {
      holder.stdin.end();
      await ended;
      if (existsSync(dir)) throw new Error(`the cluster in ${dir} did not end:\n${said.errors()}`);
    },
  };
}

function settings(options: ClusterOptions): Record<string, string> {
  const values: Record<string, string | number | undefined> = {
    NODES: options.nodes,
    NAMES: options.names?.join(' '),
    CPUS: options.cpus,
    GPUS: options.gpus,
    PARTITION: options.partition,
    OVERSUBSCRIBE: options.oversubscribe,
    KILLWAIT: options.killWait,
    NODE_TIMEOUT: options.nodeTimeout,
    EXTRA: options.extra?.join('\n'),
    PYXIS: options.plugin === undefined || options.plugin === false ? '' : '1',
    PYXIS_ARGS: typeof options.plugin === 'string' ? options.plugin : '',
    MODE: options.mode,
  };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value ?? '')]));
}

/** The first line that a process prints, or what stands for it when it ends or cannot be started. */
function firstLine(child: ChildProcess): Promise<{ line: string; errors(): string }> {
  let output = '';
  let errors = '';
  child.stderr!.on('data', (chunk) => {
    errors += chunk;
  });
  return new Promise((resolve) => {
    const settle = (line: string): void => resolve({ line, errors: () => errors });
    child.on('error', (error) => {
      errors += error.message;
      settle('');
    });
    child.on('close', () => settle(''));
    child.stdout!.on('data', (chunk) => {
      output += chunk;
      if (output.includes('\n')) settle(output.slice(0, output.indexOf('\n')));
    });
  });
}

function nodeAddresses(dir: string): ReadonlyMap<string, string> {
  const [, ...lines] = readFileSync(path.join(dir, 'hosts'), 'utf8').trim().split('\n');
  return new Map(lines.map((line) => line.split(' ').reverse() as [string, string]));
}

function table([command, ...args]: readonly string[], env: Readonly<Record<string, string>>): string[][] {
  const ran = spawnSync(command!, args, {
    env: { ...process.env, ...env },
    encoding: 'utf8',
    timeout: CLIENT_TIMEOUT_MS,
  });
  if (ran.status !== 0) throw new Error(`${command}: ${ran.error?.message ?? ran.stderr.trim()}`);
  return ran.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('|'));
}
