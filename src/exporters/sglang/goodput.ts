import type { SloName, SlosMs } from '../../core/slo.ts';
import type { SglangRow } from './rows.ts';

/** Requests that met their limits, by the keys of the result file. */
export interface SglangGoodput {
  readonly goodput_slos_ms: SlosMs;
  /** Requests per second that met every limit. */
  readonly request_goodput: number;
  /** In [0, 1], of all requests sent, failed ones included. */
  readonly slo_attainment: number;
  readonly slo_attainment_by_metric: Readonly<Partial<Record<SloName, number>>>;
}

/**
 * Goodput of the `rows`: a request counts when it succeeded and each of its latencies is at most its limit. A request
 * of one token has a TPOT of 0, one that showed nothing meets no limit. Shares of no rows are 0.
 */
export function sglangGoodput(rows: readonly SglangRow[], slosMs: SlosMs, durationS: number): SglangGoodput {
  const slos = Object.entries(slosMs) as [SloName, number][];
  const met = slos.map(() => 0);
  let good = 0;
  for (const row of rows) {
    if (!row.success || row.untimed) continue;
    const meets = slos.map(([metric, slo]) => observedMs(row, metric) <= slo);
    meets.forEach((one, i) => {
      if (one) met[i]! += 1;
    });
    if (meets.every(Boolean)) good += 1;
  }
  const share = (count: number): number => (rows.length === 0 ? 0 : count / rows.length);
  return {
    goodput_slos_ms: slosMs,
    request_goodput: good / durationS,
    slo_attainment: share(good),
    slo_attainment_by_metric: Object.fromEntries(slos.map(([metric], i) => [metric, share(met[i]!)])),
  };
}

function observedMs(row: SglangRow, metric: SloName): number {
  if (metric === 'ttft') return row.ttftS * 1_000;
  if (metric === 'e2el') return row.latencyS * 1_000;
  return row.outputLen > 1 ? ((row.latencyS - row.ttftS) / (row.outputLen - 1)) * 1_000 : 0;
}
