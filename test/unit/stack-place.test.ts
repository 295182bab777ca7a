import { describe, expect, it } from 'vitest';
import { expandNodeList } from '../../src/stack/plan/node-list.ts';
import { planOf, read, readShipped, stepOf } from './stack-files.ts';

describe('a node list', () => {
  // What scontrol show hostnames of SLURM 22.05.8 printed.
  it.each([
    ['ptyche[0336,0341-0342]', 'ptyche0336 ptyche0341 ptyche0342'],
    ['a[1-3],b', 'a1 a2 a3 b'],
    ['node[08-11]', 'node08 node09 node10 node11'],
    ['r[1-2]n[01-03]', 'r1n01 r1n02 r1n03 r2n01 r2n02 r2n03'],
    ['n[9-11]', 'n9 n10 n11'],
    ['n[009-011]', 'n009 n010 n011'],
    ['login1', 'login1'],
    ['a,b,a', 'a b a'],
  ])('%s is expanded as SLURM does', (list, names) => {
    expect(expandNodeList(list)).toEqual(names.split(' '));
  });

  it.each(['', 'a,,b', 'a[', 'a[1', 'a]1[', 'a[x]', 'a[3-1]', 'a[]', 'a,'])('"%s" is none', (list) => {
    expect(() => expandNodeList(list)).toThrow('is no list of nodes');
  });
});

/** Nodes of every step. */
function placesOf(text: string, nodes: string): Record<string, string> {
  const plan = planOf(read(text), nodes.split(' '));
  return Object.fromEntries(plan.steps.map((step) => [step.id, step.nodes.join(' ')]));
}

const stackOf = (preset: string, services: string, cluster = ''): string => `schema: 1
name: x
preset: ${preset}
cluster: {gpus_per_node: 4${cluster}}
model: {path: /m, served_name: m}
runtime: {inside: external, etcd: {url: "http://e:2379"}, nats: {url: "nats://n:4222"}}
services:
${services}`;

describe('the placement', () => {
  it("is the guide's: prefill beside the frontend on the head, decode on the other node", () => {
    const plan = planOf(readShipped('dsr1-fp4-gb200-1p1d.yaml'), ['ptyche0336', 'ptyche0341']);
    expect(plan.steps.map(({ id, nodes, tasks }) => [id, nodes, tasks])).toEqual([
      ['frontend-0', ['ptyche0336'], 1],
      ['prefill-0', ['ptyche0336'], 4],
      ['decode-0', ['ptyche0341'], 4],
    ]);
    expect(plan.gpus).toBe(8);
  });

  it('gives replicas of several nodes whole nodes in the order of the allocation', () => {
    const nodes = expandNodeList('n[01-20]');
    const stack = readShipped('dsr1-fp4-gb200-2p4d.yaml');
    expect(stack.nodesNeeded).toBe(20);
    const plan = planOf(stack, nodes);
    expect(
      plan.steps.map(({ id, nodes: [first], tasks, tasksPerNode }) => [id, first, tasks, tasksPerNode]),
    ).toEqual([
      ['etcd-0', 'n01', 1, 1],
      ['nats-0', 'n01', 1, 1],
      ['frontend-0', 'n01', 1, 1],
      ['prefill-0', 'n01', 8, 4],
      ['prefill-1', 'n03', 8, 4],
      ['decode-0', 'n05', 16, 4],
      ['decode-1', 'n09', 16, 4],
      ['decode-2', 'n13', 16, 4],
      ['decode-3', 'n17', 16, 4],
    ]);
    expect(plan.gpus).toBe(2 * 8 + 4 * 16);
    const workers = plan.steps.filter(({ role }) => role === 'prefill' || role === 'decode');
    expect(workers.flatMap((step) => step.nodes)).toEqual(nodes);
    expect(() => planOf(stack, nodes.slice(1))).toThrow(/service decode: no node is left for replica 3/);
  });

  it('leaves the head to the frontend unless a service shares it', () => {
    const services = '  frontend: {}\n  decode: {}\n  prefill: {}\n';
    expect(placesOf(stackOf('dynamo-mocker', services), 'a b c')).toEqual({
      'frontend-0': 'a',
      'prefill-0': 'b',
      'decode-0': 'c',
    });
    expect(() => placesOf(stackOf('dynamo-mocker', services), 'a b')).toThrow(
      'service decode: no node is left for replica 0, which needs 1',
    );
  });

  it('takes another head when it is named', () => {
    const services = '  frontend: {}\n  prefill: {placement: {share: frontend}}\n  decode: {}\n';
    const text = stackOf('dynamo-mocker', services, ', head: b');
    expect(placesOf(text, 'a b')).toEqual({ 'frontend-0': 'b', 'prefill-0': 'b', 'decode-0': 'a' });
    expect(() => placesOf(text, 'a c')).toThrow('cluster.head: b is not in the allocation (a,c)');
  });

  it('takes named nodes, in the order of the allocation, since that is the order of the ranks', () => {
    const services =
      '  frontend: {}\n  prefill: {nodes: 2, placement: {nodes: [d, b]}}\n  decode: {replicas: 1}\n';
    expect(placesOf(stackOf('dynamo-mocker', services), 'a b c d')).toEqual({
      'frontend-0': 'a',
      'prefill-0': 'b d',
      'decode-0': 'c',
    });
  });

  it('has one step for each node of an SGLang replica, of which the first answers for all', () => {
    const services = '  frontend: {}\n  prefill: {nodes: 2, args: {--tp: 8}}\n  decode: {replicas: 2}\n';
    const plan = planOf(read(stackOf('dynamo-sglang', services)), ['a', 'b', 'c', 'd', 'e']);
    expect(plan.steps.map(({ id, nodes, tasks }) => [id, nodes.join(), tasks])).toEqual([
      ['frontend-0', 'a', 1],
      ['prefill-0', 'b', 1],
      ['prefill-0.1', 'c', 1],
      ['decode-0', 'd', 1],
      ['decode-1', 'e', 1],
    ]);
    expect(plan.gpus).toBe(16);
    const [first, second] = [stepOf(plan, 'prefill-0'), stepOf(plan, 'prefill-0.1')];
    const tail = ['--dist-init-addr', 'b:29500', '--nnodes', '2', '--node-rank'];
    expect(first.command.slice(-8)).toEqual([...tail, '0', '--tp', '8']);
    expect(second.command.slice(-8)).toEqual([...tail, '1', '--tp', '8']);
    expect([first.ready.length, second.ready.length]).toEqual([1, 0]);
  });

  it('gives replica i of a service its ports plus i', () => {
    const services = '  frontend: {}\n  prefill: {}\n  decode: {replicas: 3}\n';
    const plan = planOf(read(stackOf('dynamo-mocker', services)), ['a', 'b', 'c', 'd', 'e']);
    expect(plan.steps.map(({ id, env }) => [id, env['DYN_SYSTEM_PORT']])).toEqual([
      ['frontend-0', undefined],
      ['prefill-0', '9091'],
      ['decode-0', '9092'],
      ['decode-1', '9093'],
      ['decode-2', '9094'],
    ]);
  });
});
