import type { TargetFacts } from '../core/report.ts';
import type { Control } from '../endpoints/control.ts';
import { sideUrl } from '../endpoints/target.ts';
import type { Canary, ConnectSpec } from './connect.ts';
import type { Identified } from './identify.ts';

/** What the report tells of the target: what was asked for, what the probes found, and how far away it is. */
export function targetFacts(
  spec: ConnectSpec,
  identified: Identified,
  canary: Canary,
  controls: readonly Control[],
  roundTripMs: number | null,
): TargetFacts {
  const { record } = canary.finished;
  const { metricsPath } = identified.server;
  return {
    urls: spec.urls,
    model: identified.model,
    endpoint: spec.endpoint,
    server: identified.server.name,
    serverBy: identified.serverBy,
    modelsListed: identified.modelsListed,
    refusedFields: canary.refusedFields,
    ...(canary.edits.capField === 'max_tokens'
      ? {}
      : { renamedFields: { max_tokens: canary.edits.capField } }),
    metricsUrl:
      identified.hasMetrics && metricsPath !== null ? sideUrl(controls[0]!.target, metricsPath) : null,
    canary: {
      ttftMs: record.firstAtMs === null ? null : record.firstAtMs - record.sentAtMs,
      e2eMs: record.endAtMs - record.sentAtMs,
      usage: record.osl.by === 'usage',
    },
    roundTripMs,
  };
}
