import type { InferredOptionTypes, Options } from 'yargs';
import { type Comparison, MARGIN_RATIO } from '../core/compare.ts';
import { compareMany, type ManyComparison } from '../core/compare-many.ts';
import { comparedOf } from '../core/compared.ts';
import { EXIT, type ExitCode, usageError } from '../core/errors.ts';
import { parseRatio } from '../core/units.ts';
import { renderComparison } from '../exporters/comparison-table.ts';
import { renderManyComparison } from '../exporters/many-table.ts';
import { shortNames } from '../exporters/side-names.ts';
import { writeAtomic } from '../host/store.ts';
import { pageStyle } from './page.ts';
import { putFile } from './put-file.ts';
import { type ReadRepeats, readRepeats } from './runs.ts';
import { printPage } from './terminal.ts';
import type { AddVerb } from './verb.ts';

/** What is compared, and how. */
export const COMPARISON_OPTIONS = {
  metric: {
    type: 'array',
    string: true,
    describe:
      'metrics to compare, by their names in summary.csv [default: latencies; of a closed loop rates, too]',
  },
  margin: {
    type: 'string',
    default: `${MARGIN_RATIO * 100}%`,
    describe: 'changes below this are of no interest',
  },
} as const satisfies Record<string, Options>;

const COMPARE_OPTIONS = {
  base: { type: 'array', string: true, default: [], describe: 'further repeats of the baseline' },
  cand: {
    type: 'array',
    string: true,
    default: [],
    describe: 'further repeats of the candidate, where there is one',
  },
  ...COMPARISON_OPTIONS,
  anyway: {
    type: 'boolean',
    default: false,
    describe: 'compare runs of other shapes, prompt texts or definitions, too',
  },
  format: { choices: ['table', 'json'], default: 'table', describe: 'what to print on stdout' },
  html: { type: 'string', describe: 'file for a page with charts of all sides' },
} as const satisfies Record<string, Options>;

type CompareArgs = InferredOptionTypes<typeof COMPARE_OPTIONS> & {
  baseline: string;
  candidate: readonly string[];
};

/**
 * `bench compare BASE CAND…`: how each metric changed from the first side to each other, and whether the repeats tell. Exit 1 when
 * a metric is worse over all levels, 2 when the runs cannot be compared, else 0.
 */
async function runCompare(args: CompareArgs): Promise<ExitCode> {
  const [base, ...candidates] = readSides(args);
  const compared = compareMany(base!, candidates, {
    metrics: args.metric ?? comparedOf([base!, ...candidates].flatMap(({ runs }) => runs)),
    marginRatio: parseMargin(args.margin),
    anyway: args.anyway,
  });
  if (args.html !== undefined) await writePage(args.html, [base!, ...candidates], compared);
  return tellComparison(compared, args.format === 'json');
}

/** A side as it was read. */
interface ReadSide {
  readonly name: string;
  readonly place: string;
  readonly runs: ReadRepeats['repeats'];
  /** null where it stands on a baseline's file, which holds no runs. */
  readonly reports: ReadRepeats['reports'];
}

/** The baseline and each candidate, every run read once. */
function readSides({ baseline, candidate, base, cand }: CompareArgs): ReadSide[] {
  if (candidate.length > 1 && cand.length > 0)
    throw usageError(
      `--cand: there are ${candidate.length} candidates`,
      'name for each a folder that holds its repeats',
    );
  const places = [[baseline, ...base], ...candidate.map((place) => [place, ...cand])];
  const names = shortNames(places.map(([place]) => place!));
  return places.map((ones, nth) => {
    const read = ones.map(readRepeats);
    const reports = read.map((one) => one.reports);
    return {
      name: names[nth]!,
      place: ones[0]!,
      runs: read.flatMap(({ repeats }) => repeats),
      reports: reports.every((all) => all !== null) ? reports.flat() : null,
    };
  });
}

/** Writes the page of all sides. Exit 2 where one is a baseline's file, or the disk refuses. */
async function writePage(file: string, sides: readonly ReadSide[], compared: ManyComparison): Promise<void> {
  const shown = sides.map(({ name, place, reports }) => {
    if (reports === null)
      throw usageError(
        `--html: ${place} is a baseline, which holds no distributions`,
        'name the folders of its runs, or leave --html out',
      );
    return { name, place, reports };
  });
  const { renderHtmlComparison } = await import('../exporters/html/comparison-page.ts');
  const page = renderHtmlComparison(shown, compared);
  putFile(file, '--html', (place) => writeAtomic(place, page));
}

/** Prints what was compared on stdout; gives `verdictCode` of all. */
function tellComparison(compared: ManyComparison, json: boolean): ExitCode {
  printPage(json ? comparisonJson(compared) : comparisonText(compared));
  return verdictCode(compared);
}

/** The page for standard output, one candidate in its own form. */
export function comparisonText(compared: ManyComparison): string {
  const [only, ...others] = compared.comparisons;
  return others.length === 0
    ? renderComparison(only!, pageStyle())
    : renderManyComparison(compared, pageStyle());
}

/** The document of `--format json`, one candidate in its own form. */
export function comparisonJson(compared: ManyComparison): string {
  const [only, ...others] = compared.comparisons;
  return `${JSON.stringify(others.length === 0 ? only! : compared, null, 2)}\n`;
}

/** 1 when a metric of any candidate is worse over all levels, else 0. */
export function verdictCode({ comparisons }: ManyComparison): ExitCode {
  const isWorse = ({ changes }: Comparison): boolean =>
    changes.some(({ level, verdict }) => level === null && verdict === 'worse');
  return comparisons.some(isWorse) ? EXIT.verdict : EXIT.ok;
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
          .positional('candidate', {
            type: 'string',
            array: true,
            demandOption: true,
            describe: 'likewise; several are each held against the baseline',
          }),
        COMPARE_OPTIONS,
      )
        .example('$0 compare results/before results/after', 'two folders with five repeats each')
        .example(
          '$0 compare a1 b1 --base a2 --base a3 --base a4 --cand b2 --cand b3 --cand b4',
          'single runs as repeats',
        )
        .example('$0 compare before after --html page.html', 'a page to look at, too')
        .example('$0 compare tp4 tp8 ep8 ep16 --html page.html', 'three candidates side by side')
        .example('$0 compare before after --metric ttftMs.p50 --margin 5%', 'one metric'),
    async (argv) =>
      set(
        await runCompare({
          ...argv,
          baseline: String(argv['baseline']),
          candidate: (argv['candidate'] as readonly unknown[]).map(String),
        }),
      ),
  );
