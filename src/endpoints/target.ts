import { usageError } from '../core/errors.ts';
import { publicQuery } from '../core/secrets.ts';
import type { Target } from './wire.ts';

/** What the API's own routes look like at the end of a URL. */
const ROUTE = /\/(?:chat\/)?completions$/;
/** What of a URL lies below the server's base. */
const BELOW_BASE = /\/v1(?:\/(?:chat\/)?completions)?$/;
/** As the API has it; such a URL says no more than its base does. */
const OWN_ROUTE = /\/v1\/chat\/completions$/;

/** `--path` and `--query`: what requests have beside the URL. */
export interface TargetExtra {
  readonly path?: string | undefined;
  readonly query?: readonly string[];
}

/**
 * Parses `--url`, or what else `flag` names: `http://host:8000`, `https://host/base`, `host:8000`, or `unix:/run/server.sock`.
 * A trailing slash and a trailing `/v1` or `/v1/chat/completions` are taken off; another URL that ends in `/chat/completions` or
 * `/completions` is the route itself. Exit 2 on anything else.
 */
export function parseTarget(text: string, flag = '--url', extra: TargetExtra = {}): Target {
  const trimmed = text.trim();
  if (trimmed.startsWith('unix:')) {
    const socketPath = trimmed.slice('unix:'.length).replace(/^\/\/(?=\/)/, '');
    if (!socketPath.startsWith('/')) {
      throw usageError(`${flag}: "${text}" has no absolute socket path`, 'write unix:/path/to/socket');
    }
    const socket = { tls: false, host: 'localhost', port: 80, socketPath, authority: 'localhost' };
    return withRoute(socket, `unix:${socketPath}`, '', '', extra);
  }
  if (/^https?:\/(?!\/)/i.test(trimmed))
    throw usageError(`${flag}: "${text}" is not a URL`, 'write it as http://host:port');
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `http://${trimmed}`;
  let url: URL;
  try {
    url = new URL(withScheme);
  } catch {
    throw usageError(`${flag}: "${text}" is not a URL`, 'write it as http://host:port');
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw usageError(
      `${flag}: "${text}" has the scheme "${url.protocol}"`,
      'use http://, https:// or unix:/path',
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw usageError(
      `${flag}: credentials in the URL would reach logs and files`,
      'use --api-key or --header',
    );
  }
  // Another address than the server's own gets no credentials, of which a query may be one.
  if (url.hash !== '' || (url.search !== '' && flag !== '--url')) {
    throw usageError(
      `${flag}: "${withoutQuery(text)}" has a query or fragment`,
      'give only scheme, host, port and base path',
    );
  }
  const tls = url.protocol === 'https:';
  const address = {
    tls,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (tls ? 443 : 80) : Number(url.port),
    socketPath: null,
    authority: url.host,
  };
  const pathname = url.pathname.replace(/\/+$/, '');
  return withRoute(address, `${url.protocol}//${url.host}`, pathname, url.search.slice(1), extra);
}

/** The address with the paths that `pathname`, the URL's own, and `--path` make. */
function withRoute(
  address: Pick<Target, 'tls' | 'host' | 'port' | 'socketPath' | 'authority'>,
  origin: string,
  pathname: string,
  ownQuery: string,
  extra: TargetExtra,
): Target {
  const base = pathname.replace(BELOW_BASE, '');
  const given = extra.path === undefined ? null : parsePath(extra.path);
  const query = [ownQuery, given?.query ?? '', ...(extra.query ?? []).map(parseQuery)]
    .filter((part) => part !== '')
    .join('&');
  const shownQuery = query === '' || address.socketPath !== null ? '' : `?${publicQuery(query)}`;
  if (given !== null) {
    if (ROUTE.test(pathname))
      throw usageError(`--path: --url has a route already, ${pathname}`, 'give the route once');
    const above = given.path.startsWith('/v1/') ? base : pathname;
    const url = `${origin}${pathname}${shownQuery}`;
    return { ...address, url, basePath: base, route: `${above}${given.path}`, query };
  }
  if (!ROUTE.test(pathname) || OWN_ROUTE.test(pathname))
    return { ...address, url: `${origin}${base}${shownQuery}`, basePath: base, route: null, query };
  const url = `${origin}${pathname}${shownQuery}`;
  return { ...address, url, basePath: base === pathname ? null : base, route: pathname, query };
}

/** `--path` as it goes into a request, and the query in it. Exit 2 when it is empty or has a fragment. */
function parsePath(text: string): { path: string; query: string } {
  const url = new URL(`http://host/${text.trim().replace(/^\/+/, '')}`);
  if (url.pathname === '/' || url.hash !== '')
    throw usageError(
      `--path: "${withoutQuery(text)}" is not the path of a route`,
      'write --path /api/v3/chat/completions',
    );
  return { path: url.pathname, query: url.search.slice(1) };
}

/** `--query` as it goes into a request. Exit 2 when it is empty or has a fragment; it is not shown, for it may be a secret. */
function parseQuery(text: string): string {
  const url = new URL(`http://host/?${text.trim().replace(/^[?&]+/, '')}`);
  if (url.search === '' || url.hash !== '')
    throw usageError('--query: a value is empty or has a fragment', 'write --query api-version=2024-10-21');
  return url.search.slice(1);
}

function withoutQuery(text: string): string {
  return text.replace(/\?.*/s, '?…');
}

/** Path and query of a request for a stream; `path` is that of the API. */
export function streamPath({ route, basePath, query }: Target, path: string): string {
  return withQuery(route ?? `${basePath}${path}`, query);
}

/** Path and query of any other request; null where the route does not show it. Models are listed beside the route that streams. */
export function sidePath({ route, basePath, query }: Target, path: string): string | null {
  if (basePath !== null) return withQuery(`${basePath}${path}`, query);
  return path === '/v1/models' ? withQuery(route!.replace(ROUTE, '/models'), query) : null;
}

/** The address of such a request, without its query. */
export function sideUrl(target: Target, path: string): string {
  const { tls, authority, socketPath } = target;
  const origin = socketPath === null ? `${tls ? 'https' : 'http'}://${authority}` : `unix:${socketPath}`;
  return `${origin}${sidePath({ ...target, query: '' }, path) ?? path}`;
}

function withQuery(path: string, query: string): string {
  return query === '' ? path : `${path}${path.includes('?') ? '&' : '?'}${query}`;
}
