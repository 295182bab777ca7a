import fs, { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeFolders } from '../core/folders.ts';
import { Random } from '../core/random.ts';
import { cacheHome } from './cache-home.ts';
import { readEmbeddedLines } from './embedded.ts';
import type { LoadedTokenizer } from './tokenizer.ts';

/** Words that are one token of their own wherever they stand in a row of such words. */
export interface WordList {
  /** One token each after a space. */
  readonly words: readonly string[];
  /** The part of `words` that is one token each at the start of a text too. */
  readonly firstWords: readonly string[];
}

/** With fewer words than this the text is too poor: prompts are then encoded and adjusted. */
const FEWEST_WORDS = 1_000;
const MOST_WORDS = 4_096;
/** How often each word is put between random neighbours for the proof. */
const PROOF_ROUNDS = 4;
const PROOF_ROW = 2_048;
/** Stands before a word that is looked at, so that it has its space. */
const ANCHOR = 'the';
/** Raised when the choice of words or the proof changes; older lists in the cache are then made anew. */
const CACHE_VERSION = 1;

/** Folder for word lists and other things that can be made again: `$XDG_CACHE_HOME/bench-serving`; null without a home. */
export function defaultCacheDir(env: Readonly<Record<string, string | undefined>>): string | null {
  const cache = cacheHome(env);
  return cache === null ? null : join(cache, 'bench-serving');
}

/**
 * The words of a tokenizer, from the cache or proven anew (`fresh`). `list` is null when the tokenizer
 * has too few of them. A cache that is broken or cannot be written only costs time.
 */
export function wordListOf(
  tokenizer: LoadedTokenizer,
  cacheDir: string | null,
): { readonly list: WordList | null; readonly fresh: boolean } {
  const file = cacheDir === null ? null : join(cacheDir, 'words', `${tokenizer.hash}.json`);
  const cached = file === null ? null : readCache(file);
  const found = cached ?? proveWords(tokenizer);
  if (file !== null && cached === null) writeCache(file, found);
  return { list: found.words.length < FEWEST_WORDS ? null : found, fresh: cached === null };
}

/**
 * Finds the words of a tokenizer and proves them. Candidates are the portable words that travel with the
 * program; where too few of them hold, the lower-case words of the vocabulary. The proof encodes each
 * word alone and all of them in shuffled rows and compares id by id; what does not hold is dropped and
 * the rest is proven again. No row can show all pairs of neighbours, so the vocabulary is searched for
 * entries that reach over a space: only by such an entry can two words come to depend on each other.
 */
export function proveWords(tokenizer: LoadedTokenizer): WordList {
  const vocabulary = tokenizer.vocabulary();
  const melting = meltingStarts(tokenizer, vocabulary);
  const prove = (candidates: readonly string[]): string[] =>
    proveAmong(
      tokenizer,
      candidates.filter((word) => !melting.some((start) => word.startsWith(start))),
    );
  const portable = prove(readEmbeddedLines('tokenizer/words.txt'));
  if (portable.length >= FEWEST_WORDS) return withFirstWords(tokenizer, portable);
  const entries = vocabulary
    .map((token) => /^[Ġ▁]?([a-z]{2,12})$/.exec(token)?.[1])
    .filter((word) => word !== undefined);
  const own = prove([...new Set(entries)]);
  return withFirstWords(tokenizer, own.slice(0, MOST_WORDS));
}

const REACHES_OVER_SPACE = /[a-z][Ġ▁ ][a-z]/;

/** Starts of words that may melt into the word before: what stands behind the space of such entries. */
function meltingStarts(tokenizer: LoadedTokenizer, vocabulary: readonly string[]): string[] {
  const starts = new Set<string>();
  for (const entry of vocabulary) {
    if (!REACHES_OVER_SPACE.test(entry)) continue;
    const text = entry.replaceAll(/[Ġ▁]/g, ' ').trim();
    const { tokens } = tokenizer.encodeTokens(`${ANCHOR} ${text}`);
    // Most pre-tokenizers cut at spaces, so that such an entry never comes up.
    if (!tokens.some((token) => REACHES_OVER_SPACE.test(token))) continue;
    for (const [, start] of text.matchAll(/(?<=[a-z] )([a-z]+)/g)) starts.add(start!);
  }
  return [...starts];
}

/** First words are checked alone and with a word behind them. */
function withFirstWords(tokenizer: LoadedTokenizer, words: readonly string[]): WordList {
  const portable = new Set(readEmbeddedLines('tokenizer/first-words.txt'));
  const candidates = words.filter((word) => portable.has(word));
  const firstWords = (candidates.length >= FEWEST_WORDS / 4 ? candidates : words).filter(
    (word) => tokenizer.encode(word).length === 1 && tokenizer.encode(`${word} ${words[0]}`).length === 2,
  );
  return { words, firstWords };
}

function proveAmong(tokenizer: LoadedTokenizer, candidates: readonly string[]): string[] {
  const lead = tokenizer.encode(ANCHOR);
  const ids = new Map<string, number>();
  for (const word of candidates) {
    const encoded = tokenizer.encodeTokens(`${ANCHOR} ${word}`);
    const token = encoded.tokens.at(-1)?.replace(/^[Ġ▁]/, '');
    if (encoded.ids.length === lead.length + 1 && token === word) ids.set(word, encoded.ids.at(-1)!);
  }
  let kept = [...ids.keys()];
  const random = new Random('word proof', tokenizer.hash);
  for (let round = 0; round < PROOF_ROUNDS && kept.length > 0; ) {
    const guilty = findOffenders(tokenizer, shuffle(kept, random), ids);
    if (guilty.size === 0) round++;
    else {
      kept = kept.filter((word) => !guilty.has(word));
      round = 0;
    }
  }
  return kept;
}

/** Words of a row that do not come out as their own id, narrowed down by halving the row. */
function findOffenders(
  tokenizer: LoadedTokenizer,
  row: readonly string[],
  ids: ReadonlyMap<string, number>,
): Set<string> {
  const offenders = new Set<string>();
  const leadLength = tokenizer.encode(ANCHOR).length;
  const search = (words: readonly string[]): boolean => {
    const encoded = tokenizer.encode(`${ANCHOR} ${words.join(' ')}`).slice(leadLength);
    if (encoded.length === words.length && words.every((word, i) => encoded[i] === ids.get(word)))
      return true;
    // The halves overlap by a word, so that no pair of neighbours is left untested.
    const middle = words.length >> 1;
    const halves = words.length > 2 ? [words.slice(0, middle + 1), words.slice(middle)] : [];
    if (halves.map(search).every(Boolean)) for (const word of words) offenders.add(word);
    return false;
  };
  for (let i = 0; i < row.length; i += PROOF_ROW) search(row.slice(i, i + PROOF_ROW + 1));
  return offenders;
}

function shuffle(words: readonly string[], random: Random): string[] {
  const shuffled = [...words];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = random.integer(0, i);
    [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
  }
  return shuffled;
}

function readCache(file: string): WordList | null {
  try {
    const raw = JSON.parse(readFileSync(file, 'utf8')) as { version?: unknown } & Partial<WordList>;
    const isList = (value: unknown): value is string[] =>
      Array.isArray(value) && value.every((word) => typeof word === 'string' && /^[a-z]+$/.test(word));
    if (raw.version !== CACHE_VERSION || !isList(raw.words) || !isList(raw.firstWords)) return null;
    return { words: raw.words, firstWords: raw.firstWords };
  } catch {
    return null;
  }
}

function writeCache(file: string, list: WordList): void {
  const partial = `${file}.${process.pid}.partial`;
  try {
    makeFolders(dirname(file), fs);
    writeFileSync(partial, JSON.stringify({ version: CACHE_VERSION, ...list }));
    renameSync(partial, file);
  } catch {
    // The list is in hand; the next run proves it again.
    removeQuietly(partial);
  }
}

function removeQuietly(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // A folder that is none, or one that may not be written: nothing was left there.
  }
}
