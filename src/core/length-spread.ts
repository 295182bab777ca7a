import { normal } from './draws.ts';
import { usageError } from './errors.ts';
import type { Random } from './random.ts';
import type { Spread } from './spec.ts';

/** Draws of a normal length below the least before that is taken. */
const MOST_DRAWS = 1_000;

/** `normal:500` or `uniform:500`, in tokens. Exit 2 on anything else; `flag` names the option. */
export function parseSpread(text: string, flag: string): Spread {
  const match = /^(normal|uniform):(\d+(?:\.\d+)?)$/.exec(text.trim());
  const tokens = Number(match?.[2]);
  if (match === null || !(tokens > 0) || tokens > 10_000_000)
    throw usageError(
      `${flag}: "${text}" is no distribution of lengths`,
      'write normal:500 (its standard deviation) or uniform:500 (as far to both sides), in tokens around the nominal length',
    );
  return { kind: match[1] as Spread['kind'], tokens };
}

/**
 * A whole number of tokens from `least` on. Normal: mean `nominal`, standard deviation `spread.tokens`, what falls below
 * `least` drawn again, so that the distribution is cut and not heaped up there. Uniform: every length within
 * `spread.tokens` of `nominal`, both ends included, that is not below `least`.
 */
export function drawSpread(nominal: number, spread: Spread, least: number, random: Random): number {
  if (spread.kind === 'uniform') {
    const low = Math.max(least, Math.ceil(nominal - spread.tokens));
    return random.integer(low, Math.max(low, Math.floor(nominal + spread.tokens)));
  }
  for (let draw = 0; draw < MOST_DRAWS; draw++) {
    const length = Math.round(nominal + spread.tokens * normal(random));
    if (length >= least) return length;
  }
  return least;
}

/** Share of lengths that would be below `least`, 0 to 1: they are cut off, which moves the mean up. */
export function ratioBelow(nominal: number, spread: Spread, least: number): number {
  if (spread.kind === 'uniform') {
    const low = Math.ceil(nominal - spread.tokens);
    return Math.max(0, least - low) / (Math.floor(nominal + spread.tokens) - low + 1);
  }
  return normalBelow((least - 0.5 - nominal) / spread.tokens);
}

/** Φ by Abramowitz and Stegun 26.2.17, error below 7.5e-8. */
function normalBelow(z: number): number {
  if (z > 0) return 1 - normalBelow(-z);
  const t = 1 / (1 - 0.2316419 * z);
  const tail =
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * tail;
}
