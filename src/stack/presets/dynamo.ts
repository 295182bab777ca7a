import type { ProbeFile, ServiceFile, StackFile } from '../file/schema.ts';
import type { Remark } from '../file/stack.ts';
import type { Role } from '../plan/planned.ts';
import { etcdService, natsService } from './infra.ts';
import type { Expansion, PresetInput } from './preset.ts';

type Runtime = NonNullable<StackFile['runtime']>;

/** The planes of a Dynamo, all said. */
export type Planes = Expansion['runtime'] & {
  readonly dynamo: string;
  readonly python: string;
  readonly discovery: NonNullable<Runtime['discovery']>;
  readonly request_plane: NonNullable<Runtime['request_plane']>;
  readonly event_plane: NonNullable<Runtime['event_plane']>;
};

/** What differs between the engines that Dynamo runs. */
export interface Engine {
  readonly worker: (name: string, role: Role, service: ServiceFile, planes: Planes) => ServiceFile;
  readonly frontend: (planes: Planes) => ServiceFile;
  /** Names of components in `/health`, which changed with Dynamo's versions. */
  readonly components: (role: Role, planes: Planes) => readonly string[];
  readonly planes: (input: PresetInput) => Partial<Runtime>;
  readonly check?: (input: PresetInput, planes: Planes) => readonly Remark[];
  readonly timing: { readonly timeout: string; readonly interval: string; readonly stall_timeout: string };
  readonly cleanupGlobs: readonly string[];
}

const GUIDE_PROMPT = 'Tell me a story as if we were playing dungeons and dragons.';
const SYSTEM_PORT = 9091;

/** Whether a version like "0.4" is at least the other. */
export function isAtLeast(version: string, least: readonly [number, number]): boolean {
  const [major, minor] = version.split('.').map(Number) as [number, number];
  return major > least[0] || (major === least[0] && minor >= least[1]);
}

/** The share of a preset that is Dynamo's own; the engine adds its workers. */
export function expandDynamo(input: PresetInput, engine: Engine): Expansion {
  const planes = planesOf(input, engine);
  const { file, local, roles } = input;
  const withNats = planes.request_plane === 'nats' || planes.event_plane === 'nats';
  const infra: Record<string, ServiceFile> =
    planes.inside === 'own-step'
      ? {
          ...(planes.discovery === 'etcd' && !roles.has('etcd') && { etcd: etcdService(planes, local) }),
          ...(withNats && !roles.has('nats') && { nats: natsService(planes, local) }),
        }
      : {};
  const shared = { ...environmentOf(planes, withNats, local), ...(local && LOOPBACK) };
  const frontends = namesOf(roles, 'frontend');
  const infraNames = [...Object.keys(infra), ...namesOf(roles, 'infra')];
  const waitFor = planes.inside === 'frontend-script' ? frontends : infraNames;
  let systemPort = SYSTEM_PORT;
  const services: Record<string, ServiceFile> = {};
  for (const [name, role] of roles) {
    const given = file.services[name]!;
    if (role === 'infra' || role === 'sidecar') continue;
    if (role === 'frontend') {
      const own = engine.frontend(planes);
      services[name] = {
        ...own,
        env: { ...shared, ...own.env, DYN_HTTP_PORT: '${ports.http}' },
        unset: ['DYN_SYSTEM_PORT', ...(own.unset ?? [])],
        ports: {
          http: 8000,
          ...(planes.inside === 'frontend-script' && { etcd: etcdPort(planes), nats: natsPort(planes) }),
        },
        command: [planes.python, '-m', 'dynamo.frontend'],
        args: { '--http-port': '${ports.http}', ...(local && { '--http-host': '127.0.0.1' }) },
        ready: { all: frontendProbes(planes), timeout: '10m', interval: engine.timing.interval },
        depends_on: infraNames.map((service) => ({ service, condition: 'ready' as const })),
      };
      continue;
    }
    const own = engine.worker(name, role, given, planes);
    const base = systemPort;
    systemPort += given.replicas ?? 1;
    services[name] = {
      ...own,
      env: {
        ...shared,
        ...own.env,
        ...(!isAtLeast(planes.dynamo, [0, 6]) && { DYN_SYSTEM_ENABLED: 'true' }),
        DYN_SYSTEM_PORT: '${ports.system}',
      },
      ports: { system: base, ...own.ports },
      ready: {
        all: [instances(engine, role, planes, given.replicas ?? 1)],
        ...engine.timing,
      },
      depends_on: waitFor.map((service) => ({ service, condition: 'ready' as const })),
    };
  }
  return {
    runtime: planes,
    infra,
    services,
    stackReady: {
      all: stackProbes(input, engine, planes),
      timeout: engine.timing.timeout,
      interval: '500ms',
    },
    cleanupGlobs: [...engine.cleanupGlobs, ...(local ? [] : ['${run.scratch}'])],
    remarks: [...planeFindings(input, planes), ...(engine.check?.(input, planes) ?? [])],
  };
}

/** What keeps every port of a local stack on this machine alone. */
const LOOPBACK = { DYN_TCP_RPC_HOST: '127.0.0.1', DYN_SYSTEM_HOST: '127.0.0.1' };

function namesOf(roles: ReadonlyMap<string, Role>, role: Role): string[] {
  return [...roles].filter(([, one]) => one === role).map(([name]) => name);
}

const etcdPort = (planes: Planes): number => planes.etcd?.port ?? 2379;
const natsPort = (planes: Planes): number => planes.nats?.port ?? 4222;

function planesOf(input: PresetInput, engine: Engine): Planes {
  const given = input.file.runtime ?? {};
  const own = engine.planes(input);
  const dynamo = given.dynamo ?? own.dynamo ?? '1.0';
  const modern = isAtLeast(dynamo, [0, 9]);
  const discovery = given.discovery ?? own.discovery ?? 'etcd';
  const request_plane = given.request_plane ?? own.request_plane ?? (modern ? 'tcp' : 'nats');
  const event_plane = given.event_plane ?? own.event_plane ?? (discovery === 'etcd' ? 'nats' : 'zmq');
  const needed = discovery === 'etcd' || request_plane === 'nats' || event_plane === 'nats';
  const scripted = Object.entries(input.file.services).some(
    ([name, { script }]) => input.roles.get(name) === 'frontend' && script !== undefined,
  );
  const inside = given.inside ?? (needed ? (scripted ? 'frontend-script' : 'own-step') : 'none');
  return {
    ...given,
    dynamo,
    python: given.python ?? 'python3',
    discovery,
    request_plane,
    event_plane,
    inside,
  };
}

function environmentOf(planes: Planes, withNats: boolean, local: boolean): Record<string, string> {
  const { dynamo, discovery, request_plane, event_plane, namespace } = planes;
  const address = local ? '127.0.0.1' : '${head.ip}';
  const scheme = isAtLeast(dynamo, [0, 6]) ? 'http://' : '';
  return {
    DYN_SDK_DISABLE_ANSI_LOGGING: '1',
    ...(discovery === 'etcd' && {
      ETCD_ENDPOINTS: planes.etcd?.url ?? `${scheme}${address}:${etcdPort(planes)}`,
    }),
    ...(withNats && { NATS_SERVER: planes.nats?.url ?? `nats://${address}:${natsPort(planes)}` }),
    ...(discovery === 'file' && { DYN_FILE_KV: '${run.dir}/kv' }),
    ...(namespace !== undefined && { DYN_NAMESPACE: namespace }),
    ...(isAtLeast(dynamo, [0, 9])
      ? {
          DYN_DISCOVERY_BACKEND: discovery,
          DYN_REQUEST_PLANE: request_plane,
          DYN_EVENT_PLANE: event_plane,
        }
      : isAtLeast(dynamo, [0, 7]) && { DYN_STORE_KV: discovery, DYN_REQUEST_PLANE: request_plane }),
  };
}

function frontendProbes(planes: Planes): ProbeFile[] {
  const infra: ProbeFile[] =
    planes.inside === 'frontend-script'
      ? [
          {
            http: {
              url: 'http://${head.ip}:${ports.etcd}/health',
              json: { path: '$.health', equals: 'true' },
            },
          },
          { tcp: '${head.ip}:${ports.nats}' },
        ]
      : [];
  const modern = isAtLeast(planes.dynamo, [1, 0]);
  return [
    ...infra,
    ...(modern ? [] : [{ log: 'Starting HTTP(?:\\(S\\))? service' }]),
    { http: { url: `\${stack.url}${modern ? '/live' : '/health'}` } },
  ];
}

function instances(engine: Engine, role: Role, planes: Planes, min: number): ProbeFile {
  return { instances: { component: [...engine.components(role, planes)], endpoint: 'generate', min } };
}

/** What the whole must show once every service is ready on its own. */
function stackProbes({ file, roles }: PresetInput, engine: Engine, planes: Planes): ProbeFile[] {
  const replicasOf = (role: Role): number =>
    namesOf(roles, role).reduce((sum, name) => sum + (file.services[name]!.replicas ?? 1), 0);
  const frontend = namesOf(roles, 'frontend')[0];
  if (frontend === undefined) return [];
  const counted = (['prefill', 'decode', 'agg'] as const).filter((role) => replicasOf(role) > 0);
  const router: ProbeFile[] = isAtLeast(planes.dynamo, [1, 0])
    ? counted.includes('prefill')
      ? [
          {
            log: {
              service: frontend,
              pattern: 'Prefill (?:worker registered and router activated|router activated) successfully',
            },
          },
        ]
      : []
    : [{ log: { service: frontend, pattern: addedModel(file.model.served_name) } }];
  return [
    ...counted.map((role) => instances(engine, role, planes, replicasOf(role))),
    { model: { listed: true } },
    ...router,
    { canary: { requests: 3, max_tokens: 30, min_tokens: 1, prompt: GUIDE_PROMPT } },
  ];
}

function addedModel(name: string): string {
  return `added model\\b.*model_name="?${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}"?`;
}

function planeFindings({ file, roles }: PresetInput, planes: Planes): Remark[] {
  const remarks: Remark[] = [];
  const error = (path: Remark['path'], message: string): void => {
    remarks.push({ path, message, level: 'error' });
  };
  const frontends = namesOf(roles, 'frontend');
  if (frontends.length === 0) error(['services'], 'there is no frontend: add a service of role frontend');
  for (const [one, other] of [
    ['prefill', 'decode'],
    ['decode', 'prefill'],
  ] as const) {
    if (namesOf(roles, one).length > 0 && namesOf(roles, other).length === 0)
      error(['services'], `there is ${one} without ${other}: add it, or give the service role agg`);
  }
  if (!isAtLeast(planes.dynamo, [0, 7])) {
    for (const [key, only] of [
      ['discovery', 'etcd'],
      ['request_plane', 'nats'],
    ] as const) {
      if (planes[key] !== only)
        error(
          ['runtime', key],
          `Dynamo ${planes.dynamo} has ${only} alone; later versions have ${planes[key]}`,
        );
    }
  }
  if (isAtLeast(planes.dynamo, [1, 4]) && planes.request_plane === 'http')
    error(['runtime', 'request_plane'], `Dynamo ${planes.dynamo} has nats and tcp, no http`);
  if (planes.inside === 'frontend-script') {
    for (const name of frontends) {
      const { script, command } = file.services[name]!;
      if (script === undefined && command === undefined)
        error(
          ['services', name],
          'runtime.inside is frontend-script, so this service needs script: the one that starts etcd, NATS and the frontend',
        );
    }
  }
  if (planes.inside === 'external') {
    if (planes.discovery === 'etcd' && planes.etcd?.url === undefined)
      error(['runtime'], 'inside is external, so etcd.url must say where etcd is');
    if ((planes.request_plane === 'nats' || planes.event_plane === 'nats') && planes.nats?.url === undefined)
      error(['runtime'], 'inside is external, so nats.url must say where NATS is');
  }
  if (planes.inside === 'none' && planes.discovery === 'etcd')
    error(['runtime', 'inside'], 'none starts no etcd, but discovery is etcd: say own-step or external');
  return remarks;
}
