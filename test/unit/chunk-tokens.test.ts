import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeChunkedTexts,
  decodeCounts,
  encodeChunkedTexts,
  encodeCounts,
} from '../../src/datasets/chunk-file.ts';
import { splitTokens } from '../../src/datasets/chunk-tokens.ts';
import { type LoadedTokenizer, loadTokenizer } from '../../src/datasets/tokenizer.ts';
import { byteLevelJson, unigramJson, wordPieceJson } from './small-tokenizers.ts';

const load = (json: object): LoadedTokenizer =>
  loadTokenizer({
    name: 'small',
    source: 'small',
    tokenizerJson: JSON.stringify(json),
    configJson: null,
    templateJinja: null,
    templateJson: null,
  });

const BPE = load(byteLevelJson(['go', 'tone']));
const utf8 = (text: string): Uint8Array => Buffer.from(text, 'utf8');
const split = (
  tokenizer: LoadedTokenizer,
  chunks: readonly string[],
  completionTokens: number | null,
  leastRatio?: number,
): number[] => {
  let end = 0;
  const ends = Uint32Array.from(chunks, (chunk) => (end += Buffer.byteLength(chunk)));
  return [...splitTokens(tokenizer, utf8(chunks.join('')), ends, completionTokens, leastRatio)];
};

describe('splitTokens', () => {
  it('counts the tokens between the ends of the chunks', () => {
    // Tokens: go | Ġtone | Ġgo | Ġgo | . | Ġtone
    expect(split(BPE, ['go tone', ' go go.', ' tone'], 6)).toEqual([2, 3, 1]);
  });

  it('agrees with the other kinds of vocabulary', () => {
    expect(split(load(unigramJson(['go', 'tone'])), ['go tone', ' go go', ' tone'], 5)).toEqual([2, 2, 1]);
    expect(split(load(wordPieceJson(['go', 'tone'])), ['go', 'tone', 'go'], 3)).toEqual([1, 1, 1]);
  });

  it('counts a stop token that left no text to the last chunk', () => {
    expect(split(BPE, ['go', ' tone'], 3).reduce((a, b) => a + b)).toBe(3);
  });

  it('scales to what the server counted', () => {
    expect(split(BPE, ['go go', ' go go', ' go go', ' go go'], 16)).toEqual([4, 4, 4, 4]);
    expect(split(BPE, ['go go', ' go go', ' go go', ' go go'], 4)).toEqual([1, 1, 1, 1]);
  });

  it('counts the text itself where it holds less than the given share of what the server counted', () => {
    // Eight tokens of text.
    const chunks = ['go go', ' go go', ' go go', ' go go'];
    expect(split(BPE, chunks, 16, 0.5)).toEqual([4, 4, 4, 4]);
    expect(split(BPE, chunks, 17, 0.5)).toEqual([2, 2, 2, 2]);
    expect(split(BPE, chunks, 10, 0.8)).toEqual([3, 2, 3, 2]);
    expect(split(BPE, chunks, 11, 0.8)).toEqual([2, 2, 2, 2]);
    expect(split(BPE, chunks, 4, 0.8)).toEqual([1, 1, 1, 1]);
  });

  it('counts the text itself when the server did not count', () => {
    expect(split(BPE, ['go tone', ' go go.', ' tone'], null)).toEqual([2, 3, 1]);
  });

  it('splits a token that a chunk ends inside of by its bytes', () => {
    // "Ġtone" has 5 bytes; the first chunk ends behind 4 of them.
    expect(split(BPE, [' ton', 'e go go'], 3)).toEqual([1, 2]);
  });

  it('gives each chunk a token while there are enough', () => {
    expect(split(BPE, ['g', 'o', ' tone go go'], 4)).toEqual([1, 1, 2]);
    expect(split(BPE, ['', 'go', '', ' go'], 4)).toEqual([1, 1, 1, 1]);
    expect(split(BPE, ['', '', ''], 6)).toEqual([2, 2, 2]);
  });

  it('counts bytes, not characters', () => {
    const text = '→'.repeat(4);
    const tokenizer = load(byteLevelJson(['go']));
    expect(split(tokenizer, [text, ' go'], 13).reduce((a, b) => a + b)).toBe(13);
  });

  it('adds up to the count, whatever the chunks', () => {
    const piece = fc.constantFrom('go', ' go', ' tone', 'x', '.', '', '→', '\n');
    fc.assert(
      fc.property(
        fc.array(piece, { minLength: 1, maxLength: 40 }),
        fc.nat(200),
        (chunks, completionTokens) => {
          const counts = split(BPE, chunks, completionTokens);
          expect(counts.reduce((a, b) => a + b, 0)).toBe(completionTokens);
          if (completionTokens >= chunks.length) expect(Math.min(...counts)).toBeGreaterThanOrEqual(1);
        },
      ),
    );
  });
});

describe('the files between the processes', () => {
  it('give back what went in', () => {
    const responses = [
      { text: utf8('a→b'), ends: Uint32Array.of(1, 4, 5), completionTokens: 3 },
      { text: utf8(''), ends: Uint32Array.of(), completionTokens: null },
      { text: utf8('xyz'), ends: Uint32Array.of(3), completionTokens: 70_000 },
    ];
    const back = [...decodeChunkedTexts(encodeChunkedTexts(responses))];
    expect(back.map(({ text }) => Buffer.from(text).toString())).toEqual(['a→b', '', 'xyz']);
    expect(back.map(({ ends }) => [...ends])).toEqual([[1, 4, 5], [], [3]]);
    expect(back.map(({ completionTokens }) => completionTokens)).toEqual([3, null, 70_000]);

    const counts = [Uint32Array.of(1, 1, 1), Uint32Array.of(), Uint32Array.of(70_000)];
    expect(decodeCounts(encodeCounts(counts))).toEqual(counts);
    expect(() => decodeCounts(encodeCounts(counts).subarray(0, 10))).toThrow(RangeError);
  });
});
