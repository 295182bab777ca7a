import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  checkAttachedPlaces,
  checkLoadPlaces,
  type LoadPlaces,
} from '../../src/commands/stack/load-places.ts';
import { readStack } from '../../src/stack/file/read.ts';
import type { Stack } from '../../src/stack/file/stack.ts';
import { makeFolder, putPrograms } from './stack-steps.ts';

afterEach(() => vi.unstubAllEnvs());

const places = (over: Partial<LoadPlaces>): LoadPlaces => ({ 'load-on': 'login', ...over }) as LoadPlaces;

function stackOf(cluster: string, placement = 'auto', nodes = 2): Stack {
  const dir = makeFolder();
  mkdirSync(dir, { recursive: true });
  const file = path.join(dir, 's.yaml');
  writeFileSync(
    file,
    `schema: 1\nname: s\ncluster: {${cluster}}\nmodel: {path: /m, served_name: m}\nservices:\n` +
      `  frontend: {command: [sleep, "9"]}\n  work: {role: sidecar, nodes: ${nodes}, command: [sleep, "9"], placement: ${placement}}\n`,
  );
  return readStack(file);
}

describe('load from a job that is asked for', () => {
  const stack = stackOf('mode: salloc');

  it('may come from this host, from the head, and from as many nodes as the job has', () => {
    const needed = stack.nodesNeeded;
    for (const fine of [{}, { 'load-on': 'head' }, { 'load-nodes': needed }])
      expect(() => checkLoadPlaces(stack, places(fine), undefined)).not.toThrow();
    expect(() => checkLoadPlaces(stack, places({ 'load-nodes': needed + 1 }), undefined)).toThrow(
      `--load-nodes: ${needed + 1} nodes, but the job of s has ${needed}`,
    );
    const larger = stackOf('mode: sbatch, nodes: 5');
    expect(() => checkLoadPlaces(larger, places({ 'load-nodes': 5 }), undefined)).not.toThrow();
    expect(() => checkLoadPlaces(larger, places({ 'load-nodes': 6 }), undefined)).toThrow('has 5');
    // Those of another job.
    expect(() =>
      checkLoadPlaces(stack, places({ 'load-nodes': 9, 'load-job': '4' }), undefined),
    ).not.toThrow();
  });

  it('may come from a node that the file names, and from no other', () => {
    const named = [
      stackOf('mode: salloc, extra: ["--nodelist=n[1-3]"]'),
      stackOf('mode: salloc, extra: [-w, "n1,n2"]'),
      stackOf('mode: salloc, head: n2'),
      stackOf('mode: salloc', '{nodes: [n2, n3]}'),
    ];
    for (const one of named) {
      expect(() => checkLoadPlaces(one, places({ 'load-on': 'n2' }), undefined)).not.toThrow();
      expect(() => checkLoadPlaces(one, places({ 'load-on': 'n9' }), undefined)).toThrow(
        /n9 is no node that s names \(n/,
      );
    }
    expect(() => checkLoadPlaces(stack, places({ 'load-on': 'n2' }), undefined)).toThrow('it names none');
  });
});

it('a stack of this machine has no nodes, but this process may have a job', () => {
  const stack = stackOf('mode: local', 'auto', 1);
  expect(() => checkLoadPlaces(stack, places({}), undefined)).not.toThrow();
  expect(() => checkLoadPlaces(stack, places({ 'load-on': 'head' }), '7')).toThrow(
    '--load-on: head is no node of s',
  );
  expect(() => checkLoadPlaces(stack, places({ 'load-nodes': 1 }), undefined)).toThrow(
    'there is no SLURM job',
  );
  expect(() => checkLoadPlaces(stack, places({ 'load-nodes': 1 }), '7')).not.toThrow();
  expect(() => checkLoadPlaces(stack, places({ 'load-nodes': 1, 'load-job': '8' }), undefined)).not.toThrow();
});

describe('load from a job that is there', () => {
  const check = (over: Partial<LoadPlaces>): Promise<void> => checkAttachedPlaces('7', places(over));
  const withJob = (line: string): void => {
    const dir = makeFolder();
    putPrograms(dir, { squeue: `echo '${line}'` });
  };

  it('comes from its nodes alone', async () => {
    withJob('7|RUNNING|None|n[1-2]|2026-12-01T00:00:00');
    for (const fine of [
      {},
      { 'load-on': 'head' },
      { 'load-on': 'n2' },
      { 'load-nodes': 2, 'load-nodelist': 'n2, n1' },
    ])
      await check(fine);
    await check({ 'load-nodes': 5, 'load-job': '8' });
    await expect(check({ 'load-on': 'n3' })).rejects.toThrow('--load-on: n3 is no node of job 7 (n[1-2])');
    await expect(check({ 'load-nodes': 3 })).rejects.toThrow('--load-nodes: 3 nodes, but job 7 has 2');
    await expect(check({ 'load-nodes': 1, 'load-nodelist': 'n4' })).rejects.toThrow('n4 is not in job 7');
  });

  it('is left to the launch where the job has no nodes yet', async () => {
    withJob('7|PENDING|Resources||N/A');
    await check({ 'load-on': 'n3' });
  });
});
