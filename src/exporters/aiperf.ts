import { sum } from '../core/distribution.ts';
import type { LevelReport, Report } from '../core/report.ts';
import { recordLines } from './aiperf-records.ts';
import type { PlainExport } from './export-kind.ts';
import { type ExportMark, exportMark, shapeFolder, wallTimeMs } from './export-marks.ts';
import { loadFile } from './level-names.ts';
import { metAll, type Samples, samplesOf, shownWindow } from './samples.ts';
import { spreadOf } from './spread.ts';

/** The last one that AIPerf was released with; 1.5 changes GPU telemetry alone. */
const SCHEMA_VERSION = '1.4';

const MARK: ExportMark = {
  dialect: 'AIPerf',
  means:
    "token counts are the server's where it sent usage, the chat template included; inter_token_latency is what bench calls tpotMs, but divided by all tokens − 1, and inter_chunk_latency what it calls itlMs",
};

/**
 * `profile_export_aiperf.json` and `profile_export.jsonl` per level, with AIPerf's own definitions. A level
 * without a good request has both: they hold the errors, and no latency.
 */
export const aiperfExport: PlainExport = {
  name: 'aiperf',
  about: 'profile_export_aiperf.json and profile_export.jsonl per level, as AIPerf writes them',
  files: (report, recordsOf) =>
    report.levels.flatMap((level) => {
      const samples = samplesOf(recordsOf(level.point));
      if (samples.sent.length === 0) return [];
      const folder = `aiperf/${shapeFolder(report, level)}${loadFile(level)}`;
      return [
        {
          file: `${folder}/profile_export_aiperf.json`,
          text: `${JSON.stringify(summaryOf(report, level, samples), null, 2)}\n`,
        },
        { file: `${folder}/profile_export.jsonl`, text: recordLines(report, samples) },
      ];
    }),
};

/** A metric that has one value, as AIPerf writes it. */
function single(unit: string, avg: number): { unit: string; avg: number } {
  return { unit, avg };
}

/** A metric with a value per request, or per gap; nothing when there is no value. */
function spread(tag: string, unit: string, values: readonly number[]): Record<string, unknown> {
  const block = spreadOf(values);
  return block === null ? {} : { [tag]: { unit, ...block } };
}

function summaryOf(report: Report, level: LevelReport, samples: Samples): Record<string, unknown> {
  const { good, tpotMs } = samples;
  const met = metAll(samples, report.spec.slosMs);
  return {
    schema_version: SCHEMA_VERSION,
    ...spread('request_latency', 'ms', samples.e2eMs),
    request_count: single('requests', good.length),
    ...spread('time_to_first_token', 'ms', samples.ttftMs),
    ...spread('time_to_second_token', 'ms', samples.secondMs),
    ...spread('inter_token_latency', 'ms', tpotMs),
    ...spread(
      'output_token_throughput_per_user',
      'tokens/sec/user',
      tpotMs.flatMap((ms) => (ms > 0 ? [1_000 / ms] : [])),
    ),
    ...spread('output_sequence_length', 'tokens', samples.outputTokens),
    ...spread('input_sequence_length', 'tokens', samples.inputTokens),
    ...spread('inter_chunk_latency', 'ms', samples.gapsMs),
    ...ratesOf(report, samples),
    ...(met === null ? {} : { good_request_count: single('requests', met) }),
    error_request_count: single('requests', samples.sent.length - good.length),
    input_config: configOf(report, level, samples),
    run_info: runInfoOf(report, level),
    was_cancelled: level.status === 'partial',
    error_summary: errorsOf(level),
    ...timesOf(report, level),
    made_by: exportMark(report, MARK),
  };
}

/** What AIPerf derives: totals, and rates over the time from the first send to the last chunk with output. */
function ratesOf(report: Report, samples: Samples): Record<string, unknown> {
  const window = shownWindow(samples);
  if (window === null) return {};
  const inputTokens = sum(samples.inputTokens);
  const outputTokens = sum(samples.outputTokens);
  const met = metAll(samples, report.spec.slosMs);
  const durationS = (window.toAtMs - window.fromAtMs) / 1_000;
  return {
    request_throughput: single('requests/sec', samples.good.length / durationS),
    ...(met === null ? {} : { goodput: single('requests/sec', met / durationS) }),
    output_token_throughput: single('tokens/sec', outputTokens / durationS),
    total_token_throughput: single('tokens/sec', (inputTokens + outputTokens) / durationS),
    benchmark_duration: single('sec', durationS),
    total_isl: single('tokens', inputTokens),
    total_osl: single('tokens', outputTokens),
    min_request_timestamp: single('ns', wallTimeMs(report, window.fromAtMs) * 1e6),
    max_response_timestamp: single('ns', wallTimeMs(report, window.toAtMs) * 1e6),
  };
}

/** The run as a configuration of AIPerf (2026), where its plots look for the model and the concurrency. */
function configOf(report: Report, level: LevelReport, samples: Samples): Record<string, unknown> {
  return {
    models: { items: [{ name: report.target.model }] },
    endpoint: { urls: report.target.urls, type: 'chat', streaming: true },
    datasets: [
      {
        name: 'main',
        type: 'synthetic',
        prompts: { isl: { mean: level.isl }, osl: { mean: level.osl } },
      },
    ],
    phases: [
      {
        name: 'profiling',
        ...(level.ratePerS === undefined
          ? { type: 'concurrency', concurrency: level.concurrency }
          : { type: report.spec.arrival, rate: level.ratePerS, concurrency: level.concurrency }),
        requests: samples.sent.length,
      },
    ],
    tokenizer: { name: report.prompts.tokenizerName },
  };
}

function runInfoOf(report: Report, level: LevelReport): Record<string, unknown> {
  const label = loadFile(level);
  return {
    random_seed: report.spec.prompts.seed,
    trial: 0,
    run_label: label,
    variation_label: label,
    variation_index: level.point,
    variation_values:
      level.ratePerS === undefined
        ? { 'phases.profiling.concurrency': level.concurrency }
        : { 'phases.profiling.rate': level.ratePerS },
    cli_command: report.provenance.command,
  };
}

function errorsOf(level: LevelReport): unknown[] {
  return Object.entries(level.failures).map(([type, { count, first }]) => ({
    error_details: { code: null, type, message: first },
    count,
  }));
}

function timesOf(report: Report, { startedAtMs, endedAtMs }: LevelReport): Record<string, unknown> {
  if (startedAtMs === null || endedAtMs === null) return {};
  return {
    start_time: new Date(wallTimeMs(report, startedAtMs)).toISOString(),
    end_time: new Date(wallTimeMs(report, endedAtMs)).toISOString(),
  };
}
