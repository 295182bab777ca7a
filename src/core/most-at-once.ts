/** Most items under way at one moment; one that ends when another starts is not under way with it. */
export function mostAtOnce<T>(
  items: readonly T[],
  startOf: (item: T) => number,
  endOf: (item: T) => number,
): number {
  const starts = Float64Array.from(items, startOf).sort();
  const ends = Float64Array.from(items, endOf).sort();
  let ended = 0;
  let most = 0;
  for (const [before, start] of starts.entries()) {
    while (ends[ended]! <= start) ended++;
    most = Math.max(most, before + 1 - ended);
  }
  return most;
}
