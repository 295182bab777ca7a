import { isIP } from 'node:net';
import { hostPathOf } from '../file/container-path.ts';
import type { PlannedStep, Probe, StackPlan } from '../plan/planned.ts';
import type { Finding } from './findings.ts';
import type { NodeFacts } from './preflight-facts.ts';
import type { PathNeed, PreflightAsks } from './preflight-script.ts';

/** What the stack needs of one node. */
export interface NodeNeeds {
  readonly node: string;
  readonly asks: PreflightAsks;
  /** Ports that our processes will listen on, at which address as far as it is known. */
  readonly ports: readonly { readonly port: number; readonly address: string | null }[];
  readonly container: boolean;
  readonly pmix: boolean;
  /** A step computes here, so that a GPU in use matters. */
  readonly workers: boolean;
}

/** What holds for every node, beyond what the plan says. */
export interface PreflightOptions {
  /** Host paths to be readable on every node with a worker: the model, for one. */
  readonly paths: readonly string[];
  /** Folders on nodes and the bytes that must be free there. */
  readonly disks: readonly { readonly folder: string; readonly leastBytes: number }[];
  /** Ports that no probe of the plan names: those of etcd's peers, of workers. */
  readonly ports: readonly { readonly node: string; readonly port: number }[];
  /** To be free on every node with a worker. */
  readonly leastMemoryBytes: number | null;
  readonly gpusPerNode: number | null;
  /** `aarch64` or `x86_64`, when the file says what its programs are for. */
  readonly machine: string | null;
}

/** When the facts of a node were asked and came, in milliseconds since 1970 of the asking host. */
export interface AskedWhen {
  readonly askedMs: number;
  readonly toldMs: number;
}

/** Two clocks this far apart break leases and make time stamps of several hosts meaningless. */
const MOST_SKEW_MS = 1000;
/** GPU memory that a driver takes by itself. */
const IDLE_GPU_MIB = 1024;

/** What each node of the plan must have, in the plan's order of nodes. */
export function nodeNeeds(plan: StackPlan, options: PreflightOptions): readonly NodeNeeds[] {
  return plan.nodes.map((node) => {
    const steps = plan.steps.filter((step) => step.nodes.includes(node));
    const workers = steps.some(({ role }) => role === 'prefill' || role === 'decode' || role === 'agg');
    const ports = neededPorts(plan, options, node);
    const paths = new Map<string, PathNeed>();
    for (const step of steps)
      for (const [path, need] of stepPaths(step, plan.copies)) if (!paths.has(path)) paths.set(path, need);
    if (workers) for (const path of options.paths) paths.set(path, 'read');
    return {
      node,
      asks: {
        paths: [...paths].map(([path, need]) => ({ path, need })),
        disks: options.disks.map(({ folder }) => folder),
        ports: ports.map(({ port }) => port),
        leftovers: plan.cleanupGlobs,
      },
      ports,
      container: steps.some((step) => srunOption(step, '--container-image') !== null),
      pmix: steps.some((step) => srunOption(step, '--mpi')?.startsWith('pmix') === true),
      workers,
    };
  });
}

/** What is wrong, doubtful and well on a node, by the facts that the script told there. */
export function checkNode(
  needs: NodeNeeds,
  facts: NodeFacts,
  options: PreflightOptions,
  when: AskedWhen | null = null,
): readonly Finding[] {
  const finding = (
    level: Finding['level'],
    what: string,
    value: string,
    hint: string | null = null,
  ): Finding => ({ level, node: needs.node, what, value, hint: level === 'ok' ? null : hint });
  const found = [
    ...needs.asks.paths.map(({ path, need }) => pathFinding(path, need, facts, finding)),
    ...needs.ports.map((port) => portFinding(port, facts, finding)),
    ...options.disks.map(({ folder, leastBytes }) => diskFinding(folder, leastBytes, facts, finding)),
    ...memoryFindings(needs.workers ? options.leastMemoryBytes : null, facts, finding),
    ...toolFindings(needs, options, facts, finding),
    ...(needs.workers ? gpuFindings(options.gpusPerNode, facts, finding) : []),
    ...facts.leftovers.map((path) =>
      finding('warn', `leftover ${path}`, 'there', 'Of an earlier run: remove it if that is over.'),
    ),
    ...clockFindings(facts, when, finding),
  ];
  if (facts.complete) return found;
  const cut = 'What is missing below was not asked: see what the step printed.';
  return [finding('error', 'preflight', 'the script did not come to its end', cut), ...found];
}

type Make = (level: Finding['level'], what: string, value: string, hint?: string | null) => Finding;

function pathFinding(path: string, need: PathNeed, facts: NodeFacts, finding: Make): Finding {
  const state = facts.paths.get(path);
  const what = `path ${path}`;
  if (state === 'ok') return finding('ok', what, `may ${need}`);
  if (state === undefined) return finding('warn', what, 'not looked at');
  if (state === 'missing')
    return finding('error', what, 'does not exist', 'Is it on a file system that this node has too?');
  return finding('error', what, `may not ${need}`, 'See its permissions, and those of its folders.');
}

function portFinding(needed: NodeNeeds['ports'][number], facts: NodeFacts, finding: Make): Finding {
  const what = `port ${needed.port}`;
  const holders = facts.listeners.filter(({ port }) => port === needed.port);
  const clash = holders.find(({ address }) => collides(address, needed.address));
  const taken = clash ?? holders[0];
  if (taken === undefined) return finding('ok', what, 'free');
  const who =
    taken.holder === null
      ? 'a process that cannot be seen from here (of another user, or in another namespace)'
      : `process ${taken.holder}`;
  const value = `taken on ${taken.address} by ${who}`;
  if (clash === undefined)
    return finding('warn', what, value, 'Our service fails if it listens on all addresses.');
  return finding(
    'error',
    what,
    value,
    'End that process if it is of an old run of yours, or use another port.',
  );
}

function collides(bound: string, ours: string | null): boolean {
  if (ours === null || isIP(ours) === 0 || bound === '0.0.0.0' || bound === '::') return true;
  return bound === ours;
}

function diskFinding(folder: string, leastBytes: number, facts: NodeFacts, finding: Make): Finding {
  const freeKb = facts.diskFreeKb.get(folder);
  const what = `disk ${folder}`;
  if (freeKb === undefined) return finding('warn', what, 'not known');
  const low = freeKb * 1024 < leastBytes;
  const hint = `At least ${gib(leastBytes)} are needed: clean up, or use another folder.`;
  return finding(low ? 'error' : 'ok', what, `${gib(freeKb * 1024)} free`, hint);
}

function memoryFindings(leastBytes: number | null, facts: NodeFacts, finding: Make): Finding[] {
  if (facts.memoryFreeKb === null || facts.memoryTotalKb === null) return [];
  const free = facts.memoryFreeKb * 1024;
  const value = `${gib(free)} of ${gib(facts.memoryTotalKb * 1024)} free`;
  const low = leastBytes !== null && free < leastBytes;
  const hint = leastBytes === null ? null : `At least ${gib(leastBytes)} are needed: what else runs there?`;
  return [finding(low ? 'error' : 'ok', 'memory', value, hint)];
}

function toolFindings(
  needs: NodeNeeds,
  options: PreflightOptions,
  facts: NodeFacts,
  finding: Make,
): Finding[] {
  const found: Finding[] = [];
  if (needs.container && facts.pyxis !== null)
    found.push(
      finding(
        facts.pyxis ? 'ok' : 'error',
        'pyxis',
        facts.pyxis ? `there, enroot ${facts.tools['enroot'] ?? 'not found'}` : 'not there',
        'srun on this node has no --container-image: pyxis must be installed on every node.',
      ),
    );
  if (needs.pmix && facts.mpi.length > 0) {
    const pmix = facts.mpi.some((name) => name.startsWith('pmix'));
    const hint = '`srun --mpi=list` shows no pmix: workers with several ranks cannot start.';
    found.push(finding(pmix ? 'ok' : 'error', 'pmix', facts.mpi.join(', '), hint));
  }
  if (facts.machine !== null) {
    const other = options.machine !== null && options.machine !== facts.machine;
    const hint = `The stack is for ${options.machine}, by cluster.machine.`;
    found.push(finding(other ? 'error' : 'ok', 'architecture', facts.machine, hint));
  }
  if (needs.workers && facts.memlockKb !== null && facts.gpus.length > 0 && facts.memlockKb !== 'unlimited')
    found.push(
      finding('warn', 'locked memory', `${facts.memlockKb} KiB`, 'RDMA wants it unlimited (ulimit -l).'),
    );
  return found;
}

function gpuFindings(perNode: number | null, facts: NodeFacts, finding: Make): Finding[] {
  const { gpus } = facts;
  const found: Finding[] = [];
  if (perNode !== null && gpus.length < perNode)
    found.push(
      finding(
        'error',
        'GPUs',
        `${gpus.length} of ${perNode}`,
        'Does the job ask for GPUs (--gpus-per-node), and does nvidia-smi work on the node?',
      ),
    );
  else if (gpus.length > 0)
    found.push(finding('ok', 'GPUs', `${gpus.length} × ${gpus[0]!.name}, driver ${facts.driver ?? '?'}`));
  const used = gpus.filter(({ usedMiB }) => usedMiB > IDLE_GPU_MIB);
  if (used.length > 0)
    found.push(
      finding(
        'warn',
        'GPU memory',
        used.map(({ index, usedMiB, totalMiB }) => `${index}: ${usedMiB} of ${totalMiB} MiB`).join(', '),
        'Something still holds it, of an earlier run perhaps: nvidia-smi on the node. Loading may run out of memory.',
      ),
    );
  return found;
}

function clockFindings(facts: NodeFacts, when: AskedWhen | null, finding: Make): Finding[] {
  if (when === null || facts.clockS === null) return [];
  const told = facts.clockS * 1000;
  const skew = Math.max(when.askedMs - told, told - when.toldMs, 0);
  const hint = 'The clocks of the hosts differ: time stamps of several hosts do not compare (chrony, ntp).';
  const value = skew === 0 ? 'agrees' : `off by at least ${Math.round(skew)} ms`;
  return [finding(skew > MOST_SKEW_MS ? 'warn' : 'ok', 'clock', value, hint)];
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

/** Ports of the plan's probes that are on this node, and those that the options name. */
function neededPorts(plan: StackPlan, options: PreflightOptions, node: string): NodeNeeds['ports'] {
  const ours = (host: string): boolean =>
    host === node || (node === plan.head.node && (host === plan.head.address || isLoopbackName(host)));
  const probes = [...plan.steps.flatMap(({ ready }) => ready), ...plan.ready, ...plan.watch];
  const places = [...probes.map(placeOf), placeOfUrl(plan.url)].filter((place) => place !== null);
  const ports = places
    .filter(({ host }) => ours(host))
    .map(({ host, port }) => [port, isIP(host) === 0 ? null : host] as const);
  const more = options.ports.filter((other) => other.node === node).map(({ port }) => [port, null] as const);
  return [...new Map([...more, ...ports])].map(([port, address]) => ({ port, address }));
}

function isLoopbackName(host: string): boolean {
  return host === 'localhost' || host === '127.0.0.1' || host === '::1';
}

function placeOf(probe: Probe): { host: string; port: number } | null {
  if (probe.kind === 'tcp') return { host: probe.host, port: probe.port };
  return 'url' in probe ? placeOfUrl(probe.url) : null;
}

function placeOfUrl(text: string): { host: string; port: number } | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port };
}

/**
 * Host paths that a step needs: its engine's configuration; its image, the sources of its mounts and its program
 * where a mount holds it, or without a container its program and folder.
 */
function stepPaths(step: PlannedStep, copies: StackPlan['copies']): (readonly [string, PathNeed])[] {
  const image = srunOption(step, '--container-image');
  const configs = copies.filter(({ service }) => service === step.service);
  return [
    ...(image === null ? ownPaths(step) : containerPaths(step, image)),
    ...configs.map(({ file }) => [file, 'read'] as const),
  ];
}

function ownPaths(step: PlannedStep): (readonly [string, PathNeed])[] {
  const [program] = step.command;
  const own = program?.startsWith('/') === true ? [[program, 'execute'] as const] : [];
  return step.workdir === null ? own : [...own, [step.workdir, 'read'] as const];
}

function containerPaths(step: PlannedStep, image: string): (readonly [string, PathNeed])[] {
  const mounts = (srunOption(step, '--container-mounts') ?? '').split(',');
  const [program] = step.command;
  const script = program?.startsWith('/') === true ? hostPathOf(program, mounts) : null;
  const sources = mounts.map((mount) => mount.split(':')[0]!);
  return [
    ...[image, ...sources].filter((path) => /^[./]/.test(path)).map((path) => [path, 'read'] as const),
    ...(script === null ? [] : [[script, 'execute'] as const]),
  ];
}

/** Value of an option of srun in the step's argv, written with `=` or as the next word; null without it. */
function srunOption(step: PlannedStep, name: string): string | null {
  const options = step.argv.slice(0, step.argv.length - step.command.length);
  const at = options.findIndex((word) => word === name || word.startsWith(`${name}=`));
  if (at < 0) return null;
  const word = options[at]!;
  return word === name ? (options[at + 1] ?? null) : word.slice(name.length + 1);
}
