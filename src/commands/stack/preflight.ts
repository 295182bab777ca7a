import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { writeAtomic } from '../../host/store.ts';
import { plainWhy, StackFailure } from '../../stack/failure/why.ts';
import { hostPathOf } from '../../stack/file/container-path.ts';
import type { Stack } from '../../stack/file/stack.ts';
import { runCommand } from '../../stack/launch/slurm.ts';
import type { PreflightResult } from '../../stack/launch/supervisor.ts';
import type { StackPlan } from '../../stack/plan/planned.ts';
import { mountList } from '../../stack/plan/srun-argv.ts';
import { checkEngine } from '../../stack/preflight/engine-limits.ts';
import type { Finding } from '../../stack/preflight/findings.ts';
import { imageFacts } from '../../stack/preflight/image-facts.ts';
import {
  checkNode,
  type NodeNeeds,
  nodeNeeds,
  type PreflightOptions,
} from '../../stack/preflight/preflight.ts';
import { type NodeFacts, parsePreflight } from '../../stack/preflight/preflight-facts.ts';
import { preflightScript } from '../../stack/preflight/preflight-script.ts';
import { packageVersionsCommand, parsePackageVersions } from '../../stack/preflight/versions.ts';
import type { StackOrder } from './start.ts';

export const PREFLIGHT_FILE = 'preflight.json';
/** Room that logs and results need at least where they are written. */
const LEAST_FREE_BYTES = 256 * 1024 * 1024;
const NODE_TIMEOUT_MS = 120_000;

/**
 * Looks at every node of the plan with one tiny step each, and at the engines' own limits. What was found is in
 * `preflight.json`; gives what is doubtful, and throws what would make the launch fail.
 */
export async function lookAtNodes(
  stack: Stack,
  plan: StackPlan,
  order: StackOrder,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<PreflightResult> {
  const image = stack.container.runtime === 'none' ? null : await imageFacts(stack.container.image ?? '');
  const versions = await packageVersions(stack, plan, env);
  if (!order.preflight) return { warnings: [], versions, drivers: {}, gpuClocks: {}, image };
  const options = optionsOf(stack, plan);
  const looks = await Promise.all(
    nodeNeeds(plan, options).map((needs) => lookAtNode(needs, plan, options, env)),
  );
  const findings = [...looks.flatMap((look) => look.findings), ...lookAtEngines(stack, plan, order.shapes)];
  writeAtomic(path.join(order.dir, PREFLIGHT_FILE), `${JSON.stringify(findings, null, 2)}\n`);
  const errors = findings.filter(({ level }) => level === 'error');
  if (errors.length > 0 && !signal.aborted) {
    const [first] = errors as [Finding];
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more: ${PREFLIGHT_FILE})` : '';
    throw new StackFailure({
      ...plainWhy('preflight', `${findingText({ ...first, node: null })}${more}`, first.hint),
      node: first.node,
    });
  }
  return {
    warnings: findings
      .filter(({ level }) => level === 'warn')
      .map((finding) => `${findingText(finding)}${finding.hint === null ? '' : ` (${finding.hint})`}`),
    versions,
    drivers: Object.fromEntries(
      looks.flatMap(({ facts }) => (facts?.driver ? [[facts.node, facts.driver] as const] : [])),
    ),
    gpuClocks: Object.fromEntries(
      looks.flatMap(({ facts }) => (facts?.gpuClocks ? [[facts.node, facts.gpuClocks] as const] : [])),
    ),
    image,
  };
}

/** Versions that a Python on the head node has; inside of a container only the engines' own words tell them. */
async function packageVersions(
  stack: Stack,
  plan: StackPlan,
  env: NodeJS.ProcessEnv,
): Promise<Readonly<Record<string, string>>> {
  const { python } = stack.runtime;
  if (stack.container.runtime !== 'none' || python === undefined) return {};
  const { stdout } = await runCommand(onNode(plan, plan.head.node, packageVersionsCommand(python)), { env });
  return parsePackageVersions(stdout);
}

/** The command as a step of one task on the node; as it is in local mode. */
function onNode(plan: StackPlan, node: string, command: readonly string[]): readonly string[] {
  if (plan.jobId === null) return command;
  return [
    'srun',
    `--jobid=${plan.jobId}`,
    '--overlap',
    '--nodes=1',
    '--ntasks=1',
    '--ntasks-per-node=1',
    '--kill-on-bad-exit=1',
    `--nodelist=${node}`,
    '--input=none',
    '-J',
    `${plan.run}.preflight`,
    ...command,
  ];
}

/** A finding in one line, without its hint. */
export function findingText({ node, what, value }: Finding): string {
  return `${node === null ? '' : `${node}: `}${what}: ${value}`;
}

async function lookAtNode(
  needs: NodeNeeds,
  plan: StackPlan,
  options: PreflightOptions,
  env: NodeJS.ProcessEnv,
): Promise<{ readonly findings: readonly Finding[]; readonly facts: NodeFacts | null }> {
  const argv = onNode(plan, needs.node, ['bash', '-c', preflightScript(needs.asks)]);
  const askedMs = Date.now();
  const { stdout, stderr, code } = await runCommand(argv, { env, timeoutMs: NODE_TIMEOUT_MS });
  if (stdout === '' && code !== 0) {
    const finding: Finding = {
      level: 'error',
      node: needs.node,
      what: 'preflight step',
      value: stderr.trim().split('\n').at(-1) || `it ended with ${code ?? 'no exit code'}`,
      hint: 'a step cannot be started on this node',
    };
    return { findings: [finding], facts: null };
  }
  const facts = parsePreflight(needs.node, stdout);
  return { findings: checkNode(needs, facts, options, { askedMs, toldMs: Date.now() }), facts };
}

/** What the file asks of the nodes beyond the plan. */
export function optionsOf(stack: Stack, plan: StackPlan): PreflightOptions {
  const { model, cluster, container } = stack;
  const inContainer = container.runtime !== 'none';
  const modelPath =
    model.host_path ?? (inContainer ? hostPathOf(model.path, mountList(container)) : absolute(model.path));
  const required =
    modelPath === null ? [] : (model.require_files ?? []).map((file) => path.join(modelPath, file));
  return {
    paths: modelPath === null ? [] : [modelPath, ...required],
    disks: [{ folder: plan.runDir, leastBytes: LEAST_FREE_BYTES }],
    ports: plan.steps.flatMap((step) => {
      const base = stack.services[step.service]!.ports;
      return step.nodes.flatMap((node) =>
        Object.values(base).map((port) => ({ node, port: port + step.replica })),
      );
    }),
    leastMemoryBytes: cluster.free_memory_gib === undefined ? null : cluster.free_memory_gib * 2 ** 30,
    gpusPerNode: cluster.gpus_per_node ?? null,
    machine: cluster.machine ?? null,
  };
}

function absolute(file: string): string | null {
  return path.isAbsolute(file) ? file : null;
}

/** Whether the engines can serve the shapes, each judged by its own configuration as this host sees it. */
export function lookAtEngines(
  stack: Stack,
  plan: StackPlan,
  shapes: StackOrder['shapes'],
): readonly Finding[] {
  return Object.entries(stack.services)
    .filter(([, service]) => ['prefill', 'decode', 'agg'].includes(service.role))
    .flatMap(([name, service]) => {
      const ranked = service.srun.mpi === 'pmix' || service.srun.mpi === 'pmi2';
      const file = plan.copies.find((copy) => copy.service === name)?.file;
      const seen = file !== undefined && existsSync(file);
      const findings = checkEngine(
        {
          name,
          role: service.role,
          replicas: service.replicas,
          ranks: ranked ? service.nodes * service.ntasks_per_node : null,
          command: plan.steps.find((step) => step.service === name)?.command ?? service.command,
        },
        seen ? readFileSync(file, 'utf8') : null,
        shapes,
      );
      return service.engine_config === undefined || seen
        ? findings
        : [...findings, notJudged(name, file ?? `${service.engine_config} in the image`)];
    });
}

/** A configuration that lies in the image, or on a disk of the nodes alone. */
function notJudged(service: string, file: string): Finding {
  return {
    level: 'warn',
    node: null,
    what: `${service}: engine configuration`,
    value: `not judged: this host does not see ${file}`,
    hint: 'Its limits are not known before the engine refuses a request: run bench where the file can be read.',
  };
}
