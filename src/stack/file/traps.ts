import { suggest } from '../../core/suggestion.ts';
import { mountList } from '../plan/srun-argv.ts';
import { referencesOf, SERVICE_VALUES, STACK_VALUES } from './interpolate.ts';
import type { ProbeFile } from './schema.ts';
import type { Remark, Service, Stack } from './stack.ts';

type Path = readonly (string | number)[];
type Tell = (level: Remark['level'], path: Path, message: string) => void;

/** Options of srun that have a place of their own in the file, or that do harm. */
const REFUSED_SRUN: readonly (readonly [RegExp, string])[] = [
  [
    /^(--oversubscribe|-s)$/,
    'does not let steps share a node (it is an option of jobs); every step has --overlap, which does',
  ],
  [/^(--exclusive|--exact)$/, 'would make the steps wait for one another; every step has --overlap'],
  [/^(--container-env)(=|$)/, 'is made of env: and container.env_passthrough'],
  [/^--container-/, 'is said under container:'],
  [/^(--export)(=|$)/, 'cannot hold values with commas and drops PATH; say it under env:'],
  [
    /^(-e|--error)(=|$)/,
    'sends the errors of the tasks to a file of that name; variables are said under env:',
  ],
  [/^(--nodes|-N|--ntasks|-n|--ntasks-per-node)(=|\d|$)/, 'is said by nodes and ntasks_per_node'],
  [/^(--nodelist|-w|--relative|-r)(=|$)/, 'is said by placement'],
  [
    /^(--jobid|--job-name|-J|--output|-o|--open-mode|--input|-i|--label|-l|--overlap)(=|$)/,
    'is set for every step',
  ],
  [/^--mpi(=|$)/, 'is said by mpi:'],
];

/** Everything about a complete stack that would only show at the launch, or not even there. */
export function findTraps(stack: Stack): Remark[] {
  const remarks: Remark[] = [];
  const tell: Tell = (level, path, message) => {
    remarks.push({ path, message, level });
  };
  checkCluster(stack, tell);
  checkContainer(stack, tell);
  for (const [name, service] of Object.entries(stack.services)) checkService(stack, name, service, tell);
  checkOrder(stack, tell);
  for (const [i, probe] of stack.stack_ready.all.entries())
    checkProbe(stack, probe, ['stack_ready', 'all', i], tell);
  const frontend = Object.values(stack.services).find(({ role }) => role === 'frontend');
  checkTexts(stack.stack_ready.all, ['stack_ready', 'all'], namesOf(frontend, false), tell);
  checkTexts(stack.container, ['container'], [...STACK_VALUES], tell);
  for (const path of [stack.container.image ?? '', ...mountList(stack.container)])
    if (/(^|[^$])\$[A-Za-z_(]/.test(path))
      tell('error', ['container'], `no shell reads "${path}": write \${env:NAME} for a variable`);
  checkTexts(stack.teardown.cleanup_globs, ['teardown', 'cleanup_globs'], [...STACK_VALUES], tell);
  return remarks;
}

function checkCluster({ cluster, services, nodesNeeded }: Stack, tell: Tell): void {
  const { mode, nodes } = cluster;
  if (typeof nodes === 'number' && nodes < nodesNeeded && mode !== 'local')
    tell(
      'error',
      ['cluster', 'nodes'],
      `${nodes} nodes do not hold the services, which need ${nodesNeeded}: the last steps would wait for ever`,
    );
  if (cluster.exclusive === false && Object.values(services).some((one) => one.ntasks_per_node > 1))
    tell(
      'warning',
      ['cluster', 'exclusive'],
      'without exclusive nodes SLURM may give one CPU a node, and steps of several tasks fail',
    );
  if (cluster.mem !== undefined && cluster.mem !== '0')
    tell('warning', ['cluster', 'mem'], 'only "0" gives all memory of the nodes');
  if (mode === 'local') {
    for (const [name, service] of Object.entries(services)) {
      for (const key of ['nodes', 'ntasks_per_node'] as const)
        if (service[key] > 1)
          tell(
            'error',
            ['services', name, key],
            `${service[key]} is too many: local mode has this machine alone`,
          );
    }
  }
}

function checkContainer({ container, cluster, services }: Stack, tell: Tell): void {
  const { runtime, image } = container;
  if (runtime === 'none') return;
  if (cluster.mode === 'local')
    tell('error', ['container', 'runtime'], 'pyxis is a part of SLURM: local mode needs runtime: none');
  if (image === undefined) {
    tell('error', ['container'], 'image is missing: a registry image or the path of a .sqsh file');
    return;
  }
  const name = image.replace(/^(docker|dockerd):\/\//, '');
  const first = name.split('/')[0]!;
  if (!/^[./]/.test(name) && !name.includes('#') && name.includes('/') && /[.:]/.test(first))
    tell(
      'warning',
      ['container', 'image'],
      `enroot before 4.0 would ask Docker Hub for "${image}": write "${name.replace('/', '#')}", with # after the registry`,
    );
  if (container.entrypoint === true)
    tell('warning', ['container', 'entrypoint'], "the image's entrypoint runs in every rank");
  const hidden = Object.values(services).every((service) => !service.container);
  if (hidden) tell('warning', ['container'], 'no service runs in the container');
}

function checkService(stack: Stack, name: string, service: Service, tell: Tell): void {
  const at: Path = ['services', name];
  const { placement, srun, command, env } = service;
  if (typeof placement === 'object' && 'share' in placement) {
    const others = Object.keys(stack.services).filter((one) => one !== name);
    if (!others.includes(placement.share))
      tell(
        'error',
        [...at, 'placement'],
        `there is no service "${placement.share}" to share with: ${suggest(placement.share, others)}`,
      );
  }
  if (placement === 'head' && service.nodes > 1)
    tell('error', [...at, 'placement'], `head is one node, but nodes is ${service.nodes}`);
  if (typeof placement === 'object' && 'nodes' in placement && placement.nodes.length < service.nodes)
    tell(
      'error',
      [...at, 'placement'],
      `names ${placement.nodes.length} nodes, but a replica needs ${service.nodes}`,
    );
  if (stack.cluster.mode === 'local' && typeof placement === 'object' && 'nodes' in placement)
    tell('error', [...at, 'placement'], 'local mode has this machine alone');
  for (const [i, option] of (srun.extra ?? []).entries()) {
    const why = REFUSED_SRUN.find(([pattern]) => pattern.test(option))?.[1];
    if (why !== undefined) tell('error', [...at, 'srun', 'extra', i], `${option.split('=')[0]} ${why}`);
  }
  if (service.launch === 'per_node' && srun.mpi === 'pmix' && service.nodes > 1)
    tell('error', [...at, 'launch'], 'an MPI world does not reach over several sruns: say per_replica');
  if (command[0]!.endsWith('trtllm-llmapi-launch')) {
    for (const word of command)
      if (word === '' || /\s/.test(word))
        tell(
          'error',
          at,
          `"${word}" would not survive trtllm-llmapi-launch, which splits its command at spaces: put it into a script`,
        );
    const hidden = Object.keys(env).filter((one) => /^(UCX|SLURM|MPI|OMPI|PMIX?)_/.test(one));
    if (hidden.length > 0)
      tell(
        'warning',
        [...at, 'env'],
        `${hidden.join(', ')} will not reach rank 0's command: trtllm-llmapi-launch takes it out; set it in a script`,
      );
  }
  for (const [variable, value] of Object.entries(env)) {
    if (/\$\(|`/.test(value) || /(^|[^$])\$[A-Za-z_]/.test(value))
      tell(
        'warning',
        [...at, 'env', variable],
        `no shell reads "${value}": it stays as it is; \${env:NAME} and \${head.ip} are filled in`,
      );
  }
  const system = service.ports['system'];
  if (system !== undefined && system + service.replicas - 1 > 32_767)
    tell('error', [...at, 'ports', 'system'], `${system} is above 32767, which Dynamo cannot read`);
  if (service.role === 'frontend') {
    if (service.replicas > 1 && stack.cluster.mode === 'local')
      tell('warning', [...at, 'replicas'], 'requests go to the first frontend alone');
    const scripted = stack.runtime.inside === 'frontend-script' && command.length === 1;
    if (scripted && service.ports['http'] !== 8000 && stack.runtime.dynamo?.startsWith('0.'))
      tell('warning', [...at, 'ports', 'http'], 'the script of this version has port 8000 written in it');
  }
  for (const [i, probe] of service.ready.all.entries())
    checkProbe(stack, probe, [...at, 'ready', 'all', i], tell);
  for (const [i, { log }] of service.fail_on.entries()) checkPattern(log, [...at, 'fail_on', i], tell);
  if (service.loaded_log !== undefined) checkPattern(service.loaded_log, [...at, 'loaded_log'], tell);
  checkTexts(
    {
      command: service.command,
      follower_args: service.follower_args,
      env: service.env,
      workdir: service.workdir,
      ready: service.ready.all,
      engine_config: undefined,
    },
    at,
    namesOf(service, true),
    tell,
  );
  if (service.engine_config !== undefined)
    checkTexts({ engine_config: service.engine_config }, at, [...STACK_VALUES], tell);
  else if (referencesOf([...command, ...Object.values(env)].join(' ')).includes('service.engine_config'))
    tell('error', at, '${service.engine_config} is used, but engine_config is not given');
}

function checkOrder({ services }: Stack, tell: Tell): void {
  const names = Object.keys(services);
  for (const [name, { depends_on }] of Object.entries(services)) {
    for (const [i, { service }] of depends_on.entries()) {
      const at: Path = ['services', name, 'depends_on', i];
      if (!names.includes(service))
        tell('error', at, `there is no service "${service}": ${suggest(service, names)}`);
      else if (reaches(services, service, name))
        tell('error', at, `${name} and ${service} wait for each other`);
    }
  }
}

function reaches(services: Stack['services'], from: string, to: string, seen = new Set<string>()): boolean {
  if (from === to) return true;
  if (seen.has(from)) return false;
  seen.add(from);
  return (services[from]?.depends_on ?? []).some(({ service }) => reaches(services, service, to, seen));
}

function checkProbe({ services }: Stack, probe: ProbeFile, path: Path, tell: Tell): void {
  const { log } = probe;
  if (log === undefined) return;
  checkPattern(typeof log === 'string' ? log : log.pattern, path, tell);
  const name = typeof log === 'string' ? undefined : log.service;
  if (name !== undefined && !(name in services))
    tell('error', path, `there is no service "${name}": ${suggest(name, Object.keys(services))}`);
  if (name === undefined && path[0] === 'stack_ready')
    tell('error', path, 'say whose log: {log: {service: NAME, pattern: …}}');
}

function checkPattern(pattern: string, path: Path, tell: Tell): void {
  try {
    new RegExp(pattern);
  } catch (error) {
    tell(
      'error',
      path,
      `"${pattern}" is no regular expression (${(error as Error).message.split(': ').pop()})`,
    );
  }
}

function namesOf(service: Service | undefined, own: boolean): string[] {
  const ports = Object.keys(service?.ports ?? {}).map((port) => `ports.${port}`);
  return [...STACK_VALUES, ...(own ? SERVICE_VALUES : []), ...ports];
}

/** Tells every `${…}` below a value that nothing fills in. */
function checkTexts(value: unknown, path: Path, known: readonly string[], tell: Tell): void {
  if (typeof value === 'string') {
    for (const name of referencesOf(value)) {
      if (known.includes(name)) continue;
      const hint = /^[A-Z_]\w*$/.test(name) ? `write \${env:${name}} for a variable` : suggest(name, known);
      tell('error', path, `\${${name}} has no value here: ${hint}`);
    }
  } else if (Array.isArray(value)) {
    for (const [i, one] of value.entries()) checkTexts(one, [...path, i], known, tell);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, one] of Object.entries(value)) checkTexts(one, [...path, key], known, tell);
  }
}
