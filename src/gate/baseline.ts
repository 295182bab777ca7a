import { z } from 'zod';
import { mergeHistograms } from '../core/distribution.ts';
import { errorText, usageError } from '../core/errors.ts';
import { doubtAt, type Policy } from '../core/policy.ts';
import { commonVersion, obstaclesTo } from '../core/provenance-differences.ts';
import {
  keyOf,
  keyText,
  type LevelKey,
  type Repeat,
  refuseTwice,
  repeatOf,
  sameLevel,
} from '../core/repeat.ts';
import { HISTOGRAM_NAMES, type HistogramName, type Report } from '../core/report.ts';

/** What all runs of a baseline have in common. */
type Meaning = Pick<Repeat, 'text' | 'islCounts' | 'definitions' | 'definitionVersions' | 'sameByVersions'>;

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
  /** By term; left out by older versions, where all are 1. */
  readonly definitionVersions?: Readonly<Record<string, number>>;
  /** All runs of it, oldest first. */
  readonly runs: readonly Omit<Repeat, keyof Meaning>[];
  /** Of each level, over all runs: HDR histograms as in report.json. */
  readonly histograms: readonly (LevelKey & Readonly<Record<HistogramName, string>>)[];
}

/** Whether a document is a baseline, whatever its version. */
export function isBaseline(document: unknown): boolean {
  return (document as Baseline | null)?.kind === KIND;
}

const number = z.number();
const level = z.object({
  isl: number,
  osl: number,
  concurrency: number,
  ratePerS: number.exactOptional(),
  status: z.enum(['complete', 'partial', 'skipped']),
  sent: number,
  good: number,
  failed: number,
  verdict: z.enum(['valid', 'suspect', 'client-bound']),
  doubtful: z.array(z.string()).exactOptional(),
  inexact: number,
  values: z.record(z.string(), number),
});
const fact = z.union([
  z.tuple([z.string(), z.string().nullable()]),
  z.tuple([z.string(), z.string().nullable(), z.boolean()]),
]);
const baselineSchema = z.object({
  kind: z.literal(KIND),
  schema: z.literal(1),
  updatedUtc: z.string(),
  bench: z.string(),
  text: z.string(),
  islCounts: z.string(),
  definitions: z.record(z.string(), z.string()),
  definitionVersions: z.record(z.string(), z.number().int().min(1)).exactOptional(),
  runs: z
    .array(
      z.object({
        set: z.string(),
        utc: z.string(),
        status: z.enum(['running', 'complete', 'interrupted', 'failed']),
        facts: z.array(fact),
        levels: z.array(level).min(1),
      }),
    )
    .min(1),
  histograms: z.array(
    z.object({
      isl: number,
      osl: number,
      concurrency: number,
      ratePerS: number.exactOptional(),
      ...(Object.fromEntries(HISTOGRAM_NAMES.map((name) => [name, z.string()])) as Record<
        HistogramName,
        z.ZodString
      >),
    }),
  ),
});

/** A document as a baseline. Throws (exit 2) where it is of another version or broken; `source` is its name. */
export function parseBaseline(document: unknown, source: string): Baseline {
  const { schema } = document as Partial<Baseline>;
  if (schema !== 1)
    throw usageError(
      `${source} is a baseline of version ${String(schema)}, this bench reads 1`,
      'make it again: bench gate --update',
    );
  const parsed = baselineSchema.safeParse(document);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw usageError(
    `${source} is a broken baseline: ${path.join('.')}: ${message}`,
    'take it from version control, or make it again: bench gate --update',
  );
}

/** The runs of a baseline's document. Throws as `parseBaseline`. */
export function runsOf(document: unknown, source: string): Repeat[] {
  const baseline = parseBaseline(document, source);
  const meaning = meaningOf([baseline]);
  return baseline.runs.map((run) => ({ ...run, ...meaning }));
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
  refuseTwice(all, 'baseline');
  const obstacles = obstaclesTo(all, []);
  if (obstacles.length > 0)
    throw usageError(
      `runs of one baseline must be alike: ${obstacles.join('; ')}`,
      'give runs of one kind, and leave --add out to begin anew',
    );
  return {
    kind: KIND,
    schema: 1,
    updatedUtc: made.utc,
    bench: made.bench,
    ...meaningOf(all),
    runs: all.map(({ set, utc, status, facts, levels }) => ({
      set,
      utc,
      status,
      facts,
      levels: levels.map((level) => ({ ...level, values: rounded(level.values) })),
    })),
    histograms: all[0]!.levels.map((key) => ({
      ...keyOf(key),
      ...mergedAt(key, reports, earlier),
    })),
  };
}

/** What runs that are alike have in common: the terms of all, in the words of the latest that has them, each of the version that all share. */
function meaningOf(runs: readonly Meaning[]): Meaning {
  const { text, islCounts } = runs[0]!;
  const versions = runs.flatMap(({ definitionVersions: own }) => (own === undefined ? [] : [own]));
  const definitions: Record<string, string> = Object.assign({}, ...runs.map((run) => run.definitions));
  const all: Record<string, number> = Object.assign({}, ...versions);
  const shared = Object.entries(all).map(([term, own]) => [term, commonVersion(runs, term) ?? own]);
  return {
    text,
    islCounts,
    definitions,
    ...(versions.length === 0 ? {} : { definitionVersions: Object.fromEntries(shared) as typeof all }),
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
    const doubt = policy.requireValid ? doubtAt(level, policy) : null;
    if (doubt !== null) refuse(doubt, 'measure on a quieter host, or say require_valid: false in the policy');
    if (policy.requireExact && level.inexact > 0)
      refuse(`${level.inexact} lengths at ${name} are not as asked`, 'give --tokenizer, or mend the server');
  }
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
      merged([...before.map((one) => one[name]), ...now.map(({ histograms }) => histograms[name])]),
    ]),
  ) as Record<HistogramName, string>;
}

function merged(histograms: readonly string[]): string {
  try {
    return mergeHistograms(histograms);
  } catch (error) {
    throw usageError(`a histogram cannot be read (${errorText(error)})`, 'its file was cut or edited');
  }
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
