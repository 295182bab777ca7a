import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { InferredOptionTypes, Options } from 'yargs';
import { EXIT, type ExitCode, errorText, usageError } from '../core/errors.ts';
import type { ForeignRun } from '../core/foreign.ts';
import { REPORT_SCHEMA, type Report } from '../core/report.ts';
import type { ExportKind } from '../exporters/export-kind.ts';
import { renderForeign } from '../exporters/foreign-table.ts';
import { EXPORTERS } from '../exporters/index.ts';
import { importResults } from '../importers/index.ts';
import { readJsonObjects } from '../importers/json-objects.ts';
import { EXPORT_OPTIONS, exportDirectory, leftOut, parseExports } from './exports.ts';
import { HISTOGRAM_CHOICES, type HistogramChoice, pageOf, pageStyle } from './page.ts';
import { withAdvice } from './unfinished.ts';
import type { AddVerb } from './verb.ts';

/** Formats that a result of another tool is shown in. */
const FOREIGN_FORMATS = ['table', 'json'];

export const REPORT_OPTIONS = {
  format: {
    choices: ['table', ...EXPORTERS.map((kind) => kind.name)],
    default: 'table',
    describe: 'what to print on stdout',
  },
  histograms: {
    choices: HISTOGRAM_CHOICES,
    default: 'heaviest',
    describe: 'levels whose histograms are drawn',
  },
  ...EXPORT_OPTIONS,
} as const satisfies Record<string, Options>;

type ReportArgs = InferredOptionTypes<typeof REPORT_OPTIONS> & { dir: string };

/** `bench report`: shows a recorded run or a result of another tool, or writes a run in the form of other tools. */
export function runReport(args: ReportArgs): ExitCode {
  const kinds = parseExports(args.export);
  const source = openSource(args.dir);
  if ('tool' in source) showForeign(args, kinds, source);
  else if (kinds.length > 0) exportRun(args, kinds, source);
  else {
    const exporter = EXPORTERS.find((kind) => kind.name === args.format);
    const page = (): string =>
      pageOf(withAdvice(source, folderOf(args.dir)), args.histograms as HistogramChoice);
    process.stdout.write(exporter?.render(source) ?? page());
  }
  return EXIT.ok;
}

/** What the place holds, told by its content. */
function openSource(place: string): Report | ForeignRun {
  if (!isFile(place)) return readReport(place);
  const objects = readJsonObjects(readText(place), place);
  const document = objects.length === 1 ? objects[0]!.value : {};
  return 'levels' in document ? asReport(place, document) : importResults(objects, place);
}

function showForeign(args: ReportArgs, kinds: readonly ExportKind[], run: ForeignRun): void {
  if (kinds.length > 0) {
    throw usageError(
      `--export: ${run.source} is a result of ${run.tool}, without records of single requests`,
      'only a run of bench can be exported: name its folder',
    );
  }
  if (!FOREIGN_FORMATS.includes(args.format)) {
    throw usageError(
      `--format: ${run.source} is a result of ${run.tool}, which cannot be shown as ${args.format}`,
      `give one of ${FOREIGN_FORMATS.join(', ')}`,
    );
  }
  process.stdout.write(
    args.format === 'json' ? `${JSON.stringify(run, null, 2)}\n` : renderForeign(run, pageStyle()),
  );
}

/** Writes the exports of a run and prints their paths, a line each. */
function exportRun(args: ReportArgs, kinds: readonly ExportKind[], report: Report): void {
  const directory = folderOf(args.dir);
  const written = exportDirectory(kinds, report, directory, args['export-dir']);
  process.stdout.write(written.map((place) => `${place}\n`).join(''));
  const note = leftOut(report);
  if (note !== null) process.stderr.write(`bench: ${note}\n`);
}

/** Reads the report of a run's folder, or of the file itself. Exit 2 when it is none. */
export function readReport(place: string): Report {
  let file = place;
  try {
    if (statSync(place).isDirectory()) file = path.join(place, 'report.json');
    return asReport(file, JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    if (error instanceof SyntaxError || (error instanceof Error && 'code' in error))
      throw unreadable(file, error);
    throw error;
  }
}

/** The document as a report of this version of bench. Exit 2 when it is none. */
function asReport(file: string, document: unknown): Report {
  const report = document as Report | null;
  if (!Array.isArray(report?.levels))
    throw usageError(`${file} is no report of bench`, 'name the folder of a run');
  if (report.schema !== REPORT_SCHEMA) {
    throw usageError(
      `${file} has schema ${String(report.schema)}, this bench reads ${REPORT_SCHEMA}`,
      'use the bench that wrote it',
    );
  }
  return report;
}

/** The folder of the run, where its report may be named as well. */
function folderOf(place: string): string {
  return isFile(place) ? path.dirname(place) : place;
}

function isFile(place: string): boolean {
  return statSync(place, { throwIfNoEntry: false })?.isFile() ?? false;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): Error {
  return usageError(
    `cannot read ${file} (${errorText(error)})`,
    'name the folder of a run, as in results/sample',
  );
}

/** Puts `bench report` into the parser. */
export const addReport: AddVerb = (y, { usage, about, declare, set }) =>
  y.command(
    usage,
    about,
    (inner) =>
      declare(
        inner.positional('dir', {
          type: 'string',
          demandOption: true,
          describe:
            'folder of a run, its report.json, or a result of sglang.bench_serving, vLLM, AIPerf or guidellm',
        }),
        REPORT_OPTIONS,
      )
        .example('$0 report results/sample', 'the table of the run that comes with bench')
        .example(
          '$0 report results/sample --export vllm,aiperf',
          'its results for readers of vLLM and AIPerf',
        )
        .example('$0 report sglang-oai-chat_0612_64_4000_1000.jsonl', 'a result of sglang.bench_serving'),
    async (argv) => set(runReport({ ...argv, dir: String(argv['dir']) })),
  );
