import type { Random } from '../core/random.ts';

/** The words that start a prompt, so that no two prompts and no two runs share a prefix. */
export const SALT_WORDS = 8;

/** What a text is made of. */
export interface TextParts {
  /** For the first place of a text. */
  readonly firstWords: readonly string[];
  /** For all other places, after a space. */
  readonly words: readonly string[];
}

export interface MadeText {
  readonly text: string;
  /** Tokens that the text has beyond what was asked; 0 when it is exact. */
  readonly excess: number;
}

/** The start of a text that is to be shared, and its tokens: fewer than the text shall have. */
export interface TextHead {
  readonly text: string;
  readonly tokens: number;
}

/** Makes texts of a length in tokens. */
export interface TextMaker {
  readonly parts: TextParts;
  /**
   * A text of `tokens` tokens, counted as the maker was built to count; it begins with `head`, which another make gave.
   * The same stream, the same text.
   */
  make(tokens: number, random: Random, head?: TextHead): MadeText;
}

/** `count` words in a row, the first of them from `firstWords`; '' for none. */
export function drawWords(parts: TextParts, count: number, random: Random): string {
  if (count === 0) return '';
  const { firstWords, words } = parts;
  const drawn: string[] = [firstWords[random.integer(0, firstWords.length - 1)]!];
  const last = words.length - 1;
  for (let i = 1; i < count; i++) drawn.push(words[random.integer(0, last)]!);
  return drawn.join(' ');
}

/** At most `count` entries of a list, taken evenly from all of it. */
export function spread(list: readonly string[], count: number): string[] {
  const step = Math.max(1, list.length / count);
  return Array.from({ length: Math.min(count, list.length) }, (_, i) => list[Math.floor(i * step)]!);
}

/** Random words, each one token: exact by construction. */
export function wordTextMaker(parts: TextParts): TextMaker {
  return {
    parts,
    make: (tokens, random, head) => ({
      text: behind(head, drawWords(parts, tokens - (head?.tokens ?? 0), random)),
      excess: 0,
    }),
  };
}

function behind(head: TextHead | undefined, text: string): string {
  return head === undefined ? text : `${head.text} ${text}`;
}

/**
 * Natural text behind the salt words: whole pieces of a corpus whose token counts are known, from a
 * random piece on, and words for the few tokens that the last piece leaves open.
 */
export function corpusTextMaker(parts: TextParts, corpus: CountedCorpus): TextMaker {
  const make: TextMaker['make'] = (whole, random, head) => {
    const tokens = whole - (head?.tokens ?? 0);
    const salt = Math.min(SALT_WORDS, tokens);
    let text = drawWords(parts, salt, random);
    const body = corpus.take(random.integer(0, corpus.size - 1), tokens - salt);
    text += body.text;
    for (let i = salt + body.tokens; i < tokens; i++) {
      text += ` ${parts.words[random.integer(0, parts.words.length - 1)]!}`;
    }
    return { text: behind(head, text), excess: 0 };
  };
  return { parts, make };
}

/** Splits natural text into pieces that each start with a space and hold no other space. */
export function corpusPieces(text: string): string[] {
  return splitAtSpaces(` ${text.trim()}`);
}

/** Cuts a text before each space that something follows. */
export function splitAtSpaces(text: string): string[] {
  return text.split(/(?= \S)/);
}

/** A corpus whose pieces have known token counts. It has no end: behind the last piece comes the first. */
export class CountedCorpus {
  readonly #pieces: readonly string[];
  /** Tokens of all pieces before each place, and of the whole corpus at the end. */
  readonly #before: Float64Array;

  /** `tokensOf` counts one piece in the middle of a text. */
  constructor(pieces: readonly string[], tokensOf: (piece: string) => number) {
    const known = new Map<string, number>();
    this.#pieces = pieces;
    this.#before = new Float64Array(pieces.length + 1);
    for (const [i, piece] of pieces.entries()) {
      let tokens = known.get(piece);
      if (tokens === undefined) {
        tokens = tokensOf(piece);
        known.set(piece, tokens);
      }
      this.#before[i + 1] = this.#before[i]! + tokens;
    }
  }

  get size(): number {
    return this.#pieces.length;
  }

  /** As many whole pieces from `start` on as fit into `atMost` tokens. */
  take(start: number, atMost: number): { readonly text: string; readonly tokens: number } {
    const total = this.#before[this.size]!;
    const goal = this.#before[start]! + atMost;
    const rounds = Math.floor(goal / total);
    const end = this.#lastAtMost(goal - rounds * total);
    const all = (): string => this.#pieces.join('');
    const text =
      rounds === 0
        ? this.#pieces.slice(start, end).join('')
        : this.#pieces.slice(start).join('') + all().repeat(rounds - 1) + this.#pieces.slice(0, end).join('');
    return { text, tokens: rounds * total + this.#before[end]! - this.#before[start]! };
  }

  /** The last place with no more than `tokens` before it. */
  #lastAtMost(tokens: number): number {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#before[middle]! <= tokens) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
