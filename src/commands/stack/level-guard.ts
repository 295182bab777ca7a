import type { LevelReport } from '../../core/report.ts';
import type { PointSpec } from '../../core/spec.ts';
import { formatDuration } from '../../core/units.ts';
import { fits, predictLevelMs } from '../../stack/launch/time-left.ts';

/** Kept at the end of an allocation for the results and the teardown. */
const RESERVE_MS = 60_000;

/**
 * Why a level is not started: by the levels before it, it would outlast the allocation. null when it fits,
 * and when nothing is known of the allocation's end. `extraMs` is the time that a level takes beside its measured
 * requests (warm-up, connections, sampling of the server's counters), as the last level took it; null when none
 * was run here: then the warm-up is taken to be as long as the longest request so far. The drain behind a level of a
 * fixed duration is taken to be that long too.
 */
export function whySkipped(
  done: readonly LevelReport[],
  point: PointSpec,
  leftMs: number | null,
  extraMs: number | null,
): string | null {
  const measured = done.flatMap(({ concurrency, isl, osl, durationS, requests }) =>
    durationS === null
      ? []
      : [{ concurrency, isl, osl, requests: requests.sent, durationMs: durationS * 1_000 }],
  );
  const { ratePerS, requests } = point;
  const sendingMs =
    ratePerS === undefined || requests === null ? null : (point.durationMs ?? (requests * 1_000) / ratePerS);
  const longestMs = Math.max(0, ...done.map(({ e2eMs }) => e2eMs.max ?? 0));
  const measuringMs =
    point.requests === null || sendingMs !== null
      ? (sendingMs ?? point.durationMs ?? 0) + longestMs
      : predictLevelMs(measured, { ...point, requests: point.requests });
  const beforeMs = extraMs ?? (point.warmup > 0 ? longestMs : 0);
  const predictedMs = measuringMs === null ? null : measuringMs + beforeMs;
  if (fits(predictedMs, leftMs, RESERVE_MS)) return null;
  const needs = predictedMs === null ? '' : `it needs about ${formatDuration(predictedMs)}, `;
  return `time: ${needs}the allocation ends in ${formatDuration(Math.max(0, leftMs!))}`;
}
