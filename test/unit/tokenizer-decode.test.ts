import { describe, expect, it } from 'vitest';
import { type LoadedTokenizer, loadTokenizer } from '../../src/datasets/tokenizer.ts';
import { wordPieceJson } from './small-tokenizers.ts';

function load(json: object): LoadedTokenizer {
  const tokenizerJson = JSON.stringify(json);
  return loadTokenizer({
    name: 'small',
    source: 'small',
    tokenizerJson,
    configJson: null,
    templateJinja: null,
    templateJson: null,
  });
}

const token = (content: string, id: number) => ({
  ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
});
const ids = (entries: readonly string[]) => Object.fromEntries(entries.map((entry, id) => [entry, id]));
const bytes = Array.from({ length: 256 }, (_, n) => `<0x${n.toString(16).toUpperCase().padStart(2, '0')}>`);

/** A BPE as SentencePiece makes it: a token for each byte, then two with letters. */
const withBytes = {
  added_tokens: [token('<unk>', 0), token('<s>', 260)],
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
  model: {
    type: 'BPE',
    unk_token: '<unk>',
    fuse_unk: true,
    byte_fallback: true,
    vocab: ids(['<unk>', ...bytes, '▁', 'a', '▁a']),
    merges: ['▁ a'],
  },
};

// Expected texts are those of Python's tokenizers 0.22.2 for the same JSON and ids.
describe('decoding', () => {
  it.each([
    ['a whole character', [0xf0, 0x9f, 0x99, 0x82], 'a🙂<s>a'],
    ['a cut one, a sign for each byte', [0xf0, 0x9f, 0x99], 'a���<s>a'],
    ['a letter before a cut one', [0x61, 0xc3], 'a��<s>a'],
    ['a byte order mark', [0xef, 0xbb, 0xbf, 0x61], 'a\ufeffa<s>a'],
    ['a whole character before a cut one', [0xc3, 0xa9, 0xf0, 0x9f], 'a����<s>a'],
  ])('gives byte tokens as the native library does: %s', (_, run, text) => {
    expect(load(withBytes).decode([259, ...run.map((byte) => byte + 1), 260, 258], 4)).toBe(text);
  });

  it('leaves added tokens alone in a byte-level decoder within a sequence', () => {
    const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
    const tokenizer = load({
      added_tokens: [token('<｜x｜>', 5)],
      decoder: { type: 'Sequence', decoders: [byteLevel] },
      model: { type: 'BPE', vocab: ids(['h', 'i', 'Ġ', 'Ã', '©']), merges: [] },
    });
    expect(tokenizer.decode([0, 1, 5, 2, 3, 4, 0], 4)).toBe('hi<｜x｜> éh');
  });
});

describe('the size of the vocabulary', () => {
  it('counts added tokens that stand in the model, and no others', () => {
    expect(load(withBytes).vocabularySize).toBe(260);
    // Three markers, 30 signs, as many continued ones and the two words.
    expect(load(wordPieceJson(['bake', 'tone'])).vocabularySize).toBe(65);
  });
});
