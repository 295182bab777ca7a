import { exactStats, greatest, sum } from '../core/distribution.ts';
import { mostAtOnce } from '../core/most-at-once.ts';
import type { LevelReport, Report } from '../core/report.ts';
import type { PlainExport } from './export-kind.ts';
import { type ExportMark, exportMark, wallTimeMs } from './export-marks.ts';
import { capOf, loadFile } from './level-names.ts';
import { metAll, type Samples, samplesOf } from './samples.ts';

const STATISTICS = [
  ['mean', 'mean'],
  ['median', 'p50'],
  ['std', 'std'],
  ['p90', 'p90'],
  ['p95', 'p95'],
  ['p99', 'p99'],
] as const;

const MARK: ExportMark = {
  dialect: 'vllm bench serve',
  means:
    'ttft ends at the first chunk with output and e2el at the last one; itl is the gap between two such chunks; completed = good; max_output_tokens_per_s counts tokens, not chunks; latencies and queue_times are those of good requests',
};

/**
 * A JSON file per level with the keys of `vllm bench serve`, in its order. Folders and names are those of
 * sa-bench, so that its readers find them; InferenceX's reader takes any name. A level without a good
 * request has no file: each of its latencies would have to be a number, and none is known.
 */
export const vllmExport: PlainExport = {
  name: 'vllm',
  about: 'a JSON per level as vllm bench serve writes it, for readers of vLLM, sa-bench and InferenceX',
  files: (report, recordsOf) =>
    report.levels.flatMap((level) => {
      const samples = samplesOf(recordsOf(level.point));
      if (samples.good.length === 0) return [];
      const gpus = report.spec.gpus === null ? '' : `_gpus_${report.spec.gpus}`;
      const folder = `vllm/sa-bench_isl_${level.isl}_osl_${level.osl}`;
      return [
        {
          file: `${folder}/results_${loadFile(level)}${gpus}.json`,
          text: `${JSON.stringify(resultOf(report, level, samples))}\n`,
        },
      ];
    }),
};

/** vLLM's figure for the gaps; null for arrivals that it has not. */
function burstinessOf({ spec: { arrival, arrivalShape } }: Report): number | null {
  const known = ['closed', 'poisson', 'gamma', 'sglang-poisson'].includes(arrival);
  return known ? (arrivalShape?.burstiness ?? 1) : null;
}

/** The keys stand in the order that vLLM writes them in: a reader of sa-bench looks at the first 512 bytes alone. */
function resultOf(report: Report, level: LevelReport, samples: Samples): Record<string, unknown> {
  const startedAtMs = samples.sent[0]!.sentAtMs;
  const endedAtMs = greatest(samples.sent.map((record) => record.endAtMs));
  const durationS = (endedAtMs - startedAtMs) / 1_000;
  const inputTokens = sum(samples.inputTokens);
  const outputTokens = sum(samples.outputTokens);
  const met = metAll(samples, report.spec.slosMs);
  return {
    date: stamp(wallTimeMs(report, endedAtMs)),
    endpoint_type: 'openai-chat',
    backend: 'openai-chat',
    label: null,
    model_id: report.target.model,
    tokenizer_id: report.prompts.tokenizerName,
    num_prompts: samples.sent.length,
    request_rate: level.ratePerS ?? 'inf',
    burstiness: burstinessOf(report),
    max_concurrency: capOf(level),
    duration: durationS,
    completed: samples.good.length,
    failed: samples.sent.length - samples.good.length,
    total_input_tokens: inputTokens,
    total_output_tokens: outputTokens,
    request_throughput: samples.good.length / durationS,
    request_goodput: met === null ? null : met / durationS,
    output_throughput: outputTokens / durationS,
    total_token_throughput: (inputTokens + outputTokens) / durationS,
    latencies: samples.e2eMs.map(inSeconds),
    queue_times: samples.shown.map((record) => inSeconds(record.sentAtMs - record.dueAtMs)),
    max_output_tokens_per_s: greatest(level.timeline.outputTokens),
    max_concurrent_requests: mostAtOnce(
      samples.good,
      ({ sentAtMs }) => sentAtMs,
      ({ endAtMs }) => endAtMs,
    ),
    ...latencyKeys('ttft', samples.ttftMs),
    ...latencyKeys('tpot', samples.tpotMs),
    ...latencyKeys('itl', samples.gapsMs),
    ...latencyKeys('e2el', samples.e2eMs),
    benchmark_start_time_unix: wallTimeMs(report, startedAtMs) / 1_000,
    benchmark_end_time_unix: wallTimeMs(report, endedAtMs) / 1_000,
    made_by: exportMark(report, MARK),
  };
}

/**
 * Statistics of one latency. No value, no key: a reader divides by each `tpot` key, so that a zero or null
 * there stops it, and vLLM's own 0 for nothing reads as a very good latency elsewhere.
 */
function latencyKeys(name: string, values: readonly number[]): Record<string, number> {
  const stats = exactStats(values);
  return Object.fromEntries(
    STATISTICS.flatMap(([statistic, key]) => {
      const value = stats[key];
      if (value === null || (name === 'tpot' && value === 0)) return [];
      return [[`${statistic}_${name}_ms`, value]];
    }),
  );
}

/** Milliseconds as seconds, to the microsecond that a record knows. */
function inSeconds(ms: number): number {
  return Math.round(ms * 1_000) / 1_000_000;
}

/** `%Y%m%d-%H%M%S`, in UTC. */
function stamp(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
}
