import { usageError } from '../core/errors.ts';
import type { PointSpec } from '../core/spec.ts';

/** Concurrency levels of a sweep that says none. */
export const DEFAULT_LEVELS = '1..128x2';

/** Most requests of a warm-up, and the longest output it asks for. */
const WARMUP_REQUESTS = 32;

/**
 * Parses `--concurrency`: numbers and ranges between commas. `1..128x2` multiplies (1, 2, 4 … 128),
 * `8..32+8` adds. Exit 2 on anything else, on zero, and on repeats.
 */
export function parseLevels(text: string): number[] {
  const levels: number[] = [];
  for (const part of text.split(',').map((word) => word.trim())) {
    const range = /^(\d+)\.\.(\d+)(?:(x|\+)(\d+))?$/.exec(part);
    if (/^\d+$/.test(part)) {
      levels.push(Number(part));
    } else if (range) {
      levels.push(
        ...expandRange(Number(range[1]), Number(range[2]), range[3] ?? '+', Number(range[4] ?? 1), part),
      );
    } else {
      throw usageError(
        `--concurrency: "${part}" is no level`,
        'write 1,2,4,8 or 1..128x2 (times 2) or 8..32+8 (plus 8)',
      );
    }
  }
  const bad = levels.find((level) => level < 1 || level > 65_536);
  if (bad !== undefined)
    throw usageError(`--concurrency: ${bad} is outside 1 to 65536`, 'give at least one request in flight');
  const twice = levels.find((level, index) => levels.indexOf(level) !== index);
  if (twice !== undefined) throw usageError(`--concurrency: ${twice} is named twice`, 'name each level once');
  return levels;
}

function expandRange(from: number, to: number, operator: string, step: number, part: string): number[] {
  const grows = operator === 'x' ? step >= 2 && from >= 1 : step >= 1;
  if (!grows || to < from)
    throw usageError(`--concurrency: "${part}" does not rise`, 'write it as 1..128x2 or 8..32+8');
  const levels: number[] = [];
  for (
    let level = from;
    level <= to && levels.length < 10_000;
    level = operator === 'x' ? level * step : level + step
  ) {
    levels.push(level);
  }
  return levels;
}

export interface Shape {
  readonly isl: number;
  readonly osl: number;
}

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

export interface PointOptions {
  readonly shapes: readonly Shape[];
  readonly levels: readonly number[];
  readonly requestsPerConcurrency: number;
  /** Requests of each point, whatever its concurrency; null for `requestsPerConcurrency`. */
  readonly requests: number | null;
  readonly durationMs: number | null;
  /** null for min(concurrency, 32). */
  readonly warmup: number | null;
}

/** All points of a sweep: each shape at each level. */
export function makePoints(options: PointOptions): PointSpec[] {
  const points: PointSpec[] = [];
  for (const shape of options.shapes) {
    for (const concurrency of options.levels) {
      points.push({
        index: points.length,
        concurrency,
        isl: shape.isl,
        osl: shape.osl,
        requests:
          options.durationMs !== null
            ? null
            : (options.requests ?? options.requestsPerConcurrency * concurrency),
        durationMs: options.durationMs,
        warmup: options.warmup ?? Math.min(concurrency, WARMUP_REQUESTS),
      });
    }
  }
  return points;
}
