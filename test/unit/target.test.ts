import { describe, expect, it } from 'vitest';
import { publicQuery, publicUrls, querySecrets } from '../../src/core/secrets.ts';
import { parseTarget, sidePath, sideUrl, streamPath, type TargetExtra } from '../../src/endpoints/target.ts';
import { refusal } from '../fixtures/refusal.ts';

const CHAT = '/v1/chat/completions';
/** What is requested for a stream, for the models, and for the metrics. */
function requested(url: string, extra: TargetExtra = {}): (string | null)[] {
  const target = parseTarget(url, '--url', extra);
  return [streamPath(target, CHAT), sidePath(target, '/v1/models'), sidePath(target, '/metrics')];
}

describe('the paths of a target', () => {
  it.each([
    ['http://h', {}, ['/v1/chat/completions', '/v1/models', '/metrics']],
    ['http://h/v1/', {}, ['/v1/chat/completions', '/v1/models', '/metrics']],
    ['http://h/b/v1/chat/completions/', {}, ['/b/v1/chat/completions', '/b/v1/models', '/b/metrics']],
    ['http://h/api/v3', {}, ['/api/v3/v1/chat/completions', '/api/v3/v1/models', '/api/v3/metrics']],
    ['http://h/api/v3/chat/completions', {}, ['/api/v3/chat/completions', '/api/v3/models', null]],
    ['http://h/b/v1/completions', {}, ['/b/v1/completions', '/b/v1/models', '/b/metrics']],
    ['http://h/completions?a=1', {}, ['/completions?a=1', '/models?a=1', null]],
    [
      'h:1?api-version=2',
      {},
      ['/v1/chat/completions?api-version=2', '/v1/models?api-version=2', '/metrics?api-version=2'],
    ],
    [
      'http://h/api/v3',
      { path: 'chat/completions' },
      ['/api/v3/chat/completions', '/api/v3/v1/models', '/api/v3/metrics'],
    ],
    ['http://h/v1', { path: '/chat/completions' }, ['/v1/chat/completions', '/v1/models', '/metrics']],
    ['http://h/v1', { path: '/v1/chat/completions' }, ['/v1/chat/completions', '/v1/models', '/metrics']],
    [
      'http://h?a=1',
      { path: '/x?b=2', query: ['?c=3', '&d=4'] },
      ['/x?a=1&b=2&c=3&d=4', '/v1/models?a=1&b=2&c=3&d=4', '/metrics?a=1&b=2&c=3&d=4'],
    ],
    [
      'unix:/run/s.sock',
      { path: '/x', query: ['a=b c'] },
      ['/x?a=b%20c', '/v1/models?a=b%20c', '/metrics?a=b%20c'],
    ],
  ] as const)('of %s with %j', (url, extra, paths) => {
    expect(requested(url, extra)).toEqual(paths);
  });

  it('say no more than the base where they are those of the API', () => {
    expect(parseTarget('http://h/b/v1/chat/completions')).toMatchObject({ url: 'http://h/b', route: null });
    expect(parseTarget('http://h/b/v1/completions').url).toBe('http://h/b/v1/completions');
  });

  it('get the query behind one that they have', () => {
    expect(sidePath(parseTarget('h?a=1'), '/flush_cache?timeout=3')).toBe('/flush_cache?timeout=3&a=1');
  });

  it('are shown without the query, and the URL with its secrets masked', () => {
    const target = parseTarget('https://h:1/b/v1/completions?api-version=2&key=hush', '--url', {
      query: ['sig=hush'],
    });
    expect(sideUrl(target, '/metrics')).toBe('https://h:1/b/metrics');
    expect(sideUrl(parseTarget('unix:/s'), '/metrics')).toBe('unix:/s/metrics');
    expect(target.url).toBe('https://h:1/b/v1/completions?api-version=2&key=***&sig=***');
    expect(target.query).toBe('api-version=2&key=hush&sig=hush');
    expect(parseTarget(target.url).url).toBe(target.url);
  });

  it.each([
    ['http://h/x#y', {}, /--url: .* has a query or fragment/],
    ['http://h/x?key=hush#y', {}, /--url: "http:\/\/h\/x\?…" has a query or fragment/],
    ['http://h/chat/completions', { path: '/x' }, /--path: --url has a route already, \/chat\/completions/],
    ['http://h', { path: '/' }, /--path: "\/" is not the path of a route/],
    ['http://h', { path: '/x?key=hush#y' }, /--path: "\/x\?…" is not/],
    ['http://h', { query: ['?'] }, /--query: a value is empty/],
    ['http://h', { query: ['key=hush#y'] }, /--query: a value is empty or has a fragment/],
  ] as const)('are refused: %s with %j', (url, extra, words) => {
    const { message } = refusal(() => parseTarget(url, '--url', extra));
    expect(message).toMatch(words);
    expect(message).not.toContain('hush');
  });
});

describe('the secrets of a query', () => {
  it.each([
    ['api-version=2024-10-21&deployment=d', 'api-version=2024-10-21&deployment=d', []],
    ['key=12345678&flag', 'key=***&flag', ['12345678', '12345678']],
    ['api%2Dkey=a%2Bb=c', 'api%2Dkey=***', ['a%2Bb=c', 'a+b=c']],
    [
      'code=x&sig=y&X-Amz-Signature=z',
      'code=***&sig=***&X-Amz-Signature=***',
      ['x', 'x', 'y', 'y', 'z', 'z'],
    ],
    ['subscription-key=&access_token=t&%zz=1', 'subscription-key=&access_token=***&%zz=1', ['t', 't']],
  ])('of %s', (query, shown, secrets) => {
    expect(publicQuery(query)).toBe(shown);
    expect(querySecrets(query)).toEqual(secrets);
  });

  it('are masked in the URLs of a text', () => {
    expect(publicUrls('see http://h/x?key=hush&v=1 or "/y?sig=hush" or why? not')).toBe(
      'see http://h/x?key=***&v=1 or "/y?sig=***" or why? not',
    );
  });
});
