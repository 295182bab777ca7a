import { accessSync, appendFileSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import path from 'node:path';
import { EXIT, type ExitCode, errorText, usageError, worstExit } from '../../core/errors.ts';
import type { Report } from '../../core/report.ts';
import { EMBEDDED_TOKENIZER } from '../../datasets/tokenizer-source.ts';
import { runNotes } from '../../exporters/notes.ts';
import { sglangConsole } from '../../exporters/sglang/console.ts';
import { sglangLine } from '../../exporters/sglang/line.ts';
import { throughputChart } from '../../exporters/throughput-chart.ts';
import { startClock } from '../../host/clock.ts';
import { readProvenance } from '../../host/environment.ts';
import { RunStore } from '../../host/store.ts';
import { VERSION } from '../about.ts';
import { exportDirectory, parseExports } from '../exports.ts';
import { checkFileLimit } from '../level.ts';
import { runSweep, type SweepResult } from '../sweep-run.ts';
import { parseServing, type ServingArgs, servingHelp } from './arguments.ts';
import { servingRun } from './result.ts';
import { ServingServer } from './server.ts';
import { chooseTokenizer, servingAccess, servingSpec, TOKENIZER_VARIABLE } from './spec.ts';
import { ServingWatch } from './watch.ts';

const NAME_ONE = `name one with --tokenizer, a path in --model, or ${TOKENIZER_VARIABLE}`;
const EMBEDDED_WARNING = `no tokenizer of the model is at hand, so the embedded one makes the prompts and the server's usage proves their lengths; ${NAME_ONE}`;
const NOT_SGLANGS_WARNING = `no tokenizer of the model is at hand, so the prompts are NOT those of sglang, which takes the model's; ${NAME_ONE}`;

/** `bench serving`: the flags and the output of sglang.bench_serving, on the measuring core of `bench sweep`. */
export async function runServing(argv: readonly string[]): Promise<ExitCode> {
  if (argv.some((word) => word === '--help' || word === '-h')) {
    process.stdout.write(servingHelp());
    return EXIT.ok;
  }
  const args = parseServing(argv);
  const exports = parseExports(args.exports);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const outputFile = args.outputFile ?? defaultOutputFile(args, new Date());
  checkAppendable(outputFile);
  const access = servingAccess(args);
  // Everything wrong with the flags is told before the server is waited for.
  checkFileLimit(servingSpec(args, access, null).points, '--max-concurrency');
  for (const note of args.notes) say(`note: ${note}`);
  if (chooseTokenizer(args) === EMBEDDED_TOKENIZER)
    say(`warning: ${args.bugCompatible ? NOT_SGLANGS_WARNING : EMBEDDED_WARNING}`);
  const server = new ServingServer(args, access);
  try {
    const model = await server.ready(say);
    const spec = servingSpec(args, access, model);
    const clock = startClock();
    const store = RunStore.create(
      args.out ?? path.join('results', `${clock.origin.utc.replace(/[-:]|\.\d+/g, '')}-serving`),
    );
    store.document('spec.json', `${JSON.stringify(spec, null, 2)}\n`);
    const watch = new ServingWatch(args, server, clock, say);
    let result: SweepResult;
    try {
      result = await runSweep({
        spec,
        access,
        clock,
        provenance: readProvenance(['serving', ...argv], VERSION),
        store,
        quiet: args.disableTqdm,
        earlier: [],
        earlierNotes: [],
        firstId: 0,
        hooks: watch,
      });
    } catch (error) {
      store.closeUnused();
      throw error;
    }
    const told = await tell(args, watch, result.report, outputFile, store);
    store.close();
    for (const file of exportDirectory(exports, result.report, store.directory, undefined))
      say(`export: ${file}`);
    say(`results: ${store.directory}`);
    // What sglang counts as a success is no failed target, whatever our own reading of it.
    const ran = told === EXIT.ok && args.bugCompatible && result.exitCode === EXIT.target;
    return ran ? EXIT.ok : worstExit([result.exitCode, told]);
  } finally {
    await server.close();
  }
}

/** The console block on stdout, the line into the output file, and on stderr what neither of them says. */
async function tell(
  args: ServingArgs,
  watch: ServingWatch,
  report: Report,
  outputFile: string,
  store: RunStore,
): Promise<ExitCode> {
  const warn = (text: string): void => void process.stderr.write(`warning: ${text}\n`);
  const [level] = report.levels;
  if (report.status === 'interrupted' || level === undefined) {
    warn(`interrupted: nothing was appended to ${outputFile}`);
    return EXIT.ok;
  }
  const run = await servingRun({ args, watch, level, tokenizer: report.spec.prompts.tokenizer });
  for (const { topic, text, loud } of runNotes(report)) {
    // That nobody counts is what the mode is for; the note at the end says so.
    if (loud && !(args.bugCompatible && topic === 'lengths')) warn(`${topic}: ${text}`);
  }
  if (run === null) {
    warn(`no request ended well, so there is no result and nothing was appended to ${outputFile}`);
    return EXIT.target;
  }
  const line = sglangLine(run, args.layout, args.outputDetails);
  store.document('sglang.jsonl', `${line}\n`);
  const { inputTokens, outputTokens } = plannedTokens(watch);
  process.stdout.write(`#Input tokens: ${inputTokens}\n#Output tokens: ${outputTokens}\n`);
  process.stdout.write(sglangConsole(run, args.layout));
  if (args.plotThroughput) {
    const style = { colour: false, width: process.stdout.columns || 120 };
    process.stdout.write(`${throughputChart(level, style).join('\n')}\n`);
  }
  process.stderr.write(`note: ${readingNote(args, watch)}\n`);
  try {
    appendLine(outputFile, line);
  } catch (error) {
    warn(
      `--output-file: ${outputFile} did not take the line (${errorText(error)}); it is in ${store.directory}/sglang.jsonl`,
    );
    return EXIT.usage;
  }
  return EXIT.ok;
}

function plannedTokens(watch: ServingWatch): { inputTokens: number; outputTokens: number } {
  let inputTokens = 0;
  let outputTokens = 0;
  for (const { record } of watch.requests) {
    inputTokens += record.isl.asked;
    outputTokens += record.osl.asked;
  }
  return { inputTokens, outputTokens };
}

/** Where these numbers differ from sglang's, or which of its errors they repeat: said once per run. */
function readingNote(args: ServingArgs, watch: ServingWatch): string {
  const good = watch.requests.filter(({ record }) => record.outcome === 'good');
  const byUsage = good.filter(({ record }) => record.osl.by === 'usage').length;
  if (args.bugCompatible) {
    const credited = watch.requests.length - byUsage;
    return (
      `numbers as sglang.bench_serving ${args.layout} gives them: ` +
      `${credited} of ${watch.requests.length} requests have no count by the server and are credited with the length asked, ` +
      'latency runs to the last event, each request opens a connection; compare them only with its own; ' +
      'the report of bench itself credits nothing'
    );
  }
  const counted =
    byUsage === good.length
      ? "output tokens are the server's count"
      : `output tokens are the server's count for ${byUsage} of ${good.length} requests, else the local tokenizer's`;
  return (
    `unlike sglang.bench_serving, ${counted} (never the length asked), reasoning counts as output, latency ends with the last output, ` +
    'failed requests are told, and no prompt repeats; --bug-compatible gives its numbers'
  );
}

/** sglang's own choice of a name: `{backend}_{MMDD}_{prompts}_{isl}_{osl}.jsonl`, by the local date. */
function defaultOutputFile(args: ServingArgs, now: Date): string {
  const date = `${String(now.getMonth() + 1).padStart(2, '0')}${String(now.getDate()).padStart(2, '0')}`;
  return `${args.backend}_${date}_${args.numPrompts}_${args.randomInputLen}_${args.randomOutputLen}.jsonl`;
}

/** Refuses an output file that cannot be appended to (exit 2), before anything is sent. Makes none. */
function checkAppendable(file: string): void {
  const refuse = (why: string): never => {
    throw usageError(
      `--output-file: cannot append to ${file} (${why})`,
      'name a file in a folder that exists',
    );
  };
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isDirectory()) refuse('it is a folder');
  try {
    accessSync(found === undefined ? path.dirname(file) : file, constants.W_OK);
  } catch (error) {
    refuse(errorText(error));
  }
}

/** Appends the line behind whatever is there, on a line of its own. */
function appendLine(file: string, line: string): void {
  appendFileSync(file, `${endsOpen(file) ? '\n' : ''}${line}\n`);
}

/** Whether the file's last line has no end, so that more text would run into it. */
function endsOpen(file: string): boolean {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0) return false;
  const handle = openSync(file, 'r');
  try {
    const last = Buffer.alloc(1);
    readSync(handle, last, 0, 1, size - 1);
    return last[0] !== 0x0a;
  } finally {
    closeSync(handle);
  }
}
