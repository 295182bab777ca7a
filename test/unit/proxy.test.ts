import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { onRoute, type Route, routeTo, routeWords } from '../../src/endpoints/proxy.ts';
import { parseTarget } from '../../src/endpoints/target.ts';
import { refusal } from '../fixtures/refusal.ts';

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  return { ...fs, readFileSync: vi.fn(fs.readFileSync) };
});
vi.mocked(readFileSync).mockImplementation(
  () => '127.0.1.1 own-name own.example # not-this\n10.0.0.7\tnode7\n::1 six\n',
);

const P = 'http://proxy.corp:3128';
type Env = Readonly<Record<string, string>>;
const route = (url: string, env: Env): Route => routeTo(parseTarget(url), true, env);
const variable = (url: string, env: Env): string | null => route(url, env).proxy?.variable ?? null;
const goesDirectly = (url: string, noProxy: string): boolean =>
  route(url, { http_proxy: P, https_proxy: P, no_proxy: noProxy }).proxy === null;

describe('a proxy of the environment', () => {
  it.each([
    ['http://head:8000', { http_proxy: P }, 'http_proxy'],
    ['https://head', { http_proxy: P }, null],
    ['https://head', { https_proxy: P }, 'https_proxy'],
    ['http://head', { https_proxy: P }, null],
    ['http://head', { all_proxy: P }, 'all_proxy'],
    ['https://head', { ALL_PROXY: P, https_proxy: P }, 'https_proxy'],
    ['http://head', { HTTP_PROXY: P }, 'HTTP_PROXY'],
    ['http://head', { HTTP_PROXY: 'http://other:1', http_proxy: P }, 'http_proxy'],
    ['https://head', { HTTPS_PROXY: P }, 'HTTPS_PROXY'],
    // Set to nothing it hides the one in upper case, and all_proxy.
    ['http://head', { http_proxy: '', HTTP_PROXY: P, all_proxy: P }, null],
    ['http://head', { http_proxy: ' ' }, null],
    ['unix:/run/x.sock', { http_proxy: P }, null],
    ['http://head', {}, null],
  ] as const)('for %s among %j is that of %s', (url, env, name) => {
    expect(variable(url, env)).toBe(name);
  });

  it.each([
    ['proxy.corp:3128', 'http://proxy.corp:3128'],
    [' proxy.corp:3128 ', 'http://proxy.corp:3128'],
    ['proxy', 'http://proxy'],
    ['10.1.2.3:3128', 'http://10.1.2.3:3128'],
    ['[fd00::1]:3128', 'http://[fd00::1]:3128'],
    ['http://proxy.corp:3128/', 'http://proxy.corp:3128'],
    ['HTTPS://proxy.corp', 'https://proxy.corp'],
    ['http://proxy.corp:3128/path?x#y', 'http://proxy.corp:3128'],
  ])('is read from %j', (value, url) => {
    expect(route('http://head', { http_proxy: value }).proxy).toEqual({
      url,
      variable: 'http_proxy',
      authorization: null,
    });
  });

  it.each([
    ['me:pw@proxy:1', 'me:pw'],
    ['http://me:p%40w%23@proxy:1', 'me:p@w#'],
    ['http://me:p#w/x?@y@proxy:1', 'me:p#w/x?@y'],
    ['http://me:100%@proxy:1', 'me:100%'],
    ['http://me@proxy:1', 'me:'],
    ['http://me:a:b@proxy:1', 'me:a:b'],
  ])('takes credentials from %j, with any characters, and does not show them', (value, credentials) => {
    const found = route('http://head', { http_proxy: value });
    expect(found.proxy).toEqual({
      url: 'http://proxy:1',
      variable: 'http_proxy',
      authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
    });
    expect(routeWords(found)).toBe('through the proxy http://proxy:1 (http_proxy)');
  });

  it.each([
    ['http://', 'not the URL of a proxy'],
    ['http:', 'not the URL of a proxy'],
    ['http://me:SECRET@', 'not the URL of a proxy'],
    ['http://proxy:port', 'not the URL of a proxy'],
    ['http://proxy:99999', 'not the URL of a proxy'],
    ['a b', 'not the URL of a proxy'],
    ['socks5://me:SECRET@proxy:1080', 'scheme "socks5" cannot be used'],
  ])('is refused where its value is %j, which is not shown', (value, words) => {
    const { message, hint, exitCode } = refusal(() => route('https://head', { HTTPS_PROXY: value }));
    expect(message).toContain('HTTPS_PROXY: ');
    expect(message).toContain(words);
    expect(`${message}${hint}`).not.toContain('SECRET');
    expect(exitCode).toBe(2);
    // Where nothing would use it, it does not matter.
    expect(route('http://localhost', { http_proxy: value }).proxy).toBeNull();
    expect(route('http://head', { http_proxy: value, no_proxy: 'head' }).proxy).toBeNull();
    expect(routeTo(parseTarget('http://head'), false, { http_proxy: value })).toEqual({
      proxy: null,
      unused: 'http_proxy',
    });
  });

  it.each([
    'http://localhost:8000',
    'http://LocalHost.:8000',
    'http://mock.localhost',
    'http://127.0.0.1',
    'http://127.99.3.4:1',
    'http://127.1',
    'http://0.0.0.0:8000',
    'http://[::1]:8000',
    'http://[::]',
    'http://[::ffff:127.0.0.1]:8000',
    'http://own-name:8000',
    'http://Own.Example',
    'http://six',
    'https://localhost',
  ])('is never used for %s, which is this host', (url) => {
    expect(route(url, { http_proxy: P, https_proxy: P, all_proxy: P })).toEqual({
      proxy: null,
      unused: null,
    });
  });

  it.each([
    'http://node7',
    'http://not-this',
    'http://localhost.example',
    'http://128.0.0.1',
    'http://[::2]',
  ])('is used for %s, which may be another host', (url) => {
    expect(variable(url, { http_proxy: P })).toBe('http_proxy');
  });

  it('is left aside where the streams go directly, which is said', () => {
    const direct = routeTo(parseTarget('http://head'), false, { HTTP_PROXY: P });
    expect(direct).toEqual({ proxy: null, unused: 'HTTP_PROXY' });
    expect(onRoute(direct, 'refused')).toBe('refused, directly (HTTP_PROXY is used by --wire undici alone)');
    expect(onRoute(route('http://head', { http_proxy: P }), 'refused')).toBe(
      'through the proxy http://proxy.corp:3128 (http_proxy): refused',
    );
    expect(onRoute({ proxy: null, unused: null }, 'refused')).toBe('refused');
  });
});

describe('no_proxy', () => {
  it.each([
    ['http://head', '*'],
    ['http://head', 'other, * '],
    ['http://head', 'head'],
    ['http://HEAD', 'a,Head,b'],
    ['http://head', 'a head\tb'],
    ['http://head.', 'head'],
    ['http://head', 'head.'],
    ['http://n1.example.com', 'example.com'],
    ['http://n1.example.com', '.example.com'],
    ['http://n1.example.com', '*.example.com'],
    ['http://example.com', '.example.com'],
    ['http://head:8000', 'head:8000'],
    ['http://head', 'head:80'],
    ['https://head', 'head:443'],
    ['http://10.1.2.3', '10.1.2.3'],
    ['http://10.1.2.3:8000', '10.1.2.3:8000'],
    ['http://10.1.2.3', '10.0.0.0/8'],
    ['http://10.1.2.3', '10.1.2.3/32'],
    ['http://10.1.2.3', '0.0.0.0/0'],
    ['http://172.31.255.255', '172.16.0.0/12'],
    ['http://[fd00::12]', 'fd00::/8'],
    ['http://[fd00::12]', '[fd00::]/8'],
    ['http://[fd00::12]', 'fd00::12'],
    ['http://[fd00::12]', '[fd00::12]'],
    ['http://[fd00::12]:8000', '[fd00::12]:8000'],
    ['http://[fd00:0:0::12]', 'FD00:0::0:12'],
  ])('excepts %s by %j', (url, noProxy) => {
    expect(goesDirectly(url, noProxy)).toBe(true);
  });

  it.each([
    ['http://head', ''],
    ['http://head', ' , '],
    ['http://head', 'ead'],
    ['http://head', 'head2'],
    ['http://notexample.com', 'example.com'],
    ['http://head:8001', 'head:8000'],
    ['http://head:8000', 'head:80'],
    ['http://10.1.2.3:8000', '10.1.2.3:80'],
    ['http://11.1.2.3', '10.0.0.0/8'],
    ['http://172.32.0.0', '172.16.0.0/12'],
    ['http://10.1.2.3', '10.0.0.0/33'],
    ['http://10.1.2.3', '10.0.0.0/x'],
    ['http://10.1.2.3', '10.1.2.4'],
    ['http://10.1.2.3', 'fd00::/8'],
    ['http://[fe00::1]', 'fd00::/8'],
    ['http://[fd00::12]', 'fd00::13'],
    ['http://[fd00::12]:8000', '[fd00::12]:80'],
    ['http://10.1.2.3', '2.3'],
    ['http://head', '.'],
    ['http://head', 'head/8'],
  ])('does not except %s by %j', (url, noProxy) => {
    expect(goesDirectly(url, noProxy)).toBe(false);
  });

  it('is read in lower case first', () => {
    expect(variable('http://head', { http_proxy: P, NO_PROXY: 'head' })).toBeNull();
    expect(variable('http://head', { http_proxy: P, no_proxy: '', NO_PROXY: 'head' })).toBe('http_proxy');
  });
});
