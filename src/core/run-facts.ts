import type { Report } from './report.ts';
import type { PointSpec, RunSpec } from './spec.ts';

/** What a run was made with, by name; null where the run does not say. The mark is that of `FactDifference.incidental`. */
export type Facts = readonly (readonly [name: string, value: string | null, incidental?: boolean])[];

/** What the run of a report was made with. */
export function factsOf(report: Report): Facts {
  const { target, prompts, provenance, spec, stack, tags } = report;
  const job = provenance.slurm?.['SLURM_JOB_ID'] ?? stack?.jobId ?? null;
  return [
    ['model', target.model],
    ['server', target.server],
    ['endpoint', target.endpoint],
    ['tokenizer', prompts.tokenizerHash],
    ['chat template', prompts.template.hash ?? prompts.template.source],
    ['prompt text', promptText(report)],
    ['rows may repeat', prompts.file === undefined ? null : String(prompts.file.repeat)],
    ['prompt method', prompts.method],
    ['ISL counts', prompts.islCounts],
    ['extra body', JSON.stringify(spec.extraBody)],
    ['fields left out', spec.omit?.join(' ') ?? null],
    ['fields the server refused', target.refusedFields.join(' ') || null],
    ['request path', spec.requestPath ?? null],
    ['header names', [...spec.headerNames].sort().join(' ')],
    ['outputs', spec.naturalEnd === true ? 'may end by themselves' : 'as long as asked'],
    ['dataset', spec.dataset],
    ['seed', String(spec.prompts.seed)],
    ['range ratio', String(spec.prompts.rangeRatio)],
    ['requests', perPoint(report, ({ requests, durationMs }) => requests ?? `${durationMs} ms`)],
    ['warm-up', perPoint(report, ({ warmup }) => warmup)],
    ['arrival', arrivalText(spec)],
    ['most in flight', capText(spec)],
    ['wire', spec.connectionPerRequest ? `${spec.wire}, a connection per request` : spec.wire],
    ['time stamps', stampsText(report)],
    ['load generators', String(spec.load?.tasks ?? 1)],
    ['load held', String(spec.holdLoad)],
    ['GPUs', spec.gpus === null ? null : String(spec.gpus)],
    ['bench', provenance.bench],
    ['Node', provenance.node],
    ['client host', provenance.host],
    ['client CPU', provenance.cpuModel],
    ['stack', stack?.name ?? null],
    ['stack file', stack?.fileHash ?? null],
    ['stack nodes', stack ? stack.nodes.join(' ') : null],
    ['image', stack?.image?.digest ?? stack?.image?.reference ?? null],
    ...Object.entries(stack?.versions ?? {}).map(([name, value]) => [`version of ${name}`, value] as const),
    ...Object.entries(stack?.drivers ?? {}).map(([node, value]) => [`driver of ${node}`, value] as const),
    ...Object.entries(stack?.gpuClocks ?? {}).map(
      ([node, value]) => [`GPU clocks of ${node}`, value] as const,
    ),
    ...Object.entries(tags).map(([name, value]) => [`tag ${name}`, value] as const),
    ['address', target.urls.join(' '), true],
    ['SLURM job', job, true],
    ['git commit', provenance.git?.commit ?? null, true],
  ];
}

/** Who stamped the levels; runs of older versions knew the event loop alone. */
function stampsText({ levels }: Report): string | null {
  const who = new Set(levels.flatMap(({ audit }) => (audit === null ? [] : (audit.stampedBy ?? 'process'))));
  return who.size === 0
    ? null
    : [...who]
        .sort()
        .map((one) => (one === 'process' ? 'event loop' : one))
        .join(' and ');
}

/** How many an open loop lets be in flight; null in a closed loop, whose levels say so, and where there are as many as requests. */
function capText({ points }: RunSpec): string | null {
  const caps = points.flatMap(({ ratePerS, concurrency, requests }) =>
    ratePerS === undefined || concurrency === requests ? [] : [concurrency],
  );
  return caps.length === 0 ? null : [...new Set(caps)].join(' ');
}

/** What prompts say and how their lengths scatter, as far as numbers hang on it: `words`, `words, ISL normal:500`. */
export function promptText({ prompts, spec }: Report): string {
  const { file, prefix, turns, islSpread, oslSpread, text } = prompts;
  return [
    ...(file === undefined || spec.dataset === 'trace' ? [text] : []),
    ...(prefix === undefined
      ? []
      : [`${prefix.groups} prefixes of ${prefix.tokens} tokens`, `zipf ${prefix.zipf}`]),
    ...(turns === undefined
      ? []
      : [`${turns.count} turns of ${turns.isl} tokens`, `${turns.thinkMs} ms between`]),
    ...(file === undefined ? [] : [`${spec.dataset} ${file.hash.slice(0, 12)}`, file.order]),
    ...(file?.blockTokens === undefined ? [] : [`blocks of ${file.blockTokens} tokens`]),
    ...(islSpread === undefined ? [] : [`ISL ${islSpread.kind}:${islSpread.tokens}`]),
    ...(oslSpread === undefined ? [] : [`OSL ${oslSpread.kind}:${oslSpread.tokens}`]),
  ].join(', ');
}

/** `gamma, burstiness 0.5`: the arrivals with what shapes them. */
export function arrivalText({ arrival, arrivalShape = {} }: RunSpec): string {
  const { burstiness, fromPerS, tracePath, traceUnit, slowdown } = arrivalShape;
  return [
    arrival,
    ...(burstiness === undefined ? [] : [`burstiness ${burstiness}`]),
    ...(fromPerS === undefined ? [] : [`from ${fromPerS}/s`]),
    ...(tracePath === undefined ? [] : [tracePath, `slowdown ${slowdown ?? 1}`]),
    ...(traceUnit === undefined ? [] : [`timestamps in ${traceUnit}`]),
  ].join(', ');
}

/** A number of each point, once where it is the same for all. */
function perPoint({ spec }: Report, of: (point: PointSpec) => number | string): string {
  const values = spec.points.map((point) => String(of(point)));
  return new Set(values).size === 1 ? values[0]! : values.join(' ');
}
