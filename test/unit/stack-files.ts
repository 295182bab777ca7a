import path from 'node:path';
import { BenchError } from '../../src/core/errors.ts';
import { parseStack } from '../../src/stack/file/read.ts';
import type { Stack } from '../../src/stack/file/stack.ts';
import { makePlan, readStack } from '../../src/stack/plan/plan.ts';
import type { PlannedStep, StackPlan } from '../../src/stack/plan/planned.ts';

/** A stack file that comes with bench. */
export function shipped(name: string): string {
  return path.join(import.meta.dirname, '../../datasets/stacks', name);
}

/** What the shipped files ask of the environment. */
export const ENV = { HOME: '/home/minih', BENCH_MOCKER_MODEL: '/models/tiny' };

export function readShipped(name: string): Stack {
  return readStack(shipped(name), { env: ENV });
}

export function read(text: string, env: Record<string, string> = {}): Stack {
  return parseStack(text, 's.yaml', { env });
}

/** All lines of the refusal of a file; fails when it is taken. */
export function refusalOf(text: string, env: Record<string, string> = {}): string[] {
  try {
    read(text, env);
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    if (error.exitCode !== 2) throw error;
    return error.hint === null ? [error.message] : error.hint.split('\n  ');
  }
  throw new Error('the file was taken');
}

export function planOf(stack: Stack, nodes: readonly string[], address = '10.0.0.1'): StackPlan {
  return makePlan(stack, {
    run: 'r1',
    runDir: '/runs/r1',
    jobId: '4242',
    nodes,
    addresses: { [nodes[0]!]: address },
    env: {},
  });
}

export function stepOf(plan: StackPlan, id: string): PlannedStep {
  const step = plan.steps.find((one) => one.id === id);
  if (step === undefined) throw new Error(`no ${id} among ${plan.steps.map((one) => one.id).join(', ')}`);
  return step;
}
