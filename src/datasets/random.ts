import { usageError } from '../core/errors.ts';
import { drawSpread, ratioBelow } from '../core/length-spread.ts';
import { Random } from '../core/random.ts';
import type { PromptSpec, Spread } from '../core/spec.ts';
import { type Composition, openExactPrompts, type Place } from './exact-prompts.ts';
import type { PrepareJob } from './prepare.ts';

/** Share of lengths that may be cut off below before that is told. */
const TOLD_RATIO = 0.001;

/** Prompts of random lengths and random text. */
export const openRandomPrompts = (job: PrepareJob): ReturnType<typeof openExactPrompts> =>
  openExactPrompts(job, composeRandom);

function composeRandom(job: PrepareJob, leastIsl: number): Composition {
  const { prompts } = job;
  return {
    warnings: checkLengths(job, leastIsl),
    lengths: (place) => drawLengths(place, prompts, leastIsl),
    text: ({ point, phase, index }, tokens, texts) =>
      texts.make(tokens, new Random(prompts.seed, prompts.salt, point.index, phase, index)),
  };
}

/**
 * The lengths of a prompt around those of its point. They do not hang on the salt: runs with the same seed ask for the
 * same work.
 */
export function drawLengths(
  { point, phase, index }: Place,
  { seed, rangeRatio, islSpread, oslSpread }: PromptSpec,
  leastIsl: number,
): { readonly isl: number; readonly osl: number } {
  const random = new Random(seed, 'lengths', point.index, phase, index);
  return {
    isl: drawLength(point.isl, rangeRatio, islSpread, leastIsl, random),
    osl: drawLength(point.osl, rangeRatio, oslSpread, 1, random),
  };
}

/** Around `length` by its spread, or uniform in [max(1, trunc(L·ratio)), L]; not below `least`. A ratio of 1 draws nothing. */
function drawLength(
  length: number,
  ratio: number,
  spread: Spread | undefined,
  least: number,
  random: Random,
): number {
  if (spread !== undefined) return drawSpread(length, spread, least, random);
  if (ratio === 1) return length;
  return random.integer(Math.max(least, 1, Math.trunc(length * ratio)), length);
}

/** Refuses lengths that cannot be made (exit 2); tells of lengths that are cut off below. */
export function checkLengths({ points, prompts }: PrepareJob, leastIsl: number): string[] {
  const warnings: string[] = [];
  for (const { point } of points) {
    if (point.isl < leastIsl) throw tooShort(point.isl, leastIsl, prompts);
    if (
      prompts.islSpread === undefined &&
      Math.max(1, Math.trunc(point.isl * prompts.rangeRatio)) < leastIsl
    ) {
      warnings.push(
        `input lengths of point ${point.index} start at ${leastIsl}, since ${takers(leastIsl, prompts)}`,
      );
    }
    for (const [name, nominal, spread, least] of [
      ['input', point.isl, prompts.islSpread, leastIsl],
      ['output', point.osl, prompts.oslSpread, 1],
    ] as const) {
      const below = spread === undefined ? 0 : ratioBelow(nominal, spread, least);
      if (below > TOLD_RATIO)
        warnings.push(
          `${name} lengths of point ${point.index}: ${(below * 100).toFixed(1)} % of the distribution are below ${least} and cut off, so the mean is above ${nominal}`,
        );
    }
  }
  return warnings;
}

function tooShort(isl: number, leastIsl: number, prompts: PromptSpec): Error {
  return usageError(
    prompts.prefix === undefined
      ? `--isl: ${isl} tokens leave no room: the chat template alone takes ${leastIsl - 1}`
      : `--isl: ${isl} tokens leave no room for a text of its own: ${takers(leastIsl, prompts)}`,
    prompts.prefix === undefined
      ? `ask for at least ${leastIsl}, or count the bare text with --isl-counts content`
      : `ask for at least ${leastIsl}, or for a shorter --prefix-tokens`,
  );
}

function takers(leastIsl: number, { prefix }: PromptSpec): string {
  return prefix === undefined
    ? `the chat template takes ${leastIsl - 1} tokens`
    : `the prefix and the chat template take ${leastIsl - 1} tokens`;
}
