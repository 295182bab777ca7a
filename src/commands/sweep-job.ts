import type { LevelReport, Provenance } from '../core/report.ts';
import type { RunSpec } from '../core/spec.ts';
import type { RunClock } from '../host/clock.ts';
import type { RunStore } from '../host/store.ts';
import type { TargetAccess } from './arguments.ts';
import type { LevelHooks } from './level.ts';
import type { LoadPlan } from './load-plan.ts';
import type { StackLink } from './stack/link.ts';

/** All that a sweep needs to run, from whichever command it comes. */
export interface SweepJob {
  readonly spec: RunSpec;
  readonly access: TargetAccess;
  readonly clock: RunClock;
  readonly provenance: Provenance;
  readonly store: RunStore;
  readonly quiet: boolean;
  /** Levels of an earlier, incomplete run of the same spec; they are not run again. */
  readonly earlier: readonly LevelReport[];
  /** What the earlier run had to say, and with what it was made; empty for a new run. */
  readonly earlierNotes: readonly string[];
  /** Number of the first request, so that ids go on where an earlier run stopped. */
  readonly firstId: number;
  readonly hooks?: LevelHooks;
  /** The stack that bench launched and that is measured; null or left out when it did not. */
  readonly stack?: StackLink | null;
  /** Load generators that send in place of this process; it has no hooks then. */
  readonly load?: LoadPlan | null;
}
