import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { allTexts, bench, makeFolder, newOut, readRun, startStub } from '../fixtures/cli.ts';

const SHAPE = ['--isl', '60', '--osl', '5'];

describe('secrets', () => {
  const SECRETS = ['--api-key', 'SECRET1', '--header', 'X-Token: SECRET2', '--header=X-More: SECRET4'];
  const ENV = { OPENAI_API_KEY: 'SECRET3' };

  it('are sent with each request', async () => {
    const seen: Record<string, unknown>[] = [];
    const url = await startStub({
      models: ['m'],
      fails: (tokens) => tokens === 5,
      leak: (request) => {
        seen.push(request.headers);
        return '';
      },
    });
    const args = ['run', '--url', url, ...SHAPE, '--requests', '2', '--warmup', '0', '--out', newOut()];
    expect((await bench([...args, ...SECRETS], { env: ENV })).code).toBe(3);
    expect(seen).toHaveLength(2);
    const sent = { authorization: 'Bearer SECRET1', 'x-token': 'SECRET2', 'x-more': 'SECRET4' };
    for (const headers of seen) expect(headers).toMatchObject(sent);
  });

  it.each([
    ['a good run', [], 0],
    ['the key of the environment', ['env'], 0],
    ['a plan', ['--dry-run'], 0],
    ['JSON on stdout', ['--json'], 0],
    ['failing requests', ['fail'], 1],
    ['no server', ['none'], 3],
  ] as const)('are in no file and on no screen: %s', async (_name, [how], code) => {
    let count = 0;
    const fails = (tokens: number): boolean => how === 'fail' && tokens === 5 && count++ % 2 === 0;
    const url = how === 'none' ? 'http://127.0.0.1:1' : await startStub({ models: ['m'], fails });
    const cwd = makeFolder();
    const secrets = how === 'env' ? SECRETS.slice(2) : SECRETS;
    const args = ['run', '--url', url, ...SHAPE, '--requests', '8', ...secrets, '--out', 'out'];
    const ended = await bench(how?.startsWith('--') ? [...args, how] : args, { cwd, env: ENV });
    expect(ended.code).toBe(code);
    expect(ended.stdout + ended.stderr + allTexts(cwd)).not.toMatch(/SECRET\d/);
    if (code < 3 && how !== '--dry-run') {
      const { headerNames } = readRun(path.join(cwd, 'out')).report.spec;
      expect(headerNames).toEqual(expect.arrayContaining(['Authorization', 'X-Token', 'X-More']));
    }
  });

  it('are in no file even where the server tells them back', async () => {
    let count = 0;
    const url = await startStub({
      models: ['m'],
      fails: (tokens) => tokens === 5 && count++ % 2 === 0,
      leak: ({ headers }) => `: ${headers.authorization} and ${String(headers['x-token'])}`,
    });
    const cwd = makeFolder();
    const args = ['run', '--url', url, ...SHAPE, '--requests', '4', ...SECRETS, '--out', 'out'];
    const ended = await bench(args, { cwd, env: ENV });
    expect(ended.code).toBe(1);
    expect(ended.stdout).toContain('out of order');
    expect(ended.stdout + ended.stderr + allTexts(cwd)).not.toMatch(/SECRET\d/);
  });

  it.each([
    ['run', '--url', '--extra-body', SHAPE, ['--requests', '4']],
    [
      'serving',
      '--base-url',
      '--extra-request-body',
      ['--backend', 'sglang-oai-chat', '--dataset-name', 'random', '--random-output-len', '5'],
      ['--num-prompts', '4'],
    ],
  ] as const)('of the request body are sent, and in no file: bench %s', async (verb, at, flag, shape, more) => {
    const bodies: Record<string, unknown>[] = [];
    const url = await startStub({
      models: ['m'],
      seen: (body) => bodies.push(body),
      fails: (tokens) => tokens === 5 && bodies.length % 2 === 0,
      leak: () => ' for SECRET5',
    });
    const cwd = makeFolder();
    const body = { api_key: 'SECRET5', nvext: { auth_tokens: ['SECRET6'] }, user: 'me' };
    const words = [verb, at, url, ...shape, ...more, flag, JSON.stringify(body), '--out', 'out'];
    const ended = await bench([...words, '--export', 'aiperf,vllm'], { cwd });
    expect(ended.code, ended.stderr).toBe(1);
    for (const sent of bodies) expect(sent).toMatchObject(body);
    expect(ended.stdout + ended.stderr + allTexts(cwd)).not.toMatch(/SECRET\d/);
    expect(readRun(path.join(cwd, 'out')).report.spec.extraBody).toEqual({
      api_key: '***',
      nvext: { auth_tokens: '***' },
      user: 'me',
    });
  });

  it('of the request body must be given again to go on with a run', async () => {
    const bodies: Record<string, unknown>[] = [];
    let broken = true;
    const url = await startStub({
      models: ['m'],
      seen: (body) => bodies.push(body),
      fails: (tokens) => broken && tokens === 5,
    });
    const cwd = makeFolder();
    const body = '{"api_key": "SECRET7", "user": "me"}';
    const sweep = ['sweep', '--url', url, ...SHAPE, '--concurrency', '1,2', '--pause', '0s', '--warmup', '0'];
    const plan = await bench([...sweep, '--extra-body', body, '--dry-run'], { cwd });
    expect(plan.stdout).toContain('"api_key":"***"');
    expect((await bench([...sweep, '--extra-body', body, '--out', 'out'], { cwd })).code).toBe(3);
    const resume = ['sweep', '--resume', 'out'];
    const without = await bench(resume, { cwd });
    expect(without.code).toBe(2);
    expect(without.stderr).toContain('whose secrets were not kept');
    expect(without.stderr).toContain('give that body again: --extra-body');
    const other = await bench([...resume, '--extra-body', '{"api_key": "SECRET7", "user": "you"}'], { cwd });
    expect(other.code).toBe(2);
    expect(other.stderr).toContain('not that of the earlier run');
    broken = false;
    bodies.length = 0;
    const again = await bench([...resume, '--extra-body', body], { cwd });
    expect(again.code, again.stderr).toBe(0);
    for (const sent of bodies) expect(sent).toMatchObject({ api_key: 'SECRET7', user: 'me' });
    expect(bodies.length).toBeGreaterThan(12);
    const texts = [plan, without, other, again].map(({ stdout, stderr }) => stdout + stderr).join('');
    expect(texts + allTexts(cwd)).not.toMatch(/SECRET\d/);
  });

  it('are in no message about themselves', async () => {
    const bad = ['SECRET1\n', 'SECRET1\u20ac'];
    for (const key of bad) {
      const ended = await bench(['run', '--url', 'http://127.0.0.1:1', ...SHAPE, '--api-key', key]);
      expect(ended.code).toBe(2);
      expect(ended.stderr).not.toContain('SECRET');
    }
  });
});
