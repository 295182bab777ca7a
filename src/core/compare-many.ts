import { type Change, type CompareOptions, type Comparison, compareRuns } from './compare.ts';
import { usageError } from './errors.ts';
import { type FactSpread, factSpreads } from './provenance-differences.ts';
import type { Repeat } from './repeat.ts';

/** Runs of one kind, under the name that they have beside others. */
export interface Side {
  readonly name: string;
  readonly runs: readonly Repeat[];
}

/** What came of holding one or several candidates against one baseline. */
export interface ManyComparison {
  /** The baseline first. */
  readonly sides: readonly { readonly name: string; readonly repeats: number }[];
  /** Each candidate against the baseline, in their order. */
  readonly comparisons: readonly Comparison[];
  /** What is not alike on all sides. */
  readonly differences: readonly FactSpread[];
}

/**
 * Compares each candidate with the baseline. The bounds of several are wider, so that those of one metric at one level hold for all
 * candidates together (`boundLevel`); metrics and levels are told each by itself. Throws (exit 2) as `compareRuns` does, and for
 * candidates that are the same runs.
 */
export function compareMany(
  base: Side,
  candidates: readonly Side[],
  options: Omit<CompareOptions, 'family'>,
): ManyComparison {
  refuseSame([base, ...candidates]);
  const comparisons = candidates.map(({ runs }) =>
    compareRuns(base.runs, runs, { ...options, family: candidates.length }),
  );
  const sides = [base, ...candidates];
  return {
    sides: sides.map(({ name, runs }) => ({ name, repeats: runs.length })),
    comparisons,
    differences: factSpreads(sides.map(({ runs }) => runs)),
  };
}

/** A run that stands on two sides would be told of twice, or held against itself. */
function refuseSame(sides: readonly Side[]): void {
  const seen = new Map<string, number>();
  for (const [nth, { runs }] of sides.entries()) {
    for (const { set, utc } of runs) {
      const other = seen.get(`${set} ${utc}`) ?? nth;
      if (other !== nth)
        throw usageError(
          `the run of ${utc} is on two sides: ${sides[other]!.name} and ${sides[nth]!.name}`,
          'name each run once',
        );
      seen.set(`${set} ${utc}`, nth);
    }
  }
}

/** How one metric changed, at one level or over all, for each candidate for which that was told against the same values. */
export interface ChangeRow extends Pick<Change, 'metric' | 'level' | 'thinLevels' | 'base'> {
  /** In the order of the candidates; null where it stands in another row, or nowhere. */
  readonly changes: readonly (Change | null)[];
}

/** The changes of all candidates beside each other: over all levels first. Without those of a metric that nobody has. */
export function changeRows({ comparisons }: Pick<ManyComparison, 'comparisons'>): ChangeRow[] {
  const rows = new Map<string, { first: Change; changes: (Change | null)[] }>();
  for (const [nth, { changes }] of comparisons.entries()) {
    for (const change of changes) {
      if (change.base.length + change.cand.length === 0) continue;
      const { level, metric, thinLevels, base } = change;
      // Candidates with other levels have another mean over levels on the baseline's side, too.
      const key = JSON.stringify([level, metric, thinLevels, base]);
      const row = rows.get(key) ?? { first: change, changes: comparisons.map(() => null) };
      row.changes[nth] = change;
      rows.set(key, row);
    }
  }
  const all = [...rows.values()].map(({ first: { metric, level, thinLevels, base }, changes }) => ({
    metric,
    level,
    thinLevels,
    base,
    changes,
  }));
  const metrics = [...new Set(all.map(({ metric }) => metric))];
  const over = all.filter(({ level }) => level === null);
  return [
    ...over.toSorted((a, b) => metrics.indexOf(a.metric) - metrics.indexOf(b.metric)),
    ...all.filter(({ level }) => level !== null),
  ];
}
