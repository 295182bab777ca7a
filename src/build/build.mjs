// Makes the program of its sources and packages: dist/, of whose parts a command loads what it needs, or with
// --one-file bench.mjs, which holds the data as well, for hosts that have nothing but Node. Types are checked by `npm run lint`.
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = new URL('../../', import.meta.url);
const read = (file) => readFileSync(new URL(file, root), 'utf8');
const version = { BENCH_VERSION: JSON.stringify(JSON.parse(read('package.json')).version) };
const embedded = [
  'tokenizer/tokenizer.json',
  'tokenizer/tokenizer_config.json',
  'tokenizer/words.txt',
  'tokenizer/first-words.txt',
  'corpus.txt',
];

/** The prebuilt receivers, a folder per platform. */
const receivers = 'src/endpoints/receiver/prebuilds/';
/** Something of each, by platform. */
const ofReceivers = (make) =>
  Object.fromEntries(
    readdirSync(new URL(receivers, root)).map((platform) => [
      platform,
      make(readFileSync(new URL(`${receivers}${platform}/receiver.node`, root))),
    ]),
  );

/** What the program uses of undici. Its index loads fetch, caches, mocks and web sockets as well. */
const UNDICI = `
Object.assign(require('./lib/dispatcher/dispatcher').prototype, require('./lib/api'));
exports.Agent = require('./lib/dispatcher/agent');
exports.ProxyAgent = require('./lib/dispatcher/proxy-agent');
exports.interceptors = { redirect: require('./lib/interceptor/redirect') };
`;

/** Leaves out what packages do when they are loaded and the program never asks for: each start would pay for it. */
const lighter = {
  name: 'lighter',
  setup({ onLoad, onResolve }) {
    onLoad({ filter: /\/undici\/index\.js$/ }, () => ({ contents: UNDICI }));
    // It makes a formatter of numbers.
    onLoad({ filter: /\/hdr-histogram-js\/dist\/HistogramLogWriter\.js$/ }, () => ({ contents: '' }));
    // yargs brings three of these, with a table of all emoji each; tables keep the true one.
    onResolve({ filter: /^string-width$/ }, ({ importer }) =>
      importer.includes('cli-table3')
        ? null
        : { path: fileURLToPath(new URL('text-width.mjs', import.meta.url)) },
    );
  },
};

const shared = {
  plugins: [lighter],
  absWorkingDir: new URL('.', root).pathname,
  entryPoints: ['src/main.ts'],
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  legalComments: 'none',
  // Packages in CommonJS ask for Node's own modules at run time.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
  },
};

if (process.argv.includes('--one-file')) {
  const data = Object.fromEntries(embedded.map((file) => [file, read(`datasets/${file}`)]));
  const define = {
    ...version,
    BENCH_EMBEDDED: JSON.stringify(data),
    BENCH_RECEIVERS: JSON.stringify(ofReceivers((bytes) => bytes.toString('base64'))),
  };
  await build({ ...shared, outfile: 'bench.mjs', define });
  chmodSync(new URL('bench.mjs', root), 0o755);
} else {
  rmSync(new URL('dist', root), { recursive: true, force: true });
  const sha256 = ofReceivers((bytes) => createHash('sha256').update(bytes).digest('hex'));
  await build({
    ...shared,
    // What main.js runs stands alone as well, for tests that need no process of its own.
    entryPoints: { main: 'src/main.ts', app: 'src/commands/app.ts' },
    outdir: 'dist',
    splitting: true,
    chunkNames: 'part-[name]-[hash]',
    // All parts lie in dist/, whatever folder their source is in.
    define: {
      ...version,
      BENCH_DATASETS: '"../datasets/"',
      BENCH_PREBUILDS: JSON.stringify({ folder: './receivers/', sha256 }),
    },
  });
  cpSync(new URL(receivers, root), new URL('dist/receivers/', root), { recursive: true });
  chmodSync(new URL('dist/main.js', root), 0o755);
}
