import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { EXIT, type ExitCode, errorText, usageError } from '../../core/errors.ts';
import { type GateResult, judgeGate } from '../../core/gate.ts';
import { defaultPolicy, type Policy } from '../../core/policy.ts';
import { repeatOf } from '../../core/repeat.ts';
import type { Report } from '../../core/report.ts';
import { decodeText } from '../../core/utf8.ts';
import { gateAnnotations } from '../../exporters/gate-annotations.ts';
import { gateJunit } from '../../exporters/gate-junit.ts';
import { gateMarkdown } from '../../exporters/gate-markdown.ts';
import { renderGate } from '../../exporters/gate-table.ts';
import { type Baseline, baselineText, isBaseline, makeBaseline, parseBaseline } from '../../gate/baseline.ts';
import { parsePolicy } from '../../gate/policy.ts';
import { writeAtomic } from '../../host/store.ts';
import { VERSION } from '../about.ts';
import { pageStyle } from '../page.ts';
import { putFile } from '../put-file.ts';
import { readDocument, readRepeats, readRuns } from '../runs.ts';
import { print, printError, printPage } from '../terminal.ts';
import type { GateArgs } from './options.ts';

/** `bench gate`: judges runs by a policy, or makes a baseline of them. */
export function runGate(args: GateArgs): ExitCode {
  const runs = args.runs.flatMap(readRuns);
  const defaults = defaultPolicy(runs.map(repeatOf));
  const policy = args.policy === undefined ? defaults : readPolicy(args.policy, defaults);
  return args.update ? update(args, runs, policy) : judge(args, runs, policy);
}

/** Exit 0 when the gate passes, 1 when it fails; inconclusive is 0, or 6 with `--fail-inconclusive`. Exit 2 for too few runs to judge. */
function judge(args: GateArgs, runs: readonly Report[], policy: Policy): ExitCode {
  if (args.add) throw usageError('--add: nothing is updated', 'give --update as well');
  if (!existsSync(args.baseline))
    throw usageError(
      `--baseline: there is no ${args.baseline}`,
      `make it of runs that are good: bench gate --update --baseline ${args.baseline} RUN`,
    );
  const result = judgeGate(
    {
      baseline: readRepeats(args.baseline).repeats,
      anchor: args.anchor === undefined ? null : readRepeats(args.anchor).repeats,
      candidate: runs.map(repeatOf),
    },
    policy,
  );
  const strict = args['fail-inconclusive'];
  const annotations = wantsAnnotations(args.annotations) ? gateAnnotations(result, strict) : '';
  printPage(rendered(result, args.format));
  (args.format === 'table' ? print : printError)(annotations);
  if (args.junit !== undefined)
    putFile(args.junit, '--junit', (file) => writeAtomic(file, gateJunit(result, strict)));
  const summary = args.summary ?? (process.env['GITHUB_STEP_SUMMARY'] || undefined);
  if (summary !== undefined)
    putFile(summary, '--summary', (file) => appendFileSync(file, `${gateMarkdown(result)}\n`));
  if (result.verdict === 'fail') return EXIT.verdict;
  return result.verdict === 'inconclusive' && strict ? EXIT.inconclusive : EXIT.ok;
}

function rendered(result: GateResult, format: string): string {
  if (format === 'json') return `${JSON.stringify(result, null, 2)}\n`;
  return format === 'markdown' ? gateMarkdown(result) : renderGate(result, pageStyle());
}

function wantsAnnotations(when: string): boolean {
  return when === 'always' || (when === 'auto' && process.env['GITHUB_ACTIONS'] === 'true');
}

/** Promotes runs to the baseline. Exit 2 for runs that are none to hold others against. */
function update(args: GateArgs, runs: readonly Report[], policy: Policy): ExitCode {
  const beside = (['anchor', 'junit', 'summary'] as const).find((name) => args[name] !== undefined);
  if (beside !== undefined)
    throw usageError(`--${beside}: nothing is judged with --update`, 'leave one of them out');
  // Whatever else has that name is not ours to replace.
  const there = existsSync(args.baseline) ? readBaseline(args.baseline) : null;
  const earlier = args.add ? there : null;
  const baseline = makeBaseline(runs, policy, earlier, { utc: new Date().toISOString(), bench: VERSION });
  putFile(args.baseline, '--baseline', (file) => writeAtomic(file, baselineText(baseline)));
  const levels = baseline.histograms.length;
  print(
    `baseline: ${args.baseline} has ${count(baseline.runs.length, 'run')} of ${count(levels, 'level')}\n`,
  );
  return EXIT.ok;
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`;
}

function readBaseline(file: string): Baseline {
  const document = readDocument(file);
  if (isBaseline(document)) return parseBaseline(document, file);
  throw usageError(`--baseline: ${file} is no baseline`, 'name another file; this one is left as it is');
}

function readPolicy(file: string, defaults: Policy): Policy {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw usageError(`--policy: cannot read ${file} (${errorText(error)})`, 'give the path of a gate.yaml');
  }
  return parsePolicy(decodeText(bytes, file), file, defaults.rules);
}
