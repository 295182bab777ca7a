import { sum } from '../core/distribution.ts';
import { csvLine } from './csv.ts';
import type { PlainExport } from './export-kind.ts';
import { modelInPath } from './export-marks.ts';
import { hasShapes, loadFile } from './level-names.ts';
import { type Samples, samplesOf, shownWindow, tpotByOslMs } from './samples.ts';
import { fixed } from './sglang/python-format.ts';
import { spreadOf } from './spread.ts';

/** Its columns, in the order of its last versions (0.0.12 on, 2025); older ones end at p25. */
const COLUMNS = ['avg', 'min', 'max', 'p99', 'p95', 'p90', 'p75', 'p50', 'p25', 'p10', 'p5', 'p1'] as const;
const NOTHING = 'N/A';

/**
 * The CSV of GenAI-Perf, which came before AIPerf and which scripts around Dynamo still read: two sections,
 * thousands in commas, lines that end with CRLF. It has nowhere to tell of failures, so a level without a
 * good request has no file.
 */
export const genaiPerfCsvExport: PlainExport = {
  name: 'genai-perf-csv',
  about: 'profile_export_genai_perf.csv per level, as GenAI-Perf wrote it',
  files: (report, recordsOf) =>
    report.levels.flatMap((level) => {
      const samples = samplesOf(recordsOf(level.point));
      if (samples.good.length === 0) return [];
      const folder = `genai-perf/${modelInPath(report.target.model)}-openai-chat-${loadFile(level).replace('concurrency_', 'concurrency').replace('rate_', 'rate')}`;
      const name = hasShapes(report) ? `${level.isl}_${level.osl}` : 'profile_export';
      return [{ file: `${folder}/${name}_genai_perf.csv`, text: csvOf(samples) }];
    }),
};

function csvOf(samples: Samples): string {
  const streamed = samples.shown.filter((record) => record.chunkUs.length > 1);
  const decodeMs = streamed.flatMap((record) => tpotByOslMs(record) ?? []);
  const window = shownWindow(samples);
  const perS = (amount: number): number | null =>
    window === null ? null : (amount * 1_000) / (window.toAtMs - window.fromAtMs);
  const rows: [string, readonly number[]][] = [
    ['Time To First Token (ms)', samples.ttftMs],
    ['Time To Second Token (ms)', samples.secondMs],
    ['Request Latency (ms)', samples.e2eMs],
    ['Inter Token Latency (ms)', decodeMs],
    [
      'Output Token Throughput Per User (tokens/sec/user)',
      decodeMs.flatMap((ms) => (ms > 0 ? [1_000 / ms] : [])),
    ],
    ['Output Sequence Length (tokens)', samples.outputTokens],
    ['Input Sequence Length (tokens)', samples.inputTokens],
  ];
  return [
    ['Metric', ...COLUMNS],
    ...rows.map(([name, values]) => {
      const spread = spreadOf(values);
      return [name, ...COLUMNS.map((column) => cell(spread === null ? null : spread[column]))];
    }),
    [],
    ['Metric', 'Value'],
    ['Output Token Throughput (tokens/sec)', cell(perS(sum(samples.outputTokens)))],
    ['Request Throughput (per sec)', cell(perS(samples.good.length))],
    ['Request Count (count)', cell(samples.good.length)],
  ]
    .map((cells) => csvLine(cells).replace(/\n$/, '\r\n'))
    .join('');
}

/** `format(value, ',.2f')` of Python. */
function cell(value: number | null): string {
  if (value === null) return NOTHING;
  return fixed(value, 2).replace(/\B(?=(\d{3})+\.)/g, ',');
}
