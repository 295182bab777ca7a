import type { Random } from './random.ts';

/** An exponential draw with the mean 1. */
export function unitGap(random: Random): number {
  return -Math.log(1 - random.float());
}

/** A standard normal draw: G. E. P. Box and M. E. Muller, Ann. Math. Statist. 29, 1958. */
export function normal(random: Random): number {
  return Math.sqrt(2 * unitGap(random)) * Math.cos(2 * Math.PI * random.float());
}

/**
 * A gamma draw of this shape (above 0) and scale 1: G. Marsaglia and W. W. Tsang, ACM Trans. Math. Softw. 26, 2000. A shape below 1
 * is drawn as shape + 1 and made smaller, as its section 6 says.
 */
export function gammaDraw(random: Random, shape: number): number {
  if (shape < 1) return gammaDraw(random, shape + 1) * (1 - random.float()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && -unitGap(random) < 0.5 * x * x + d * (1 - v + Math.log(v))) return d * v;
  }
}
