import type { JsonObject } from './json-objects.ts';

/** The value as an object; null for anything else. */
export function objectOf(value: unknown): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null;
}

/** The object under `key`; null when there is none. */
export function objectAt(object: JsonObject | null, key: string): JsonObject | null {
  return objectOf(object?.[key]);
}

/** The finite number under `key`; null when there is none. */
export function numberAt(object: JsonObject | null, key: string): number | null {
  const value = object?.[key];
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** The text under `key`; null when there is none, or an empty one. */
export function textAt(object: JsonObject | null, key: string): string | null {
  const value = object?.[key];
  return typeof value === 'string' && value !== '' ? value : null;
}

/** Elements of the list under `key`; none when there is no list. */
export function listAt(object: JsonObject | null, key: string): readonly unknown[] {
  const value = object?.[key];
  return Array.isArray(value) ? value : [];
}

/** A request rate: a number, `inf` for an infinite one, or a word of the tool. */
export function rateAt(object: JsonObject | null, key: string): number | string | null {
  return object?.[key] === Number.POSITIVE_INFINITY ? 'inf' : (numberAt(object, key) ?? textAt(object, key));
}
