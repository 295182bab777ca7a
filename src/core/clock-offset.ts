/** One question and answer between two clocks, in UTC milliseconds by the clock of whoever read it. */
export interface ClockSample {
  /** Asked and answered, by the asking clock. */
  readonly sentMs: number;
  readonly receivedMs: number;
  /** In between, by the other clock. */
  readonly remoteMs: number;
}

/** How far another clock is ahead of ours, and by how much that may be wrong. */
export interface ClockOffset {
  readonly offsetMs: number;
  readonly errorMs: number;
}

/**
 * How far the other clock is ahead. Of the sample with the least round trip: the answer was read somewhere
 * within it, so the middle is at most half of it off, whichever of the two ways was the slower one.
 * Throws RangeError when there is no sample.
 */
export function estimateOffset(samples: readonly ClockSample[]): ClockOffset {
  const tripMs = ({ sentMs, receivedMs }: ClockSample): number => receivedMs - sentMs;
  const [first, ...others] = samples;
  if (first === undefined) throw new RangeError('no sample to estimate a clock from');
  const best = others.reduce((least, sample) => (tripMs(sample) < tripMs(least) ? sample : least), first);
  return { offsetMs: best.remoteMs - (best.sentMs + best.receivedMs) / 2, errorMs: tripMs(best) / 2 };
}
