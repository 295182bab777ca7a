import type { Random } from '../core/random.ts';
import {
  drawWords,
  type MadeText,
  SALT_WORDS,
  spread,
  type TextHead,
  type TextMaker,
  type TextParts,
} from './text-maker.ts';

/** Encodings spent on one text before its nearest miss is taken. */
const MOST_TRIES = 48;
/** Words whose cost is looked at to find those of one price. */
const MOST_PRICED = 1_024;
/** Ends for a text that may add a single token where a word adds more. */
const FILLERS = [' a', ' the', ' of', ' .', '.', ' ,', '!', '?', ' x', ' 1', '1', 'e', '的', '。', 'の'];

/**
 * Makes texts for a tokenizer whose tokens cannot be counted by construction: encode, correct, encode
 * again. `count` gives the tokens of a text, template included where it counts. `pieces` are the body:
 * words or pieces of a corpus, each with its leading space. Lengths that cannot be met in a bounded
 * number of tries come out with their `excess`.
 */
export function adjustedTextMaker(
  words: readonly string[],
  pieces: readonly string[] | null,
  count: (text: string) => number,
): TextMaker {
  const parts = evenlyPricedWords(words, count);
  const body = pieces ?? parts.words.map((word) => ` ${word}`);
  const make = (tokens: number, random: Random, head?: TextHead): MadeText => {
    const salt = drawWords(parts, SALT_WORDS, random);
    const place = random.integer(0, body.length - 1);
    // Words come in random order; a corpus is read on from the start.
    const order: string[] = [];
    const unit = (i: number): string => {
      while (order.length <= i) {
        const at =
          pieces === null ? random.integer(0, body.length - 1) : (place + order.length) % body.length;
        order.push(body[at]!);
      }
      return order[i]!;
    };
    const start = head === undefined ? '' : `${head.text} `;
    const units = [...salt.split(' ').map((word, i) => (i === 0 ? word : ` ${word}`))];
    const textOf = (length: number): string => {
      for (let i = units.length; i < length; i++) units.push(unit(i - SALT_WORDS));
      return start + units.slice(0, length).join('');
    };
    return fitText(tokens, textOf, count);
  };
  return { parts, make };
}

/** Finds a number of units, and fillers behind them, whose text counts exactly `target`. */
function fitText(
  target: number,
  textOf: (units: number) => string,
  count: (text: string) => number,
): MadeText {
  let tries = 0;
  let nearest: MadeText | null = null;
  const excessOf = (text: string): number => {
    tries++;
    const excess = count(text) - target;
    if (nearest === null || Math.abs(excess) < Math.abs(nearest.excess)) nearest = { text, excess };
    return excess;
  };

  // Bracket the target: `low` units are too short or exact, `high` units are too long.
  let low = 0;
  let lowExcess = count(textOf(0)) - target;
  const emptyExcess = lowExcess;
  let high: number | null = null;
  let guess = Math.max(1, Math.round(-lowExcess / 1.5));
  while (tries < MOST_TRIES / 2 && (high === null || high - low > 1)) {
    const excess = excessOf(textOf(guess));
    if (excess === 0) return { text: textOf(guess), excess: 0 };
    if (excess < 0) {
      low = guess;
      lowExcess = excess;
    } else high = guess;
    const perUnit = Math.max(0.5, (excess - emptyExcess) / guess);
    const step = Math.round(-excess / perUnit) || -Math.sign(excess);
    const next = guess + step;
    const inside = next > low && (high === null || next < high);
    guess = inside ? next : high === null ? low + Math.max(1, step) : (low + high) >> 1;
    if (guess <= low) break;
  }

  // Close the last gap with fillers, going back a few units when none fits.
  for (let back = 0; back < 4 && low - back >= 0; back++) {
    const base = textOf(low - back);
    const gap = back === 0 ? -lowExcess : -excessOf(base);
    for (const filler of FILLERS) {
      if (tries >= MOST_TRIES) break;
      const text = closeGap(base, gap, filler, excessOf);
      if (text !== null) return { text, excess: 0 };
    }
  }
  return nearest ?? { text: textOf(1), excess: count(textOf(1)) - target };
}

function closeGap(
  base: string,
  gap: number,
  filler: string,
  excessOf: (text: string) => number,
): string | null {
  if (gap <= 0) return null;
  const text = (base + filler.repeat(gap)).trimStart();
  return text !== '' && text === text.trimEnd() && excessOf(text) === 0 ? text : null;
}

/**
 * Words that all cost the same number of tokens where they stand, the commonest cost: a salt word can
 * then take another's place.
 */
function evenlyPricedWords(words: readonly string[], count: (text: string) => number): TextParts {
  const sample = spread(words, MOST_PRICED);
  const anchor = sample[0]!;
  const firstWords = commonest(sample, (word) => count(`${word} ${anchor}`));
  const others = commonest(sample, (word) => count(`${anchor} ${word} ${anchor}`));
  return { firstWords, words: others };
}

function commonest(words: readonly string[], costOf: (word: string) => number): string[] {
  const byCost = new Map<number, string[]>();
  for (const word of words) {
    const cost = costOf(word);
    byCost.set(cost, [...(byCost.get(cost) ?? []), word]);
  }
  return [...byCost.values()].reduce((best, list) => (list.length > best.length ? list : best));
}
