import { Random } from '../core/random.ts';
import { type Composition, openExactPrompts, type Place } from './exact-prompts.ts';
import { numberOf, PHASES, type PrepareJob } from './prepare.ts';
import { checkLengths, drawLengths } from './random.ts';
import type { MadeText, TextMaker } from './text-maker.ts';

/** Prompts that begin with one of some texts, and go on with a text of their own. */
export const openPrefixPrompts = (job: PrepareJob): ReturnType<typeof openExactPrompts> =>
  openExactPrompts(job, composePrefix);

function composePrefix(job: PrepareJob, leastOfTemplate: number): Composition {
  const { prompts } = job;
  const { seed, salt, sharedSalt = salt } = prompts;
  const prefix = prompts.prefix!;
  const leastIsl = leastOfTemplate + prefix.tokens;
  const weights = cumulativeWeights(prefix.groups, prefix.zipf);
  const groupOf = ({ point, phase, index }: Place): number =>
    pick(weights, new Random(seed, 'group', point.index, phase, index).float());
  const heads = new Map<number, MadeText>();
  const headOf = (group: number, texts: TextMaker): MadeText => {
    let head = heads.get(group);
    if (head === undefined) {
      head = texts.make(prefix.tokens, new Random(seed, sharedSalt, 'prefix', group));
      heads.set(group, head);
    }
    return head;
  };
  return {
    warnings: checkLengths(job, leastIsl),
    facts: { sharedRatio: sharedRatio(job, prefix.tokens, groupOf, leastIsl) },
    lengths: (place) => drawLengths(place, prompts, leastIsl),
    text(place, tokens, texts) {
      const { point, phase, index } = place;
      const head = headOf(groupOf(place), texts);
      const own = new Random(seed, salt, point.index, phase, index);
      // Where the prefix missed its length, the text behind it makes up for that.
      const made = texts.make(tokens, own, { text: head.text, tokens: prefix.tokens });
      return { ...made, head: `${head.text} ` };
    },
  };
}

/** Of the measured prompts' tokens, the share that stood at the start of an earlier prompt of the run. */
function sharedRatio(
  job: PrepareJob,
  tokens: number,
  groupOf: (place: Place) => number,
  leastIsl: number,
): number {
  const seen = new Set<number>();
  let shared = 0;
  let all = 0;
  for (const entry of job.run ?? job.points) {
    for (const phase of PHASES) {
      for (let i = 0; i < entry.counts[phase]; i++) {
        const place = { point: entry.point, phase, index: numberOf(entry, phase, i) };
        const group = groupOf(place);
        if (phase === 'measured') {
          all += drawLengths(place, job.prompts, leastIsl).isl;
          if (seen.has(group)) shared += tokens;
        }
        seen.add(group);
      }
    }
  }
  return all === 0 ? 0 : shared / all;
}

/** Sums of 1 ÷ k^zipf for k from 1 to `groups`, as shares of the whole. */
function cumulativeWeights(groups: number, zipf: number): Float64Array {
  const sums = new Float64Array(groups);
  let sum = 0;
  for (let k = 0; k < groups; k++) {
    sum += 1 / (k + 1) ** zipf;
    sums[k] = sum;
  }
  return sums.map((value) => value / sum);
}

/** The first place whose sum is above `at`, 0 to 1. */
function pick(sums: Float64Array, at: number): number {
  const found = sums.findIndex((sum) => sum > at);
  return found < 0 ? sums.length - 1 : found;
}
