import { e2eOf, ttftOf } from '../core/latencies.ts';
import type { RequestRecord } from '../core/record.ts';
import type { Report } from '../core/report.ts';
import { gapsOf, type Samples, tpotByOslMs } from './samples.ts';

const NS_PER_US = 1_000n;
const US_PER_MS = 1_000;

/** `profile_export.jsonl`: a line per measured request by the order of sending, failed ones with their error. */
export function recordLines(report: Report, samples: Samples): string {
  return samples.sent.map((record, i) => `${lineOf(report, record, i)}\n`).join('');
}

/** The keys of AIPerf's records, written by hand where a whole number is too large for a JavaScript number. */
function lineOf(report: Report, record: RequestRecord, number: number): string {
  const good = record.outcome === 'good';
  const endedAtMs = good ? (record.lastAtMs ?? record.endAtMs) : record.endAtMs;
  const metadata = [
    `"session_num":${number}`,
    `"x_request_id":${JSON.stringify(record.requestId)}`,
    '"turn_index":0',
    `"request_start_ns":${wallTimeNs(report, record.sentAtMs)}`,
    `"request_end_ns":${wallTimeNs(report, endedAtMs)}`,
    '"worker_id":"bench"',
    '"record_processor_id":"bench"',
    '"benchmark_phase":"profiling"',
    `"was_cancelled":${record.outcome === 'cancelled'}`,
  ];
  const metrics = JSON.stringify(good ? metricsOf(record) : failedMetricsOf(record));
  const error = JSON.stringify(good ? null : errorOf(record));
  return `{"metadata":{${metadata.join(',')}},"metrics":${metrics},"error":${error}}`;
}

/** Nanoseconds since 1970, exact to the microsecond that a record knows. */
function wallTimeNs(report: Report, atMs: number): bigint {
  const originUs = BigInt(Date.parse(report.origin.utc) * US_PER_MS);
  return (originUs + BigInt(Math.round(atMs * US_PER_MS))) * NS_PER_US;
}

interface MetricValue {
  readonly value: number | readonly number[];
  readonly unit: string;
}

function metricsOf(record: RequestRecord): Record<string, MetricValue> {
  const metrics: Record<string, MetricValue> = {};
  const put = (tag: string, unit: string, value: number | readonly number[] | null | undefined): void => {
    if (value !== null && value !== undefined) metrics[tag] = { value, unit };
  };
  put('input_sequence_length', 'tokens', record.isl.counted);
  put('output_sequence_length', 'tokens', record.osl.counted);
  if (record.firstAtMs === null) return metrics;
  const gaps = gapsOf(record);
  const decode = tpotByOslMs(record);
  put('time_to_first_token', 'ms', ttftOf(record));
  put('time_to_second_token', 'ms', gaps[0]);
  put('request_latency', 'ms', e2eOf(record));
  put('inter_chunk_latency', 'ms', gaps.length === 0 ? null : gaps);
  put('inter_token_latency', 'ms', decode);
  put(
    'output_token_throughput_per_user',
    'tokens/sec/user',
    decode === null || decode === 0 ? null : 1_000 / decode,
  );
  return metrics;
}

function failedMetricsOf(record: RequestRecord): Record<string, MetricValue> {
  const value = record.isl.counted ?? record.isl.asked;
  return value === null ? {} : { error_isl: { value, unit: 'tokens' } };
}

function errorOf(record: RequestRecord): Record<string, unknown> {
  return {
    code: record.outcome === 'http' ? record.status : null,
    type: record.outcome,
    message: record.detail ?? record.outcome,
  };
}
