import { usageError } from '../core/errors.ts';
import type { PointSpec } from '../core/spec.ts';

/** Concurrency levels of a sweep that says none. */
export const DEFAULT_LEVELS = '1..128x2';

/** Values of a range. */
const MOST_LEVELS = 10_000;

/** Most requests of a warm-up. */
export const WARMUP_REQUESTS = 32;

/** What an axis of numbers is called, and what it may be made of. */
interface Axis {
  readonly flag: string;
  /** One of its numbers, in words. */
  readonly word: string;
  readonly low: number;
  readonly high: number;
  /** What is counted, in words. */
  readonly unit: string;
  /** Whether 0.5 is one. */
  readonly decimals: boolean;
}

/**
 * Parses `--concurrency`: numbers and ranges between commas. `1..128x2` multiplies (1, 2, 4 … 128),
 * `8..32+8` adds. Exit 2 on anything else, on zero, and on repeats.
 */
export function parseLevels(text: string): number[] {
  return parseAxis(text, {
    flag: '--concurrency',
    word: 'level',
    low: 1,
    high: 65_536,
    unit: 'requests in flight',
    decimals: false,
  });
}

/** Parses `--rate`, requests per second, as `parseLevels` does; decimals are numbers too. */
export function parseRates(text: string): number[] {
  return parseAxis(text, {
    flag: '--rate',
    word: 'rate',
    low: 0.001,
    high: 100_000,
    unit: 'requests per second',
    decimals: true,
  });
}

function parseAxis(text: string, axis: Axis): number[] {
  const { flag, word, low, high, unit, decimals } = axis;
  const number = decimals ? String.raw`\d+(?:\.\d+)?` : String.raw`\d+`;
  const single = new RegExp(`^${number}$`);
  const spread = new RegExp(String.raw`^(${number})\.\.(${number})(?:(x|\+)(${number}))?$`);
  const found: number[] = [];
  for (const part of text.split(',').map((piece) => piece.trim())) {
    const range = spread.exec(part);
    if (single.test(part)) {
      found.push(Number(part));
    } else if (range) {
      const [from, to, step] = [Number(range[1]), Number(range[2]), Number(range[4] ?? 1)];
      found.push(...expandRange({ from, to, operator: range[3] ?? '+', step }, part, flag));
    } else {
      throw usageError(
        `${flag}: "${part}" is no ${word}`,
        'write 1,2,4,8 or 1..128x2 (times 2) or 8..32+8 (plus 8)',
      );
    }
  }
  const bad = found.find((value) => value < low || value > high);
  if (bad !== undefined)
    throw usageError(
      `${flag}: ${bad} is outside ${low} to ${high}`,
      `give ${bad < low ? `${low} or more` : `at most ${high}`} ${unit}`,
    );
  const twice = found.find((value, index) => found.indexOf(value) !== index);
  if (twice !== undefined) throw usageError(`${flag}: ${twice} is named twice`, `name each ${word} once`);
  return found;
}

interface Range {
  readonly from: number;
  readonly to: number;
  readonly operator: string;
  readonly step: number;
}

function expandRange({ from, to, operator, step }: Range, part: string, flag: string): number[] {
  const grows = operator === 'x' ? step > 1 && from > 0 : step > 0;
  if (!grows || to < from)
    throw usageError(`${flag}: "${part}" does not rise`, 'write it as 1..128x2 or 8..32+8');
  const values: number[] = [];
  for (
    let value = from;
    value <= to;
    value = Number((operator === 'x' ? value * step : value + step).toPrecision(12))
  ) {
    if (values.length === MOST_LEVELS)
      throw usageError(`${flag}: "${part}" has more than ${MOST_LEVELS} values`, 'take larger steps');
    values.push(value);
  }
  return values;
}

export type Shape = Pick<PointSpec, 'isl' | 'osl' | 'lengths'>;

/** Parses `--shape`: `4000x1000,1000x1000`. Exit 2 on anything else. */
export function parseShapes(text: string): Shape[] {
  return text.split(',').map((part) => {
    const match = /^\s*(\d+)x(\d+)\s*$/.exec(part);
    if (!match)
      throw usageError(
        `--shape: "${part.trim()}" is no shape`,
        'write input x output tokens, as in 4000x1000',
      );
    return checkShape({ isl: Number(match[1]), osl: Number(match[2]) }, '--shape');
  });
}

/** Checks lengths in tokens; `flag` names the option in the error. */
export function checkShape(shape: Shape, flag: string): Shape {
  for (const [name, tokens] of [
    ['ISL', shape.isl],
    ['OSL', shape.osl],
  ] as const) {
    if (!Number.isInteger(tokens) || tokens < 1 || tokens > 10_000_000) {
      throw usageError(
        `${flag}: ${name} ${tokens} is outside 1 to 10000000`,
        'give a whole number of tokens',
      );
    }
  }
  return shape;
}

/** What of a point does not depend on the ones before it. */
type PointLoad = Omit<PointSpec, 'index' | keyof Shape>;

/** What a point's load is made for. */
export type PointPlace = Pick<PointSpec, 'index' | keyof Shape>;

/** All points of a sweep: each shape under each load. */
export function makePoints(
  shapes: readonly Shape[],
  loads: readonly ((place: PointPlace) => PointLoad)[],
): PointSpec[] {
  const points: PointSpec[] = [];
  for (const shape of shapes) {
    for (const load of loads) {
      const place = { index: points.length, ...shape };
      points.push({ ...place, ...load(place) });
    }
  }
  return points;
}

export interface ClosedOptions {
  readonly levels: readonly number[];
  /** Requests of a conversation; 1 where each stands for itself. Slots and arrivals are conversations'. */
  readonly turns: number;
  /** Of each slot, conversations where there are any. */
  readonly requestsPerConcurrency: number;
  /** Requests of each point, whatever its concurrency; null for `requestsPerConcurrency`. */
  readonly requests: number | null;
  readonly durationMs: number | null;
  /** null for min(concurrency, 32). */
  readonly warmup: number | null;
}

/** The loads of a closed loop: a number of requests in flight each. */
export function closedLoads(options: ClosedOptions): (() => PointLoad)[] {
  const { durationMs, requests, requestsPerConcurrency, turns, warmup } = options;
  return options.levels.map((concurrency) => () => ({
    concurrency,
    requests: durationMs !== null ? null : (requests ?? requestsPerConcurrency * concurrency * turns),
    durationMs,
    warmup: warmup ?? Math.min(concurrency, WARMUP_REQUESTS),
  }));
}
