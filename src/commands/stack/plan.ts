import path from 'node:path';
import type { InferredOptionTypes, Options } from 'yargs';
import { EXIT, type ExitCode, usageError } from '../../core/errors.ts';
import { expandedText } from '../../stack/file/expanded-text.ts';
import { redactPlan } from '../../stack/file/redaction.ts';
import type { Stack } from '../../stack/file/stack.ts';
import { inventedNodes } from '../../stack/plan/invented-nodes.ts';
import { expandNodeList } from '../../stack/plan/node-list.ts';
import { allocationOf, makePlan, NO_JOB, readStack } from '../../stack/plan/plan.ts';
import { planText } from '../../stack/plan/plan-text.ts';
import { print, printError } from '../terminal.ts';

export const PLAN_OPTIONS = {
  nodes: { type: 'string', describe: 'plan for these nodes: a,b or node[1-4] [default: invented names]' },
  full: { type: 'boolean', default: false, describe: 'print the file with everything said, no plan' },
  json: { type: 'boolean', default: false, describe: 'print the plan as JSON' },
} as const satisfies Record<string, Options>;

/** Stands for the name of the launch, which is made up when it begins. */
const NO_RUN = 'RUN';

/** `bench stack plan FILE`: prints what a launch would do, and does nothing of it. */
export function runPlan(args: InferredOptionTypes<typeof PLAN_OPTIONS> & { file: string }): ExitCode {
  if (args.full && args.json) throw usageError('--full and --json are two outputs', 'give one of them');
  const stack = readStack(args.file);
  if (args.full) {
    for (const warning of stack.warnings) printError(`warning: ${warning}\n`);
    print(expandedText(stack));
    return EXIT.ok;
  }
  const { mode, attach } = stack.cluster;
  const nodes = args.nodes === undefined ? inventedNodes(stack) : expandNodeList(args.nodes);
  const plan = makePlan(stack, {
    run: NO_RUN,
    runDir: path.resolve('results', NO_RUN),
    jobId: mode === 'attach' ? (attach?.job_id ?? null) : null,
    nodes,
    addresses: {},
    env: {},
  });
  if (args.json) {
    print(`${JSON.stringify(redactPlan(plan), null, 2)}\n`);
    return EXIT.ok;
  }
  const allocation = mode === 'attach' && attach === undefined ? null : allocationOf(stack, NO_RUN);
  print(planText(plan, allocation, notesOn(stack, args.nodes === undefined)));
  return EXIT.ok;
}

/** What in the plan the launch will replace or add. */
function notesOn({ cluster }: Stack, invented: boolean): string[] {
  if (cluster.mode === 'local') return [`${NO_RUN} stands for the name of the launch.`];
  const job = cluster.attach === undefined ? `, ${NO_JOB} for the number of the job` : '';
  const names = invented ? ', NODE1 and so on for the nodes' : '';
  const gres = cluster.gres ?? 'auto';
  return [
    `${NO_RUN} stands for the name of the launch${job}${names}; the head's address is found out there.`,
    ...(cluster.mode !== 'attach' && cluster.gpus_per_node !== undefined && gres === 'auto'
      ? [`Where the cluster counts GPUs, --gpus-per-node=${cluster.gpus_per_node} is asked for too.`]
      : []),
  ];
}
