import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseStack } from '../../src/stack/file/read.ts';
import { readStack } from '../../src/stack/plan/plan.ts';
import { ENV, planOf, read, readShipped, refusalOf, shipped, stepOf } from './stack-files.ts';

const HEAD = `schema: 1
name: x
preset: dynamo-mocker
model: {path: /m, served_name: m}
`;
const SERVICES = `services:
  frontend: {}
  prefill: {}
  decode: {}
`;

describe('a stack file', () => {
  it('is refused with every error, each at its line and column', () => {
    expect(
      refusalOf(`schema: 1
name: X
preset: dynamo-moker
cluster:
  mode: sallok
  partion: batch
  nodes: 0
  time: 5h
model: {path: /m}
services:
  frontend: {role: frontent}
  prefill:
    replicas: many
    ready: {all: [{tcp: "host"}], timeout: 5}
`),
    ).toEqual([
      's.yaml:2:7: name: "X" may hold a-z, 0-9 and "-" alone',
      's.yaml:3:9: preset: "dynamo-moker" is not known: did you mean "dynamo-mocker"?',
      's.yaml:5:9: cluster.mode: "sallok" is not known: did you mean "salloc"?',
      's.yaml:6:3: unknown key "partion" in cluster: did you mean "partition"?',
      's.yaml:7:10: cluster.nodes: 0 is not a whole number from 1 to 100000',
      's.yaml:8:9: cluster.time: "5h" is not a time of SLURM: write "HH:MM:SS" in quotes',
      's.yaml:9:1: model.served_name is missing',
      's.yaml:11:20: services.frontend.role: "frontent" is not known: did you mean "frontend"?',
      's.yaml:13:15: services.prefill.replicas: "many" is not a whole number from 1 to 100000',
      's.yaml:14:25: services.prefill.ready.all[0].tcp: "host" is not HOST:PORT',
      's.yaml:14:44: services.prefill.ready.timeout: 5 is not a text',
    ]);
  });

  it('is refused at the place where YAML itself is broken', () => {
    expect(refusalOf('schema: 1\nname: x\n  model: {\n')[0]).toMatch(/^s\.yaml:2:7: Nested mappings/);
    expect(refusalOf(`${HEAD}name: y\n${SERVICES}`)).toEqual(['s.yaml:5:1: Map keys must be unique']);
    expect(() => read('just words')).toThrow('s.yaml:1:1: is no stack file');
  });

  it('names what it lacks', () => {
    expect(refusalOf('schema: 1\nname: x\n')).toEqual([
      's.yaml:1:1: model is missing',
      's.yaml:1:1: services is missing',
    ]);
    expect(() => readStack('/no/such/stack.yaml')).toThrow(/cannot read .*ENOENT/);
  });

  it('has its unknown keys explained when they are known from elsewhere', () => {
    expect(
      refusalOf(`${HEAD}services:
  frontend: {srun: {oversubscribe: true}}
  prefill: {srun: {overlap: true}}
  decode: {}
`),
    ).toEqual([
      's.yaml:6:21: unknown key "oversubscribe" in services.frontend.srun: it does not let steps share a node; --overlap does, and every step has it',
      's.yaml:7:20: unknown key "overlap" in services.prefill.srun: every step has --overlap',
    ]);
  });
});

describe('the environment in a stack file', () => {
  const withPath = (value: string): string =>
    `schema: 1\nname: x\npreset: dynamo-mocker\nmodel: {path: "${value}", served_name: m}\n${SERVICES}`;

  it('fills in a variable, or its default', () => {
    expect(read(withPath('${env:DIR}/a'), { DIR: '/d' }).model.path).toBe('/d/a');
    expect(read(withPath('${env:DIR:-/else}/a')).model.path).toBe('/else/a');
    expect(read(withPath('${env:DIR:-}/a')).model.path).toBe('/a');
  });

  it('is an error at its place when there is no value', () => {
    expect(refusalOf(withPath('${env:DIR}'))).toEqual([
      's.yaml:4:15: ${env:DIR} has no value: set DIR, or write ${env:DIR:-DEFAULT}',
    ]);
  });

  it('gives numbers where numbers are wanted', () => {
    const text = `${HEAD}services:\n  frontend: {ports: {http: "\${env:PORT}"}}\n  prefill: {}\n  decode: {}\n`;
    expect(read(text, { PORT: '8123' }).services['frontend']?.ports['http']).toBe(8123);
    expect(refusalOf(text, { PORT: 'x' })).toEqual([
      's.yaml:6:28: services.frontend.ports.http: "x" is not a whole number from 1 to 65535',
    ]);
  });

  it('does not read references that a value brings along', () => {
    const stack = read(withPath('${env:DIR}'), { DIR: '/a/${head.ip}' });
    expect(stepOf(planOf(stack, ['a', 'b', 'c']), 'prefill-0').command).toContain('/a/${head.ip}');
  });

  it('keeps a secret out of everything but a variable that shows by its name what it is', () => {
    const text = (env: string, args: string): string =>
      `${HEAD}env: {${env}}\nservices:\n  frontend: {args: {${args}}}\n  prefill: {}\n  decode: {}\n`;
    const secret = { HF_TOKEN: 'hf_abcdefgh' };
    expect(read(text('HF_TOKEN: "${env:HF_TOKEN}"', ''), secret).services['frontend']?.env['HF_TOKEN']).toBe(
      'hf_abcdefgh',
    );
    expect(refusalOf(text('', '--token: "${env:HF_TOKEN}"'), secret)[0]).toMatch(
      /^s\.yaml:7:30: \$\{env:HF_TOKEN\} looks like a secret/,
    );
    expect(refusalOf(text('GREETING: "${env:HF_TOKEN}"', ''), secret)[0]).toMatch(/^s\.yaml:5:17: /);
  });
});

describe('a reference that nothing fills in', () => {
  const withEnv = (value: string): string => `${HEAD}env: {A: "${value}"}\n${SERVICES}`;

  it('is an error with a suggestion', () => {
    expect(refusalOf(withEnv('${head.ipp}'))).toEqual([
      's.yaml:5:10: env.A: ${head.ipp} has no value here: did you mean "head.ip"?',
    ]);
    expect(refusalOf(withEnv('${HEAD_NODE_IP}'))[0]).toMatch(/write \$\{env:HEAD_NODE_IP\} for a variable$/);
    expect(refusalOf(withEnv('${ports.etcd}'))[0]).toMatch(/\$\{ports\.etcd\} has no value here/);
  });

  it('is none when it is escaped', () => {
    const plan = planOf(read(withEnv('$${head.ipp}')), ['a', 'b', 'c']);
    expect(plan.steps[0]?.env['A']).toBe('${head.ipp}');
  });

  it('of the whole has no limit of silence, which nothing would read', () => {
    expect(refusalOf(`${HEAD}${SERVICES}stack_ready: {stall_timeout: 5m}\n`)[0]).toMatch(
      /^s\.yaml:9:15: unknown key "stall_timeout"/,
    );
  });

  it('is one where only a service has the value', () => {
    expect(
      refusalOf(`${HEAD}${SERVICES}stack_ready:\n  all: [{http: {url: "http://\${node.name}/"}}]\n`)[0],
    ).toMatch(/^s\.yaml:10:22: stack_ready\.all\[0\]\.http\.url: \$\{node\.name\} has no value here/);
  });
});

describe('the shipped files', () => {
  it.each([
    'dsr1-fp4-gb200-1p1d.yaml',
    'dsr1-fp4-gb200-2p4d.yaml',
    'mocker-local.yaml',
    'mocker-slurm.yaml',
  ])('%s is taken without a warning', (name) => {
    expect(readStack(shipped(name), { env: ENV }).warnings).toEqual([]);
  });

  it('hold the whole of the guide in about 30 lines', () => {
    expect(readShipped('dsr1-fp4-gb200-1p1d.yaml').nodesNeeded).toBe(2);
    const lines = readFileSync(shipped('dsr1-fp4-gb200-1p1d.yaml'), 'utf8').trimEnd().split('\n');
    expect(lines.length).toBeLessThanOrEqual(34);
  });
});

describe('overrides', () => {
  it('win over the file', () => {
    const stack = parseStack(`${HEAD}${SERVICES}`, 's.yaml', {
      env: {},
      overrides: { 'cluster.mode': 'local', 'services.decode.replicas': 3 },
    });
    expect([stack.cluster.mode, stack.services['decode']?.replicas]).toEqual(['local', 3]);
  });
});
