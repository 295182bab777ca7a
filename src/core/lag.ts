import { least, sum } from './distribution.ts';
import type { RequestRecord } from './record.ts';
import { studentQuantile } from './student-t.ts';

/** How much later requests ended, from the instant the schedule said, per time that they were due later: 0 is steady. */
export interface Lag {
  readonly ratio: number;
  /** Two-sided 95 % bounds. */
  readonly low: number;
  readonly high: number;
  readonly verdict: 'kept-up' | 'fell-behind' | 'unclear';
}

/** The line is laid through the means of so many groups of requests, since neighbours in a queue wait for the same. */
const BLOCKS = 8;
const LEAST_PER_BLOCK = 2;
/** A server that falls behind by less of the time is not told from one that keeps up; by its bound it must fall behind at all. */
const BEHIND_RATIO = 0.05;
const BEHIND_LOW_RATIO = 0.02;
/** One that keeps up may fall behind by no more than this, by its bound. */
const KEPT_HIGH_RATIO = 0.1;

/**
 * Whether a server took as much as came: how much later requests ended, counted from the instant the schedule said, the later they
 * were due (the slope of a straight line; a queue before a server that is asked for ρ times what it can do grows by ρ − 1 of the
 * time). Two-sided 95 % bounds by Student's t over groups of requests. The first quarter, and as long as two of the fastest
 * request last, is left out: the server fills up in it. null where less than half of the arrivals would be left, or too few.
 *
 * Of simulated queues over a minute (1, 16 and 64 servers, fixed and exponential service) at 0.8 of what they can do at most 4 in
 * 100 are told to fall behind, at 0.9 at most 13, at 1.2 at least 78, at 2 and above all.
 */
export function lagOf(measured: readonly RequestRecord[]): Lag | null {
  const requests = measured
    .map(({ dueAtMs, endAtMs, outcome }) => ({
      dueAtMs,
      tookMs: endAtMs - dueAtMs,
      isGood: outcome === 'good',
    }))
    .sort((a, b) => a.dueAtMs - b.dueAtMs);
  const fastestMs = least(requests.flatMap(({ tookMs, isGood }) => (isGood ? tookMs : [])));
  const [first, last] = [requests[0]!.dueAtMs, requests.at(-1)!.dueAtMs];
  const spanMs = last - first;
  if (!(2 * fastestMs <= spanMs / 2)) return null;
  const full = requests.filter(({ dueAtMs }) => dueAtMs >= first + Math.max(spanMs / 4, 2 * fastestMs));
  if (full.length < BLOCKS * LEAST_PER_BLOCK) return null;
  const points = Array.from({ length: BLOCKS }, (_, nth) => {
    const from = Math.floor((nth * full.length) / BLOCKS);
    const group = full.slice(from, Math.floor(((nth + 1) * full.length) / BLOCKS));
    return { x: mean(group.map(({ dueAtMs }) => dueAtMs)), y: mean(group.map(({ tookMs }) => tookMs)) };
  });
  const { slope, error } = lineThrough(points);
  const wide = studentQuantile(0.975, BLOCKS - 2) * error;
  const [low, high] = [slope - wide, slope + wide];
  const behind = slope >= BEHIND_RATIO && low > BEHIND_LOW_RATIO;
  return {
    ratio: slope,
    low,
    high,
    verdict: behind ? 'fell-behind' : high < KEPT_HIGH_RATIO ? 'kept-up' : 'unclear',
  };
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}

/** Slope of the least-squares line and its standard error. */
function lineThrough(points: readonly { readonly x: number; readonly y: number }[]): {
  readonly slope: number;
  readonly error: number;
} {
  const [x0, y0] = [mean(points.map(({ x }) => x)), mean(points.map(({ y }) => y))];
  const spread = sum(points.map(({ x }) => (x - x0) ** 2));
  const slope = sum(points.map(({ x, y }) => (x - x0) * (y - y0))) / spread;
  const left = sum(points.map(({ x, y }) => (y - y0 - slope * (x - x0)) ** 2));
  return { slope, error: Math.sqrt(left / (points.length - 2) / spread) };
}
