/** A whole number with commas between thousands: `12,345`. */
export function grouped(value: number): string {
  return fixed(value, 0);
}

/** A number to three significant digits, never fewer than its whole part: `0.0812`, `9.87`, `12,345`. */
export function figure(value: number): string {
  return fixed(value, decimalsOf(value));
}

/** A share for people: `2.3 %`, `94 %`, `<0.1 %`. Exact only where it says 0 % or 100 %. */
export function percent(ratio: number): string {
  const hundredths = ratio * 100;
  if (hundredths === 0 || hundredths === 100) return `${hundredths} %`;
  if (hundredths < 0.1) return '<0.1 %';
  if (hundredths > 99.9 && hundredths < 100) return '>99.9 %';
  return `${hundredths.toFixed(hundredths < 10 || hundredths > 99 ? 1 : 0)} %`;
}

/**
 * One format for all values of a column, so that their decimal points stand below each other: as many
 * decimals as the smallest needs for three significant digits, and no more than five digits for the largest.
 */
export function columnFigures(values: readonly (number | null)[]): (value: number) => string {
  const sizes = values.flatMap((value) => (value === null || value === 0 ? [] : [Math.abs(value)]));
  if (sizes.length === 0) return figure;
  const smallest = Math.min(...sizes);
  const room = Math.max(0, 4 - exponent(Math.max(...sizes)));
  const decimals = Math.min(decimalsOf(smallest), room);
  if (smallest < 10 ** -decimals) return figure;
  return (value) => fixed(value, decimals);
}

function decimalsOf(value: number): number {
  return value === 0 ? 0 : Math.min(6, Math.max(0, 2 - exponent(Math.abs(value))));
}

/** Power of ten of the first digit, after rounding to three digits (999.6 is 1,000). */
function exponent(size: number): number {
  return Number(size.toExponential(2).split('e')[1]);
}

/** A number with that many decimals and commas between thousands. */
export function fixed(value: number, decimals: number): string {
  const [whole, fraction] = value.toFixed(decimals).split('.');
  const commas = whole!.replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? commas : `${commas}.${fraction}`;
}

/** The unit for latencies of one column, and how many ms it has: seconds once the smallest is above half of one. */
export function latencyUnit(ms: readonly (number | null)[]): {
  readonly unit: 'ms' | 's';
  readonly perMs: number;
} {
  const known = ms.filter((value) => value !== null);
  const seconds = known.length > 0 && (Math.min(...known) >= 500 || Math.max(...known) >= 100_000);
  return seconds ? { unit: 's', perMs: 1 / 1_000 } : { unit: 'ms', perMs: 1 };
}
