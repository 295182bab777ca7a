// Makes bench.mjs: the whole program in one file of plain JavaScript, for hosts that have nothing but Node.
import { chmodSync, readFileSync } from 'node:fs';
import { build } from 'esbuild';

const root = new URL('../../', import.meta.url);
const read = (file) => readFileSync(new URL(file, root), 'utf8');
const embedded = [
  'tokenizer/tokenizer.json',
  'tokenizer/tokenizer_config.json',
  'tokenizer/words.txt',
  'tokenizer/first-words.txt',
  'corpus.txt',
];

await build({
  absWorkingDir: new URL('.', root).pathname,
  entryPoints: ['src/main.ts'],
  outfile: 'bench.mjs',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  legalComments: 'none',
  define: {
    BENCH_VERSION: JSON.stringify(JSON.parse(read('package.json')).version),
    BENCH_EMBEDDED: JSON.stringify(
      Object.fromEntries(embedded.map((file) => [file, read(`datasets/${file}`)])),
    ),
  },
  // Packages in CommonJS ask for Node's own modules at run time.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
  },
});
chmodSync(new URL('bench.mjs', root), 0o755);
