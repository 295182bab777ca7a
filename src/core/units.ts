import { usageError } from './errors.ts';

const MS_PER: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000 };

/** The longest duration, in hours and in ms: timers take no more than 2³¹ − 1 ms. */
const MOST_HOURS = 596;
const MOST_MS = MOST_HOURS * 3_600_000;

/**
 * Parses a duration that carries its unit (`500ms`, `5s`, `1.5m`, `1h`) into milliseconds, 596 hours at most.
 * A bare `0` is allowed. `flag` names the option in the error (exit 2).
 */
export function parseDurationMs(text: string, flag: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|min|h)$/.exec(text.trim());
  if (match) {
    const ms = Number(match[1]) * MS_PER[match[2]!]!;
    if (ms <= MOST_MS) return ms;
    throw usageError(`${flag}: "${text}" is longer than ${MOST_HOURS}h`, `give ${MOST_HOURS}h or less`);
  }
  if (text.trim() === '0') return 0;
  throw usageError(
    `${flag}: "${text}" is not a duration`,
    'write a number with its unit, as in 500ms, 5s, 2m or 1h',
  );
}

/** A duration for people: `850 ms`, `12.3 s`, `4 m 05 s`, `1 h 02 m`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const two = (part: number): string => String(part).padStart(2, '0');
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} m`;
}

/** A share as `5%` or `0.05`; null for a text that is none. */
export function parseRatio(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*(%?)$/.exec(text.trim());
  return match === null ? null : Number(match[1]) / (match[2] === '%' ? 100 : 1);
}

/** An instant as part of a file's name: `20261127T013355Z` of `2026-11-27T01:33:55.413Z`. */
export function fileStamp(utc: string): string {
  return utc.replace(/[-:]|\.\d+/g, '');
}
