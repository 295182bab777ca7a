#!/usr/bin/env node
// Makes corpus.txt from the plain text of Newton's Opticks (Project Gutenberg's transcription, as it is
// shipped in Go's source tree): node datasets/make-corpus.mjs $(go env GOROOT)/src/testdata/Isaac.Newton-Opticks.txt
import { readFileSync, writeFileSync } from 'node:fs';

const TARGET_BYTES = 320_000;

const source = process.argv[2];
if (source === undefined) {
  console.error('usage: node datasets/make-corpus.mjs Isaac.Newton-Opticks.txt');
  process.exit(2);
}
const paragraphs = readFileSync(source, 'utf8')
  .replaceAll('\r', '')
  .split(/\n\s*\n/)
  .map((paragraph) =>
    paragraph
      .replaceAll(/\[(?:Illustration|Footnote)[^\]]*\]/g, '')
      .replaceAll(/\[Greek: ([^\]]*)\]/g, '$1')
      .replaceAll(/\[[A-Z]\]/g, '')
      .replaceAll('_', '')
      .replaceAll('--', ', ')
      .replaceAll(/\s+/g, ' ')
      .trim(),
  );

// Prose alone: tables, headings and lines with anything but plain ASCII stay out.
const prose = paragraphs.filter(
  (text) => text.length > 120 && /^[\x20-\x7e]*$/.test(text) && !/[=+|]|(?: \d+[.,;]?){4}/.test(text),
);
const start = prose.findIndex((text) => text.startsWith('My Design in this Book'));
let bytes = 0;
const kept = prose.slice(Math.max(0, start)).filter((text) => {
  bytes += text.length + 2;
  return bytes <= TARGET_BYTES;
});
writeFileSync(new URL('corpus.txt', import.meta.url), `${kept.join('\n\n')}\n`);
console.log(`${kept.length} paragraphs, ${kept.join('\n\n').length + 1} bytes`);
