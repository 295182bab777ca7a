#!/usr/bin/env node
// Makes tokenizer/words.txt and tokenizer/first-words.txt: English words that are one token of their own in
// every tokenizer given, after a space (words.txt) and at the start of a text too (first-words.txt).
//   node datasets/make-words.mjs --dictionary /usr/share/dict/american-english DIR_OF_TOKENIZER_JSON...
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Tokenizer } from '@huggingface/tokenizers';

const MOST_WORDS = 4_096;
const MOST_FIRST_WORDS = 1_536;
const UNKIND =
  /fuck|shit|cunt|nigg|fagg|^fags?$|whore|slut|bitch|bastard|rape|rapist|porn|nazi|kill|murder|suicid|dick|cock|tits?$|ass$|arse|penis|vagina|sex|nude|naked|drug|bomb|terror|slave|jew|negro|damn|piss|crap|^anal$|^cum$|boob|breast|abuse|hate|hell$|gun|weapon|blood|dead|death|dumb|stupid/;

const { values, positionals } = parseArgs({
  options: { dictionary: { type: 'string' } },
  allowPositionals: true,
});
if (values.dictionary === undefined || positionals.length === 0) {
  console.error('usage: node datasets/make-words.mjs --dictionary WORDLIST TOKENIZER_DIR...');
  process.exit(2);
}

const tokenizers = positionals.map((folder) => {
  const json = JSON.parse(readFileSync(join(folder, 'tokenizer.json'), 'utf8'));
  const config = JSON.parse(readFileSync(join(folder, 'tokenizer_config.json'), 'utf8'));
  return { vocab: new Map(Object.entries(json.model.vocab)), encoder: new Tokenizer(json, config) };
});
const isOneToken = (text, entry) =>
  tokenizers.every(({ vocab, encoder }) => {
    if (!vocab.has(entry)) return false;
    const { ids } = encoder.encode(text, { add_special_tokens: false });
    return ids.length === 1 && ids[0] === vocab.get(entry);
  });
// The rank of a word is its worst one: low for what every vocabulary took in early, so for common words.
const rank = (word) => Math.max(...tokenizers.map(({ vocab }) => vocab.get(`Ġ${word}`)));

const words = readFileSync(values.dictionary, 'utf8')
  .split('\n')
  .filter((word) => /^[a-z]{3,12}$/.test(word) && !UNKIND.test(word))
  .filter((word) => isOneToken(` ${word}`, `Ġ${word}`))
  .sort((a, b) => rank(a) - rank(b))
  .slice(0, MOST_WORDS);
const firstWords = words.filter((word) => isOneToken(word, word)).slice(0, MOST_FIRST_WORDS);

for (const { vocab, encoder } of tokenizers) {
  const { ids } = encoder.encode(words.map((word) => ` ${word}`).join(''), { add_special_tokens: false });
  if (ids.length !== words.length || ids.some((id, i) => id !== vocab.get(`Ġ${words[i]}`))) {
    throw new Error('the words do not stay one token each in a row');
  }
}
const write = (name, list) =>
  writeFileSync(new URL(`tokenizer/${name}`, import.meta.url), `${[...list].sort().join('\n')}\n`);
write('words.txt', words);
write('first-words.txt', firstWords);
console.log(`${words.length} words, ${firstWords.length} of them at the start of a text too`);
