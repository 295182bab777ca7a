// Measures what `--workers` gains: `node test/bench/workers.mjs [--json]`. C servers send, each on a core of its own; the
// load generators have other cores. On two cores, one is the server's and all generators share the other.
import { existsSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compile, cores, fail, onCores, pinned, run, withServer, work } from './rig.mjs';

/**
 * @typedef {object} Scene
 * @property {string} name
 * @property {string} about
 * @property {number} streams
 * @property {number} requests
 * @property {number} tokens Output tokens of each request.
 * @property {readonly string[]} server Options of the C server.
 */

/**
 * @typedef {object} Reading
 * @property {number} workers
 * @property {number} eventsPerS Token events per second, first send to last byte.
 * @property {number | null} ttftMeanMs
 * @property {number | null} itlMeanMs
 * @property {number | null} stampErrorP99Ms Of the worst worker, as a second process saw its stamps.
 * @property {number} busiestLoopRatio Of the worst worker.
 * @property {string} verdict
 */

const here = path.dirname(fileURLToPath(import.meta.url));
const main = path.join(here, '../../dist/main.js');
const TOTAL_TIMEOUT_MS = 400_000;

const { values: options } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
if (!existsSync(main)) fail(2, `no ${main}: run npm run build first`);
setTimeout(() => fail(1, `not finished within ${TOTAL_TIMEOUT_MS / 1_000} s`), TOTAL_TIMEOUT_MS).unref();

// A server core feeds several generators: a third of the cores is enough, and one is left to the rest of the machine.
const serverCores = cores.slice(0, Math.max(1, Math.floor(cores.length / 3)));
const clientCores = cores.slice(serverCores.length);
const most = Math.max(2, clientCores.length - 1);
const workerCounts = [1, 2, 4, 8, 16, 32, 64].filter((count) => count <= most);

/** @type {readonly Scene[]} */
const SCENES = [
  {
    name: 'flooded',
    about: '512 streams, 25 events per write, as fast as the generators take them',
    streams: 512,
    requests: 1_024,
    tokens: 4_000,
    server: ['--burst', '25'],
  },
  {
    name: 'paced',
    about: '1,024 streams, an event per stream every 25 ms: 40,000 events/s',
    streams: 1_024,
    requests: 2_048,
    tokens: 200,
    server: ['--ttft-us', '100000', '--step-us', '25000', '--spread'],
  },
];

const programs = compile(['sse-server']);
/** @type {{ scene: Scene, readings: Reading[] }[]} */
const results = [];
for (const scene of SCENES) {
  const readings = [];
  for (const workers of workerCounts) readings.push(await measure(scene, workers));
  results.push({ scene, readings });
}
const host = {
  node: process.version,
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  serverCores,
  clientCores,
  pinned,
};
if (options.json) console.log(JSON.stringify({ host, results }, null, 2));
else print();

/**
 * @param {Scene} scene
 * @param {number} workers
 * @returns {Promise<Reading>}
 */
async function measure(scene, workers) {
  const folder = path.join(work, `${scene.name}-${workers}`);
  await withServers(serverCores, scene.server, async (ports) => {
    const flags = {
      concurrency: scene.streams,
      requests: scene.requests,
      isl: 32,
      osl: scene.tokens,
      warmup: 0,
      pause: '0s',
      workers,
      out: folder,
    };
    const argv = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const urls = ports.flatMap((port) => ['--url', `http://127.0.0.1:${port}`]);
    await run(onCores(clientCores, [process.execPath, main, 'sweep', ...argv, ...urls, '--quiet']));
  });
  const level = JSON.parse(readFileSync(path.join(folder, 'report.json'), 'utf8')).levels[0];
  const tokens = scene.requests * scene.tokens;
  if (level.requests.good !== scene.requests || level.outputTokens !== tokens)
    fail(
      1,
      `${scene.name}, ${workers} workers: ${level.requests.good} good requests, ${level.outputTokens} tokens`,
    );
  return {
    workers,
    eventsPerS: tokens / level.durationS,
    ttftMeanMs: level.ttftMs?.mean ?? null,
    itlMeanMs: level.itlMs?.mean ?? null,
    stampErrorP99Ms: level.audit.stampErrorMs?.p99 ?? null,
    busiestLoopRatio: level.audit.eventLoopUtilizationRatio,
    verdict: level.validity.verdict,
  };
}

/**
 * Starts a C server on each core while `use` runs.
 * @param {readonly number[]} on
 * @param {readonly string[]} flags
 * @param {(ports: string[]) => Promise<void>} use
 * @returns {Promise<void>}
 */
async function withServers(on, flags, use) {
  const [core, ...others] = on;
  if (core === undefined) return use([]);
  await withServer(
    programs['sse-server'],
    flags,
    (port) => withServers(others, flags, (ports) => use([port, ...ports])),
    core,
  );
}

function print() {
  console.log(`Node ${host.node}, ${host.cpu}, ${cores.length} cores`);
  console.log(
    pinned
      ? `servers on cores ${serverCores.join(', ')}, load generators on ${clientCores.join(', ')}`
      : 'NOT pinned (taskset or a second core is missing): servers and generators share what there is',
  );
  for (const { scene, readings } of results) {
    console.log(`\n${scene.name}: ${scene.about}`);
    row(['workers', 'events/s', '× one', 'TTFT mean', 'ITL mean', 'stamp p99', 'loop busy', 'verdict']);
    for (const reading of readings) {
      row([
        String(reading.workers),
        Math.round(reading.eventsPerS).toLocaleString('en'),
        (reading.eventsPerS / readings[0].eventsPerS).toFixed(2),
        ms(reading.ttftMeanMs),
        ms(reading.itlMeanMs),
        ms(reading.stampErrorP99Ms),
        `${Math.round(reading.busiestLoopRatio * 100)} %`,
        reading.verdict,
      ]);
    }
  }
}

/** @param {readonly string[]} cells */
function row(cells) {
  console.log(cells.map((cell) => cell.padStart(13)).join(''));
}

/** @param {number | null} value */
function ms(value) {
  return value === null ? '-' : `${value.toFixed(2)} ms`;
}
