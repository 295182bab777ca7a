import type { RunSpec } from './spec.ts';

/** A request takes at least about this long: a first token, and then further ones. */
const LEAST_TTFT_MS = 20;
const LEAST_TPOT_MS = 5;
/** Few recorded loads of one server come faster, and of those in seconds that are read as milliseconds nearly all. */
const MOST_PER_S = 100;

/**
 * Why the timestamps of a trace may not be milliseconds: the whole of it spans less time than one request takes, or comes at
 * a rate that hardly any server sees. null where neither holds, where the unit was given, and without a trace. Of a spec
 * whose lengths are known.
 */
export function unitQuestion({
  arrivalShape = {},
  points,
}: Pick<RunSpec, 'arrivalShape' | 'points'>): string | null {
  const { tracePath, traceUnit, traceRows = 0, traceSpanMs = 0 } = arrivalShape;
  // Of rows that all come at once the unit says nothing.
  if (traceUnit !== undefined || traceSpanMs <= 0) return null;
  const requestMs = LEAST_TTFT_MS + LEAST_TPOT_MS * (points[0]?.osl ?? 0);
  const ratePerS = ((traceRows - 1) * 1_000) / traceSpanMs;
  if (traceSpanMs >= requestMs && ratePerS <= MOST_PER_S) return null;
  const span = Number(traceSpanMs.toPrecision(3));
  const rate = Number(ratePerS.toPrecision(3));
  return `all ${traceRows} rows of ${tracePath} come within ${span} ms, ${rate} a second: are its timestamps seconds? --trace-unit s reads them so, --trace-unit ms says that they are milliseconds`;
}
