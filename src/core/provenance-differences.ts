import { isCompared } from './definitions.ts';
import { loadText } from './load.ts';
import type { Repeat } from './repeat.ts';

/** Something that is not the same on both sides: all values that each has. */
export interface FactDifference {
  readonly fact: string;
  readonly base: readonly string[];
  readonly cand: readonly string[];
  /** It says where or when, and not what was measured: no variable of an experiment. */
  readonly incidental: boolean;
}

/** Something that is not the same on all sides: all values that each has, in the order of the sides. */
export interface FactSpread extends Pick<FactDifference, 'fact' | 'incidental'> {
  readonly values: readonly (readonly string[])[];
}

/** What differs between both sides, or within one of them. */
export function differences(base: readonly Repeat[], cand: readonly Repeat[]): FactDifference[] {
  return factSpreads([base, cand]).map(({ values, ...rest }) => ({
    ...rest,
    base: values[0]!,
    cand: values[1]!,
  }));
}

/** What differs between any of the sides, or within one of them. */
export function factSpreads(sides: readonly (readonly Repeat[])[]): FactSpread[] {
  const known = sides.map(valuesByFact);
  return [...new Set(known.flatMap((facts) => [...facts.keys()]))].flatMap((fact) => {
    const values = known.map((facts) => [...(facts.get(fact)?.values ?? ['-'])]);
    if (new Set(values.flat()).size === 1) return [];
    return [{ fact, values, incidental: known.some((facts) => facts.get(fact)?.incidental) }];
  });
}

interface Values {
  readonly values: Set<string>;
  readonly incidental: boolean;
}

function valuesByFact(runs: readonly Repeat[]): Map<string, Values> {
  const found = new Map<string, Values>();
  for (const { facts } of runs)
    for (const [fact, , incidental = false] of facts) found.set(fact, { values: new Set(), incidental });
  for (const { facts } of runs) {
    const told = new Map(facts.map(([fact, value]) => [fact, value]));
    for (const [fact, { values }] of found) values.add(told.get(fact) ?? '-');
  }
  return found;
}

/** Why numbers of these runs do not mean the same thing, in words; empty when they do. */
export function obstaclesTo(base: readonly Repeat[], cand: readonly Repeat[]): string[] {
  const all = [...base, ...cand];
  const kinds = (name: string, of: (run: Repeat) => string): string[] => {
    const found = [...new Set(all.map(of))];
    return found.length === 1 ? [] : [`${name}: ${found.join(' and ')}`];
  };
  return [
    ...kinds('prompt text', (run) => run.text),
    ...kinds('ISL counts', (run) => run.islCounts),
    ...kinds('shapes', (run) =>
      run.levels.map((level) => `${level.isl}x${level.osl}@${loadText(level)}`).join(' '),
    ),
    ...differentDefinitions(all),
  ];
}

/**
 * Terms of compared numbers that have no version in common; one that some runs do not have changes nothing about the
 * others.
 */
function differentDefinitions(runs: readonly Repeat[]): string[] {
  const terms = new Set(runs.flatMap(({ definitions }) => Object.keys(definitions)));
  return [...terms].filter(isCompared).flatMap((term) => {
    if (commonVersion(runs, term) !== null) return [];
    const own = new Set(runs.flatMap((run) => versionsOf(run, term).slice(0, 1)));
    return [`definition of ${term}: version ${[...own].join(' and ')}`];
  });
}

type Defined = Pick<Repeat, 'definitions' | 'definitionVersions' | 'sameByVersions'>;

/** The latest version of a term by which all runs that have it were counted, or would have the same numbers; null for none. */
export function commonVersion(runs: readonly Defined[], term: string): number | null {
  const versions = runs.map((run) => versionsOf(run, term)).filter((known) => known.length > 0);
  const common = versions.flat().filter((version) => versions.every((known) => known.includes(version)));
  return common.length === 0 ? null : Math.max(...common);
}

/** The run's own version of a term first; none where it has no such term. Older versions of bench wrote none: all of theirs are 1. */
function versionsOf(
  { definitions, definitionVersions, sameByVersions }: Defined,
  term: string,
): readonly number[] {
  if (!Object.hasOwn(definitions, term)) return [];
  return [definitionVersions?.[term] ?? 1, ...(sameByVersions?.[term] ?? [])];
}
