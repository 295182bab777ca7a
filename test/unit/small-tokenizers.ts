import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** Lower-case words without meaning, `count` of them: ba, be, bi … then with more syllables. */
export function madeUpWords(count: number): string[] {
  const syllables = [...'bdfgklmnprst'].flatMap((head) => [...'aeiou'].map((tail) => head + tail));
  const words = syllables.flatMap((first) => syllables.map((second) => first + second));
  return words.slice(0, count);
}

const MARKERS = ['[UNK]', '<s>', '</s>'];

function special(content: string, id: number): object {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
}

const indexed = (entries: readonly string[]): Record<string, number> =>
  Object.fromEntries(entries.map((entry, id) => [entry, id]));

/** WordPiece over whole words: each word, letter and continued letter is an entry. */
export function wordPieceJson(words: readonly string[]): object {
  const letters = [...'abcdefghijklmnopqrstuvwxyz.,!?'];
  const entries = [...MARKERS, ...letters, ...letters.map((letter) => `##${letter}`), ...words];
  return {
    version: '1.0',
    added_tokens: MARKERS.map(special),
    normalizer: null,
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: null,
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: indexed([...new Set(entries)]),
    },
  };
}

/** Unigram with ▁ for spaces, as SentencePiece writes it: words cost 1, letters make up the rest. */
export function unigramJson(words: readonly string[]): object {
  const letters = [...'▁abcdefghijklmnopqrstuvwxyz.,!?'];
  const vocab = [
    ...MARKERS.map((marker) => [marker, 0]),
    ...letters.map((letter) => [letter, -10]),
    ...words.map((word) => [`▁${word}`, -5]),
  ];
  return {
    version: '1.0',
    added_tokens: MARKERS.map(special),
    normalizer: null,
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: true },
    post_processor: null,
    decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: true },
    model: { type: 'Unigram', unk_id: 0, vocab, byte_fallback: false },
  };
}

/**
 * A byte-level BPE that merges to the given words of consonant-vowel syllables, each with and without its
 * space. With `acrossSpaces`, pairs of tokens that merge too, over a space.
 */
export function byteLevelJson(words: readonly string[], acrossSpaces: readonly string[] = []): object {
  const vocab = new Set<string>([...'Ġabcdefghijklmnopqrstuvwxyz.,!?Ċ0123456789<>|_-']);
  const merges: string[] = [];
  const join = (left: string, right: string): void => {
    if (vocab.has(left + right)) return;
    vocab.add(left + right);
    merges.push(`${left} ${right}`);
  };
  // Letters join to syllables before syllables join to words, so that no word gets in another's way.
  const syllables = (word: string): string[] => word.match(/..?/g)!;
  for (const pair of words.flatMap(syllables)) if (pair.length === 2) join(pair[0]!, pair[1]!);
  for (const word of words) {
    const parts = syllables(word);
    for (let i = 1; i < parts.length; i++) join(parts.slice(0, i).join(''), parts[i]!);
  }
  for (const word of words) join('Ġ', word);
  for (const pair of acrossSpaces) join(pair.split(' ')[0]!, pair.split(' ')[1]!);
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const split = {
    type: 'Split',
    pattern: { Regex: ' ?[a-z]+| ?[^a-z]' },
    behavior: 'Isolated',
    invert: false,
  };
  return {
    version: '1.0',
    added_tokens: ['<s>', '</s>'].map((marker, i) => special(marker, vocab.size + i)),
    normalizer: null,
    pre_tokenizer:
      acrossSpaces.length === 0 ? { type: 'Sequence', pretokenizers: [split, byteLevel] } : byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: 'BPE', unk_token: null, vocab: indexed([...vocab]), merges },
  };
}

/** A new folder with these files; objects are written as JSON. */
export function folderWith(files: Readonly<Record<string, object | string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'bench-tokenizer-'));
  folders.push(folder);
  for (const [name, content] of Object.entries(files)) {
    const file = join(folder, name);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  }
  return folder;
}
