/** How hard a level is driven: so many requests in flight, or so many new ones a second whatever is in flight. */
export interface Load {
  /** Requests in flight at most; in a closed loop at all times. */
  readonly concurrency: number;
  /** Mean arrivals per second of an open loop; absent in a closed loop. */
  readonly ratePerS?: number;
}

/** `C=16`, or `2.5/s` of an open loop. */
export function loadText({ concurrency, ratePerS }: Load): string {
  return ratePerS === undefined ? `C=${concurrency}` : `${ratePerS}/s`;
}

/** Whether two levels are driven alike. How many may be in flight is no part of an open loop's load while it holds nothing up. */
export function sameLoad(a: Load, b: Load): boolean {
  return a.ratePerS === undefined && b.ratePerS === undefined
    ? a.concurrency === b.concurrency
    : a.ratePerS === b.ratePerS;
}

/** The number that levels of one run are ordered by: the rate of an open loop, else the concurrency. */
export function loadNumber({ concurrency, ratePerS }: Load): number {
  return ratePerS ?? concurrency;
}

/** The fields of a load alone, for an object that shall have no others. */
export function loadOf({ concurrency, ratePerS }: Load): Load {
  return ratePerS === undefined ? { concurrency } : { concurrency, ratePerS };
}
