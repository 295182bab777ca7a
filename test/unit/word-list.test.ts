import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type LoadedTokenizer, loadTokenizer } from '../../src/datasets/tokenizer.ts';
import { defaultCacheDir, proveWords, wordListOf } from '../../src/datasets/word-list.ts';
import { byteLevelJson, folderWith, madeUpWords, unigramJson, wordPieceJson } from './small-tokenizers.ts';

const load = (json: object): LoadedTokenizer =>
  loadTokenizer({
    name: 'small',
    source: 'small',
    tokenizerJson: JSON.stringify(json),
    configJson: null,
    templateJinja: null,
    templateJson: null,
  });

const WORDS = madeUpWords(1_500);

describe('proveWords', () => {
  it.each([
    ['byte-level BPE', byteLevelJson(WORDS)],
    ['WordPiece', wordPieceJson(WORDS)],
    ['SentencePiece unigram', unigramJson(WORDS)],
  ])('finds the words of a %s vocabulary', (_, json) => {
    const { words, firstWords } = proveWords(load(json));
    expect([...words].filter((word) => word.length === 4).sort()).toEqual([...WORDS].sort());
    expect(firstWords.length).toBeGreaterThanOrEqual(WORDS.length);
  });

  it('drops words that melt together with a neighbour', () => {
    // "doga" and "Ġbaba" merge into one token when they meet, with or without a space before.
    const tokenizer = load(byteLevelJson(WORDS, ['Ġdoga Ġbaba']));
    expect(tokenizer.encode('bebe doga baba').length).toBe(2);
    const { words } = proveWords(tokenizer);
    expect(words.includes('doga') && words.includes('baba')).toBe(false);
    const text = words.join(' ');
    expect(tokenizer.encode(`${text} ${[...words].reverse().join(' ')}`).length).toBe(2 * words.length);
  });
});

describe('wordListOf', () => {
  it('has no list for a vocabulary with few words', () => {
    expect(wordListOf(load(wordPieceJson(madeUpWords(400))), null)).toEqual({ list: null, fresh: true });
  });

  it('keeps the list by the hash of the tokenizer', () => {
    const cache = folderWith({});
    const tokenizer = load(wordPieceJson(WORDS));
    const first = wordListOf(tokenizer, cache);
    expect(first.fresh).toBe(true);
    expect(readdirSync(join(cache, 'words'))).toEqual([`${tokenizer.hash}.json`]);
    expect(wordListOf(tokenizer, cache)).toEqual({ list: first.list, fresh: false });
    expect(wordListOf(load(wordPieceJson(madeUpWords(1_200))), cache).fresh).toBe(true);
  });

  it.each([
    '',
    '{"version":1,"words":',
    '{"version":0,"words":[],"firstWords":[]}',
    '{"version":1,"words":[3]}',
  ])('proves anew over a broken cache: %s', (content) => {
    const cache = folderWith({});
    const tokenizer = load(wordPieceJson(WORDS));
    const { list } = wordListOf(tokenizer, cache);
    const file = join(cache, 'words', `${tokenizer.hash}.json`);
    writeFileSync(file, content);
    expect(wordListOf(tokenizer, cache)).toEqual({ list, fresh: true });
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ words: list!.words });
  });

  it('does without a cache that cannot be written', () => {
    const folder = folderWith({ occupied: 'a file where the folder should be' });
    expect(wordListOf(load(wordPieceJson(WORDS)), join(folder, 'occupied')).fresh).toBe(true);
  });
});

describe('defaultCacheDir', () => {
  it('follows XDG_CACHE_HOME', () => {
    expect(defaultCacheDir({ XDG_CACHE_HOME: '/var/cache/me' })).toBe('/var/cache/me/bench-serving');
    expect(defaultCacheDir({})).toMatch(/\.cache[/\\]bench-serving$/);
    expect(defaultCacheDir({ XDG_CACHE_HOME: '', HOME: '/home/me' })).toBe('/home/me/.cache/bench-serving');
    expect(defaultCacheDir({ XDG_CACHE_HOME: 'here', HOME: '/home/me' })).toBe(
      '/home/me/.cache/bench-serving',
    );
  });

  it('is none for a user without a home, and never a folder of the working directory', () => {
    expect(defaultCacheDir({ HOME: '' })).toBeNull();
    expect(defaultCacheDir({ HOME: 'here' })).toBeNull();
    expect(defaultCacheDir({ HOME: '', XDG_CACHE_HOME: '/var/cache/me' })).toBe(
      '/var/cache/me/bench-serving',
    );
  });
});
