const OPENING_BRACE = 0x7b;
const HEARTBEAT = /^\s*(?:(?:ping|pong|heartbeat|keep[-_ ]?alive)\s*)?$/i;
const ERROR_TYPE =
  /(?:^|[._-])(?:error|errored|exception|failure|failed|fatal|abort|aborted|cancel|cancelled|canceled|timeout|crashed)$/i;

/** Whether the data of an event is blank or a word that keeps the connection alive. */
export function isHeartbeat(data: string): boolean {
  return data.charCodeAt(0) !== OPENING_BRACE && HEARTBEAT.test(data);
}

/** What an event is by the type that the server gave it: of a completion, an error, or something beside it. */
export function kindOfType(type: string | null): 'message' | 'error' | 'other' {
  if (type === null || type === 'message') return 'message';
  return ERROR_TYPE.test(type) ? 'error' : 'other';
}
