import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { lookAtEngines, optionsOf } from '../../src/commands/stack/preflight.ts';
import { checkNode, type NodeNeeds, nodeNeeds } from '../../src/stack/preflight/preflight.ts';
import { parsePreflight } from '../../src/stack/preflight/preflight-facts.ts';
import { planOf, read, readShipped } from './stack-files.ts';
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

  it('is called not judged where this host does not see its configuration', () => {
    const stack = stackOf(worker('decode', 4, '/no/such/config.yaml'));
    const found = lookAtEngines(stack, planOf(stack, ['n1']), []);
    expect(found.map(({ level, what, value }) => [level, what, value])).toEqual([
      ['warn', 'decode: engine configuration', 'not judged: this host does not see /no/such/config.yaml'],
    ]);
  });
});

describe("what the guide's stack needs of its nodes", () => {
  const stack = readShipped('dsr1-fp4-gb200-1p1d.yaml');
  const plan = planOf(stack, ['n1', 'n2']);
  const pathsOf = (node: string): Readonly<Record<string, string>> =>
    Object.fromEntries(
      nodeNeeds(plan, optionsOf(stack, plan))
        .find((needs) => needs.node === node)!
        .asks.paths.map(({ path: file, need }) => [file, need]),
    );

  it('are the scripts and the configurations of its engines, where the host has them', () => {
    const engine = '/home/minih/engine_configs/deepseek_r1/mtp/mtp_';
    expect(pathsOf('n1')).toMatchObject({
      '/home/minih/multinode/start_frontend_services.sh': 'execute',
      '/home/minih/multinode/start_trtllm_worker.sh': 'execute',
      [`${engine}prefill.yaml`]: 'read',
    });
    expect(pathsOf('n2')).toMatchObject({
      '/home/minih/multinode/start_trtllm_worker.sh': 'execute',
      [`${engine}decode.yaml`]: 'read',
    });
    expect(pathsOf('n2')).not.toHaveProperty(`${engine}prefill.yaml`);
  });

  it('are its memory and its kind of machine, when the file says them', () => {
    const told = { ...stack, cluster: { ...stack.cluster, free_memory_gib: 2, machine: 'aarch64' as const } };
    const options = optionsOf(told, plan);
    const [needs] = nodeNeeds(plan, options);
    const facts = parsePreflight(
      'n1',
      'machine\tx86_64\nmemory_total_kb\t4194304\nmemory_free_kb\t1048576\ndone\tyes\n',
    );
    const wrong = (of: NodeNeeds): readonly string[] =>
      checkNode(of, facts, options)
        .filter(({ level }) => level === 'error')
        .map(({ what }) => what);
    expect(wrong(needs!)).toEqual(expect.arrayContaining(['memory', 'architecture']));
    // Where nothing computes the services of the head need little.
    expect(wrong({ ...needs!, workers: false })).not.toContain('memory');
  });
});
