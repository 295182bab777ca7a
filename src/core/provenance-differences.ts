import type { Report } from './report.ts';

/** Something that is not the same on both sides: all values that each has. */
export interface FactDifference {
  readonly fact: string;
  readonly base: readonly string[];
  readonly cand: readonly string[];
  /** It says where or when, and not what was measured: no variable of an experiment. */
  readonly incidental: boolean;
}

type Facts = readonly (readonly [name: string, value: string | null, incidental?: boolean])[];

/** What a run was made with, by name; null where the run does not say. */
function factsOf(report: Report): Facts {
  const { target, prompts, provenance, spec, stack, tags } = report;
  const job = provenance.slurm?.['SLURM_JOB_ID'] ?? stack?.jobId ?? null;
  return [
    ['model', target.model],
    ['server', target.server],
    ['endpoint', target.endpoint],
    ['tokenizer', prompts.tokenizerHash],
    ['chat template', prompts.template.hash ?? prompts.template.source],
    ['prompt text', prompts.text],
    ['prompt method', prompts.method],
    ['ISL counts', prompts.islCounts],
    ['extra body', JSON.stringify(spec.extraBody)],
    ['fields the server refused', target.refusedFields.join(' ') || null],
    ['arrival', spec.arrival],
    ['load held', String(spec.holdLoad)],
    ['GPUs', spec.gpus === null ? null : String(spec.gpus)],
    ['bench', provenance.bench],
    ['Node', provenance.node],
    ['client host', provenance.host],
    ['client CPU', provenance.cpuModel],
    ['stack', stack?.name ?? null],
    ['stack nodes', stack ? stack.nodes.join(' ') : null],
    ['image', stack?.image?.digest ?? stack?.image?.reference ?? null],
    ...Object.entries(stack?.versions ?? {}).map(([name, value]) => [`version of ${name}`, value] as const),
    ...Object.entries(stack?.drivers ?? {}).map(([node, value]) => [`driver of ${node}`, value] as const),
    ...Object.entries(tags).map(([name, value]) => [`tag ${name}`, value] as const),
    ['address', target.urls.join(' '), true],
    ['SLURM job', job, true],
    ['git commit', provenance.git?.commit ?? null, true],
  ];
}

/** What differs between both sides, or within one of them. */
export function differences(base: readonly Report[], cand: readonly Report[]): FactDifference[] {
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

function valuesByFact(reports: readonly Report[]): Map<string, Values> {
  const found = new Map<string, Values>();
  for (const report of reports) {
    for (const [fact, value, incidental = false] of factsOf(report)) {
      const known = found.get(fact) ?? { values: new Set(), incidental };
      known.values.add(value ?? '-');
      found.set(fact, known);
    }
  }
  return found;
}

/** Why numbers of these runs do not mean the same thing, in words; empty when they do. */
export function obstaclesTo(base: readonly Report[], cand: readonly Report[]): string[] {
  const all = [...base, ...cand];
  const kinds = (name: string, of: (report: Report) => string): string[] => {
    const found = [...new Set(all.map(of))];
    return found.length === 1 ? [] : [`${name}: ${found.join(' and ')}`];
  };
  const definitions = new Set(all.map((report) => JSON.stringify(report.definitions)));
  return [
    ...kinds('prompt text', (report) => report.prompts.text),
    ...kinds('ISL counts', (report) => report.prompts.islCounts),
    ...kinds('shapes', (report) =>
      report.levels.map(({ isl, osl, concurrency }) => `${isl}x${osl}@${concurrency}`).join(' '),
    ),
    ...(definitions.size === 1 ? [] : ['the definitions of their numbers differ']),
  ];
}
