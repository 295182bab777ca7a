import { describe, expect, it } from 'vitest';
import { servingProbes } from '../../src/stack/plan/watch-probes.ts';
import { planOf, read } from './stack-files.ts';

const custom = (services: string): string =>
  `schema: 1\nname: x\nmodel: {path: /m, served_name: m}\nservices:\n${services}`;

const counts = (least: number, component = 'backend') =>
  ({
    kind: 'instances',
    url: 'http://h:1/health',
    components: [component],
    endpoint: 'generate',
    least,
  }) as const;

const model = { kind: 'model', url: 'http://h:1/v1/models', model: 'm' } as const;

describe('what is watched while a stack serves', () => {
  it('is each count of instances once, by the most that was asked for, and the model', () => {
    const canary = { kind: 'exec', argv: ['true'], exit: 0 } as const;
    const ready = [counts(4), model, canary, counts(1, 'prefill'), counts(2), model];
    expect(servingProbes(ready, 'http://h:1')).toEqual([counts(4), counts(1, 'prefill'), model]);
  });

  it('is the entrance, where the model was not asked for', () => {
    expect(servingProbes([], 'http://h:1')).toEqual([{ kind: 'tcp', host: 'h', port: 1 }]);
    expect(servingProbes([], 'http://[fe80::1]:80')).toEqual([{ kind: 'tcp', host: 'fe80::1', port: 80 }]);
  });

  it('is taken of the whole, and of each service the stack stands and falls with', () => {
    const service = (name: string, more = ''): string =>
      `  ${name}: {command: [w], ready: {all: [{instances: {component: ${name}}}]}${more}}\n`;
    const text = custom(
      `  frontend: {command: [f], ports: {http: 1}}\n${service('prefill')}${service('decode', ', failure: {critical: false}')}`,
    );
    const components = planOf(read(text), ['h', 'i', 'j']).watch.map((probe) =>
      probe.kind === 'instances' ? probe.components : probe.kind,
    );
    expect(components).toEqual([['prefill'], 'model']);
  });
});

describe('a stack without a frontend', () => {
  const server = custom('  server: {role: agg, command: [s], ports: {http: 9000}}\n');

  it('is asked for its model and for tokens where requests go', () => {
    const { ready, watch, url } = planOf(read(server), ['h']);
    expect(url).toBe('http://10.0.0.1:9000');
    expect(ready).toMatchObject([
      { kind: 'model', url: `${url}/v1/models` },
      { kind: 'canary', url },
    ]);
    expect(watch).toEqual([ready[0]]);
  });

  it('is not asked for a model list that its own rule leaves out', () => {
    const { watch } = planOf(read(`${server}stack_ready: {all: [{canary: {}}]}\n`), ['h']);
    expect(watch).toEqual([{ kind: 'tcp', host: '10.0.0.1', port: 9000 }]);
  });
});
