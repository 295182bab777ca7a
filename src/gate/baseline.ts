import { mergeHistograms } from '../core/distribution.ts';
import { usageError } from '../core/errors.ts';
import type { Policy } from '../core/policy.ts';
import { obstaclesTo } from '../core/provenance-differences.ts';
import { keyText, type LevelKey, type Repeat, repeatOf, sameLevel } from '../core/repeat.ts';
import { HISTOGRAM_NAMES, type HistogramName, type Report } from '../core/report.ts';

const KIND = 'bench baseline';
/** Digits of a value that are kept: far finer than any two runs agree. */
const DIGITS = 7;

/** The document of a baseline: what later runs are held against, small enough to be committed. */
export interface Baseline {
  readonly kind: typeof KIND;
  readonly schema: 1;
  readonly updatedUtc: string;
  readonly bench: string;
  /** What the runs were asked, and what their numbers mean. */
  readonly text: string;
  readonly islCounts: string;
  readonly definitions: Readonly<Record<string, string>>;
  /** All runs of it, oldest first. */
  readonly runs: readonly Omit<Repeat, 'text' | 'islCounts' | 'definitions'>[];
  /** Of each level, over all runs: HDR histograms as in report.json. */
  readonly histograms: readonly (LevelKey & Readonly<Record<HistogramName, string>>)[];
}

/** Whether a document is a baseline, whatever its version. */
export function isBaseline(document: unknown): boolean {
  return (document as Baseline | null)?.kind === KIND;
}

/** The runs of a baseline's document. Throws (exit 2) where it is of another version or broken; `source` is its name. */
export function runsOf(document: unknown, source: string): Repeat[] {
  const baseline = document as Baseline;
  if (baseline.schema !== 1)
    throw usageError(
      `${source} is a baseline of version ${String(baseline.schema)}, this bench reads 1`,
      'make it again: bench gate --update',
    );
  const { text, islCounts, definitions, runs } = baseline;
  if (!Array.isArray(runs) || runs.length === 0 || runs.some(({ levels }) => !Array.isArray(levels)))
    throw usageError(`${source} is a baseline without runs`, 'make it again: bench gate --update');
  return runs.map((run) => ({ ...run, text, islCounts, definitions }));
}

/**
 * A baseline of these runs, added to those of `earlier` where that is given. Throws (exit 2) for runs that are none to hold others
 * against: incomplete, with more failures than the policy allows, not valid where it asks for that, or not comparable.
 */
export function makeBaseline(
  reports: readonly Report[],
  policy: Policy,
  earlier: Baseline | null,
  made: { readonly utc: string; readonly bench: string },
): Baseline {
  const repeats = reports.map(repeatOf);
  for (const repeat of repeats) refuseUnfit(repeat, policy);
  const before = earlier === null ? [] : runsOf(earlier, 'the baseline');
  const all = [...before, ...repeats];
  const twice = repeats.find((run) => before.some(({ utc, set }) => utc === run.utc && set === run.set));
  if (twice !== undefined)
    throw usageError(`the run of ${twice.utc} is in the baseline already`, 'name another run');
  const obstacles = obstaclesTo(all, []);
  if (obstacles.length > 0)
    throw usageError(
      `runs of one baseline must be alike: ${obstacles.join('; ')}`,
      'give runs of one kind, and leave --add out to begin anew',
    );
  const { text, islCounts, definitions } = all[0]!;
  return {
    kind: KIND,
    schema: 1,
    updatedUtc: made.utc,
    bench: made.bench,
    text,
    islCounts,
    definitions,
    runs: all.map(({ set, utc, status, facts, levels }) => ({
      set,
      utc,
      status,
      facts,
      levels: levels.map((level) => ({ ...level, values: rounded(level.values) })),
    })),
    histograms: all[0]!.levels.map((key) => ({
      ...only(key),
      ...mergedAt(key, reports, earlier),
    })),
  };
}

function refuseUnfit(run: Repeat, policy: Policy): void {
  const refuse = (what: string, hint: string): never => {
    throw usageError(`the run of ${run.utc} is no baseline: ${what}`, hint);
  };
  if (run.status !== 'complete') refuse(`it is ${run.status}`, 'measure it to its end');
  for (const level of run.levels) {
    const name = keyText(level);
    if (level.status !== 'complete') refuse(`${name} is ${level.status}`, 'measure it to its end');
    if (level.failed > policy.maxFailureRatio * level.sent)
      refuse(`${level.failed} of ${level.sent} requests failed at ${name}`, 'mend the server first');
    if (policy.requireValid && level.verdict !== 'valid')
      refuse(
        `${name} is ${level.verdict}`,
        'measure on a quieter host, or say require_valid: false in the policy',
      );
    if (policy.requireExact && level.inexact > 0)
      refuse(`${level.inexact} lengths at ${name} are not as asked`, 'give --tokenizer, or mend the server');
  }
}

function only({ isl, osl, concurrency }: LevelKey): LevelKey {
  return { isl, osl, concurrency };
}

function mergedAt(
  key: LevelKey,
  reports: readonly Report[],
  earlier: Baseline | null,
): Record<HistogramName, string> {
  const before = earlier?.histograms.filter((one) => sameLevel(one, key)) ?? [];
  const now = reports.flatMap(({ levels }) => levels.filter((level) => sameLevel(level, key)));
  return Object.fromEntries(
    HISTOGRAM_NAMES.map((name) => [
      name,
      mergeHistograms([...before.map((one) => one[name]), ...now.map(({ histograms }) => histograms[name])]),
    ]),
  ) as Record<HistogramName, string>;
}

function rounded(values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(values).map(([id, value]) => [id, Number(value.toPrecision(DIGITS))]),
  );
}

/** The document as text: a line per level of a run, so that a review shows what changed. */
export function baselineText(baseline: Baseline): string {
  const { runs, histograms, ...head } = baseline;
  const lines = runs.map(({ levels, ...run }) => {
    const inner = levels.map((level) => `        ${JSON.stringify(level)}`).join(',\n');
    return `    ${JSON.stringify(run).slice(0, -1)},\n      "levels": [\n${inner}\n      ]}`;
  });
  const shapes = histograms.map((one) => `    ${JSON.stringify(one)}`);
  return (
    `${JSON.stringify(head, null, 2).slice(0, -2)},\n` +
    `  "runs": [\n${lines.join(',\n')}\n  ],\n  "histograms": [\n${shapes.join(',\n')}\n  ]\n}\n`
  );
}
