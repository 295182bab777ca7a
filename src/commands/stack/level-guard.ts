import type { LevelReport } from '../../core/report.ts';
import type { PointSpec } from '../../core/spec.ts';
import { formatDuration } from '../../core/units.ts';
import { fits, predictLevelMs } from '../../stack/launch/time-left.ts';

/** Kept at the end of an allocation for the results and the teardown. */
const RESERVE_MS = 60_000;

/**
 * Why a level is not started: by the levels before it, it would outlast the allocation. null when it fits,
 * and when nothing is known of the allocation's end. A level of a fixed duration has a warm-up before it and a drain
 * behind it, each taken to be as long as the longest request of the level before.
 */
export function whySkipped(
  done: readonly LevelReport[],
  point: PointSpec,
  leftMs: number | null,
): string | null {
  const measured = done.flatMap(({ concurrency, isl, osl, durationS, requests }) =>
    durationS === null
      ? []
      : [{ concurrency, isl, osl, requests: requests.sent, durationMs: durationS * 1_000 }],
  );
  const { ratePerS, requests } = point;
  const sendingMs =
    ratePerS === undefined || requests === null ? null : (point.durationMs ?? (requests * 1_000) / ratePerS);
  const predictedMs =
    point.requests === null || sendingMs !== null
      ? (sendingMs ?? point.durationMs ?? 0) + 2 * (done.at(-1)?.e2eMs.max ?? 0)
      : predictLevelMs(measured, { ...point, requests: point.requests });
  if (fits(predictedMs, leftMs, RESERVE_MS)) return null;
  const needs = predictedMs === null ? '' : `it needs about ${formatDuration(predictedMs)}, `;
  return `time: ${needs}the allocation ends in ${formatDuration(Math.max(0, leftMs!))}`;
}
