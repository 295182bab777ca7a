import { e2eOf, tpotMs, ttftOf } from './latencies.ts';
import type { RequestRecord } from './record.ts';

/** Latencies that can have a limit; `e2el` is E2E. */
export const SLO_NAMES = ['ttft', 'tpot', 'e2el'] as const;
export type SloName = (typeof SLO_NAMES)[number];

/** Limits in ms. */
export type SlosMs = Readonly<Partial<Record<SloName, number>>>;

/** What of a level met all limits. */
export interface Goodput {
  /** Measured requests that ended well within all limits. */
  readonly met: number;
  /** Of all that were sent, failed ones included; null when none was. */
  readonly attainmentRatio: number | null;
  /** Over the same time as `requestsPerS`. */
  readonly requestsPerS: number | null;
  /** Of all that were sent, by limit. */
  readonly attainmentBy: Readonly<Partial<Record<SloName, number>>>;
}

/** TPOT of a request in ms; null where it has none. */
type TpotOf = (record: RequestRecord) => number | null;

/**
 * Whether a request ended well within all limits, the limit itself included. As in vLLM and sglang a request of one token has
 * a TPOT of 0; one that showed nothing meets no limit. `tpotOf` is bench's own TPOT unless given.
 */
export function meetsSlos(record: RequestRecord, slosMs: SlosMs, tpotOf: TpotOf = tpotMs): boolean {
  return SLO_NAMES.every((name) => meetsSlo(record, name, slosMs[name], tpotOf));
}

function meetsSlo(
  record: RequestRecord,
  name: SloName,
  limitMs: number | undefined,
  tpotOf: TpotOf = tpotMs,
): boolean {
  if (record.outcome !== 'good' || record.firstAtMs === null) return false;
  if (limitMs === undefined) return true;
  if (name === 'tpot') return (tpotOf(record) ?? 0) <= limitMs;
  // In an open loop a user waits from the instant that the schedule said.
  const waitedMs = record.heldMs === undefined ? 0 : record.sentAtMs - record.dueAtMs;
  return waitedMs + { ttft: ttftOf, e2el: e2eOf }[name](record) <= limitMs;
}

/** Goodput of the measured requests of a level, which took `durationS`. */
export function goodputOf(
  measured: readonly RequestRecord[],
  slosMs: SlosMs,
  durationS: number | null,
): Goodput {
  const share = (met: number): number => met / measured.length;
  const met = measured.filter((record) => meetsSlos(record, slosMs)).length;
  const given = SLO_NAMES.filter((name) => slosMs[name] !== undefined);
  return {
    met,
    attainmentRatio: measured.length === 0 ? null : share(met),
    requestsPerS: durationS === null || durationS <= 0 ? null : met / durationS,
    attainmentBy:
      measured.length === 0
        ? {}
        : Object.fromEntries(
            given.map((name) => [
              name,
              share(measured.filter((record) => meetsSlo(record, name, slosMs[name])).length),
            ]),
          ),
  };
}
