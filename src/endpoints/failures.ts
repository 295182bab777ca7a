import type { WireFailure } from './wire.ts';

const TLS_CODES =
  /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|EPROTO|HOSTNAME_MISMATCH|ERR_OSSL)/;
const CONNECT_CODES = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EADDRINUSE',
  'EMFILE',
  'ENFILE',
  'ENOENT',
  'EACCES',
]);

/** Classes a socket's error; `connected` says whether the connection had been open. */
export function socketFailure(error: NodeJS.ErrnoException, connected: boolean): WireFailure {
  const code = error.code ?? '';
  const detail =
    code !== '' && !error.message.includes(code) ? `${code}: ${error.message}` : error.message || code;
  if (TLS_CODES.test(code)) return { class: 'tls', detail };
  if (!connected || CONNECT_CODES.has(code)) return { class: 'connect', detail };
  return { class: 'reset', detail };
}

/** A response with a status that is no success: the status and the first line of what the server said. */
export function httpFailure(status: number, body: string): WireFailure {
  const first = firstLine(body);
  return { class: 'http', detail: first === '' ? `status ${status}` : `status ${status}: ${first}` };
}

function firstLine(body: string): string {
  let text = body;
  try {
    const parsed = JSON.parse(body) as {
      error?: { message?: unknown } | string;
      message?: unknown;
      detail?: unknown;
    };
    const error = parsed.error;
    const message = typeof error === 'object' ? error?.message : (error ?? parsed.message ?? parsed.detail);
    if (typeof message === 'string') text = message;
  } catch {
    // Not JSON: the raw first line serves.
  }
  return text.trim().split('\n', 1)[0]!.slice(0, 300);
}
