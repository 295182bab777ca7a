import type { Audit, Validity } from './audit-facts.ts';
import type { LevelReport, Witness } from './report.ts';

/** The event loop busier than this leaves no room for the next burst: times are then the client's. */
const BUSY_RATIO = 0.9;
/** Send lag that no latency of interest hides behind. */
const SEND_LAG_MS = 5;
/** Token counts of the server and ours may differ by this share. */
export const WITNESS_RATIO = 0.001;

/**
 * Whether a level's numbers can be trusted, from what the harness saw of itself and what the server's
 * own counters say. The thresholds are coarse: they catch a client that is clearly the bottleneck.
 */
export function judgeLevel(
  level: Pick<LevelReport, 'ttftMs' | 'tokenItlMs' | 'itlMs'>,
  audit: Audit | null,
  witness: Witness | null,
): Validity {
  const bound: string[] = [];
  const suspect: string[] = [];
  if (audit !== null) {
    if (audit.eventLoopUtilizationRatio > BUSY_RATIO) {
      bound.push(`the harness's event loop was busy ${percent(audit.eventLoopUtilizationRatio)} of the time`);
    }
    const lag = audit.sendLagMs.p99;
    if (lag !== null && lag > SEND_LAG_MS && lag > 0.05 * (level.ttftMs.p50 ?? 0)) {
      suspect.push(`requests were sent ${lag.toFixed(1)} ms late at p99`);
    }
    const gap = level.itlMs.p50;
    const delay = audit.eventLoopDelayMs.p99;
    if (gap !== null && delay > SEND_LAG_MS && delay > gap / 2) {
      suspect.push(
        `the event loop was held up ${delay.toFixed(1)} ms at p99, against gaps of ${gap < 0.1 ? 'less than 0.1' : gap.toFixed(1)} ms`,
      );
    }
  }
  for (const [what, pair] of [
    ['input tokens', witness?.inputTokens],
    ['output tokens', witness?.outputTokens],
    ['requests', witness?.requests],
  ] as const) {
    if (pair && Math.abs(pair.server - pair.ours) > WITNESS_RATIO * Math.max(pair.server, pair.ours)) {
      suspect.push(`the server counted ${pair.server} ${what}, this run ${pair.ours}`);
    }
  }
  const verdict = bound.length > 0 ? 'client-bound' : suspect.length > 0 ? 'suspect' : 'valid';
  return { verdict, reasons: [...bound, ...suspect] };
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(0)} %`;
}
