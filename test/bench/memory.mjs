// Measures the memory of requests that have ended: `node test/bench/memory.mjs [--json] [--short] [--only requests,process]`.
// The bytes that each keeps, and the whole process of levels that differ in their number. A calibrated C server sends.
import { existsSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { build } from 'esbuild';
import { compile, fail, onCore, run, withServer, work } from './rig.mjs';

/**
 * @typedef {object} Level
 * @property {number} requests
 * @property {number} tokens Output tokens of each.
 * @property {number} levelRssBytes Highest sample while the level ran.
 * @property {number} processRssBytes Peak of the process and each of its children.
 */

const MOST_REQUEST_BYTES = 200;
const MOST_RSS_BYTES = 180e6;
const STREAMS = 1_024;

const here = path.dirname(fileURLToPath(import.meta.url));
const main = path.join(here, '../../dist/main.js');
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false },
    only: { type: 'string', default: 'requests,process' },
  },
});
const parts = options.only.split(',');
for (const name of parts) if (name !== 'requests' && name !== 'process') fail(2, `--only: no part "${name}"`);
if (parts.includes('process') && !existsSync(main)) fail(2, `no ${main}: run npm run build first`);

/** @type {readonly { requests: number, tokens: number }[]} */
const LEVELS = [
  { requests: STREAMS, tokens: options.short ? 200 : 1_000 },
  { requests: STREAMS, tokens: 40 },
  { requests: 10 * STREAMS, tokens: 40 },
  ...(options.short ? [] : [{ requests: 100 * STREAMS, tokens: 40 }]),
];

const kinds = parts.includes('requests') ? await measureRequests() : [];
/** @type {Level[]} */
const levels = [];
if (parts.includes('process')) {
  const programs = compile(['sse-server', 'measure']);
  for (const { requests, tokens } of LEVELS) levels.push(await measureLevel(programs, requests, tokens));
}
const host = { node: process.version, cpu: cpus()[0]?.model.trim() ?? 'unknown' };
if (options.json) console.log(JSON.stringify({ host, kinds, levels }, null, 2));
else print();
const missed =
  kinds.some(({ table }) => table > MOST_REQUEST_BYTES) ||
  levels.some((level) => Math.max(level.levelRssBytes, level.processRssBytes) > MOST_RSS_BYTES);
if (missed) process.exitCode = 1;

/** @returns {Promise<{ name: string, table: number, objects: number }[]>} */
async function measureRequests() {
  const outfile = path.join(work, 'probe.mjs');
  const entryPoints = [path.join(here, 'memory-probe.ts')];
  await build({ entryPoints, bundle: true, platform: 'node', format: 'esm', outfile, logLevel: 'error' });
  const { KINDS, bytesPerRequest } = await import(pathToFileURL(outfile).href);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  const measured = [];
  for (const kind of KINDS) measured.push({ name: kind.name, ...(await bytesPerRequest(kind, collect)) });
  return measured;
}

/**
 * @param {Record<'sse-server' | 'measure', string>} programs
 * @param {number} requests
 * @param {number} tokens
 * @returns {Promise<Level>}
 */
async function measureLevel(programs, requests, tokens) {
  const name = path.join(work, `${requests}-${tokens}`);
  // Below what the client can take, so that nothing waits for it.
  const pace = ['--ttft-us', '100000', '--step-us', tokens > 100 ? '12800' : '25600', '--spread'];
  await withServer(programs['sse-server'], pace, async (port) => {
    const flags = {
      url: `http://127.0.0.1:${port}`,
      concurrency: STREAMS,
      requests,
      isl: 32,
      osl: tokens,
      warmup: 0,
      pause: '0s',
      out: name,
    };
    const argv = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
    const command = [process.execPath, main, 'sweep', ...argv, '--quiet'];
    await run([programs.measure, `${name}.json`, ...onCore(1, command)]);
  });
  const [level] = JSON.parse(readFileSync(path.join(name, 'report.json'), 'utf8')).levels;
  if (level.requests.good !== requests) fail(1, `${level.requests.good} good requests of ${requests}`);
  return {
    requests,
    tokens,
    levelRssBytes: level.audit.rssMaxBytes,
    processRssBytes: JSON.parse(readFileSync(`${name}.json`, 'utf8')).rssMaxBytes,
  };
}

function print() {
  console.log(`Node ${host.node}, ${host.cpu}`);
  if (kinds.length > 0) {
    console.log('\nbytes per request that has ended, between 10,000 and 60,000 of them');
    row(['', 'table', 'as objects']);
    for (const { name, table, objects } of kinds) row([name, table.toFixed(0), objects.toFixed(0)]);
    console.log(`aim: at most ${MOST_REQUEST_BYTES} in the table`);
  }
  if (levels.length === 0) return;
  console.log(`\nRSS in MB at ${STREAMS.toLocaleString('en')} requests in flight`);
  row(['', 'level', 'process']);
  for (const { requests, tokens, levelRssBytes, processRssBytes } of levels) {
    const name = `${requests.toLocaleString('en')} requests of ${tokens.toLocaleString('en')} tokens`;
    row([name, (levelRssBytes / 1e6).toFixed(1), (processRssBytes / 1e6).toFixed(1)]);
  }
  console.log(`aim: at most ${MOST_RSS_BYTES / 1e6}`);
}

/** @param {readonly string[]} cells */
function row(cells) {
  console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(54) : cell.padStart(12))).join(''));
}
