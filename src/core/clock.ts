/**
 * The one clock of a run: monotonic, in float milliseconds since the run's origin. Injected, so that
 * tests own time.
 */
export interface Clock {
  /** Milliseconds since the origin. Never goes backwards. */
  now(): number;
  /** Resolves at or after `atMs`, or at once when `signal` aborts. Never rejects. */
  sleepUntil(atMs: number, signal?: AbortSignal): Promise<void>;
}
