import type { ArrivalKind } from '../core/arrival.ts';
import { SglangDraws } from '../core/sglang-draws.ts';

/**
 * The Poisson arrivals of sglang.bench_serving, from the same stream as its lengths and behind them: the first
 * request at once, then a gap after each. Due times do not drift with late timers, as sleeps in a row do.
 */
export const sglangPoisson: ArrivalKind = {
  name: 'sglang-poisson',
  about: 'the arrivals that sglang.bench_serving draws for a finite rate',
  *schedule({ point, prompts }) {
    const { seed, rangeRatio, sglang } = prompts;
    const draws = new SglangDraws({ ...sglang!, seed, rangeRatio, isl: point.isl, osl: point.osl });
    for (let atMs = 0; ; atMs += draws.gapMs(point.ratePerS!)) yield atMs;
  },
};
