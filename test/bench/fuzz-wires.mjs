// Random streams over all wires, cut at random places: `npm run fuzz:wires -- [--streams N] [--seed N] [--first N] [--seconds N]`.
// The records must be what the sender expects, and alike. Ends with 1 at the first that is not.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const here = path.dirname(fileURLToPath(import.meta.url));
const prebuilds = path.join(here, '../../src/endpoints/receiver/prebuilds');
const { values: options } = parseArgs({
  options: {
    streams: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    first: { type: 'string', default: '0' },
    seconds: { type: 'string', default: '600' },
    /** Serves instead, of a program that was made already. */
    serve: { type: 'string' },
  },
});
const seed = Number(options.seed);

if (options.serve !== undefined) {
  const { startFuzzServer } = await import(pathToFileURL(options.serve).href);
  const { port } = await startFuzzServer(seed);
  console.log(port);
  // Ends with the process that started it.
  process.stdin.resume().on('end', () => process.exit());
} else {
  const work = mkdtempSync(path.join(tmpdir(), 'bench-fuzz-'));
  process.on('exit', () => rmSync(work, { recursive: true, force: true }));
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
  const program = path.join(work, 'fuzz-wires.mjs');
  await make(program);
  await fuzz(program);
}

/** @param {string} outfile */
async function make(outfile) {
  const receivers = Object.fromEntries(
    readdirSync(prebuilds).map((platform) => [
      platform,
      readFileSync(path.join(prebuilds, platform, 'receiver.node')).toString('base64'),
    ]),
  );
  await build({
    entryPoints: [path.join(here, 'fuzz-wires.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile,
    logLevel: 'error',
    define: { BENCH_RECEIVERS: JSON.stringify(receivers) },
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
    },
  });
}

/** @param {string} program */
async function fuzz(program) {
  const words = [fileURLToPath(import.meta.url), '--serve', program, '--seed', String(seed)];
  const server = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await once(/** @type {NonNullable<typeof server.stdout>} */ (server.stdout), 'data');
  const begin = performance.now();
  const perS = (/** @type {number} */ done) => Math.round((done / (performance.now() - begin)) * 1_000);
  const { fuzzWires } = await import(pathToFileURL(program).href);
  const result = await fuzzWires(Number(line), seed, Number(options.streams), {
    first: Number(options.first),
    untilMs: begin + 1_000 * Number(options.seconds),
    progress: (/** @type {number} */ done) => console.error(`${done} streams, ${perS(done)}/s`),
  });
  server.stdin?.end();
  const { streams, wires, bytes, chunks, outcomes, wrong } = result;
  const kinds = Object.entries(outcomes).map(([name, count]) => `${count} ${name}`);
  console.log(`${streams} streams of seed ${seed}, each over ${wires.join(', ')}: ${perS(streams)}/s`);
  console.log(`${chunks} chunks in ${(bytes / 1e6).toFixed(1)} MB; ${kinds.join(', ')}`);
  for (const each of wrong) console.log(each);
  console.log(wrong.length === 0 ? 'all alike' : `${wrong.length} wrong`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
}
