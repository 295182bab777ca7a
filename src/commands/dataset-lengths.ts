import type { PromptFacts } from '../core/prompt-facts.ts';
import type { RunSpec } from '../core/spec.ts';

/** The spec with the mean lengths of its dataset, once that was read. */
export function withLengths(spec: RunSpec, { rows }: PromptFacts): RunSpec {
  if (rows === undefined) return spec;
  const { isl, osl } = rows;
  return {
    ...spec,
    points: spec.points.map((point) =>
      point.lengths === undefined ? point : { ...point, isl: isl ?? 0, osl },
    ),
  };
}
