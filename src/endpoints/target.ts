import { usageError } from '../core/errors.ts';
import type { Target } from './wire.ts';

/**
 * Parses `--url`, or what else `flag` names: `http://host:8000`, `https://host/base`, `host:8000`, or `unix:/run/server.sock`.
 * A trailing slash and a trailing `/v1` or `/v1/chat/completions` are taken off. Exit 2 on anything else.
 */
export function parseTarget(text: string, flag = '--url'): Target {
  const trimmed = text.trim();
  if (trimmed.startsWith('unix:')) {
    const socketPath = trimmed.slice('unix:'.length).replace(/^\/\/(?=\/)/, '');
    if (!socketPath.startsWith('/')) {
      throw usageError(`${flag}: "${text}" has no absolute socket path`, 'write unix:/path/to/socket');
    }
    return {
      url: `unix:${socketPath}`,
      tls: false,
      host: 'localhost',
      port: 80,
      socketPath,
      basePath: '',
      authority: 'localhost',
    };
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
  if (url.search !== '' || url.hash !== '') {
    throw usageError(
      `${flag}: "${text}" has a query or fragment`,
      'give only scheme, host, port and base path',
    );
  }
  const tls = url.protocol === 'https:';
  const basePath = url.pathname.replace(/\/+$/, '').replace(/\/v1(\/chat\/completions)?$/, '');
  return {
    url: `${url.protocol}//${url.host}${basePath}`,
    tls,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (tls ? 443 : 80) : Number(url.port),
    socketPath: null,
    basePath,
    authority: url.host,
  };
}
