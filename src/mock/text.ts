import { Random } from '../core/random.ts';
import type { TextKind } from './options.ts';

/** A prime that few word lists have as a divisor of their length: neighbours in the text are far apart in the list. */
const STRIDE = 7_919;

const UNICODE_WORDS = [
  'naïve',
  'café',
  'straße',
  'Größe',
  'élan',
  'señor',
  'Привет',
  'мир',
  'こんにちは',
  '世界',
  '안녕',
  'שלום',
  'नमस्ते',
  '🙂',
  '👩‍🚀',
  '𝔘𝔫𝔦',
];

/** The words that output is made of, each with a space before it, ready to stand inside a JSON string. */
export class OutputText {
  readonly #escaped: readonly string[];
  readonly #plain: readonly string[];
  /** Whether every character is one byte in UTF-8. */
  readonly isAscii: boolean;

  /** `words` are used for the kind `words`. */
  constructor(kind: TextKind, words: readonly string[]) {
    this.#plain = (kind === 'unicode' ? UNICODE_WORDS : words).map((word) => ` ${word}`);
    this.#escaped = this.#plain.map((word) => JSON.stringify(word).slice(1, -1));
    this.isAscii = this.#plain.every((word) => Buffer.byteLength(word) === word.length);
  }

  /** Where a text starts, by the seed parts. */
  start(...seed: readonly (string | number)[]): number {
    return new Random('text', ...seed).integer(0, this.#plain.length - 1);
  }

  /** Words `from` to `to` (excluded) of the text that starts at `start`, escaped for JSON. */
  escaped(start: number, from: number, to: number): string {
    return this.#join(this.#escaped, start, from, to);
  }

  /** As `escaped`, as plain text. */
  plain(start: number, from: number, to: number): string {
    return this.#join(this.#plain, start, from, to);
  }

  #join(words: readonly string[], start: number, from: number, to: number): string {
    let text = '';
    for (let k = from; k < to; k++) text += words[(start + k * STRIDE) % words.length]!;
    return text;
  }
}

/**
 * Output length at which a model of mean length `mean` ends: geometric on 1, 2, 3, …, by inversion of one
 * uniform number, `1 + floor(ln(1 - u) / ln(1 - 1/mean))`.
 */
export function eosLength(mean: number, ...seed: readonly (string | number)[]): number {
  if (mean <= 1) return 1;
  const u = new Random('eos', ...seed).float();
  return 1 + Math.floor(Math.log(1 - u) / Math.log(1 - 1 / mean));
}

/** 32-bit FNV-1a over UTF-16 code units: the seed of what depends on a prompt. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}
