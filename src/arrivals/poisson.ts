import type { ArrivalKind } from '../core/arrival.ts';
import { unitGap } from '../core/draws.ts';
import { arrivalRandom } from './arrival-random.ts';

/** Independent users: exponential gaps with the mean 1 ÷ rate, also before the first request. */
export const poisson: ArrivalKind = {
  name: 'poisson',
  about: 'independent users: exponential gaps, --rate of them a second in the mean',
  *schedule({ point, prompts }) {
    const random = arrivalRandom(prompts.seed, point.index);
    const meanMs = 1_000 / point.ratePerS!;
    for (let atMs = meanMs * unitGap(random); ; atMs += meanMs * unitGap(random)) yield atMs;
  },
};
