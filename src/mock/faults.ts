import type { Kind } from '../core/kind.ts';

/** The ways in which an answer can go wrong. */
export const FAULTS = [
  { name: 'http-500', about: 'status 500 with an error body' },
  { name: 'http-429', about: 'status 429 with an error body and Retry-After' },
  { name: 'http-503', about: 'status 503 with an error body' },
  { name: 'reset', about: 'TCP reset before any answer' },
  { name: 'reset-mid', about: 'TCP reset in the middle of the output' },
  { name: 'cut', about: 'connection closed in the middle of the output, the body unfinished' },
  { name: 'truncate', about: 'body ended properly in the middle of the output, no finish_reason, no [DONE]' },
  { name: 'error-event', about: 'an error event in the middle of the output, then [DONE]' },
  { name: 'malformed', about: 'an event of broken JSON in the middle of the output, which then goes on' },
  { name: 'empty', about: 'status 200 with [DONE] alone' },
  { name: 'hang', about: 'never answers' },
  { name: 'stall', about: 'stops in the middle of the output and stays connected' },
  { name: 'no-text', about: 'usage counts tokens but all text is empty' },
  { name: 'close', about: 'a good answer with Connection: close' },
] as const satisfies readonly Kind[];

export type FaultKind = (typeof FAULTS)[number]['name'];

/** A fault and after how many output tokens it strikes; null for half of them. */
export interface Fault {
  readonly kind: FaultKind;
  readonly atTokens: number | null;
}

/** Reads `KIND` or `KIND@TOKENS`, null when it is neither. */
export function parseFault(text: string): Fault | null {
  const match = /^([a-z0-9-]+)(?:@(\d{1,9}))?$/.exec(text.trim());
  const kind = FAULTS.find(({ name }) => name === match?.[1])?.name;
  if (match === null || kind === undefined) return null;
  return { kind, atTokens: match[2] === undefined ? null : Number(match[2]) };
}

/** After how many of `outputTokens` the fault strikes: as it says, else half of them and at least one. */
export function faultTokens(fault: Fault, outputTokens: number): number {
  return Math.min(fault.atTokens ?? Math.max(1, Math.floor(outputTokens / 2)), outputTokens);
}
