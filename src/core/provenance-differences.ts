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

/** What differs between both sides, or within one of them. */
export function differences(base: readonly Repeat[], cand: readonly Repeat[]): FactDifference[] {
  const [a, b] = [base, cand].map(valuesByFact) as [Map<string, Values>, Map<string, Values>];
  return [...new Set([...a.keys(), ...b.keys()])].flatMap((fact) => {
    const left = a.get(fact)?.values ?? new Set(['-']);
    const right = b.get(fact)?.values ?? new Set(['-']);
    if (left.size === 1 && right.size === 1 && [...left][0] === [...right][0]) return [];
    const incidental = a.get(fact)?.incidental ?? b.get(fact)!.incidental;
    return [{ fact, base: [...left], cand: [...right], incidental }];
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
    ...differentDefinitions(all).map((term) => `the definition of ${term}`),
  ];
}

/** Terms that the runs define in different words; one that some do not know yet changes nothing about the others. */
function differentDefinitions(runs: readonly Repeat[]): string[] {
  const terms = new Set(runs.flatMap(({ definitions }) => Object.keys(definitions)));
  return [...terms].filter(
    (term) => new Set(runs.flatMap(({ definitions }) => definitions[term] ?? [])).size > 1,
  );
}
