import os from 'node:os';
import type { RunSpec } from '../core/spec.ts';
import { parseAccess, parseSpec, type TargetAccess } from './arguments.ts';
import { checkFileLimit, levelFlag } from './level.ts';
import { type LoadPlan, mostStreams, parseLoad, planLoad } from './load-plan.ts';
import type { MeasureArgs } from './options.ts';

/** What a command has no options for that measures servers which are up already, and always anew. */
const NOT_ASKED = {
  'dry-run': false,
  resume: undefined,
  stack: undefined,
  'stack-run': undefined,
  keep: false,
  preflight: true,
  'load-on': 'login',
} as const satisfies Partial<MeasureArgs>;

/** What is sent to a server that is up, how it is reached, and by whom. */
export interface LiveOrder {
  readonly spec: RunSpec;
  readonly access: TargetAccess;
  readonly load: LoadPlan | null;
}

/** The order of such a command, `verb`; `closedFlag` is its option for the requests in flight of a closed loop. Exit 2 on bad values. */
export function liveOrder(
  args: Omit<MeasureArgs, keyof typeof NOT_ASKED>,
  verb: string,
  closedFlag?: string,
): LiveOrder {
  const target: MeasureArgs = { ...args, ...NOT_ASKED };
  const access = parseAccess(target);
  const bare = parseSpec(target, access, verb);
  const need = {
    concurrency: mostStreams(bare.points),
    cores: os.availableParallelism(),
  };
  const spec = { ...bare, ...parseLoad(args, need) };
  if (spec.load === undefined) checkFileLimit(spec.points, levelFlag(spec, closedFlag));
  return { spec, access, load: planLoad(spec, args, process.env) };
}
