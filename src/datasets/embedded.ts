import { readFileSync } from 'node:fs';

/** The data that travels with the program, by its path below `datasets/`. */
export type EmbeddedFile =
  | 'tokenizer/tokenizer.json'
  | 'tokenizer/tokenizer_config.json'
  | 'tokenizer/words.txt'
  | 'tokenizer/first-words.txt'
  | 'corpus.txt';

/**
 * A single-file build defines this constant with the text of each file; elsewhere it does not exist and
 * the files are read from the package.
 */
declare const BENCH_EMBEDDED: Readonly<Record<EmbeddedFile, string>> | undefined;

/** A build defines this constant with the way from its files to `datasets/`. */
declare const BENCH_DATASETS: string | undefined;

/** The text of one embedded file. The one place through which they are reached. */
export function readEmbedded(file: EmbeddedFile): string {
  if (typeof BENCH_EMBEDDED !== 'undefined') return BENCH_EMBEDDED[file];
  const folder = typeof BENCH_DATASETS === 'undefined' ? '../../datasets/' : BENCH_DATASETS;
  return readFileSync(new URL(folder + file, import.meta.url), 'utf8');
}

/** The lines of an embedded list, without empty ones. */
export function readEmbeddedLines(file: EmbeddedFile): string[] {
  return readEmbedded(file)
    .split('\n')
    .filter((line) => line !== '');
}
