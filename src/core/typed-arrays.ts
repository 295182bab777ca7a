/** Of time in µs 71 minutes: such a slack is unknown. */
export const GREATEST_UINT32 = 2 ** 32 - 1;

/** The values of `old` in a larger array. */
export function grow<T extends Uint32Array | Uint8Array>(larger: T, old: T): T {
  larger.set(old);
  return larger;
}

/** The first values, which are copied where they are less than three quarters of the memory. */
export function firstOf<T extends Uint32Array | Uint8Array>(all: T, count: number): T {
  return (4 * count >= 3 * all.length ? all.subarray(0, count) : all.slice(0, count)) as T;
}
