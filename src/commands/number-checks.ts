import { usageError } from '../core/errors.ts';

/** `value` when it is a whole number from `low` on, else a usage error that names the flag. */
export function whole(value: number, low: number, flag: string): number {
  if (value > Number.MAX_SAFE_INTEGER)
    throw usageError(`${flag}: ${value} is above ${Number.MAX_SAFE_INTEGER}`, 'give a smaller number');
  if (!Number.isSafeInteger(value) || value < low)
    throw usageError(
      `${flag}: ${value} is no whole number from ${low} on`,
      `give a whole number, ${low} or more`,
    );
  return value;
}

/** `value` when it is in [low, high], else a usage error that names the flag. */
export function inRange(value: number, low: number, high: number, flag: string): number {
  if (!(value >= low && value <= high))
    throw usageError(`${flag}: ${value} is outside ${low} to ${high}`, 'give a number in that range');
  return value;
}

/** `value` when it is above 0, else a usage error that names the flag of a duration. */
export function positiveMs(value: number, flag: string): number {
  if (value <= 0) throw usageError(`${flag}: 0 s is no length of time here`, 'give a duration above 0');
  return value;
}
