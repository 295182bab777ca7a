import type { ArrivalKind, ArrivalOrder } from '../core/arrival.ts';
import { unitGap } from '../core/draws.ts';
import { arrivalRandom } from './arrival-random.ts';

/** How long the rate rises, in ms: as long as the point lasts, which a number of requests says by the mean rate. */
function riseMs({ point, arrival }: ArrivalOrder): number {
  const { fromPerS = 0 } = arrival;
  return (
    point.durationMs ??
    (2_000 * (point.share?.requests ?? point.requests ?? 0)) / (fromPerS + point.ratePerS!)
  );
}

/**
 * Independent users who become more: a Poisson process whose rate rises from `--rate-from` to `--rate` in a straight line over the
 * point. Instants are those of a process of rate 1, carried over by the inverse of the expected count
 * Λ(t) = from·t + (to − from)·t² ÷ 2T: E. Çinlar, Introduction to Stochastic Processes, 1975, ch. 4.7.
 */
export const ramp: ArrivalKind = {
  name: 'ramp',
  about: 'independent users who become more: from --rate-from to --rate over the level',
  *schedule(order) {
    const { point, prompts, arrival } = order;
    const random = arrivalRandom(prompts.seed, point.index);
    const [from, to] = [(arrival.fromPerS ?? 0) / 1_000, point.ratePerS! / 1_000];
    const lengthMs = riseMs(order);
    const slope = (to - from) / lengthMs;
    const risen = ((from + to) / 2) * lengthMs;
    for (let expected = unitGap(random); ; expected += unitGap(random)) {
      // Behind the rise it goes on at its last rate.
      if (expected > risen) yield lengthMs + (expected - risen) / to;
      // The root of Λ(t) = expected, in the form that is sound for a slope of 0.
      else yield (2 * expected) / (from + Math.sqrt(from * from + 2 * slope * expected));
    }
  },
};
