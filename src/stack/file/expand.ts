import { needNodes } from '../plan/place.ts';
import type { Role } from '../plan/planned.ts';
import { PRESETS } from '../presets/index.ts';
import type { ServiceFile, StackFile } from './schema.ts';
import { COMPUTE_ROLES, type Remark, type Service, type Stack } from './stack.ts';

const ROLE_OF_NAME: Readonly<Record<string, Role>> = {
  frontend: 'frontend',
  prefill: 'prefill',
  decode: 'decode',
  agg: 'agg',
  worker: 'agg',
  etcd: 'infra',
  nats: 'infra',
};

export interface Expanded {
  readonly stack: Stack;
  readonly remarks: readonly Remark[];
}

/**
 * Fills in what the file leaves out: the preset's share, then the defaults. What the file says wins: `env`,
 * `args`, `ports` and `srun` key by key, `fail_on` comes before the preset's, everything else as a whole.
 */
export function expandStack(
  file: StackFile,
  source: string,
  env: Readonly<Record<string, string | undefined>>,
): Expanded {
  const remarks: Remark[] = [];
  const jobId = file.cluster?.attach?.job_id ?? env['SLURM_JOB_ID'];
  const mode = file.cluster?.mode ?? (jobId === undefined || jobId === '' ? 'salloc' : 'attach');
  const roles = new Map<string, Role>();
  for (const [name, service] of Object.entries(file.services)) {
    const role = service.role ?? ROLE_OF_NAME[name];
    if (role === undefined)
      remarks.push({
        path: ['services', name],
        message: 'role is missing: infra, frontend, prefill, decode, agg or sidecar',
        level: 'error',
      });
    roles.set(name, role ?? 'sidecar');
  }
  const preset = PRESETS.find(({ name }) => name === (file.preset ?? 'custom'))!;
  const expansion = preset.expand({ file, local: mode === 'local', roles });
  const runtime = file.container?.runtime ?? (file.container?.image === undefined ? 'none' : 'pyxis');

  const services: Record<string, Service> = {};
  for (const [name, given] of [...Object.entries(expansion.infra), ...Object.entries(file.services)]) {
    const own = name in file.services ? (expansion.services[name] ?? {}) : given;
    const said = name in file.services ? given : {};
    const role = roles.get(name) ?? 'infra';
    const service = completeService({ role, own, said, file, mode });
    if (service === null)
      remarks.push({
        path: ['services', name],
        message: `command is missing: give command: [PROGRAM, …] or script: FILE`,
        level: 'error',
      });
    else services[name] = service;
  }

  const ready = file.stack_ready;
  const { stackReady } = expansion;
  const stack: Stack = {
    source,
    name: file.name,
    cluster: { ...file.cluster, mode, ...(mode === 'attach' && jobId && { attach: { job_id: jobId } }) },
    container: containerOf(file, runtime, expansion.runtime.discovery),
    model: file.model,
    runtime: expansion.runtime,
    services,
    stack_ready: {
      all: ready?.all ?? stackReady.all,
      timeout: ready?.timeout ?? stackReady.timeout,
      interval: ready?.interval ?? stackReady.interval,
    },
    teardown: { cleanup_globs: file.teardown?.cleanup_globs ?? expansion.cleanupGlobs },
    nodesNeeded: mode === 'local' ? 1 : needNodes(services),
    warnings: [],
  };
  return { stack, remarks: [...remarks, ...expansion.remarks] };
}

/** Discovery by files needs the run's folder in every container. */
function containerOf(
  file: StackFile,
  runtime: 'pyxis' | 'none',
  discovery: Stack['runtime']['discovery'],
): Stack['container'] {
  const shared = '${run.dir}:${run.dir}';
  const mounts = file.container?.mounts ?? [];
  const missing = runtime === 'pyxis' && discovery === 'file' && !mounts.includes(shared);
  return { ...file.container, runtime, ...(missing && { mounts: [...mounts, shared] }) };
}

interface Parts {
  readonly role: Role;
  /** The preset's share. */
  readonly own: ServiceFile;
  /** The file's. */
  readonly said: ServiceFile;
  readonly file: StackFile;
  readonly mode: Stack['cluster']['mode'];
}

/** null when there is no command. */
function completeService({ role, own, said, file, mode }: Parts): Service | null {
  const script = said.script ?? own.script;
  const base = said.command ?? (script === undefined ? own.command : [script]);
  if (base === undefined) return null;
  const isOwnCommand = said.command === undefined && said.script === undefined;
  const args = { ...(isOwnCommand && own.args), ...said.args };
  const compute = COMPUTE_ROLES.includes(role);
  const gpus = said.gpus ?? own.gpus;
  const srun = { ...own.srun, ...said.srun };
  const perNode = gpus?.per_node ?? file.cluster?.gpus_per_node;
  const ready = { ...own.ready, ...said.ready };
  const visible: Record<string, string> =
    gpus?.visible === undefined ? {} : { CUDA_VISIBLE_DEVICES: gpus.visible };
  return {
    role,
    replicas: said.replicas ?? 1,
    nodes: said.nodes ?? 1,
    ntasks_per_node:
      said.ntasks_per_node ??
      own.ntasks_per_node ??
      (compute && srun.mpi !== undefined && srun.mpi !== 'none' && mode !== 'local' ? (perNode ?? 1) : 1),
    launch: said.launch ?? own.launch ?? 'per_replica',
    placement: said.placement ?? own.placement ?? (compute ? 'auto' : 'head'),
    gpus: compute && perNode !== undefined ? { ...gpus, per_node: perNode } : gpus,
    engine_config: said.engine_config ?? own.engine_config,
    container: said.container ?? own.container ?? true,
    env: { ...own.env, ...file.env, ...visible, ...said.env },
    unset: [...new Set([...(own.unset ?? []), ...(said.unset ?? [])])],
    command: [...base, ...renderArgs(args)],
    follower_args: said.follower_args ?? (isOwnCommand ? (own.follower_args ?? []) : []),
    workdir: said.workdir ?? own.workdir,
    srun,
    ports: { ...own.ports, ...said.ports },
    depends_on: (said.depends_on ?? own.depends_on ?? []).map(({ service, condition }) => ({
      service,
      condition: condition ?? 'ready',
    })),
    ready: {
      all: ready.all ?? [],
      timeout: ready.timeout ?? '60m',
      interval: ready.interval ?? '2s',
      stall_timeout: ready.stall_timeout ?? '15m',
    },
    loaded_log: said.loaded_log ?? own.loaded_log,
    fail_on: [...(said.fail_on ?? []), ...(own.fail_on ?? [])],
    failure: {
      critical: said.failure?.critical ?? role !== 'sidecar',
      exit_0_is_failure: said.failure?.exit_0_is_failure ?? role !== 'sidecar',
    },
    stop: {
      signal: said.stop?.signal ?? own.stop?.signal ?? 'TERM',
      grace: said.stop?.grace ?? own.stop?.grace ?? '30s',
    },
  };
}

/** `--flag value`; true gives the flag alone, false and null leave it out. */
function renderArgs(args: NonNullable<ServiceFile['args']>): string[] {
  return Object.entries(args).flatMap(([flag, value]) => {
    if (value === null || value === false) return [];
    return value === true ? [flag] : [flag, String(value)];
  });
}
