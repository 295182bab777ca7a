import type { Kind } from './kind.ts';
import type { PointSpec, RunSpec } from './spec.ts';

/** When the requests of a point are due. */
export interface Arrival {
  /** At most this many in flight; the next is sent the moment one ends. */
  readonly slots: number;
  /** Due instant of measured request `index`, null when it is due as soon as a slot is free. */
  dueAtMs(index: number, startAtMs: number): number | null;
}

export interface ArrivalKind extends Kind {
  make(point: PointSpec, spec: Pick<RunSpec, 'prompts' | 'ratePerS'>): Arrival;
}
