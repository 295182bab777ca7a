import { describe, expect, it } from 'vitest';
import { parseLoad } from '../../src/commands/load-plan.ts';

type Args = Parameters<typeof parseLoad>[0];

const parse = (args: Partial<Args>, concurrency = 8, cores = 16) =>
  parseLoad(
    {
      workers: undefined,
      'load-nodes': undefined,
      'load-tasks': undefined,
      'load-job': undefined,
      'load-nodelist': undefined,
      ...args,
    },
    { concurrency, cores },
  );

describe('how many load generators send a level', () => {
  it('is this process alone unless told, and with one worker', () => {
    expect(parse({})).toEqual({});
    expect(parse({ workers: '1' })).toEqual({});
  });

  it('is what is asked for, on this host or on each node', () => {
    expect(parse({ workers: '3' })).toEqual({ load: { tasks: 3, nodes: null } });
    expect(parse({ 'load-tasks': 4 })).toEqual({ load: { tasks: 4, nodes: null } });
    expect(parse({ 'load-nodes': 2 })).toEqual({ load: { tasks: 2, nodes: 2 } });
    expect(parse({ 'load-nodes': 2, workers: '3' })).toEqual({ load: { tasks: 6, nodes: 2 } });
    expect(parse({ 'load-nodes': 1, workers: '1' })).toEqual({ load: { tasks: 1, nodes: 1 } });
  });

  it.each([
    // Slots of the largest level, cores, nodes: workers of each node.
    [256, 16, undefined, 1],
    [257, 16, undefined, 2],
    [4_096, 16, undefined, 15],
    [1_024, 16, undefined, 4],
    [1_024, 2, undefined, 1],
    [1_024, 1, undefined, 1],
    [1_024, 16, 2, 2],
  ])('is by --workers auto what %i slots need of %i cores (nodes: %s): %i', (slots, cores, nodes, workers) => {
    const { load } = parse({ workers: 'auto', 'load-nodes': nodes }, slots, cores);
    const all = workers * (nodes ?? 1);
    expect(load).toEqual(all === 1 ? undefined : { tasks: all, nodes: nodes ?? null });
  });

  it.each([
    [{ workers: '0' }, '--workers: "0" is no number of workers'],
    [{ workers: 'many' }, '--workers: "many" is no number of workers'],
    [{ workers: '2000' }, '--workers: 2000 is more than 1024'],
    [{ workers: '2', 'load-tasks': 2 }, '--workers and --load-tasks: both say'],
  ])('refuses %j', (args, message) => {
    expect(() => parse(args)).toThrow(message);
  });
});
