const INT = /^[+-]?\d+(?:_\d+)*$/;
const FLOAT = /^[+-]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?$/i;
const NAMED = /^([+-]?)(?:(inf(?:inity)?)|nan)$/i;

/**
 * What Python's `int(text)` gives, null where it raises: decimal digits with `_` between them, no `1e3`, no `0x10`.
 * Beyond 2⁵³ the nearest number.
 */
export function pythonInt(text: string): number | null {
  const digits = text.trim();
  // Python's int has no -0.
  return INT.test(digits) ? Number(digits.replaceAll('_', '')) + 0 : null;
}

/** What Python's `float(text)` gives, null where it raises: `inf`, `Infinity` and `nan` in any case, `_` between digits. */
export function pythonFloat(text: string): number | null {
  const trimmed = text.trim();
  const named = NAMED.exec(trimmed);
  if (named !== null) {
    if (named[2] === undefined) return Number.NaN;
    return named[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  return FLOAT.test(trimmed) ? Number(trimmed.replaceAll('_', '')) : null;
}
