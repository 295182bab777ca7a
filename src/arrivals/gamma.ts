import type { ArrivalKind } from '../core/arrival.ts';
import { gammaDraw } from '../core/draws.ts';
import { arrivalRandom } from './arrival-random.ts';

/**
 * Gamma gaps with the mean 1 ÷ rate; their shape is the burstiness, in vLLM's sense: 1 is Poisson, less comes in bursts, more is
 * more even. A gap's coefficient of variation is 1 ÷ √burstiness.
 */
export const gamma: ArrivalKind = {
  name: 'gamma',
  about: 'gamma gaps at --rate, as even or as bursty as --burstiness says',
  *schedule({ point, prompts, arrival }) {
    const random = arrivalRandom(prompts.seed, point.index);
    const { burstiness = 1 } = arrival;
    const scaleMs = 1_000 / (point.ratePerS! * burstiness);
    for (let atMs = 0; ; ) {
      atMs += scaleMs * gammaDraw(random, burstiness);
      yield atMs;
    }
  },
};
