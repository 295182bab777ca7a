import type { ArrivalKind } from '../core/arrival.ts';
import { closed } from './closed.ts';

/** The kinds of `--arrival`. */
export const ARRIVALS: readonly ArrivalKind[] = [closed];
