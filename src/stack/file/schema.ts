import { z } from 'zod';
import { parseDurationMs } from '../../core/units.ts';
import { mapping as object } from '../../core/yaml-spots.ts';
import { FAILURE_CLASSES } from '../failure/why.ts';

const text = z.string().min(1, 'is empty');
const duration = z.string().refine(
  (value) => {
    try {
      return parseDurationMs(value, '') >= 0;
    } catch {
      return false;
    }
  },
  { error: 'is not a duration: write a number with its unit, as in 500ms, 30s, 60m or 5h' },
);

/** A whole number, or one that came as text from the environment. */
function whole(least: number, most: number) {
  const range = `is not a whole number from ${least} to ${most}`;
  return z
    .union([z.number(), z.string().regex(/^\d+$/, range).transform(Number)], { error: range })
    .refine((value) => Number.isInteger(value) && value >= least && value <= most, { error: range });
}

const port = whole(1, 65_535);
const count = whole(1, 100_000);
const scalar = z
  .union([z.string(), z.number(), z.boolean()], { error: 'is not a text, a number or true/false' })
  .transform(String);
const variableName = z.string().superRefine((name, context) => {
  if (name.includes('=')) {
    context.addIssue({
      code: 'custom',
      message:
        'has a "=": pyxis takes names alone and would corrupt the value; write the name here and its value under env:',
    });
  } else if (!/^[A-Za-z_]\w*$/.test(name)) {
    context.addIssue({ code: 'custom', message: 'is no name of an environment variable' });
  }
});
const environment = z.record(variableName, scalar);

const mount = z.union([
  z
    .string()
    .regex(
      /^[^:,]+:(\/|\$\{)[^:,]*(:[^:,]+)?$/,
      'is not SOURCE:/TARGET or SOURCE:/TARGET:FLAGS (flags joined by "+")',
    ),
  object({ host: text, container: text, flags: z.array(text).optional() }),
]);

const probe = object({
  log: z
    .union([
      text,
      object({
        pattern: text,
        service: text.optional(),
        count: z.union([count, z.literal('world')]).optional(),
      }),
    ])
    .optional(),
  tcp: z
    .string()
    .regex(/:(\d+|\$\{[^}]+\})$/, 'is not HOST:PORT')
    .optional(),
  http: object({
    url: z.string().regex(/^(https?:\/\/|\$\{)/, 'is not an http URL'),
    status: whole(100, 599).optional(),
    json: object({
      path: z.string().regex(/^\$(\.[\w-]+|\[\d+\])+$/, 'is not a path like $.a.b[0]'),
      equals: scalar,
    }).optional(),
  }).optional(),
  instances: object({
    component: z.union([text, z.array(text).min(1)]),
    endpoint: text.optional(),
    min: count.optional(),
  }).optional(),
  model: object({ listed: z.literal(true) }).optional(),
  canary: object({
    requests: count.optional(),
    max_tokens: count.optional(),
    min_tokens: count.optional(),
    prompt: text.optional(),
  }).optional(),
  exec: object({ argv: z.array(text).min(1), exit: whole(0, 255).optional() }).optional(),
}).refine((one) => Object.keys(one).length === 1, {
  error: 'a probe has one of the keys log, tcp, http, instances, model, canary, exec',
});

const stackReady = {
  all: z.array(probe).optional(),
  timeout: duration.optional(),
  interval: duration.optional(),
};
const ready = object({ ...stackReady, stall_timeout: duration.optional() });

const srun = object({
  mpi: z.enum(['pmix', 'pmi2', 'none']).optional(),
  kill_on_bad_exit: z.boolean().optional(),
  wait: whole(0, 1_000_000).optional(),
  cpu_bind: text.optional(),
  cpus_per_task: count.optional(),
  mem: text.optional(),
  het_group: whole(0, 1_000).optional(),
  extra: z.array(text).optional(),
});

const placement = z.union(
  [z.enum(['head', 'auto']), object({ share: text }), object({ nodes: z.array(text).min(1) })],
  { error: 'is none of head, auto, {share: SERVICE}, {nodes: [NAME, …]}' },
);

const service = object({
  role: z.enum(['infra', 'frontend', 'prefill', 'decode', 'agg', 'sidecar']).optional(),
  replicas: count.optional(),
  nodes: count.optional(),
  ntasks_per_node: count.optional(),
  /** One srun for all nodes of a replica, or one for each. */
  launch: z.enum(['per_replica', 'per_node']).optional(),
  placement: placement.optional(),
  gpus: object({ per_node: count.optional(), visible: text.optional() }).optional(),
  engine_config: text.optional(),
  /** Whether the service runs in the container of the stack; false: on the node itself. */
  container: z.boolean().optional(),
  env: environment.optional(),
  unset: z.array(variableName).optional(),
  command: z.array(z.string()).min(1).optional(),
  script: text.optional(),
  /** Further words for the nodes of a replica after its first, where each node has its own srun. */
  follower_args: z.array(text).optional(),
  args: z
    .record(
      z.string().regex(/^--?[A-Za-z]/, 'is no flag: write it with its dashes'),
      z.union([z.string(), z.number(), z.boolean(), z.null()], {
        error: 'is not a text, a number, true/false or null',
      }),
    )
    .optional(),
  workdir: text.optional(),
  srun: srun.optional(),
  ports: z.record(z.string().regex(/^[a-z][a-z0-9_]*$/, 'is no name of a port'), port).optional(),
  depends_on: z
    .array(object({ service: text, condition: z.enum(['started', 'ready']).optional() }))
    .optional(),
  ready: ready.optional(),
  loaded_log: text.optional(),
  fail_on: z
    .array(
      object({
        log: text,
        class: z.enum(FAILURE_CLASSES).optional(),
        action: z.enum(['fail', 'warn']).optional(),
      }),
    )
    .optional(),
  failure: object({ critical: z.boolean().optional(), exit_0_is_failure: z.boolean().optional() }).optional(),
  stop: object({
    signal: z
      .string()
      .regex(/^[A-Z][A-Z0-9]*$/, 'is no name of a signal: write TERM or INT')
      .optional(),
    grace: duration.optional(),
  }).optional(),
});

const cluster = object({
  mode: z.enum(['salloc', 'attach', 'sbatch', 'local']).optional(),
  partition: text.optional(),
  account: text.optional(),
  qos: text.optional(),
  reservation: text.optional(),
  constraint: text.optional(),
  job_name: text.optional(),
  nodes: z.union([count, z.literal('auto')], { error: 'is not auto or a whole number from 1' }).optional(),
  time: z
    .string()
    .regex(/^(\d+-)?\d+(:\d+){0,2}$/, 'is not a time of SLURM: write "HH:MM:SS" in quotes')
    .optional(),
  exclusive: z.boolean().optional(),
  gpus_per_node: count.optional(),
  gres: z.enum(['auto', 'always', 'never']).optional(),
  mem: scalar.optional(),
  /** Least memory that must be free on a node with a worker, and what its programs are made for. */
  free_memory_gib: count.optional(),
  machine: z.enum(['aarch64', 'x86_64']).optional(),
  segment: count.optional(),
  extra: z.array(text).optional(),
  attach: object({ job_id: scalar }).optional(),
  pending_timeout: duration.optional(),
  on_exit: z.enum(['cancel', 'keep']).optional(),
  head: text.optional(),
  network: object({
    /** Asked on the node itself, its name, or what SLURM itself uses (`NodeAddr`). */
    address: z.enum(['ip', 'hostname', 'slurm']).optional(),
    interface: text.optional(),
    /** Networks whose addresses are taken first, as 10.4.0.0/16. */
    prefer: z.array(z.string().regex(/^\d+(\.\d+){3}\/\d+$/, 'is no network: write 10.4.0.0/16')).optional(),
  }).optional(),
});

const container = object({
  runtime: z.enum(['pyxis', 'none']).optional(),
  image: text.optional(),
  mounts: z.array(mount).optional(),
  env_passthrough: z.array(variableName).optional(),
  mount_home: z.boolean().optional(),
  entrypoint: z.boolean().optional(),
  writable: z.boolean().optional(),
  remap_root: z.boolean().optional(),
  name: text.optional(),
  workdir: text.optional(),
});

const server = {
  port: port.optional(),
  url: text.optional(),
  bin: text.optional(),
  data_dir: text.optional(),
};

const runtime = object({
  dynamo: z
    .string({ error: 'is not a text: write the version in quotes, as in "0.4" or "1.10"' })
    .regex(/^\d+\.\d+(\.\w+)*$/, 'is no version: write "0.4" or "1.2.0"')
    .optional(),
  python: text.optional(),
  namespace: text.optional(),
  discovery: z.enum(['etcd', 'file']).optional(),
  request_plane: z.enum(['nats', 'tcp', 'http']).optional(),
  event_plane: z.enum(['nats', 'zmq']).optional(),
  inside: z.enum(['frontend-script', 'own-step', 'external', 'none']).optional(),
  etcd: object({ ...server, peer_port: port.optional() }).optional(),
  nats: object(server).optional(),
});

export const PRESET_NAMES = [
  'custom',
  'dynamo-trtllm',
  'dynamo-vllm',
  'dynamo-sglang',
  'dynamo-mocker',
] as const;

/** The file `stack.yaml` as people write it; what is left out is filled in by the preset. */
export const stackSchema = object({
  schema: z.literal(1, { error: 'is not 1, the only version there is' }),
  name: z.string().regex(/^[a-z0-9][a-z0-9-]*$/, 'may hold a-z, 0-9 and "-" alone'),
  preset: z.enum(PRESET_NAMES).optional(),
  cluster: cluster.optional(),
  container: container.optional(),
  model: object({
    path: text,
    host_path: text.optional(),
    served_name: z
      .string()
      .min(
        1,
        'is empty: the worker script would pass --served-model-name without a value, and the launcher would hang',
      ),
    require_files: z.array(text).optional(),
  }),
  runtime: runtime.optional(),
  env: environment.optional(),
  services: z.record(
    z.string().regex(/^[a-z][a-z0-9-]*$/, 'is no name of a service: use a-z, 0-9 and "-"'),
    service,
  ),
  stack_ready: object(stackReady).optional(),
  teardown: object({
    cleanup_globs: z
      .array(
        // Removed with all that is below, so nothing at the top of the file system.
        z
          .string()
          .regex(
            /^(\/[^/*?[]+\/|\$\{run\.(scratch|dir)\})/,
            'is no path below a folder: write /dev/shm/NAME*',
          ),
      )
      .optional(),
  }).optional(),
});

export type StackFile = z.infer<typeof stackSchema>;
export type ServiceFile = z.infer<typeof service>;
export type ProbeFile = z.infer<typeof probe>;
export type SrunFile = z.infer<typeof srun>;
export type PlacementFile = z.infer<typeof placement>;
