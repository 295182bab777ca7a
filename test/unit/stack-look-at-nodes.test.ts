import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { lookAtEngines } from '../../src/commands/stack/preflight.ts';
import { planOf, read } from './stack-files.ts';
import { makeFolder } from './stack-steps.ts';

const worker = (role: string, ranks: number, config: string): string =>
  `  ${role}: {command: [sleep, "9"], placement: head, ntasks_per_node: ${ranks}, srun: {mpi: pmix}, engine_config: ${config}}\n`;

const stackOf = (...workers: readonly string[]): ReturnType<typeof read> =>
  read(`schema: 1
name: s
cluster: {mode: salloc}
model: {path: m, served_name: m}
services:
  frontend: {command: [sleep, "9"], ports: {http: 7999}}
${workers.join('')}`);

describe('the engine of a service', () => {
  it('is judged by its own configuration, although another has one of the same name', () => {
    const dir = makeFolder();
    const file = (role: string, ranks: number): string => {
      mkdirSync(path.join(dir, role));
      writeFileSync(path.join(dir, role, 'config.yaml'), `tensor_parallel_size: ${ranks}\n`);
      return path.join(dir, role, 'config.yaml');
    };
    const stack = stackOf(worker('prefill', 2, file('prefill', 2)), worker('decode', 4, file('decode', 4)));
    const found = lookAtEngines(stack, planOf(stack, ['n1']), []);
    expect(found.map(({ what, level, value }) => [what, level, value])).toEqual([
      ['prefill: parallelism', 'ok', 'TP 2 × PP 1 = 2, ranks 2'],
      ['decode: parallelism', 'ok', 'TP 4 × PP 1 = 4, ranks 4'],
    ]);
  });
});
