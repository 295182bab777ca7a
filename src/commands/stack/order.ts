import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { usageError } from '../../core/errors.ts';
import { readStack } from '../../stack/file/read.ts';
import type { Stack } from '../../stack/file/stack.ts';
import { allocationOf } from '../../stack/plan/allocation-plan.ts';
import { inventedNodes } from '../../stack/plan/invented-nodes.ts';
import { makePlan } from '../../stack/plan/plan.ts';
import type { StackOrder } from './start.ts';

export interface NewOrder {
  readonly order: StackOrder;
  readonly stack: Stack;
  /** The job to attach to; null where one is asked for, or none is needed. */
  readonly jobId: string | null;
}

/**
 * What a supervisor is to do with a stack file; `dir` is the stack's new folder. The run's name is part of step
 * names and of the mark in every process, so that no two launches are ever mistaken for one another. Exit 2 when
 * the file is not right, no plan can be made of it on whatever nodes, or there is no job to attach to.
 */
export function newOrder(
  file: string,
  dir: string,
  options: Partial<Pick<StackOrder, 'lifeline' | 'checkOnly' | 'preflight' | 'shapes'>>,
): NewOrder {
  if (!existsSync(file)) throw usageError(`no stack file ${file}`, 'see datasets/stacks/ for examples');
  // What is wrong with the file is told here, and not by a process that nobody sees.
  const stack = readStack(file);
  const order = {
    file: path.resolve(file),
    run: `bench-${randomBytes(4).toString('hex')}`,
    dir: path.resolve(dir),
  };
  const { jobId } = allocationOf(stack, order.run);
  makePlan(stack, {
    run: order.run,
    runDir: order.dir,
    jobId,
    nodes: inventedNodes(stack),
    addresses: {},
    env: {},
  });
  return {
    order: {
      ...order,
      lifeline: options.lifeline ?? false,
      checkOnly: options.checkOnly ?? false,
      preflight: options.preflight ?? true,
      shapes: options.shapes ?? [],
    },
    stack,
    jobId,
  };
}
