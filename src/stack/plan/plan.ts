import path from 'node:path';
import { usageError } from '../../core/errors.ts';
import { isScrubbed } from '../../core/slurm-env.ts';
import { parseDurationMs } from '../../core/units.ts';
import { hostPathOf } from '../file/container-path.ts';
import { fill } from '../file/interpolate.ts';
import type { Service, Stack } from '../file/stack.ts';
import { placeServices } from './place.ts';
import { countGpus, refusePortClashes, sharedGpus } from './plan-checks.ts';
import { type ProbeScope, planProbe, tcpProbe, timesOf } from './plan-probes.ts';
import type { EngineCopy, PlannedStep, Probe, StackPlan } from './planned.ts';
import { idOf, onThisMachine, type Spot, spotsOf } from './spot.ts';
import { mountList, srunArgv } from './srun-argv.ts';
import { servingProbes } from './watch-probes.ts';

export { isScrubbed } from '../../core/slurm-env.ts';
export { readStack } from '../file/read.ts';
export { redactPlan } from '../file/redaction.ts';
export { allocationOf } from './allocation-plan.ts';

/** What the launch alone knows. */
export interface Launch {
  /** Unique name of this launch. */
  readonly run: string;
  /** Folder of the run, absolute, seen by all nodes. */
  readonly runDir: string;
  readonly jobId: string | null;
  /** In the order of the allocation; not looked at in local mode. */
  readonly nodes: readonly string[];
  /** Addresses of nodes under which all others reach them, by name; a node without one is called by its name. */
  readonly addresses: Readonly<Record<string, string>>;
  /** The environment that the steps will inherit, to take out of it what would mislead srun. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Stands for the job in a plan that is made without one. */
export const NO_JOB = 'JOBID';

/** An image of tens of gigabytes from a registry takes half an hour, without a word. */
const IMPORT_TIMEOUT_MS = 3_600_000;

/** Always taken out, so that a plan reads the same wherever it is made. */
const ALWAYS_UNSET = [
  'SLURM_CPUS_PER_TASK',
  'SLURM_NPROCS',
  'SLURM_NTASKS',
  'SLURM_NTASKS_PER_NODE',
  'SLURM_PROCID',
  'SLURM_STEP_ID',
  'SLURM_TASKS_PER_NODE',
];

/** The plan of a launch: every step's command, place, environment and readiness. Throws (exit 2) when it cannot be. */
export function makePlan(stack: Stack, launch: Launch): StackPlan {
  const planner = new Planner(stack, launch);
  return planner.plan();
}

class Planner {
  readonly #stack: Stack;
  readonly #launch: Launch;
  readonly #local: boolean;
  readonly #nodes: readonly string[];
  readonly #head: { readonly node: string; readonly address: string };
  readonly #spots: readonly Spot[];
  readonly #url: string;

  constructor(stack: Stack, launch: Launch) {
    this.#stack = stack;
    this.#launch = launch;
    this.#local = stack.cluster.mode === 'local';
    this.#nodes = this.#local ? ['localhost'] : launch.nodes;
    this.#head = this.#findHead();
    const services = this.#local ? onThisMachine(stack.services) : stack.services;
    const place = placeServices(services, this.#nodes, this.#head.node);
    this.#spots = spotsOf(stack.services, place);
    this.#url = this.#findUrl();
  }

  plan(): StackPlan {
    const { cluster, model, stack_ready, teardown } = this.#stack;
    const { run, runDir } = this.#launch;
    refusePortClashes(this.#spots);
    const stackFill = (text: string): string => fill(text, (name) => this.#value(name, null));
    const scope: ProbeScope = {
      fill: stackFill,
      url: this.#url,
      model: model.served_name,
      stepsOf: (service) => this.#idsOf(service!),
      world: 1,
    };
    const steps = this.#spots.map((spot) => this.#step(spot));
    const ready = stack_ready.all.map((probe) => planProbe(probe, scope));
    const stackTimes = timesOf(stack_ready);
    const critical = steps.filter((step) => step.critical).flatMap((step) => step.ready);
    return {
      schema: 1,
      run,
      name: this.#stack.name,
      mode: cluster.mode,
      runDir,
      jobId: this.#local ? null : this.#launch.jobId,
      nodes: this.#nodes,
      head: this.#head,
      url: this.#url,
      servedModel: model.served_name,
      gpus: countGpus(this.#stack),
      steps,
      ready,
      readyTimeoutMs: stackTimes.timeoutMs,
      readyIntervalMs: stackTimes.intervalMs,
      watch: [...this.#infraWatch(), ...servingProbes([...ready, ...critical], this.#url)],
      copies: this.#copies(),
      cleanupGlobs: teardown.cleanup_globs.map(stackFill),
      warnings: [...this.#stack.warnings, ...sharedGpus(this.#stack, this.#spots)],
    };
  }

  #findHead(): StackPlan['head'] {
    if (this.#local) return { node: 'localhost', address: '127.0.0.1' };
    const wanted = this.#stack.cluster.head ?? 'first';
    const node = wanted === 'first' ? this.#nodes[0] : wanted;
    if (node === undefined)
      throw usageError('there are no nodes to plan for', `the stack needs ${this.#stack.nodesNeeded}`);
    if (!this.#nodes.includes(node))
      throw usageError(
        `cluster.head: ${node} is not in the allocation (${this.#nodes.join(',')})`,
        'say first, or name one of the nodes',
      );
    return { node, address: this.#launch.addresses[node] ?? node };
  }

  #idsOf(name: string): string[] {
    return this.#spots.filter((spot) => spot.name === name).map(idOf);
  }

  #addressOf(node: string): string {
    return node === this.#head.node ? this.#head.address : (this.#launch.addresses[node] ?? node);
  }

  /** Of the first frontend, or of what else has a port for HTTP. */
  #entrance(): Spot | undefined {
    return (
      this.#spots.find(({ service }) => service.role === 'frontend') ??
      this.#spots.find(({ service }) => service.ports['http'] !== undefined)
    );
  }

  #findUrl(): string {
    const spot = this.#entrance();
    const port = spot?.service.ports['http'];
    if (spot === undefined || port === undefined)
      throw usageError('no service has a port for requests', 'give the frontend ports: {http: 8000}');
    const address = this.#addressOf(spot.nodes[0]!);
    return `http://${address.includes(':') ? `[${address}]` : address}:${port + spot.replica}`;
  }

  /** What `${name}` stands for, at a step or (null) for the stack as a whole. */
  #value(name: string, spot: Spot | null): string | undefined {
    const { run, runDir, jobId } = this.#launch;
    const { node, address } = this.#head;
    const common: Readonly<Record<string, string>> = {
      'head.node': node,
      'head.ip': address,
      'head.bind': /^[\d.]+$/.test(address) ? address : '0.0.0.0',
      'run.id': run,
      'run.dir': runDir,
      'run.scratch': this.#local ? path.posix.join(runDir, 'scratch') : `/tmp/bench-stack-${run}`,
      'job.id': jobId ?? NO_JOB,
      'model.path': this.#stack.model.path,
      'model.served_name': this.#stack.model.served_name,
      'stack.url': this.#url,
    };
    if (name in common) return common[name];
    const at = spot ?? this.#entrance() ?? null;
    if (at !== null && name.startsWith('ports.')) {
      const base = at.service.ports[name.slice('ports.'.length)];
      return base === undefined ? undefined : String(base + at.replica);
    }
    if (spot === null) return undefined;
    const leader = spot.replicaNodes[0]!;
    const own: Readonly<Record<string, string | undefined>> = {
      'service.name': spot.name,
      'service.index': String(spot.replica),
      'service.nodes': String(spot.replicaNodes.length),
      'service.nodelist': spot.replicaNodes.join(','),
      'service.engine_config': this.#engineConfig(spot.service),
      'node.name': spot.nodes[0]!,
      'node.ip': this.#addressOf(spot.nodes[0]!),
      'node.rank': String(spot.rank),
      'leader.node': leader,
      'leader.address': this.#addressOf(leader),
    };
    return own[name];
  }

  #engineConfig({ engine_config }: Service): string | undefined {
    return engine_config === undefined ? undefined : fill(engine_config, (name) => this.#value(name, null));
  }

  #step(spot: Spot): PlannedStep {
    const { name, service, replica, nodes, rank } = spot;
    const { run, runDir, env: inherited } = this.#launch;
    const filled = (text: string): string => fill(text, (one) => this.#value(one, spot));
    const id = idOf(spot);
    const tasksPerNode = this.#local ? 1 : service.ntasks_per_node;
    const tasks = nodes.length * tasksPerNode;
    const words = rank === 0 ? service.command : [...service.command, ...service.follower_args];
    const command = words.map(filled);
    const workdir = service.workdir === undefined ? null : filled(service.workdir);
    const env: Record<string, string> = { BENCH_STACK_RUN: run };
    for (const [key, value] of Object.entries(service.env)) env[key] = filled(value);
    const logFile = path.posix.join(runDir, 'logs', `${id}.log`);
    const stepName = `${run}.${id}`;
    const argv = this.#local
      ? command
      : srunArgv(
          {
            jobId: this.#launch.jobId ?? NO_JOB,
            nodes,
            tasks,
            tasksPerNode,
            stepName,
            logFile,
            workdir,
            envNames: Object.keys(env),
            command,
          },
          { ...service.srun, extra: (service.srun.extra ?? []).map(filled) },
          this.#containerOf(service),
        );
    const times = timesOf(service.ready);
    const scope: ProbeScope = {
      fill: filled,
      url: this.#url,
      model: this.#stack.model.served_name,
      stepsOf: (other) => (other === undefined ? [id] : this.#idsOf(other)),
      world: tasks,
    };
    const scrubbed = this.#local ? [] : [...ALWAYS_UNSET, ...Object.keys(inherited).filter(isScrubbed)];
    return {
      id,
      service: name,
      replica,
      role: service.role,
      nodes,
      tasks,
      tasksPerNode,
      stepName,
      argv,
      command,
      env,
      unset: [...new Set([...scrubbed, ...service.unset])].filter((one) => !(one in env)).sort(),
      workdir,
      logFile,
      srunLogFile: this.#local ? null : path.posix.join(runDir, 'logs', `${id}.srun.log`),
      after: service.depends_on.flatMap(({ service: other, condition }) =>
        this.#idsOf(other).map((step) => ({ step, condition })),
      ),
      // Of a replica with a step on each node, the first alone is seen from outside.
      ready: rank === 0 ? service.ready.all.map((probe) => planProbe(probe, scope)) : [],
      loadedPattern: service.loaded_log ?? null,
      readyTimeoutMs: times.timeoutMs,
      importTimeoutMs: this.#local || this.#containerOf(service) === null ? null : IMPORT_TIMEOUT_MS,
      stallMs: parseDurationMs(service.ready.stall_timeout, 'stall_timeout'),
      probeIntervalMs: times.intervalMs,
      failOn: service.fail_on.map((rule) => ({
        pattern: rule.log,
        failureClass: rule.class ?? 'crash',
        action: rule.action ?? 'fail',
      })),
      critical: service.failure.critical,
      exitZeroFails: service.failure.exit_0_is_failure,
      stop: { signal: service.stop.signal, graceMs: parseDurationMs(service.stop.grace, 'stop.grace') },
    };
  }

  /** null: on the node itself. */
  #containerOf(service: Service): Stack['container'] | null {
    const { container } = this.#stack;
    if (container.runtime === 'none' || !service.container) return null;
    const filled = (text: string): string => fill(text, (name) => this.#value(name, null));
    return { ...container, image: filled(container.image!), mounts: mountList(container).map(filled) };
  }

  #infraWatch(): Probe[] {
    const { runtime } = this.#stack;
    const { inside, etcd, nats, discovery, request_plane, event_plane } = runtime;
    if (inside === 'none') return [];
    const at = (url: string | undefined, port: number): Probe[] =>
      (url?.split(',') ?? [`${this.#head.address}:${port}`]).map((one) =>
        tcpProbe(one.replace(/^\w+:\/\//, '').replace(/\/.*$/, '')),
      );
    return [
      ...(discovery === 'etcd' ? at(etcd?.url, etcd?.port ?? 2379) : []),
      ...(request_plane === 'nats' || event_plane === 'nats' ? at(nats?.url, nats?.port ?? 4222) : []),
    ];
  }

  #copies(): EngineCopy[] {
    return Object.entries(this.#stack.services).flatMap(([name, service]) => {
      const file = this.#engineConfig(service);
      if (file === undefined) return [];
      const container = this.#containerOf(service);
      const host = container === null ? file : hostPathOf(file, mountList(container));
      return host === null ? [] : [{ service: name, file: host }];
    });
  }
}
