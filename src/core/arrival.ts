import type { Kind } from './kind.ts';
import type { ArrivalSpec, PointSpec, PromptSpec } from './spec.ts';

/** When the requests of a point are due. */
export interface Arrival {
  /** At most this many in flight. */
  readonly slots: number;
  /**
   * Due instants in ms after the start, never falling, one for each request: an open loop. null in a closed loop, where a
   * request is due as soon as a slot is free.
   */
  readonly offsetsMs: ArrayLike<number> | null;
}

/** What a schedule is made from. */
export interface ArrivalOrder {
  readonly point: PointSpec;
  readonly arrival: ArrivalSpec;
  readonly prompts: PromptSpec;
}

/** A way for requests to arrive. */
export interface ArrivalKind extends Kind {
  /**
   * Due instants in ms after the start, never falling; without end but where there is a list of them. null for a closed loop.
   * The same order gives the same instants.
   */
  readonly schedule: ((order: ArrivalOrder) => Iterable<number>) | null;
}

/** The arrivals of a point, and so many more as `extra` says, all made beforehand. Throws RangeError when a schedule has fewer. */
export function arrivalOf(kind: ArrivalKind, order: ArrivalOrder, extra = 0): Arrival {
  const { point } = order;
  if (kind.schedule === null) return { slots: point.concurrency, offsetsMs: null };
  const { nth, of } = point.share ?? { nth: 0, of: 1 };
  const count = (point.requests ?? 0) + extra;
  const offsetsMs = new Float64Array(count);
  let at = 0;
  let made = 0;
  if (count > 0)
    for (const offsetMs of kind.schedule(order)) {
      if (at++ % of !== nth) continue;
      offsetsMs[made++] = offsetMs;
      if (made === count) break;
    }
  // What only fills the load up may be short.
  if (made < (point.requests ?? 0))
    throw new RangeError(`${kind.name}: ${made} arrivals for ${point.requests} requests`);
  return { slots: point.concurrency, offsetsMs: offsetsMs.subarray(0, made) };
}

/** How many of a schedule's instants are before `durationMs`; at most `most`. */
export function arrivalsBefore(schedule: Iterable<number>, durationMs: number, most: number): number {
  let count = 0;
  for (const offsetMs of schedule) {
    if (offsetMs >= durationMs || count === most) break;
    count++;
  }
  return count;
}
