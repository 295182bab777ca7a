import { Random } from '../core/random.ts';

/** The random stream of a point's arrivals: that of its prompts is another, so that lengths do not depend on the rate. */
export function arrivalRandom(seed: number, point: number): Random {
  return new Random('arrivals', seed, point);
}
