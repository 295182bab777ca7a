import type { ArrivalKind } from '../core/arrival.ts';
import { closed } from './closed.ts';
import { constant } from './constant.ts';
import { gamma } from './gamma.ts';
import { poisson } from './poisson.ts';
import { ramp } from './ramp.ts';
import { sglangPoisson } from './sglang.ts';
import { trace } from './trace.ts';

/** The kinds of `--arrival`. */
export const ARRIVALS: readonly ArrivalKind[] = [closed, constant, poisson, gamma, ramp, trace];

/** The arrival process of that name, the one that only `bench serving` knows included. */
export function findArrival(name: string): ArrivalKind {
  return [...ARRIVALS, sglangPoisson].find((kind) => kind.name === name)!;
}
