import type { ArrivalKind } from '../core/arrival.ts';

/** Even gaps: request i is due at i ÷ rate. */
export const constant: ArrivalKind = {
  name: 'constant',
  about: 'even gaps at --rate',
  *schedule({ point }) {
    const gapMs = 1_000 / point.ratePerS!;
    for (let index = 0; ; index++) yield index * gapMs;
  },
};
