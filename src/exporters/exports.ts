import { aiperfExport } from './aiperf.ts';
import type { ExportKind } from './export-kind.ts';
import { genaiPerfCsvExport } from './genai-perf-csv.ts';
import { htmlExport } from './html/export.ts';
import { sglangExport } from './sglang/export.ts';
import { vllmExport } from './vllm.ts';

/** All exports, in the order of `--help`. */
export const EXPORTS: readonly ExportKind[] = [
  htmlExport,
  sglangExport,
  vllmExport,
  aiperfExport,
  genaiPerfCsvExport,
];
