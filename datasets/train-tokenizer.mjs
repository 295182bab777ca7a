#!/usr/bin/env node
// Trains the embedded tokenizer: a byte-level BPE over corpus.txt in which each word of tokenizer/words.txt
// is one token after a space, and each word of tokenizer/first-words.txt is one at the start of a text too.
//   node datasets/train-tokenizer.mjs
import { readFileSync, writeFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';

const LEARNED_MERGES = 5_500;
const WORD_WEIGHT = 24;
// The pre-tokenizer of Llama 3 and its kin: a word goes with the one space before it.
const SPLIT =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const SPECIAL_TOKENS = ['<|begin|>', '<|user|>', '<|assistant|>', '<|system|>', '<|end|>'];
const TEMPLATE =
  "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

const here = (name) => new URL(name, import.meta.url);
const lines = (name) => readFileSync(here(name), 'utf8').split('\n').filter(Boolean);

/** GPT-2's table from byte to printable character. */
function byteCharacters() {
  const printable = (byte) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}
const characters = byteCharacters();
const toSymbols = (text) => [...Buffer.from(text, 'utf8')].map((byte) => characters[byte]);

const counts = new Map();
const count = (text, weight) => counts.set(text, (counts.get(text) ?? 0) + weight);
const pattern = new RegExp(SPLIT.replace('(?i:', '(?:'), 'gu');
for (const [piece] of readFileSync(here('corpus.txt'), 'utf8').matchAll(pattern)) count(piece, 1);
const words = lines('tokenizer/words.txt');
const firstWords = lines('tokenizer/first-words.txt');
for (const word of words) count(` ${word}`, WORD_WEIGHT);
for (const word of firstWords) count(word, WORD_WEIGHT);

const entries = [...counts].map(([text, weight]) => ({ symbols: toSymbols(text), weight }));
const pairWeight = new Map();
const pairEntries = new Map();
const addPairs = (entry, sign) => {
  for (let i = 0; i + 1 < entry.symbols.length; i++) {
    const pair = `${entry.symbols[i]} ${entry.symbols[i + 1]}`;
    pairWeight.set(pair, (pairWeight.get(pair) ?? 0) + sign * entry.weight);
    if (sign > 0) {
      if (!pairEntries.has(pair)) pairEntries.set(pair, new Set());
      pairEntries.get(pair).add(entry);
    }
  }
};
for (const entry of entries) addPairs(entry, 1);

const vocab = new Map([...characters].sort().map((character, id) => [character, id]));
const merges = [];
const joinPair = (symbols, left, right) => {
  const joined = [];
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      joined.push(left + right);
      i++;
    } else joined.push(symbols[i]);
  }
  return joined;
};
const addMerge = (left, right) => {
  merges.push(`${left} ${right}`);
  if (!vocab.has(left + right)) vocab.set(left + right, vocab.size);
};

while (merges.length < LEARNED_MERGES) {
  let best = null;
  let bestWeight = 1;
  for (const [pair, weight] of pairWeight) {
    if (weight > bestWeight || (weight === bestWeight && best !== null && pair < best)) {
      best = pair;
      bestWeight = weight;
    }
  }
  if (best === null) break;
  const [left, right] = best.split(' ');
  addMerge(left, right);
  for (const entry of pairEntries.get(best)) {
    addPairs(entry, -1);
    entry.symbols = joinPair(entry.symbols, left, right);
    addPairs(entry, 1);
  }
  pairWeight.delete(best);
}

// What is not one token yet is joined by merges of the lowest rank: they act after all others, so they
// change nothing that was whole before.
const byText = new Map([...counts.keys()].map((text, i) => [text, entries[i]]));
for (const text of [...firstWords, ...words.map((word) => ` ${word}`)]) {
  const target = byText.get(text);
  while (target.symbols.length > 1) {
    const [left, right] = target.symbols;
    addMerge(left, right);
    for (const entry of entries) {
      if (entry.symbols.includes(left)) entry.symbols = joinPair(entry.symbols, left, right);
    }
  }
}

const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
const tokenizer = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: SPECIAL_TOKENS.map((content, i) => ({
    id: vocab.size + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: null,
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [{ type: 'Split', pattern: { Regex: SPLIT }, behavior: 'Isolated', invert: false }, byteLevel],
  },
  post_processor: null,
  decoder: byteLevel,
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab: Object.fromEntries(vocab),
    merges,
  },
};
const config = {
  add_bos_token: false,
  bos_token: '<|begin|>',
  eos_token: '<|end|>',
  model_max_length: 1_048_576,
  tokenizer_class: 'PreTrainedTokenizerFast',
  chat_template: TEMPLATE,
};

const encoder = new Tokenizer(tokenizer, config);
for (const text of [...firstWords, ...words.map((word) => ` ${word}`)]) {
  if (encoder.encode(text).ids.length !== 1) throw new Error(`"${text}" is not one token`);
}
const json = `${JSON.stringify(tokenizer)}\n`;
writeFileSync(here('tokenizer/tokenizer.json'), json);
writeFileSync(here('tokenizer/tokenizer_config.json'), `${JSON.stringify(config, null, 2)}\n`);
console.log(`${vocab.size} entries, ${merges.length} merges, ${json.length} bytes`);
