const FRACTION_BITS = 52n;
const EXPONENT_BIAS = 1075;

/**
 * `format(value, '.<digits>f')` of Python: the exact binary value rounded half to even, where `toFixed` rounds ties
 * up. `digits` is not negative.
 */
export function fixed(value: number, digits: number): string {
  if (!Number.isFinite(value)) return floatRepr(value);
  const text = String(scaled(value, digits)).padStart(digits + 1, '0');
  const point = text.length - digits;
  const whole = digits === 0 ? text : `${text.slice(0, point)}.${text.slice(point)}`;
  return isNegative(value) ? `-${whole}` : whole;
}

/** `format(value, 'g')` of Python: six significant digits, half to even, trailing zeros dropped. */
export function general(value: number): string {
  if (!Number.isFinite(value)) return floatRepr(value);
  const sign = isNegative(value) ? '-' : '';
  if (value === 0) return `${sign}0`;
  let exponent = Number(value.toExponential().split('e')[1]);
  let digits = String(scaled(value, 5 - exponent));
  if (digits.length > 6) {
    exponent += 1;
    digits = digits.slice(0, 6);
  }
  return sign + placed(digits.replace(/0+$/, ''), exponent, 6);
}

/** `repr` of a Python float: the shortest digits that read back as the value, always with a point or an exponent. */
export function floatRepr(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  const size = Math.abs(value);
  if (size === Number.POSITIVE_INFINITY) return value > 0 ? 'inf' : '-inf';
  // In this range JavaScript writes no exponent either; a run has millions of such values.
  if (size >= 1e-4 && size < 1e16) return Number.isInteger(value) ? `${value}.0` : String(value);
  const sign = isNegative(value) ? '-' : '';
  if (value === 0) return `${sign}0.0`;
  const [mantissa, exponent] = size.toExponential().split('e') as [string, string];
  return sign + placed(mantissa.replace('.', ''), Number(exponent), 16);
}

/** Text centred in `width` as `format(text, '<fill>^<width>')` does: an odd character goes to the right. */
export function centred(text: string, fill: string, width: number): string {
  const left = Math.floor(Math.max(0, width - text.length) / 2);
  return (fill.repeat(left) + text).padEnd(width, fill);
}

function isNegative(value: number): boolean {
  return value < 0 || Object.is(value, -0);
}

/** Digits of 10^exponent and below, as Python places them: in full from 1e-4 to below 10^`most`, else with an exponent. */
function placed(digits: string, exponent: number, most: number): string {
  if (exponent < -4 || exponent >= most) {
    const mantissa = digits.length === 1 ? digits : `${digits[0]}.${digits.slice(1)}`;
    const size = String(Math.abs(exponent)).padStart(2, '0');
    return `${mantissa}e${exponent < 0 ? '-' : '+'}${size}`;
  }
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return digits.length > exponent + 1 ? `${whole}.${digits.slice(exponent + 1)}` : whole;
}

/** |value| · 10^digits as an integer, exactly computed and rounded half to even. */
function scaled(value: number, digits: number): bigint {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, Math.abs(value));
  const raw = bits.getBigUint64(0);
  const biased = Number(raw >> FRACTION_BITS);
  const fraction = raw & ((1n << FRACTION_BITS) - 1n);
  const mantissa = biased === 0 ? fraction : fraction | (1n << FRACTION_BITS);
  const twos = Math.max(biased, 1) - EXPONENT_BIAS;
  const top = mantissa * 10n ** BigInt(Math.max(0, digits)) * 2n ** BigInt(Math.max(0, twos));
  const bottom = 10n ** BigInt(Math.max(0, -digits)) * 2n ** BigInt(Math.max(0, -twos));
  const whole = top / bottom;
  const twice = (top % bottom) * 2n;
  return twice > bottom || (twice === bottom && whole % 2n === 1n) ? whole + 1n : whole;
}
