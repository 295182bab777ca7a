import { EXIT, type ExitCode, errorText } from '../../core/errors.ts';
import type { FinishedRequest } from '../../core/record-builder.ts';
import type { Report } from '../../core/report.ts';
import { runNotes } from '../../exporters/notes.ts';
import { sglangConsole } from '../../exporters/sglang/console.ts';
import { SGLANG_FILE } from '../../exporters/sglang/export.ts';
import { sglangLine } from '../../exporters/sglang/line.ts';
import type { SglangRow } from '../../exporters/sglang/rows.ts';
import { throughputChart } from '../../exporters/throughput-chart.ts';
import type { RunStore } from '../../host/store.ts';
import { Interrupt } from '../interrupt.ts';
import { print, printError } from '../terminal.ts';
import type { ServingArgs } from './arguments.ts';
import { appendLine } from './output-file.ts';
import { servingRun } from './result.ts';
import type { ServingWatch } from './watch.ts';

export interface FinishedServing {
  readonly args: ServingArgs;
  readonly watch: ServingWatch;
  readonly report: Report;
  readonly outputFile: string;
  readonly store: RunStore;
}

/**
 * The console block on stdout, the line into the output file, and on stderr what neither of them says. A signal
 * gives up counting texts again, and nothing else.
 */
export async function tellOutcome(serving: FinishedServing): Promise<ExitCode> {
  const { args, watch, report, outputFile, store } = serving;
  const warn = (text: string): void => printError(`warning: ${text}\n`);
  const [level] = report.levels;
  if (report.status === 'interrupted' || level === undefined) {
    warn(`interrupted: nothing was appended to ${outputFile}`);
    return EXIT.ok;
  }
  const interrupt = new Interrupt(0, (text) => printError(`${text}\n`));
  interrupt.listen();
  try {
    const tokenizer = report.spec.prompts.tokenizer;
    const run = await servingRun({ args, watch, level, tokenizer, signal: interrupt.stop, warn });
    for (const { topic, text, loud } of runNotes(report)) {
      // That nobody counts is what the mode is for; the note at the end says so.
      if (loud && !(args.bugCompatible && topic === 'lengths'))
        warn(topic === 'warning' ? text : `${topic}: ${text}`);
    }
    if (run === null) {
      warn(`no request ended well, so there is no result and nothing was appended to ${outputFile}`);
      return interrupt.code ?? EXIT.target;
    }
    const line = sglangLine(run, args.layout, args.outputDetails);
    store.document(SGLANG_FILE, `${line}\n`);
    const { inputTokens, outputTokens } = plannedTokens(watch);
    print(`#Input tokens: ${inputTokens}\n#Output tokens: ${outputTokens}\n`);
    print(sglangConsole(run, args.layout));
    if (args.plotThroughput) {
      const style = { colour: false, width: process.stdout.columns || 120 };
      print(`${throughputChart(level, style).join('\n')}\n`);
    }
    const unseen = unseenWarning(args, run.rows);
    if (unseen !== null) warn(unseen);
    printError(`note: ${readingNote(args, watch, run.rows)}\n`);
    return append(serving, line, warn) ?? interrupt.code ?? EXIT.ok;
  } finally {
    interrupt.unlisten();
  }
}

/** Appends the line; where the file refuses it, says where else it is. null when all is well. */
function append(
  { outputFile, store }: FinishedServing,
  line: string,
  warn: (text: string) => void,
): ExitCode | null {
  try {
    appendLine(outputFile, line);
    return null;
  } catch (error) {
    const kept = store.missing === null;
    const where = kept
      ? `it is in ${store.directory}/${SGLANG_FILE}`
      : `no disk took it, so here it is:\n${line}`;
    warn(`--output-file: ${outputFile} did not take the line (${errorText(error)}); ${where}`);
    return EXIT.usage;
  }
}

function plannedTokens(watch: ServingWatch): { inputTokens: number; outputTokens: number } {
  let inputTokens = 0;
  let outputTokens = 0;
  for (const { record } of watch.requests) {
    inputTokens += record.isl.asked ?? 0;
    outputTokens += record.osl.asked;
  }
  return { inputTokens, outputTokens };
}

/** What zeros of the block and of the line stand for no output that was seen; null where none do. */
function unseenWarning({ bugCompatible }: ServingArgs, rows: readonly SglangRow[]): string | null {
  const successes = rows.filter(({ success }) => success);
  const unseen = successes.filter(({ ttftS }) => ttftS === 0).length;
  if (unseen === 0 || (unseen < successes.length && !bugCompatible)) return null;
  const names = bugCompatible ? 'TTFT and ITL' : 'E2E, TTFT, TPOT and ITL';
  return unseen === successes.length
    ? `no output was seen in any of the ${unseen} successful requests: the 0.00 of ${names} says "not seen", not "at once"`
    : `no output was seen in ${unseen} of the ${successes.length} successful requests, whose TTFT enters as 0.00, as with sglang`;
}

/** Says why the block counts as successes what the failures beside it name; empty where it does not. */
function failedSuccesses(successes: readonly FinishedRequest[]): string {
  const outcomes = successes.map(({ record }) => record.outcome).filter((outcome) => outcome !== 'good');
  if (outcomes.length === 0) return '';
  const classes = [...new Set(outcomes)].map(
    (name) => `${outcomes.filter((outcome) => outcome === name).length} ${name}`,
  );
  return (
    `${outcomes.length} of its ${successes.length} successful requests are the failures told above (${classes.join(', ')}), ` +
    'for it counts each body that it could read to its end, whatever was in it; '
  );
}

/** Where these numbers differ from sglang's, or which of its errors they repeat: said once per run. */
function readingNote(args: ServingArgs, watch: ServingWatch, rows: readonly SglangRow[]): string {
  const successes = watch.requests.filter((_request, i) => rows[i]!.success);
  const byUsage = successes.filter(({ record }) => record.osl.by === 'usage').length;
  if (args.bugCompatible) {
    return (
      `numbers as sglang.bench_serving ${args.layout} gives them: ${failedSuccesses(successes)}` +
      `${successes.length - byUsage} of ${successes.length} successes have no count by the server and are credited with the length asked, ` +
      'latency runs to the last event, each request opens a connection; compare them only with its own; ' +
      'the report of bench itself credits nothing'
    );
  }
  const output =
    byUsage === successes.length
      ? "output tokens are the server's count"
      : `output tokens are the server's count for ${byUsage} of ${successes.length} requests, else the local tokenizer's`;
  const nominal = successes.filter(({ record }) => record.isl.counted === null).length;
  const input =
    nominal === 0
      ? ''
      : `, input tokens are the lengths made where nobody counted them (${nominal} requests)`;
  return (
    `unlike sglang.bench_serving, ${output} (never the length asked)${input}, reasoning counts as output, latency ends with the last output, ` +
    'failed requests are told, and no prompt repeats; --bug-compatible gives its numbers'
  );
}
