import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { metricSources, parseServerMetrics, workerMetrics } from '../../src/commands/metric-sources.ts';
import { parseTarget } from '../../src/endpoints/target.ts';
import { refusal } from '../fixtures/refusal.ts';
import { planOf, readShipped } from './stack-files.ts';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

describe('--server-metrics', () => {
  it('is the target’s own where it is not given, nothing when off, and /metrics of an address without a path', () => {
    expect(parseServerMetrics([])).toEqual({});
    expect(parseServerMetrics(['off'])).toEqual({ serverMetrics: [] });
    expect(parseServerMetrics(['h:9091', 'http://h:9091/metrics', 'https://h/prometheus/metrics'])).toEqual({
      serverMetrics: ['http://h:9091/metrics', 'https://h/prometheus/metrics'],
    });
  });

  it.each([
    [['off', 'http://h'], 'off stands beside addresses'],
    [['http://me:SECRET@h/metrics'], 'credentials in the URL'],
    [['http://h/metrics?token=SECRET'], 'has a query or fragment'],
    [['ftp://h'], 'has the scheme "ftp:"'],
  ])('refuses %j', (given, words) => {
    const { message, exitCode } = refusal(() => parseServerMetrics(given));
    expect(message).toContain(`--server-metrics: `);
    expect(message).toContain(words);
    expect(exitCode).toBe(2);
  });

  it('takes by default all targets and the workers of the stack, and none where the target has no metrics', () => {
    const access = {
      targets: ['http://a:1', 'http://b:2/base'].map((url) => parseTarget(url)),
      headers: [],
      tls: null,
    };
    const urls = (ownPath: string | null): string[] =>
      metricSources(undefined, { ownPath, stackDir: null }, access, []).map(({ url }) => url);
    expect(urls('/metrics')).toEqual(['http://a:1/metrics', 'http://b:2/base/metrics']);
    expect(urls(null)).toEqual([]);
    expect(metricSources([], { ownPath: '/metrics', stackDir: null }, access, [])).toEqual([]);
  });
});

describe('workerMetrics', () => {
  const planned = (plan: unknown): string[] => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'bench-plan-'));
    folders.push(folder);
    writeFileSync(path.join(folder, 'resolved.json'), JSON.stringify(plan));
    return workerMetrics(folder);
  };

  it('finds the system ports of Dynamo’s workers in the plan of a stack, on their own nodes', () => {
    expect(planned(planOf(readShipped('mocker-slurm.yaml'), ['n1', 'n2']))).toEqual([
      'http://n1:9091/metrics',
      'http://n2:9092/metrics',
    ]);
  });

  it('takes the first node alone of a worker that has several', () => {
    const stack = readShipped('mocker-slurm.yaml');
    const plan = planOf(stack, ['n1', 'n2']);
    const decode = plan.steps.at(-1)!;
    const steps = [
      { ...decode, nodes: ['n2', 'n3'] },
      { ...decode, id: `${decode.id}.1`, nodes: ['n3'] },
    ];
    expect(planned({ ...plan, steps })).toEqual(['http://n2:9092/metrics']);
  });

  it('finds them on this machine in a local stack, and nothing without a plan', () => {
    expect(planned(planOf(readShipped('mocker-local.yaml'), ['localhost']))).toEqual([
      'http://127.0.0.1:9091/metrics',
      'http://127.0.0.1:9092/metrics',
    ]);
    expect(workerMetrics('/no/such/folder')).toEqual([]);
  });
});
