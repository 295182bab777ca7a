import type { Delta } from './dialect.ts';
import { type Fields, isFields } from './output-text.ts';

/** Fields of an event that report an error by being filled. */
const ERROR_FIELDS = ['error', 'errors', 'error_message', 'error_msg', 'exception'] as const;
/** Fields that tell what went wrong, most specific first. */
const MESSAGE_FIELDS = [
  'message',
  'msg',
  'detail',
  'details',
  'error_message',
  'error_msg',
  'status_msg',
  'title',
  'error',
] as const;
const CODE_FIELDS = ['code', 'status', 'status_code', 'statusCode', 'error_code', 'errcode'] as const;
/** Of HTTP. */
const LEAST_ERROR_STATUS = 400;
const ERROR_WORD = /error|exception|fail|fatal|abort|unavailable/i;
/** Codes that say that all is well, or that something is under way. */
const FINE_CODE =
  /^(?:0|1\d\d|2\d\d|ok|success(?:ful)?|succeeded|[a-z]+ing|queued|pending|created|complete(?:d)?|done)$/i;

/** Whether a chunk or a choice states that it is an error, also beside other fields. */
export function hasError(fields: Fields): boolean {
  return isFilled(fields['error']) || fields['object'] === 'error';
}

/** Whether an event without output reports an error that cannot be anything else, of any type. */
export function isPlainError(fields: Fields): boolean {
  return (
    hasError(fields) ||
    fields['type'] === 'error' ||
    ERROR_FIELDS.some((name) => isFilled(fields[name])) ||
    (hasMessage(fields) && CODE_FIELDS.some((name) => Number(fields[name]) >= LEAST_ERROR_STATUS))
  );
}

/** The error that an event reports, in any envelope; null where it reports none. */
export function errorIn(event: Fields): string | null {
  for (const name of ERROR_FIELDS) {
    const error = event[name];
    if (!isFilled(error)) continue;
    return errorMessage(typeof error === 'object' || typeof error === 'string' ? error : event);
  }
  const { type = event['event'], detail, success, base_resp } = event;
  const isError =
    hasError(event) ||
    (typeof type === 'string' && ERROR_WORD.test(type)) ||
    success === false ||
    (isFilled(detail) && type === undefined) ||
    hasBadCode(event);
  if (isError) return errorMessage(event);
  // MiniMax: the code is 0 in each chunk that is well.
  return isFields(base_resp) && hasBadCode(base_resp) ? errorMessage(base_resp) : null;
}

/** What an event without choices and without an error is; null for one that belongs to a stream of chunks. */
export function otherKind(event: Fields): Delta['other'] {
  const { id, object, usage, type, message } = event;
  const isChunk =
    typeof object === 'string' ||
    usage !== undefined ||
    'choices' in event ||
    'prompt_filter_results' in event ||
    (typeof id === 'string' && message === undefined);
  if (isChunk) return null;
  return typeof type === 'string' || Object.keys(event).length === 0 ? 'heartbeat' : 'unknown';
}

/** A code that stands for a failure; one that is a mere word needs a message beside it. */
function hasBadCode(event: Fields): boolean {
  return CODE_FIELDS.some((name) => {
    const code = event[name];
    if (typeof code === 'number' || (typeof code === 'string' && /^\d+$/.test(code)))
      return !FINE_CODE.test(String(code)) && (Number(code) >= 300 || hasMessage(event));
    if (typeof code !== 'string' || code === '' || FINE_CODE.test(code)) return false;
    return ERROR_WORD.test(code) || (name !== 'status' && hasMessage(event));
  });
}

function hasMessage(event: Fields): boolean {
  return MESSAGE_FIELDS.some((name) => isFilled(event[name]));
}

/** `""`, `{}`, `[]`, false and 0 are no error, as null is none; nor is an object of nothing else. */
function isFilled(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).some(isFilled);
  return Boolean(value);
}

/** The message of an error in any of its forms, or the error as the server wrote it. */
export function errorMessage(error: unknown): string {
  if (typeof error === 'string') return error;
  if (Array.isArray(error) && error.length > 0) return errorMessage(error[0]);
  if (isFields(error)) {
    for (const name of MESSAGE_FIELDS) {
      const message = error[name];
      if (isFields(message) || Array.isArray(message)) {
        if (isFilled(message)) return errorMessage(message);
      } else if (typeof message === 'string' && message !== '') return message;
    }
  }
  return JSON.stringify(error);
}
