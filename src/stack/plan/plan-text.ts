import { formatDuration } from '../../core/units.ts';
import { isSecretName, redactPlan } from '../file/redaction.ts';
import type { AllocationPlan, PlannedStep, Probe, StackPlan } from './planned.ts';
import { shellLine, shellQuote } from './shell-quote.ts';

/**
 * The plan for people: who runs where, and every command so that a shell takes it. Secrets are `***`. `notes`
 * stand above the steps.
 */
export function planText(
  plan: StackPlan,
  allocation: AllocationPlan | null,
  notes: readonly string[],
): string {
  const open = redactPlan(plan);
  const gpus = open.gpus === null ? '' : `, ${open.gpus} GPUs`;
  const lines = [
    `${open.name}: ${open.nodes.length} ${open.nodes.length === 1 ? 'node' : 'nodes'}${gpus}, model "${open.servedModel}" at ${open.url}`,
    '',
    'nodes',
    ...nodeMap(open),
    '',
    ...(allocation === null ? [] : allocationLines(allocation)),
    ...(notes.length === 0 ? [] : [...notes, '']),
    ...open.steps.flatMap((step) => [...stepLines(step), '']),
    `the whole is ready (within ${formatDuration(open.readyTimeoutMs)}) when`,
    ...open.ready.map((probe) => `  ${probeText(probe)}`),
    ...(open.watch.length === 0
      ? []
      : ['then watched', ...open.watch.map((probe) => `  ${probeText(probe)}`)]),
    ...open.warnings.map((warning) => `warning: ${warning}`),
  ];
  return `${lines.join('\n')}\n`;
}

function nodeMap(plan: StackPlan): string[] {
  const width = Math.max(...plan.nodes.map((node) => node.length));
  return plan.nodes.map((node) => {
    const here = plan.steps.filter((step) => step.nodes.includes(node));
    const names = here.map((step) => (step.tasksPerNode > 1 ? `${step.id} ×${step.tasksPerNode}` : step.id));
    const head = node === plan.head.node ? '(head)' : '';
    return `  ${node.padEnd(width)}  ${head.padEnd(6)}  ${names.join(', ') || 'nothing'}`;
  });
}

function allocationLines({ argv, jobId, nodeCount }: AllocationPlan): string[] {
  if (argv !== null) return ['allocation', `  ${shellLine(argv)}`, ''];
  if (jobId !== null)
    return ['allocation', `  attach to job ${jobId}, of which ${nodeCount} nodes are used`, ''];
  return [];
}

function stepLines(step: PlannedStep): string[] {
  const tasks = step.tasks === 1 ? '' : `, ${step.tasks} tasks`;
  const after = step.after.map(({ step: id, condition }) => `${id} is ${condition}`);
  return [
    `${step.id}: ${step.role} on ${step.nodes.join(',')}${tasks}${after.length === 0 ? '' : `, after ${after.join(' and ')}`}`,
    '  (',
    ...commandLines(step).map((line) => `  ${line}`),
    '  )',
    `  # output: ${step.logFile}`,
    ...(step.ready.length === 0 ? [] : [`  # ready (within ${formatDuration(step.readyTimeoutMs)}) when`]),
    ...step.ready.map((probe) => `  #   ${probeText(probe)}`),
  ];
}

/** The step as a shell would be told, one option a line; what it inherits is cleaned first. */
function commandLines({ unset, env, argv, command }: PlannedStep): string[] {
  const options = argv.slice(0, argv.length - command.length);
  const words = options.length === 0 ? [shellLine(command)] : [...paired(options), shellLine(command)];
  return [
    ...(unset.length === 0 ? [] : [`unset -v ${unset.join(' ')}`]),
    ...Object.entries(env).map(([name, value]) => `export ${name}=${quoteValue(name, value)}`),
    ...words.map((word, i) => `${i === 0 ? '' : '  '}${word}${i < words.length - 1 ? ' \\' : ''}`),
  ];
}

/** A hidden value is the caller's own. */
function quoteValue(name: string, value: string): string {
  return isSecretName(name) ? `'***'  # ${name} as it is set when the stack is launched` : shellQuote(value);
}

/** Options one a line, a value that is a word of its own beside its name. */
function paired(options: readonly string[]): string[] {
  const lines: string[] = [];
  for (const word of options) {
    if (word.startsWith('-') || lines.length === 0) lines.push(shellQuote(word));
    else lines.push(`${lines.pop()} ${shellQuote(word)}`);
  }
  return lines;
}

/** What a probe asks for, in a few words. */
export function probeText(probe: Probe): string {
  switch (probe.kind) {
    case 'log':
      return `${probe.count === 1 ? 'a line' : `${probe.count} lines`} of ${probe.steps.join(', ')} like /${probe.pattern}/`;
    case 'tcp':
      return `${probe.host}:${probe.port} takes connections`;
    case 'http':
      return `${probe.url} answers ${probe.status}${probe.json === null ? '' : ` with ${probe.json.path} = ${probe.json.equals}`}`;
    case 'instances':
      return `${probe.url} counts ${probe.least} of ${probe.components.join(' or ')} (${probe.endpoint})`;
    case 'model':
      return `${probe.url} lists "${probe.model}"`;
    case 'canary':
      return `${probe.requests} streamed chat ${probe.requests === 1 ? 'request gives' : 'requests give'} ${probe.leastTokens} tokens or more each`;
    case 'exec':
      return `${shellLine(probe.argv)} ends with ${probe.exit}`;
  }
}

/**
 * The plan as a script that does the steps one after another in the background, to look up or to run by hand
 * (`plan.sh`). It waits for nothing; secrets are taken from the caller's environment.
 */
export function planScript(plan: StackPlan): string {
  const open = redactPlan(plan);
  const lines = open.steps.flatMap((step) => [
    `# ${step.id}: ${step.role} on ${step.nodes.join(',')}`,
    '(',
    ...(step.unset.length === 0 ? [] : [`  unset -v ${step.unset.join(' ')}`]),
    ...Object.entries(step.env).map(([name, value]) =>
      isSecretName(name) ? `  : "\${${name}:?}"` : `  export ${name}=${shellQuote(value)}`,
    ),
    ...(step.srunLogFile === null && step.workdir !== null
      ? [`  cd ${shellQuote(step.workdir)} || exit`]
      : []),
    `  exec ${shellLine(step.argv)} </dev/null >>${shellQuote(step.srunLogFile ?? step.logFile)} 2>&1`,
    ') &',
    '',
  ]);
  const logs = `mkdir -p ${shellQuote(`${open.runDir}/logs`)}`;
  return `#!/bin/bash\n# ${open.name}, run ${open.run}\n${logs}\n\n${lines.join('\n')}wait\n`;
}
