import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  fieldOf,
  type ProbeResult,
  type ProbeSight,
  probeName,
  tryProbe,
} from '../../src/stack/launch/probe.ts';
import { readinessSeen } from '../../src/stack/launch/readiness.ts';
import type { Probe } from '../../src/stack/plan/planned.ts';
import { localPlan, localStep } from './stack-steps.ts';

const instance = (component: string, endpoint = 'generate') => ({ namespace: 'dynamo', component, endpoint });
const HEALTH = {
  status: 'unhealthy',
  instances: [
    instance('prefill'),
    instance('backend'),
    instance('backend'),
    instance('backend', 'clear_kv_blocks'),
  ],
};

/** What the server answers, by path; a path that is not here is never answered. */
const ANSWERS: Readonly<Record<string, readonly [status: number, body: string]>> = {
  '/health': [503, JSON.stringify(HEALTH)],
  '/etcd': [200, '{"health":"true","a":{"b":[{"c":3}]}}'],
  '/live': [200, 'no JSON'],
  '/v1/models': [200, '{"object":"list","data":[{"id":"one"},{"id":"two"}]}'],
  '/empty/models': [200, '{"object":"list","data":[]}'],
  '/loading/models': [503, 'loading'],
  '/moved': [307, '/live'],
};

let server: Server;
let origin = '';
let openPort = 0;
let closedPort = 0;
const opened = createTcpServer((socket) => socket.end());

beforeAll(async () => {
  server = createServer((request, response) => {
    const answer = ANSWERS[request.url ?? ''];
    if (answer === undefined) return;
    response.statusCode = answer[0];
    if (answer[0] === 307) response.setHeader('location', answer[1]);
    response.end(answer[1]);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await new Promise<void>((resolve) => opened.listen(0, '127.0.0.1', resolve));
  openPort = (opened.address() as AddressInfo).port;
  const closed = createTcpServer();
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
  closedPort = (closed.address() as AddressInfo).port;
  await new Promise((resolve) => closed.close(resolve));
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
  opened.close();
});

function tryOnce(probe: Probe, over: Partial<ProbeSight> = {}): Promise<ProbeResult> {
  return tryProbe(probe, {
    matches: () => ({ count: 0, line: null }),
    canary: async () => ({ holds: true, said: 'streamed' }),
    signal: new AbortController().signal,
    ...over,
  });
}

const http = (path: string, json: [string, string] | null = null, status = 200): Probe => ({
  kind: 'http',
  url: `${origin}${path}`,
  status,
  json: json === null ? null : { path: json[0], equals: json[1] },
});

const instances = (components: string[], least: number, endpoint = 'generate', path = '/health'): Probe => ({
  kind: 'instances',
  url: `${origin}${path}`,
  components,
  endpoint,
  least,
});

describe('tcp', () => {
  it('holds where somebody listens', async () => {
    const open = await tryOnce({ kind: 'tcp', host: '127.0.0.1', port: openPort });
    expect(open).toEqual({ holds: true, said: `tcp 127.0.0.1:${openPort} open` });
    const shut = await tryOnce({ kind: 'tcp', host: '127.0.0.1', port: closedPort });
    expect(shut.holds).toBe(false);
    expect(shut.said).toContain('ECONNREFUSED');
  });
});

describe('http', () => {
  it.each<[string, () => Probe, boolean, RegExp]>([
    ['the status', () => http('/live'), true, /answers 200/],
    ['where it is redirected', () => http('/moved'), true, /answers 200/],
    ['another status', () => http('/health'), false, /answers 503/],
    ['a status that is no success', () => http('/health', null, 503), true, /answers 503/],
    ['a field', () => http('/etcd', ['$.health', 'true']), true, /\$\.health is true/],
    ['a field in a list', () => http('/etcd', ['$.a.b[0].c', '3']), true, /is 3/],
    ['another value', () => http('/etcd', ['$.health', 'false']), false, /is true/],
    ['no such field', () => http('/etcd', ['$.wealth', 'true']), false, /is undefined/],
    ['what is no JSON', () => http('/live', ['$.health', 'true']), false, /JSON/],
    [
      'nobody',
      () => ({ ...http('/'), url: `http://127.0.0.1:${closedPort}/` }) as Probe,
      false,
      /ECONNREFUSED/,
    ],
    ['no address', () => ({ ...http('/'), url: 'http://:bad' }) as Probe, false, /./],
  ])('%s', async (_, probe, holds, said) => {
    const result = await tryOnce(probe());
    expect(result.holds).toBe(holds);
    expect(result.said).toMatch(said);
  });
});

describe('instances', () => {
  it('are counted by component and endpoint, though the status is 503', async () => {
    expect(await tryOnce(instances(['prefill'], 1))).toEqual({
      holds: true,
      said: '1 of 1 prefill instances registered',
    });
    expect((await tryOnce(instances(['decode', 'backend'], 2))).holds).toBe(true);
    expect(await tryOnce(instances(['backend'], 3))).toEqual({
      holds: false,
      said: '2 of 3 backend instances registered',
    });
    expect((await tryOnce(instances(['backend'], 1, 'embed'))).holds).toBe(false);
    expect((await tryOnce(instances(['prefill'], 1, 'generate', '/live'))).holds).toBe(false);
    expect((await tryOnce(instances(['prefill'], 1, 'generate', '/etcd'))).holds).toBe(false);
  });
});

describe('model', () => {
  const model = (name: string, path: string): Probe => ({
    kind: 'model',
    url: `${origin}${path}`,
    model: name,
  });

  it('is listed under exactly its name', async () => {
    expect((await tryOnce(model('two', '/v1/models'))).holds).toBe(true);
    expect(await tryOnce(model('tw', '/v1/models'))).toEqual({
      holds: false,
      said: 'model "tw" is not listed (one, two)',
    });
    expect((await tryOnce(model('one', '/empty/models'))).said).toContain('none is');
    expect((await tryOnce(model('one', '/loading/models'))).said).toContain('answers 503');
  });
});

describe('log', () => {
  it('sums the lines of its steps and shows one', async () => {
    const seen: Record<string, { count: number; line: string | null }> = {
      a: { count: 1, line: 'loaded a' },
      b: { count: 2, line: 'loaded b' },
    };
    const sight = { matches: (step: string) => seen[step] ?? { count: 0, line: null } };
    const log = (steps: string[], count: number): Probe => ({ kind: 'log', steps, pattern: 'loaded', count });
    expect(await tryOnce(log(['a', 'b', 'c'], 3), sight)).toEqual({ holds: true, said: 'loaded a' });
    expect(await tryOnce(log(['b', 'c'], 3), sight)).toEqual({
      holds: false,
      said: 'log line /loaded/ 2 of 3',
    });
  });
});

describe('exec', () => {
  it('holds with the exit code that is wanted', async () => {
    const exec = (script: string, exit: number): Probe => ({
      kind: 'exec',
      argv: ['bash', '-c', script],
      exit,
    });
    expect((await tryOnce(exec('exit 0', 0))).holds).toBe(true);
    expect((await tryOnce(exec('exit 3', 3))).holds).toBe(true);
    const failed = await tryOnce(exec('echo no disk >&2; exit 3', 0));
    expect(failed).toEqual({ holds: false, said: 'bash ended with 3 no disk' });
    const missing = await tryOnce({ kind: 'exec', argv: ['/no/such/program'], exit: 0 });
    expect(missing.holds).toBe(false);
    expect(missing.said).toContain('ENOENT');
  });
});

describe('any probe', () => {
  it('is given up when nothing answers, and when it is called off', async () => {
    const silent = { ...http('/silent') } as Probe;
    const called = new AbortController();
    const hanging = tryOnce({ kind: 'exec', argv: ['sleep', '100'], exit: 0 });
    const [timed, aborted] = await Promise.all([
      tryOnce(silent),
      tryOnce({ ...silent }, { signal: called.signal }),
      called.abort(),
    ]);
    expect(timed.holds).toBe(false);
    expect(timed.said).toMatch(/timeout/i);
    expect(aborted.holds).toBe(false);
    expect((await hanging).holds).toBe(false);
  });

  it('never rejects: what a canary throws is what it said', async () => {
    const canary: Probe = {
      kind: 'canary',
      url: origin,
      model: 'm',
      requests: 2,
      maxTokens: 4,
      leastTokens: 1,
      prompt: 'hi',
    };
    expect(await tryOnce(canary)).toEqual({ holds: true, said: 'streamed' });
    const thrown = await tryOnce(canary, { canary: () => Promise.reject(new Error('no route')) });
    expect(thrown).toEqual({ holds: false, said: '2 streamed canary requests: no route', silent: true });
  });

  it('has a name for people', () => {
    expect(probeName(instances(['prefill', 'tensorrt_llm_next'], 2))).toBe(
      '2 × prefill|tensorrt_llm_next.generate registered',
    );
    expect(probeName({ kind: 'log', steps: ['a'], pattern: 'up', count: 4 })).toBe('log line /up/ ×4');
    expect(probeName({ kind: 'tcp', host: 'n1', port: 4222 })).toBe('tcp n1:4222');
  });
});

describe('a field of JSON', () => {
  it.each([
    ['$.a', { a: 1 }, 1],
    ['$.a.b[1]', { a: { b: [5, 6] } }, 6],
    ['$[0].x', [{ x: 'y' }], 'y'],
    ['$.a.b', { a: null }, undefined],
    ['$.a.b', { a: 'text' }, undefined],
    ['$.a', undefined, undefined],
  ])('%s of %j', (path, document, value) => {
    expect(fieldOf(document, path)).toBe(value);
  });
});

describe('what a frontend tells of a stack that is not ready', () => {
  const signal = new AbortController().signal;
  const steps = (role: 'decode' | 'agg') => [localStep('w-0', ['true'], '/tmp', { role })];
  const none = { prefill: 0, decode: 0, agg: 0 };

  it('is counted by role', async () => {
    const ready = [
      instances(['prefill'], 2),
      instances(['backend'], 2),
      { kind: 'model', url: `${origin}/v1/models`, model: 'm' } as const,
    ];
    expect(await readinessSeen(localPlan('r', steps('decode'), { ready }), signal)).toEqual({
      expected: { prefill: 2, decode: 2, agg: 0 },
      instances: { prefill: 1, decode: 2, agg: 0 },
      models: ['one', 'two'],
    });
    const agg = await readinessSeen(
      localPlan('r', steps('agg'), { ready: [instances(['backend'], 1)] }),
      signal,
    );
    expect(agg).toEqual({ expected: { ...none, agg: 1 }, instances: { ...none, agg: 2 }, models: null });
  });

  it('is not known where nobody answers', async () => {
    const gone = { ...instances(['prefill'], 1), url: `http://127.0.0.1:${closedPort}/health` } as Probe;
    const model: Probe = { kind: 'model', url: `http://127.0.0.1:${closedPort}/v1/models`, model: 'm' };
    expect(await readinessSeen(localPlan('r', [], { ready: [gone, model] }), signal)).toEqual({
      expected: { ...none, prefill: 1 },
      instances: null,
      models: null,
    });
    expect(await readinessSeen(localPlan('r', []), signal)).toEqual({
      expected: none,
      instances: null,
      models: null,
    });
  });
});
