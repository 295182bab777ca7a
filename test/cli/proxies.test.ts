import { request as ask, createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import { startChatServer } from '../fixtures/chat-server.ts';
import { allTexts, newOut, onlyLevel, readRun } from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';

const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

interface Seen {
  readonly url: string;
  readonly authorization: string | undefined;
}

/** A proxy for plain HTTP that passes all requests on to one server, for any host; or answers itself. */
async function startProxy(to: string, status: number | null = null) {
  const seen: Seen[] = [];
  const server = createServer((near, answer) => {
    seen.push({ url: `${near.method} ${near.url}`, authorization: near.headers['proxy-authorization'] });
    if (status !== null) {
      answer.writeHead(status).end('proxy says no');
      return;
    }
    const { pathname, search } = new URL(near.url!);
    const far = ask(
      `${to}${pathname}${search}`,
      { method: near.method!, headers: near.headers },
      (response) => {
        answer.writeHead(response.statusCode!, response.headers);
        response.pipe(answer);
      },
    );
    near.pipe(far);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, seen };
}

const SHAPE = ['--isl', '40', '--osl', '5', '--requests', '4', '--warmup', '0'];
/** Nothing listens there. */
const DEAD = 'http://127.0.0.1:9';
const ALL = ['http_proxy', 'https_proxy', 'all_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'];
const env = (value: string): Record<string, string> => Object.fromEntries(ALL.map((name) => [name, value]));
/** A name that only a proxy can know. */
const FAR = 'http://head.invalid:8000';

describe('what listens on this host', () => {
  it.each([
    DEAD,
    'proxy.corp:3128',
    'http://',
    'proxy',
    'http://me:p#w@127.0.0.1:9',
    'socks5://h:1',
  ])('is reached with any proxy (%s)', async (value) => {
    const options = { env: env(value) };
    for (const wire of value === DEAD ? ['auto', 'socket', 'undici'] : ['undici']) {
      const ended = await benchHere(['run', '--mock', ...SHAPE, '--wire', wire, '--out', newOut()], options);
      expect(ended.code, ended.stderr).toBe(0);
      expect(ended.stdout + ended.stderr).not.toContain('proxy');
    }
    const { url } = await startChatServer();
    for (const words of [
      ['check', '--url', url, '--wire', 'undici'],
      ['check', '--url', url.replace('127.0.0.1', 'localhost'), '--wire', 'undici'],
      ['run', '--url', url, ...SHAPE, '--out', newOut(), '--server-metrics', `${url}/metrics`],
    ]) {
      const ended = await benchHere(words, options);
      expect(ended.code, ended.stderr).toBe(0);
    }
  });
});

describe('a target that the environment names a proxy for', () => {
  it('is reached through it by --wire undici, side calls and streams alike', async () => {
    const { url } = await startChatServer();
    const proxy = await startProxy(url);
    const options = { env: { http_proxy: `me:SE#CRET@127.0.0.1:${proxy.port}` } };
    const out = newOut();
    const ended = await benchHere(['run', '--url', FAR, ...SHAPE, '--wire', 'undici', '--out', out], options);
    expect(ended.code, ended.stderr).toBe(0);
    const run = readRun(out);
    expect(onlyLevel(run).requests).toMatchObject({ sent: 4, good: 4 });
    const urls = proxy.seen.map((one) => one.url);
    expect(urls).toContain(`GET ${FAR}/v1/models`);
    // The canary, and one to learn the template.
    expect(urls.filter((one) => one === `POST ${FAR}/v1/chat/completions`).length).toBeGreaterThanOrEqual(5);
    const basic = `Basic ${Buffer.from('me:SE#CRET').toString('base64')}`;
    expect(new Set(proxy.seen.map(({ authorization }) => authorization))).toEqual(new Set([basic]));
    const note = `requests go to ${FAR} through the proxy http://127.0.0.1:${proxy.port} (http_proxy)`;
    expect(ended.stderr).toContain(`note: ${note}`);
    expect(run.report.warnings).toContain(note);
    expect(run.report.target.roundTripMs).toBeNull();
    expect(allTexts(out) + ended.stdout + ended.stderr).not.toContain('SE#CRET');
  });

  it.each(['auto', 'socket'])('is reached directly by --wire %s, which is said', async (wire) => {
    const proxy = await startProxy('http://127.0.0.1:9');
    const ended = await benchHere(['run', '--url', FAR, ...SHAPE, '--wire', wire, '--out', newOut()], {
      env: { http_proxy: `http://127.0.0.1:${proxy.port}` },
    });
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain(
      `note: requests go to ${FAR} directly (http_proxy is used by --wire undici alone)`,
    );
    expect(ended.stderr).toMatch(/no server answers at .*head\.invalid.*directly \(http_proxy is used/);
    expect(proxy.seen).toEqual([]);
  });

  it.each([
    ['http_proxy', 'http://me:SECRET@127.0.0.1:9'],
    ['HTTP_PROXY', 'me:SECRET@127.0.0.1:9'],
    ['all_proxy', 'http://me:SE#CRET@127.0.0.1:9/'],
  ])('has an error name the proxy of %s, without credentials', async (variable, value) => {
    const ended = await benchHere(['check', '--url', FAR, '--wire', 'undici'], {
      env: { [variable]: value },
    });
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain(
      `no server answers at ${FAR}: through the proxy http://127.0.0.1:9 (${variable}): connect ECONNREFUSED 127.0.0.1:9`,
    );
    expect(ended.stdout + ended.stderr).not.toMatch(/SE#?CRET/);
  });

  it('has it named where the proxy itself answers', async () => {
    const proxy = await startProxy('http://127.0.0.1:9', 503);
    const ended = await benchHere(['check', '--url', FAR, '--wire', 'undici'], {
      env: { http_proxy: `http://127.0.0.1:${proxy.port}` },
    });
    expect(ended.code).toBe(3);
    expect(ended.stdout).toContain(`through the proxy http://127.0.0.1:${proxy.port} (http_proxy)`);
  });

  it.each([
    'http://',
    'http://me:SECRET@',
    'socks5://me:SECRET@h:1080',
  ])('is refused where the value is %s, unless nothing uses it', async (value) => {
    for (const words of [
      ['check', '--url', FAR, '--wire', 'undici'],
      ['run', '--url', FAR, ...SHAPE, '--wire', 'undici', '--out', newOut()],
      [
        'capacity',
        '--url',
        FAR,
        '--isl',
        '40',
        '--osl',
        '5',
        '--slo',
        'ttft=1s',
        '--wire',
        'undici',
        '--out',
        newOut(),
      ],
    ]) {
      const ended = await benchHere(words, { env: { http_proxy: value } });
      expect(ended.code, ended.stderr).toBe(2);
      expect(ended.stderr).toContain('bench: http_proxy: ');
      expect(ended.stderr).not.toContain('SECRET');
    }
    const direct = await benchHere(['check', '--url', FAR], { env: { http_proxy: value } });
    expect(direct.code).toBe(3);
    expect(direct.stdout + direct.stderr).not.toContain('SECRET');
  });
});
