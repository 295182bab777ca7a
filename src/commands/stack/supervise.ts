import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { EXIT, type ExitCode } from '../../core/errors.ts';
import { writeAtomic } from '../../host/store.ts';
import { readStack } from '../../stack/file/read.ts';
import { redactPlan } from '../../stack/file/redaction.ts';
import type { Allocation } from '../../stack/launch/allocation.ts';
import { commandEnvironment } from '../../stack/launch/command-environment.ts';
import { addressesOf } from '../../stack/launch/head-address.ts';
import { hasGpuGres } from '../../stack/launch/slurm.ts';
import { superviseStack } from '../../stack/launch/supervisor.ts';
import { allocationOf } from '../../stack/plan/allocation-plan.ts';
import { makePlan } from '../../stack/plan/plan.ts';
import { planScript } from '../../stack/plan/plan-text.ts';
import type { StackPlan } from '../../stack/plan/planned.ts';
import { printError } from '../terminal.ts';
import { abandonedStacks } from './abandoned.ts';
import { streamCanary } from './canary.ts';
import { lookAtNodes } from './preflight.ts';
import { ORDER_FILE, type StackOrder } from './start.ts';

/**
 * The hidden command that looks after one stack, in a process of its own so that it outlives the sweep and takes
 * nothing of the measuring process's core. Ends with the stack: 0 when it was asked to stop, 4 when it failed.
 */
export async function runSupervise(dir: string): Promise<ExitCode> {
  try {
    return await supervise(dir);
  } finally {
    // An open standard input would keep the process alive.
    process.stdin.destroy();
  }
}

async function supervise(dir: string): Promise<ExitCode> {
  const order = JSON.parse(readFileSync(path.join(dir, ORDER_FILE), 'utf8')) as StackOrder;
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => stop.abort());
  if (order.lifeline) {
    process.stdin.on('error', () => stop.abort());
    process.stdin.on('close', () => stop.abort());
    process.stdin.resume();
  }
  const env = commandEnvironment(process.env);
  const stack = readStack(order.file);
  const { cluster } = stack;
  const gpuGres = cluster.mode !== 'local' && cluster.gpus_per_node !== undefined && (await hasGpuGres());
  const state = await superviseStack(
    {
      run: order.run,
      name: stack.name,
      dir: order.dir,
      allocation: allocationOf(stack, order.run, { gpuGres, dir: order.dir }),
      checkOnly: order.checkOnly,
      abandoned: () => abandonedStacks(order.run),
      async plan(allocation: Allocation | null): Promise<StackPlan> {
        const nodes = allocation?.nodes ?? ['localhost'];
        const addresses =
          allocation === null
            ? {}
            : await addressesOf(
                nodes,
                allocation.jobId,
                {
                  by: cluster.network?.address ?? 'ip',
                  interface: cluster.network?.interface ?? null,
                  prefer: cluster.network?.prefer ?? [],
                },
                env,
              );
        const plan = makePlan(stack, {
          run: order.run,
          runDir: order.dir,
          jobId: allocation?.jobId ?? null,
          nodes,
          addresses,
          env,
        });
        mkdirSync(path.join(order.dir, 'logs'), { recursive: true });
        return plan;
      },
      preflight: (plan, signal) => lookAtNodes(stack, plan, order, env, signal),
    },
    {
      env,
      writeAtomic,
      canary: streamCanary,
      redacted: redactPlan,
      script: planScript,
    },
    stop.signal,
  );
  // Whoever follows the stack reads it there when the state could not be written.
  if (state.why?.failureClass === 'disk') printError(`${state.why.message}\n`);
  return state.why === null ? EXIT.ok : EXIT.launch;
}
