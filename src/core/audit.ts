import type { Audit, QueueAudit, Validity } from './audit-facts.ts';
import type { LevelReport, Witness } from './report.ts';

/**
 * A level is good when the p99 error of its time stamps is at most 5 % of the gap between two chunks of a stream.
 * What the harness sees of itself only estimates that error. The limits come from `npm run bench:audit`, which
 * holds the verdict against a server that logs its own writes. Over eight runs of it or of parts of it, on a machine busy with
 * other things, none of 204 bad levels was called valid, and 10 of 30 good ones were not. With 0.05 for stamps and 0.07
 * for wake-ups one bad level was missed (its error was 6 % of the gap), with 0.1 for wake-ups six (up to 9 %).
 * Two later runs on quiet machines had no part in the choice: one missed one of 23 (7 %) and called 4 of 6 good ones not
 * valid, the other missed none of 26 and called one of 3 not valid.
 */
export const LIMITS = {
  /** Of the mean gap: how late a second process saw our stamps at p99. Mostly 0.7 to 2 times the true error. */
  stampErrorRatio: 0.04,
  /**
   * Of the mean gap: how late that process woke at p99. Beside a busy loop on the same core it hides from the
   * stamps what kept both from waking: they alone told 0.6 ms where events were 15 ms late.
   */
  wakeRatio: 0.05,
  /** Of the mean gap: how long bytes waited at most for a busy loop at p99. A bound, up to 3 times the true error. */
  waitRatio: 0.1,
  /** Of the mean gap: how long bytes lay unread in the mean (queued bytes ÷ bytes per second, by Little's law). */
  queueRatio: 0.05,
  /** At least so many looks must have found some. */
  queueLooks: 3,
  /** Of the mean gap: the p99 error of a calibration, which knows the truth. */
  calibrationRatio: 0.05,
  /** A loop busier than this leaves no room for the next burst: times are then the client's. */
  busyRatio: 0.9,
  /** Share of reads that filled their buffer. A server that is not throttled by us fills none. */
  fullReadRatio: 0.01,
  /** A single standstill of the process spoils the tail of a level, however long the level is. */
  standstillMs: 250,
  /** Send lag that no latency of interest hides behind, and its share of the median TTFT. */
  sendLagMs: 5,
  sendLagRatio: 0.05,
  /** Without a probe, the delay of timers at p99, which are good to 1 ms, and its share of the mean gap. */
  loopDelayMs: 2,
  loopDelayRatio: 0.05,
} as const;

/** Token counts of the server and ours may differ by this share. */
export const WITNESS_RATIO = 0.001;

/** What of a level its verdict depends on. */
type Judged = Pick<LevelReport, 'ttftMs' | 'itlMs' | 'durationS'>;

/**
 * Whether a level's numbers can be trusted, from what the harness saw of itself and what the server's own
 * counters say. `client-bound`: the harness could not keep up, its times are its own. `suspect`: something
 * was late, still or counted otherwise.
 */
export function judgeLevel(level: Judged, audit: Audit | null, witness: Witness | null): Validity {
  const bound = audit === null ? [] : boundReasons(audit);
  const suspect = [...(audit === null ? [] : lateReasons(level, audit)), ...witnessReasons(witness)];
  const verdict = bound.length > 0 ? 'client-bound' : suspect.length > 0 ? 'suspect' : 'valid';
  return { verdict, reasons: [...bound, ...suspect] };
}

function boundReasons({ eventLoopUtilizationRatio, reads }: Audit): string[] {
  const reasons: string[] = [];
  if (eventLoopUtilizationRatio > LIMITS.busyRatio)
    reasons.push(`the harness's event loop was busy ${percent(eventLoopUtilizationRatio)} of the time`);
  if (reads !== undefined && reads.fullRatio > LIMITS.fullReadRatio)
    reasons.push(`${percent(reads.fullRatio)} of the reads filled their buffer, so more came than was read`);
  return reasons;
}

function lateReasons(level: Judged, audit: Audit): string[] {
  const { reads, stampErrorMs, receiveQueue, calibration, eventLoopDelayMs } = audit;
  const reasons: string[] = [];
  const gapMs = level.itlMs.mean ?? level.ttftMs.p50;
  /** Adds what is told of `ms` when that is more than so much of the gap. */
  const compare = (ms: number, ratio: number, tell: (ms: string) => string): void => {
    if (gapMs === null || ms <= ratio * gapMs) return;
    const share = gapMs === 0 ? '' : `, ${percent(ms / gapMs)} of the mean gap of ${millis(gapMs)} ms`;
    reasons.push(tell(millis(ms)) + share);
  };
  if (stampErrorMs)
    compare(
      stampErrorMs.p99,
      LIMITS.stampErrorRatio,
      (ms) => `time stamps were ${ms} ms late at p99, as a second process saw them`,
    );
  else if (eventLoopDelayMs.p99 > LIMITS.loopDelayMs)
    compare(
      eventLoopDelayMs.p99,
      LIMITS.loopDelayRatio,
      (ms) => `the event loop was held up ${ms} ms at p99`,
    );
  if (audit.wakeMs)
    compare(
      audit.wakeMs.p99,
      LIMITS.wakeRatio,
      (ms) => `a second process on the same processors woke ${ms} ms late at p99`,
    );
  if (reads?.waitMs)
    compare(
      reads.waitMs.p99,
      LIMITS.waitRatio,
      (ms) => `bytes waited up to ${ms} ms at p99 while the event loop was busy`,
    );
  if (reads && receiveQueue && level.durationS && waitedOften(receiveQueue))
    compare(
      (receiveQueue.meanBytes / reads.bytes) * level.durationS * 1_000,
      LIMITS.queueRatio,
      (ms) => `bytes lay unread in the receive queues for ${ms} ms in the mean`,
    );
  if (calibration)
    compare(
      calibration.stampErrorMs.p99,
      LIMITS.calibrationRatio,
      (ms) => `this host stamped a known server under the same load ${ms} ms late at p99`,
    );
  const stillMs = Math.max(eventLoopDelayMs.max, stampErrorMs?.max ?? 0);
  if (stillMs > LIMITS.standstillMs) reasons.push(`the harness stood still for ${millis(stillMs)} ms`);
  const lagMs = audit.sendLagMs.p99 ?? 0;
  if (lagMs > Math.max(LIMITS.sendLagMs, LIMITS.sendLagRatio * (level.ttftMs.p50 ?? 0)))
    reasons.push(`requests were sent ${millis(lagMs)} ms late at p99`);
  return reasons;
}

/** A look may find an event that came that very moment; several do not by chance. */
function waitedOften({ looks, waitingRatio }: QueueAudit): boolean {
  return Math.round(looks * waitingRatio) >= LIMITS.queueLooks;
}

function witnessReasons(witness: Witness | null): string[] {
  return (
    [
      ['input tokens', witness?.inputTokens],
      ['output tokens', witness?.outputTokens],
      ['requests', witness?.requests],
    ] as const
  ).flatMap(([what, pair]) =>
    pair && Math.abs(pair.server - pair.ours) > WITNESS_RATIO * Math.max(pair.server, pair.ours)
      ? `the server counted ${pair.server} ${what}, this run ${pair.ours}`
      : [],
  );
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(0)} %`;
}

function millis(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}
