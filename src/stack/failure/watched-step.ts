import type { PlannedStep } from '../plan/planned.ts';
import type { LogStream } from './log-stream.ts';
import { type OwnRule, ownRule } from './own-rules.ts';

/** What the finder must know of a step. */
export type WatchedStep = Pick<
  PlannedStep,
  'id' | 'nodes' | 'tasks' | 'failOn' | 'exitZeroFails' | 'logFile' | 'srunLogFile'
>;

/** Lines of one rank in one log file. */
export interface Watching {
  readonly step: Watched;
  readonly file: string;
  readonly rank: number | null;
  readonly lines: LogStream;
}

export interface Watched {
  readonly step: WatchedStep;
  readonly failOn: readonly OwnRule[];
  readonly nodeOfRank: Map<number, string>;
  launcher: boolean;
  started: boolean;
}

export function watched(step: WatchedStep): Watched {
  return {
    step,
    failOn: step.failOn.map(ownRule),
    nodeOfRank: new Map(),
    launcher: false,
    started: false,
  };
}
