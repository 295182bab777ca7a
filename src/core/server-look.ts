/** Where in a stack something is told: what takes requests, what does their prefill alone, and the engines that answer. */
export const LAYERS = ['frontend', 'prefill', 'engine'] as const;
export type Layer = (typeof LAYERS)[number];

/** Requests, or a share of the KV cache, at one instant. */
export const GAUGES = ['running', 'waiting', 'kvUseRatio'] as const;
export type GaugeName = (typeof GAUGES)[number];

/** What only rises. Lookups and hits are in the server's own unit: tokens or blocks. */
export const COUNTERS = ['preemptions', 'cacheHits', 'cacheLookups'] as const;
export type CounterName = (typeof COUNTERS)[number];

/** Spans of time that a server tells as histograms. */
export const SPANS = [
  'preprocessMs',
  'queueMs',
  'prefillMs',
  'workerMs',
  'kvTransferMs',
  'firstDecodeMs',
  'decodeMs',
  'ttftMs',
  'itlMs',
  'tpotMs',
  'e2eMs',
] as const;
export type SpanName = (typeof SPANS)[number];

/** A value and the metric that told it. */
export interface Told<T> {
  readonly metric: string;
  readonly value: T;
}

/** A histogram since the server's start. */
export interface Cumulative {
  readonly count: number;
  readonly sumMs: number;
  /** Observations of at most so many ms, ascending; the last bound may be Infinity. Empty where no buckets were told. */
  readonly buckets: readonly (readonly [upToMs: number, count: number])[];
}

/** What one layer tells at one instant. */
export interface LayerLook {
  readonly gauges: Partial<Record<GaugeName, Told<number>>>;
  readonly counters: Partial<Record<CounterName, Told<number>>>;
  readonly spans: Partial<Record<SpanName, Told<Cumulative>>>;
}

/** What one address tells at one instant. */
export type ServerLook = Partial<Record<Layer, LayerLook>>;

/** A look while a level ran. */
export interface TimedLook {
  /** On the run's clock: in the middle between asking and the answer. */
  readonly atMs: number;
  readonly look: ServerLook;
}

/** Who named an address: it is the target's own, the command line, or the plan of the stack. */
export type SourceBy = 'target' | 'given' | 'stack';

/** All that was seen of one address around a level. */
export interface WatchedSource {
  readonly url: string;
  readonly by: SourceBy;
  readonly samples: readonly TimedLook[];
  /** Looks that gave nothing, those before and after the level included, and why the first of them did. */
  readonly failures: number;
  readonly firstFailure: string | null;
  /** Histograms and counters right before and after the load; null where that was not seen. */
  readonly before: ServerLook | null;
  readonly after: ServerLook | null;
}
