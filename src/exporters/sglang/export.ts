import type { LevelReport, Report } from '../../core/report.ts';
import type { PlainExport } from '../export-kind.ts';
import { capOf } from '../level-names.ts';
import { samplesOf } from '../samples.ts';
import type { SglangRun } from './layouts.ts';
import { sglangLine } from './line.ts';
import { sglangMetrics } from './metrics.ts';
import { sglangRow } from './rows.ts';

/** Its only file; `bench serving` keeps its line under this name, as its flags made it. */
export const SGLANG_FILE = 'sglang.jsonl';

/**
 * A line per level as sglang.bench_serving of mid 2026 appends it. The retokenised total is null where the run kept
 * no text, and ITL is by chunk. A level without a good request has no line, as there.
 */
export const sglangExport: PlainExport = {
  name: 'sglang',
  about: 'a JSON line per level as sglang.bench_serving appends it',
  kept: SGLANG_FILE,
  files(report, recordsOf) {
    const lines = report.levels.flatMap((level) => {
      const { sent } = samplesOf(recordsOf(level.point));
      const run = runOf(report, level, sent);
      return run === null ? [] : [`${sglangLine(run, '2026-06', false)}\n`];
    });
    return lines.length === 0 ? [] : [{ file: SGLANG_FILE, text: lines.join('') }];
  },
};

function runOf(
  report: Report,
  level: LevelReport,
  sent: ReturnType<typeof samplesOf>['sent'],
): SglangRun | null {
  const { spec } = report;
  const nothingKept = { text: '', retokLen: null, chunkTokens: null };
  const rows = sent.map((record) =>
    sglangRow(record, 'strict', level.startedAtMs ?? 0, {
      ...nothingKept,
      chunkTokens: record.chunkTokens === null ? null : Array.from(record.chunkTokens.subarray(1)),
    }),
  );
  const durationS = level.durationS ?? 0;
  const metrics = sglangMetrics(rows, durationS, { tokenItl: false, truePeaks: true });
  if (metrics === null) return null;
  return {
    tag: tagOf(spec.tags),
    backend: 'sglang-oai-chat',
    datasetName: SGLANG_NAMES[spec.dataset] ?? 'random',
    requestRate: level.ratePerS ?? Number.POSITIVE_INFINITY,
    maxConcurrency: capOf(level),
    sharegptOutputLen: null,
    randomInputLen: level.isl,
    randomOutputLen: level.osl,
    randomRangeRatio: spec.prompts.rangeRatio,
    serverInfo: null,
    acceptLength: null,
    durationS,
    rows,
    metrics,
    goodput: null,
    cacheReport: false,
  };
}

/** What sglang calls the datasets that it has too. */
const SGLANG_NAMES: Readonly<Record<string, string>> = {
  prefix: 'generated-shared-prefix',
  sharegpt: 'sharegpt',
  jsonl: 'custom',
  trace: 'mooncake',
};

/** The one text that sglang has for all tags; that of `bench serving --tag` as it was given. */
function tagOf({ tag, ...others }: Readonly<Record<string, string>>): string | null {
  const pairs = Object.entries(others).map(([key, value]) => `${key}=${value}`);
  if (tag === undefined) return pairs.join(',') || null;
  return pairs.length === 0 ? tag : [`tag=${tag}`, ...pairs].join(',');
}
