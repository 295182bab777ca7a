import { publicUrls } from '../core/secrets.ts';
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

/** What is said of a failure, with what its connection was; `resent`: the request had been sent a second time. */
export function brokenDetail({ class: failureClass, detail, reused }: WireFailure, resent: boolean): string {
  if (reused !== undefined) return `${detail} (on a reused connection)`;
  return resent && (failureClass === 'reset' || failureClass === 'connect')
    ? `${detail} (sent a second time: the first, on a reused connection, was not answered)`
    : detail;
}

/** What of a response's head says more than its status. */
export interface ResponseHead {
  readonly status: number;
  /** `''` where there is none. */
  readonly contentType: string;
  /** Where a redirect leads; null where none is given. */
  readonly location: string | null;
}

/** A response with a status that is no success, and what the server says about it. */
export function httpFailure(head: ResponseHead, body: string): WireFailure {
  return { class: 'http', detail: answerText(head, body) };
}

/** A response with status 200 that is no stream of events. */
export function notStreamed(head: ResponseHead, body: string): WireFailure {
  const said = isPage(head, body) ? bodyText(head, body) : body.slice(0, 200).replace(/\s+/g, ' ');
  return { class: 'malformed', detail: `answered ${head.contentType} instead of an event stream: ${said}` };
}

/** `status 404: Not Found`: an answer in one line; of one with status 200 only a page is described. */
export function answerText(head: ResponseHead, body: string): string {
  const { status, location, contentType } = head;
  if (status === 200)
    return isPage(head, body) ? `status 200, ${contentType}: ${bodyText(head, body)}` : 'status 200';
  const said =
    isRedirect(status) && location !== null ? `redirects to ${publicUrls(location)}` : bodyText(head, body);
  return said === '' ? `status ${status}` : `status ${status}: ${said}`;
}

export function isRedirect(status: number | null): boolean {
  return status !== null && status >= 300 && status < 400;
}

/** Whether it is a page for a browser. */
export function isPage({ contentType }: Pick<ResponseHead, 'contentType'>, body: string): boolean {
  return isPageType(contentType) || /^\s*(?:<!doctype html|<html)\b/i.test(body);
}

export function isPageType(contentType: string): boolean {
  return /^\s*(?:text\/html|application\/xhtml\+xml)\b/i.test(contentType);
}

/** What an unexpected body says, in one line of at most 300 characters: the title of a page, the messages of JSON, else its first line. */
function bodyText(head: ResponseHead, body: string): string {
  if (isPage(head, body)) {
    const title = /<title[^>]*>([^<]*)/i.exec(body)?.[1]?.replace(/\s+/g, ' ').trim();
    return title ? `HTML page "${title.slice(0, 200)}"` : 'HTML page without a title';
  }
  const text = jsonMessage(body) ?? body.trim().split('\n', 1)[0]!;
  return text.replace(/\s+/g, ' ').trim().slice(0, 300);
}

/** The messages of an error in JSON, with the fields that they are about; null when the text is no JSON with one. */
function jsonMessage(body: string): string | null {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return null;
  }
  if (typeof value === 'string') return value;
  return messageOf(value) ?? (typeof value === 'object' && value !== null ? JSON.stringify(value) : null);
}

function messageOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) {
    const messages = value.flatMap((one: unknown) => messageOf(one) ?? []);
    return messages.length === 0 ? null : messages.join('; ');
  }
  if (typeof value !== 'object' || value === null) return null;
  const { error, errors, message, msg, detail, param, loc } = value as Record<string, unknown>;
  for (const inner of [error, message, msg, detail, errors]) {
    const found = messageOf(inner);
    if (found === null || found === '') continue;
    const field = Array.isArray(loc) ? loc.filter((part) => part !== 'body').join('.') : param;
    return typeof field === 'string' && field !== '' && !found.includes(field) ? `${field}: ${found}` : found;
  }
  return null;
}
