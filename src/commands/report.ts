import path from 'node:path';
import type { InferredOptionTypes, Options } from 'yargs';
import { EXIT, type ExitCode, usageError } from '../core/errors.ts';
import type { ForeignRun } from '../core/foreign.ts';
import type { Report } from '../core/report.ts';
import { runs } from '../exporters/change-words.ts';
import type { ExportKind } from '../exporters/export-kind.ts';
import { renderForeign } from '../exporters/foreign-table.ts';
import { htmlExport } from '../exporters/html/export.ts';
import { EXPORTERS } from '../exporters/index.ts';
import { importResults } from '../importers/index.ts';
import { readJsonObjects } from '../importers/json-objects.ts';
import { EXPORT_OPTIONS, exportDirectory, leftOut, parseExports } from './exports.ts';
import { HISTOGRAM_CHOICES, type HistogramChoice, pageOf, pageStyle } from './page.ts';
import { asReport, isFile, readBytes, readReport } from './read-report.ts';
import { isFolder, runFolders } from './runs.ts';
import { type ReadSet, readSet } from './sets/read-set.ts';
import { repeatsSet } from './sets/repeats-set.ts';
import { savePage } from './sets/run-set.ts';
import { print, printError, printPage } from './terminal.ts';
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
export async function runReport(args: ReportArgs): Promise<ExitCode> {
  const kinds = parseExports(args.export);
  const read = isFolder(args.dir) ? readFolder(args.dir) : null;
  if (read !== null) return reportSet(args, kinds, read);
  const source = openSource(args.dir);
  if ('tool' in source) showForeign(args, kinds, source);
  else if (kinds.length > 0) await exportRun(args, kinds, source);
  else {
    const exporter = EXPORTERS.find((kind) => kind.name === args.format);
    const page = (): string =>
      pageOf(withAdvice(source, folderOf(args.dir)), args.histograms as HistogramChoice);
    printPage(exporter?.render(source) ?? page());
  }
  return EXIT.ok;
}

/** What a folder of several runs holds, where an older bench made them without a document; null for a folder of one run, or of none. */
function readFolder(dir: string): ReadSet | null {
  const folders = runFolders(dir);
  if (folders[0] === dir) return null;
  const read = readSet(dir);
  if (read !== null || folders.length === 0) return read;
  const reports = folders.map(readReport);
  const sets = new Set(reports.map(({ spec, origin }) => spec.repeat?.set ?? origin.utc));
  if (sets.size > 1)
    throw usageError(
      `${dir} holds runs of ${sets.size} commands`,
      `name one of them, as in ${folders[0]}, or compare them: bench compare`,
    );
  const set = repeatsSet(
    reports.map((report, nth) => ({ folder: path.relative(dir, folders[nth]!), report })),
    reports[0]!.spec.repeat?.of ?? reports.length,
  );
  return { set, status: 'complete' };
}

/** Prints what the command of a folder printed at its end, and makes its page again; any other form is each run's own. */
async function reportSet(
  args: ReportArgs,
  kinds: readonly ExportKind[],
  { set, status }: ReadSet,
): Promise<ExitCode> {
  const { dir } = args;
  if (kinds.some(({ name }) => name !== htmlExport.name) || !['table', 'json'].includes(args.format))
    throw usageError(
      `${dir} holds ${set.runs.length} runs`,
      `name one of them, as in ${path.join(dir, set.runs[0]!.folder)}`,
    );
  if (status !== 'complete')
    printError(
      status === 'running'
        ? `bench: the command has not ended, or was killed: ${runs(set.runs.length)} so far\n`
        : `bench: the command ${status === 'failed' ? 'failed' : 'was interrupted'} after ${runs(set.runs.length)}\n`,
    );
  printError(set.notes.map((note) => `${note}\n`).join(''));
  if (kinds.length > 0) {
    const page = await savePage(set, args['export-dir'] ?? dir);
    if (page !== null) print(`${page}\n`);
    return EXIT.ok;
  }
  printPage(args.format === 'json' ? set.json() : set.text());
  if (args.format === 'table') await savePage(set, dir);
  return EXIT.ok;
}

/** What the place holds, told by its content. */
function openSource(place: string): Report | ForeignRun {
  if (!isFile(place)) return readReport(place);
  const objects = readJsonObjects(readBytes(place), place);
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
  printPage(args.format === 'json' ? `${JSON.stringify(run, null, 2)}\n` : renderForeign(run, pageStyle()));
}

/** Writes the exports of a run and prints their paths, a line each. */
async function exportRun(args: ReportArgs, kinds: readonly ExportKind[], report: Report): Promise<void> {
  const directory = folderOf(args.dir);
  const written = await exportDirectory(kinds, report, directory, args['export-dir']);
  print(written.map((place) => `${place}\n`).join(''));
  const note = leftOut(report);
  if (note !== null) printError(`bench: ${note}\n`);
}

/** The folder of the run, where its report may be named as well. */
function folderOf(place: string): string {
  return isFile(place) ? path.dirname(place) : place;
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
            'folder of a run, of repeats, of bench ab or bench capacity, a report.json, or a result of sglang.bench_serving, vLLM, AIPerf or guidellm',
        }),
        REPORT_OPTIONS,
      )
        .example('$0 report results/sample', 'the table of the run that comes with bench')
        .example(
          '$0 report results/sample --export vllm,aiperf',
          'its results for readers of vLLM and AIPerf',
        )
        .example('$0 report sglang-oai-chat_0612_64_4000_1000.jsonl', 'a result of sglang.bench_serving'),
    async (argv) => set(await runReport({ ...argv, dir: String(argv['dir']) })),
  );
