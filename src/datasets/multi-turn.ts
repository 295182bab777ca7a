import { Random } from '../core/random.ts';
import { type Composition, openExactPrompts, type Place } from './exact-prompts.ts';
import type { PrepareJob } from './prepare.ts';
import { checkLengths, drawLengths } from './random.ts';

/**
 * What the user says in conversations: the first turn as long as the level says, the others as `TurnSpec.isl` of bare text. The
 * answers between them come from the server, when each turn is sent.
 */
export const openMultiTurnPrompts = (job: PrepareJob): ReturnType<typeof openExactPrompts> =>
  openExactPrompts(job, composeTurns);

function composeTurns(job: PrepareJob, leastIsl: number): Composition {
  const { prompts } = job;
  const turns = prompts.turns!;
  // A warm-up request begins a conversation that nobody goes on with.
  const isFirst = ({ phase, index }: Place): boolean => phase === 'warmup' || index % turns.count === 0;
  return {
    warnings: checkLengths(job, leastIsl),
    lengths(place) {
      const drawn = drawLengths(place, prompts, leastIsl);
      // The template's tokens of a first message, which the text is made without.
      return isFirst(place) ? drawn : { ...drawn, isl: turns.isl + leastIsl - 1 };
    },
    text: ({ point, phase, index }, tokens, texts) =>
      texts.make(tokens, new Random(prompts.seed, prompts.salt, point.index, phase, index)),
  };
}
