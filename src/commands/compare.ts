import type { InferredOptionTypes, Options } from 'yargs';
import { COMPARED, type Comparison, compareRuns, MARGIN_RATIO } from '../core/compare.ts';
import { EXIT, type ExitCode, usageError } from '../core/errors.ts';
import type { Repeat } from '../core/repeat.ts';
import { parseRatio } from '../core/units.ts';
import { renderComparison } from '../exporters/comparison-table.ts';
import type { HtmlSide } from '../exporters/html/page.ts';
import { writeAtomic } from '../host/store.ts';
import { pageStyle } from './page.ts';
import { putFile } from './put-file.ts';
import { readRepeats, readRuns } from './runs.ts';
import type { AddVerb } from './verb.ts';

/** What is compared, and how. */
export const COMPARISON_OPTIONS = {
  metric: {
    type: 'array',
    string: true,
    default: [...COMPARED],
    describe: 'metrics to compare, by their names in summary.csv',
  },
  margin: {
    type: 'string',
    default: `${MARGIN_RATIO * 100}%`,
    describe: 'changes below this are of no interest',
  },
} as const satisfies Record<string, Options>;

const COMPARE_OPTIONS = {
  base: { type: 'array', string: true, default: [], describe: 'further repeats of the baseline' },
  cand: { type: 'array', string: true, default: [], describe: 'further repeats of the candidate' },
  ...COMPARISON_OPTIONS,
  anyway: {
    type: 'boolean',
    default: false,
    describe: 'compare runs of other shapes, prompt texts or definitions, too',
  },
  format: { choices: ['table', 'json'], default: 'table', describe: 'what to print on stdout' },
  html: { type: 'string', describe: 'file for a page with charts of both sides' },
} as const satisfies Record<string, Options>;

type CompareArgs = InferredOptionTypes<typeof COMPARE_OPTIONS> & { baseline: string; candidate: string };

/**
 * `bench compare BASE CAND`: how each metric changed, and whether the repeats tell. Exit 1 when a metric is worse over all
 * levels, 2 when the runs cannot be compared, else 0.
 */
async function runCompare(args: CompareArgs): Promise<ExitCode> {
  const sideOf = (place: string, more: readonly string[]): Repeat[] => [place, ...more].flatMap(readRepeats);
  const comparison = compareRuns(sideOf(args.baseline, args.base), sideOf(args.candidate, args.cand), {
    metrics: args.metric,
    marginRatio: parseMargin(args.margin),
    anyway: args.anyway,
  });
  if (args.html !== undefined) await writePage(args.html, args, comparison);
  return tellComparison(comparison, args.format === 'json');
}

/** Writes the page of both sides' runs. Exit 2 where a side is a baseline without runs, or the disk refuses. */
async function writePage(file: string, args: CompareArgs, comparison: Comparison): Promise<void> {
  const side = (place: string, more: readonly string[]): HtmlSide => ({
    name: place,
    reports: [place, ...more].flatMap(readRuns),
  });
  const { renderHtmlComparison } = await import('../exporters/html/page.ts');
  const page = renderHtmlComparison(
    [side(args.baseline, args.base), side(args.candidate, args.cand)],
    comparison,
  );
  putFile(file, '--html', (place) => writeAtomic(place, page));
}

/** Tells a comparison on stdout; gives `verdictCode` of it. */
export function tellComparison(comparison: Comparison, json: boolean): ExitCode {
  process.stdout.write(
    json ? `${JSON.stringify(comparison, null, 2)}\n` : renderComparison(comparison, pageStyle()),
  );
  return verdictCode(comparison);
}

/** 1 when a metric is worse over all levels, else 0. */
export function verdictCode({ changes }: Comparison): ExitCode {
  const worse = changes.some(({ level, verdict }) => level === null && verdict === 'worse');
  return worse ? EXIT.verdict : EXIT.ok;
}

/** A share of `--margin`: `2%` or `0.02`. Exit 2 outside of 0 to 100 %. */
export function parseMargin(text: string): number {
  const ratio = parseRatio(text);
  if (ratio !== null && ratio < 1) return ratio;
  throw usageError(`--margin: "${text}" is no share`, 'write it as 2% or 0.02');
}

/** Puts `bench compare` into the parser. */
export const addCompare: AddVerb = (y, { usage, about, declare, set }) =>
  y.command(
    usage,
    about,
    (inner) =>
      declare(
        inner
          .positional('baseline', {
            type: 'string',
            demandOption: true,
            describe: 'a run, a folder that holds its repeats, or a baseline of bench gate',
          })
          .positional('candidate', { type: 'string', demandOption: true, describe: 'likewise' }),
        COMPARE_OPTIONS,
      )
        .example('$0 compare results/before results/after', 'two folders with five repeats each')
        .example(
          '$0 compare a1 b1 --base a2 --base a3 --base a4 --cand b2 --cand b3 --cand b4',
          'single runs as repeats',
        )
        .example('$0 compare before after --html page.html', 'a page to look at, too')
        .example('$0 compare before after --metric ttftMs.p50 --margin 5%', 'one metric'),
    async (argv) =>
      set(
        await runCompare({
          ...argv,
          baseline: String(argv['baseline']),
          candidate: String(argv['candidate']),
        }),
      ),
  );
