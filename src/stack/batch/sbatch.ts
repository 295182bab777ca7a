import { usageError } from '../../core/errors.ts';
import { isSecretName, redactPlan } from '../file/redaction.ts';
import type { Stack } from '../file/stack.ts';
import { ADDRESS_SCRIPT } from '../launch/head-address.ts';
import { cleanupScript, RUN_MARK } from '../launch/marked-processes.ts';
import { layersOf } from '../launch/teardown.ts';
import { jobOptions } from '../plan/allocation-plan.ts';
import { makePlan } from '../plan/plan.ts';
import type { PlannedStep, Probe, StackPlan } from '../plan/planned.ts';
import { shellQuote } from '../plan/shell-quote.ts';
import { ADDRESS_LIBRARY, BATCH_LIBRARY, SCRUB } from './batch-library.ts';

/**
 * Stands for the head's address while planning; of the range that is kept for documentation. It must look like
 * an address, as it decides what servers bind to.
 */
const HEAD_IP = '203.0.113.1';
/** Seconds that the command of the job is given to end by itself. */
const COMMAND_GRACE_S = 60;
/** Seconds that killed tasks of a layer, and the program that cleans the nodes, may take at most. */
const KILL_S = 10;
const CLEAN_UP_S = 20;
/** The teardown begins at least so long before the end of the job. */
const LEAST_END_MARGIN_S = 120;

type Quote = (word: string) => string;

/**
 * The stack as one batch script for `sbatch`, which needs neither Node nor bench on the nodes. What the job
 * alone knows (its id, nodes, the head's address) is found out by the script. Words after the script's name
 * are a command to run against the stack (BENCH_URL, BENCH_MODEL); without one the stack is held until the job
 * ends. Throws (exit 2) for a stack that names its nodes, or has none.
 */
export function renderSbatch(stack: Stack): string {
  const { cluster } = stack;
  if (cluster.mode === 'local')
    throw usageError('a local stack has no batch job', 'set cluster.mode to salloc or sbatch');
  const named = Object.entries(stack.services).find(
    ([, { placement }]) => typeof placement === 'object' && 'nodes' in placement,
  );
  if (named !== undefined || (cluster.head ?? 'first') !== 'first')
    throw usageError(
      named === undefined ? `cluster.head is ${cluster.head}` : `service ${named[0]} names its nodes`,
      'a batch script does not know its nodes before it runs: place by head, auto or share',
    );
  const count = typeof cluster.nodes === 'number' ? cluster.nodes : stack.nodesNeeded;
  const byName = cluster.network?.address === 'hostname';
  const plan = redactPlan(
    makePlan(stack, {
      run: '@RUN@',
      runDir: '@RUN_DIR@',
      jobId: '@SLURM_JOB_ID@',
      nodes: Array.from({ length: count }, (_, i) => `@NODES[${i}]@`),
      addresses: byName ? {} : { '@NODES[0]@': HEAD_IP },
      env: {},
    }),
  );
  return `${[
    '#!/bin/bash',
    `# The stack "${stack.name}" as a batch job; made by bench stack render --sbatch.`,
    `# sbatch ${stack.name}.sh [COMMAND…]: the command gets BENCH_URL and BENCH_MODEL, and the stack ends with it.`,
    ...header(stack, count, plan).map((option) => `#SBATCH ${option}`),
    '',
    'set -u',
    ...secretsOf(plan).map((name) => `: "\${${name}:?must be set when the job is submitted}"`),
    SCRUB.trim(),
    // The literal text of a variable for the quotes below.
    `RUN="bench-$SLURM_JOB_ID"`,
    '# By this mark left-over processes of the stack are found on the nodes.',
    `export ${RUN_MARK}="$RUN"`,
    `COMMAND_GRACE_S=${COMMAND_GRACE_S}`,
    `RUN_DIR="\${BENCH_RUN_DIR:-$PWD/results/${stack.name}-$SLURM_JOB_ID}"`,
    'mkdir -p "$RUN_DIR/logs" || exit 4',
    'mapfile -t NODES < <(scontrol show hostnames "$SLURM_JOB_NODELIST")',
    `[ "\${#NODES[@]}" -ge ${count} ] || { echo "the stack needs ${count} nodes, the job has \${#NODES[@]}"; exit 4; }`,
    ...(byName ? [] : headAddress(stack)),
    BATCH_LIBRARY.trim(),
    '',
    ...plan.steps.flatMap((step) => stepFunctions(step)),
    ...probeFunction('stack', plan.ready),
    ...perStep('critical', plan.steps, (step) => (step.critical ? null : 'return 1')),
    ...perStep('may_end', plan.steps, (step) => (step.exitZeroFails ? 'return 1' : null)),
    ...perStep('broken', plan.steps, (step) => failOnLines(step)),
    ...stopAll(plan.steps),
    ...cleanUp(plan, count),
    '',
    'trap down EXIT',
    "trap 'exit 143' TERM",
    "trap 'exit 130' INT",
    `say "run $RUN in $RUN_DIR on \${NODES[*]}"`,
    ...[...new Set([...plan.steps.flatMap((step) => launchLines(step, plan)), ...plan.steps.map(awaitLine)])],
    `await stack ${seconds(plan.readyTimeoutMs)} ${waitS(plan.readyIntervalMs)}`,
    `export BENCH_URL=${quote(plan.url)} BENCH_MODEL=${quote(plan.servedModel)}`,
    'say "READY: $BENCH_MODEL at $BENCH_URL"',
    'serve "$@"',
  ].join('\n')}\n`;
}

function header(stack: Stack, count: number, plan: StackPlan): string[] {
  const { cluster } = stack;
  return [
    ...jobOptions(cluster, cluster.job_name ?? stack.name, count, {}),
    '--output=%x-%j.out',
    `--signal=B:TERM@${endMarginS(plan)}`,
    ...joined(cluster.extra ?? []),
  ].map((option) => {
    const [name, ...value] = option.split('=');
    return value.length === 0
      ? option
      : `${name}=${/[\s#&|"]/.test(value.join('=')) ? `"${value.join('=')}"` : value.join('=')}`;
  });
}

/** How long the teardown may take: the command, one layer of steps after the other, the nodes. */
function endMarginS(plan: StackPlan): number {
  const layers = layersOf(plan.steps).map(
    (layer) => Math.max(...layer.map(({ stop }) => seconds(stop.graceMs))) + KILL_S,
  );
  return Math.max(
    LEAST_END_MARGIN_S,
    COMMAND_GRACE_S + layers.reduce((all, one) => all + one, 0) + CLEAN_UP_S,
  );
}

/** Options whose value is a word of its own (`-C`, `gpu`) as one line each. */
function joined(words: readonly string[]): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (word.startsWith('-') || last === undefined) lines.push(word);
    else lines[lines.length - 1] = `${last} ${shellQuote(word)}`;
  }
  return lines;
}

/** Steps in reverse order of their start; those of a layer are asked together and end side by side. */
function stopAll(steps: readonly PlannedStep[]): string[] {
  const layers = layersOf(steps)
    .reverse()
    .map((layer) => [...layer].reverse());
  return [
    'stop_all() {',
    '  local asked',
    ...layers.flatMap((layer) => [
      '  asked=$SECONDS',
      ...layer.map(({ id, stop }) => `  ask ${id} ${stop.signal}`),
      ...layer.map(({ id, stop }) => `  finish ${id} ${seconds(stop.graceMs)} "$asked"`),
    ]),
    '}',
  ];
}

/** Lines that find out the head's address, on the head itself unless SLURM is to be asked. */
function headAddress({ cluster }: Stack): string[] {
  const { address, interface: device = '', prefer = [] } = cluster.network ?? {};
  const ask =
    address === 'slurm'
      ? [`scontrol show node -o "\${NODES[0]}" | sed -nE 's/.* NodeAddr=([^ ]+) .*/\\1/p'`]
      : [
          'srun --overlap --nodes=1 --ntasks=1 --ntasks-per-node=1 --nodelist="${NODES[0]}" \\',
          `  -J "$RUN.address" --kill-on-bad-exit=1 --input=none bash -c ${shellQuote(ADDRESS_SCRIPT)} |`,
          `  choose_address ${[device, ...prefer].map(shellQuote).join(' ')}`,
        ];
  return [
    ...(address === 'slurm' ? [] : [ADDRESS_LIBRARY.trim()]),
    `[ -n "\${BENCH_HEAD_IP-}" ] || BENCH_HEAD_IP=$(${ask.join('\n')})`,
    'HEAD_IP=$BENCH_HEAD_IP',
    '[ -n "$HEAD_IP" ] || { echo "no address of ${NODES[0]} is known: set BENCH_HEAD_IP"; exit 4; }',
  ];
}

/** Quotes a word in which `@NAME@` and the head's address stand for variables of the script. */
const quote: Quote = (word) => {
  const parts = word.split(/(@(?:RUN|RUN_DIR|SLURM_JOB_ID|NODES\[\d+\])@|203\.0\.113\.1)/);
  const quoted = parts.map((part, i) => {
    if (i % 2 === 0) return part === '' ? '' : shellQuote(part);
    return part === HEAD_IP ? '"$HEAD_IP"' : `"\${${part.slice(1, -1)}}"`;
  });
  return word === '' ? "''" : quoted.join('');
};

const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1_000));

function secretsOf(plan: StackPlan): string[] {
  return [...new Set(plan.steps.flatMap(({ env }) => Object.keys(env)))].filter(isSecretName).sort();
}

function stepFunctions(step: PlannedStep): string[] {
  const unset = step.unset.filter((name) => !name.startsWith('SLURM_'));
  return [
    `start_${step.id}() {`,
    '  (',
    ...(unset.length === 0 ? [] : [`    unset -v ${unset.join(' ')}`]),
    ...Object.entries(step.env)
      .filter(([name]) => !isSecretName(name))
      .map(([name, value]) => `    export ${name}=${quote(value)}`),
    `    exec ${step.argv.map(quote).join(' \\\n      ')} \\`,
    `      </dev/null >>${quote(step.srunLogFile!)} 2>&1`,
    '  ) &',
    `  started ${step.id} $!`,
    '}',
    ...probeFunction(step.id, step.ready),
  ];
}

function probeFunction(name: string, probes: readonly Probe[]): string[] {
  return [
    `probes_${name}() {`,
    ...probes.map((probe) => `  ${probeLine(probe)} || return 1`),
    '  return 0',
    '}',
  ];
}

function probeLine(probe: Probe): string {
  switch (probe.kind) {
    case 'log':
      return `probe_log ${probe.count} ${quote(probe.pattern)} ${probe.steps.join(' ')}`;
    case 'tcp':
      return `probe_tcp ${quote(probe.host)} ${probe.port}`;
    case 'http': {
      const key = probe.json?.path.match(/[\w-]+/g)?.at(-1);
      const json = key === undefined ? '' : ` ${quote(`"${key}" *: *"?${ere(probe.json!.equals)}"?`)}`;
      return `probe_http ${quote(probe.url)} ${probe.status}${json}`;
    }
    case 'instances':
      return `probe_instances ${quote(probe.url)} ${quote(probe.components.map(ere).join('|'))} ${quote(ere(probe.endpoint))} ${probe.least}`;
    case 'model':
      return `probe_model ${quote(probe.url)} ${quote(probe.model)}`;
    case 'canary': {
      const body = JSON.stringify({
        model: probe.model,
        messages: [{ role: 'user', content: probe.prompt }],
        stream: true,
        stream_options: { include_usage: true },
        max_tokens: probe.maxTokens,
      });
      return `probe_canary ${quote(probe.url)} ${probe.requests} ${probe.leastTokens} ${quote(body)}`;
    }
    case 'exec':
      return `probe_exec ${probe.exit} ${probe.argv.map(quote).join(' ')}`;
  }
}

/** A text as an extended regular expression that matches it alone. */
function ere(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** A function that looks at the name of a step; `line` gives what it does for it, or null for nothing. */
function perStep(
  name: string,
  steps: readonly PlannedStep[],
  line: (step: PlannedStep) => string | null,
): string[] {
  const cases = steps.flatMap((step) => {
    const does = line(step);
    return does === null ? [] : [`    ${step.id}) ${does} ;;`];
  });
  return cases.length === 0
    ? [`${name}() { return 0; }`]
    : [`${name}() {`, '  case $1 in', ...cases, '  esac', '  return 0', '}'];
}

function failOnLines({ id, failOn }: PlannedStep): string | null {
  const lines = failOn
    .filter(({ action }) => action === 'fail')
    .map(({ pattern, failureClass }) => `fail_on ${id} ${quote(pattern)} ${failureClass}`);
  return lines.length === 0 ? null : lines.join('; ');
}

function launchLines(step: PlannedStep, plan: StackPlan): string[] {
  const waits = step.after
    .filter(({ condition }) => condition === 'ready')
    .map(({ step: id }) => awaitLine(plan.steps.find((one) => one.id === id)!));
  return [...waits, `start_${step.id}`];
}

function awaitLine({ id, readyTimeoutMs, probeIntervalMs }: PlannedStep): string {
  return `await ${id} ${seconds(readyTimeoutMs)} ${waitS(probeIntervalMs)}`;
}

/** Between two tries; each starts programs. */
function waitS(intervalMs: number): number {
  return Math.max(intervalMs / 1_000, 0.2);
}

/** Ends on each node what has the mark of the run and removes its files; without the mark, so as not to end itself. */
function cleanUp(plan: StackPlan, count: number): string[] {
  const script = quote(cleanupScript(plan.run, plan.cleanupGlobs));
  return [
    'clean_up() {',
    `  env -u ${RUN_MARK} timeout ${CLEAN_UP_S} srun --overlap --nodes=${count} --ntasks=${count} --ntasks-per-node=1 --kill-on-bad-exit=1 \\`,
    `    --nodelist="$(IFS=,; echo "\${NODES[*]:0:${count}}")" -J "$RUN.clean" --input=none bash -c ${script} >/dev/null 2>&1`,
    // A job that is being cancelled takes no more steps; this script runs on the head.
    `  env -u ${RUN_MARK} bash -c ${script}`,
    '}',
  ];
}
