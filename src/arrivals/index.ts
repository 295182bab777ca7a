import type { ArrivalKind } from '../core/arrival.ts';
import { closed } from './closed.ts';
import { sglangPoisson } from './sglang.ts';

/** The kinds of `--arrival`. */
export const ARRIVALS: readonly ArrivalKind[] = [closed];

/** The arrival process of that name, the one that only `bench serving` knows included. */
export function findArrival(name: string): ArrivalKind {
  return [...ARRIVALS, sglangPoisson].find((kind) => kind.name === name)!;
}
