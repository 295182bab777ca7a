// Measures what the client itself costs: `node test/bench/client.mjs [--json] [--only flooded,paced,memory]`.
// A calibrated C server sends; a C reader that parses nothing is the limit beside which the CLI is put.
import { existsSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compile, cores, fail, onCore, pinned, run, withServer, work } from './rig.mjs';

/**
 * @typedef {object} Scene
 * @property {string} name
 * @property {string} about
 * @property {number} streams Requests in flight.
 * @property {number} requests
 * @property {number} tokens Output tokens of each request.
 * @property {readonly string[]} server Options of the C server.
 */

/**
 * @typedef {object} Reading
 * @property {string} client
 * @property {number} eventsPerS Token events per second, first send to last byte.
 * @property {number} cpuUsPerEvent CPU of the level alone.
 * @property {number | null} processCpuUsPerEvent CPU of the whole process and its children, less that of an empty run.
 * @property {number | null} rssMaxBytes Highest sample while the level ran.
 * @property {number | null} processRssMaxBytes Peak of the process and each of its children.
 * @property {number | null} firstPostMs Spawn to the first POST that the server read (a probe).
 * @property {number | null} firstMeasuredMs Spawn to the first measured POST.
 */

const here = path.dirname(fileURLToPath(import.meta.url));
const main = path.join(here, '../../dist/main.js');
const ISL = 32;
const TOTAL_TIMEOUT_MS = 90_000;
const AIMS = { floodedEventsPerS: 300_000, pacedCpuUsPerEvent: 25, rssMaxBytes: 180e6 };

/** @type {readonly Scene[]} */
const SCENES = [
  {
    name: 'flooded',
    about: '64 streams, 25 events per write, as fast as the client takes them',
    streams: 64,
    requests: 512,
    tokens: 4_000,
    server: ['--burst', '25'],
  },
  {
    name: 'paced',
    about: '256 streams, an event per stream every 12.8 ms: 20,000 events/s',
    streams: 256,
    requests: 768,
    tokens: 200,
    server: ['--ttft-us', '100000', '--step-us', '12800', '--spread'],
  },
  {
    name: 'memory',
    about: '1,024 streams of 1,000 tokens, an event per stream every 12.8 ms',
    streams: 1_024,
    requests: 1_024,
    tokens: 1_000,
    server: ['--ttft-us', '100000', '--step-us', '12800', '--spread'],
  },
];

const { values: options } = parseArgs({
  options: { json: { type: 'boolean', default: false }, only: { type: 'string' } },
});
const wanted = options.only?.split(',') ?? SCENES.map((scene) => scene.name);
for (const name of wanted) {
  if (!SCENES.some((scene) => scene.name === name)) fail(2, `--only: no scene "${name}"`);
}
if (!existsSync(main)) fail(2, `no ${main}: run npm run build first`);

setTimeout(() => fail(1, `not finished within ${TOTAL_TIMEOUT_MS / 1_000} s`), TOTAL_TIMEOUT_MS).unref();
const programs = compile(['sse-server', 'sse-reader', 'measure']);
const empty = await runCli({ name: 'empty', about: '', streams: 1, requests: 1, tokens: 2, server: [] }, 0);
/** @type {{ scene: Scene, readings: Reading[] }[]} */
const results = [];
for (const scene of SCENES.filter((one) => wanted.includes(one.name))) {
  const readings = [await runReader(scene), await runCli(scene, empty.processCpuS)];
  results.push({ scene, readings: readings.map(({ processCpuS: _, ...reading }) => reading) });
}
const host = {
  node: process.version,
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cores.length,
  pinned,
};
if (options.json) {
  const startup = {
    firstPostMs: empty.firstPostMs,
    firstMeasuredMs: empty.firstMeasuredMs,
    cpuS: empty.processCpuS,
  };
  console.log(JSON.stringify({ host, aims: AIMS, startup, results }, null, 2));
} else print();

/**
 * @param {Scene} scene
 * @returns {Promise<Reading & { processCpuS: number }>}
 */
async function runReader(scene) {
  return withServer(
    programs['sse-server'],
    ['--mark', String(scene.tokens), ...scene.server],
    async (port) => {
      const used = path.join(work, `${scene.name}-reader.json`);
      const args = [port, scene.streams, scene.requests, scene.tokens].map(String);
      const out = await run([programs.measure, used, ...onCore(1, [programs['sse-reader'], ...args])]);
      const { events, elapsedS, cpuS } = JSON.parse(out);
      // Each stream ends with three events that carry no token.
      expectEqual(events, scene.requests * (scene.tokens + 3), `${scene.name}: events of the C reader`);
      const tokens = scene.requests * scene.tokens;
      const whole = JSON.parse(readFileSync(used, 'utf8'));
      return {
        client: 'C epoll reader, no JSON',
        eventsPerS: tokens / elapsedS,
        cpuUsPerEvent: (cpuS * 1e6) / tokens,
        processCpuUsPerEvent: null,
        rssMaxBytes: null,
        processRssMaxBytes: whole.rssMaxBytes,
        ...(await startTimes(port, whole.startNs)),
        processCpuS: whole.cpuS,
      };
    },
  );
}

/**
 * @param {Scene} scene
 * @param {number} emptyCpuS CPU seconds of a run that measures nothing.
 * @returns {Promise<Reading & { processCpuS: number }>}
 */
async function runCli(scene, emptyCpuS) {
  return withServer(
    programs['sse-server'],
    ['--mark', String(scene.tokens), ...scene.server],
    async (port) => {
      const used = path.join(work, `${scene.name}-cli.json`);
      const out = path.join(work, scene.name);
      const flags = {
        url: `http://127.0.0.1:${port}`,
        concurrency: scene.streams,
        requests: scene.requests,
        isl: ISL,
        osl: scene.tokens,
        warmup: 0,
        pause: '0s',
        out,
      };
      const argv = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
      await run([
        programs.measure,
        used,
        ...onCore(1, [process.execPath, main, 'sweep', ...argv, '--quiet']),
      ]);
      const level = JSON.parse(readFileSync(path.join(out, 'report.json'), 'utf8')).levels[0];
      const tokens = scene.requests * scene.tokens;
      expectEqual(level.requests.good, scene.requests, `${scene.name}: good requests`);
      expectEqual(level.outputTokens, tokens, `${scene.name}: output tokens`);
      const whole = JSON.parse(readFileSync(used, 'utf8'));
      return {
        client: 'bench sweep',
        eventsPerS: tokens / level.durationS,
        cpuUsPerEvent: (level.audit.cpuRatio * level.durationS * 1e6) / tokens,
        processCpuUsPerEvent: ((whole.cpuS - emptyCpuS) * 1e6) / tokens,
        rssMaxBytes: level.audit.rssMaxBytes,
        processRssMaxBytes: whole.rssMaxBytes,
        ...(await startTimes(port, whole.startNs)),
        processCpuS: whole.cpuS,
      };
    },
  );
}

/**
 * @param {string} port
 * @param {number} startNs
 */
async function startTimes(port, startNs) {
  const times = await (await fetch(`http://127.0.0.1:${port}/times`)).json();
  return {
    firstPostMs: (times.firstPostNs - startNs) / 1e6,
    firstMeasuredMs: (times.firstMarkedNs - startNs) / 1e6,
  };
}

function print() {
  console.log(`Node ${host.node}, ${host.cpu}, ${host.cores} cores`);
  console.log(
    pinned
      ? `server on core ${cores[0]}, client on core ${cores[1]}`
      : 'NOT pinned (taskset or a second core is missing): server and client share what there is',
  );
  console.log(
    `spawn to first POST ${ms(empty.firstPostMs)}, to first measured POST ${ms(empty.firstMeasuredMs)} (one request)`,
  );
  for (const { scene, readings } of results) {
    console.log(`\n${scene.name}: ${scene.about}`);
    row([
      'client',
      'events/s',
      'CPU µs/event',
      '(process)',
      'RSS MB',
      '(process)',
      'first POST',
      'first measured',
    ]);
    for (const reading of readings) {
      row([
        reading.client,
        Math.round(reading.eventsPerS).toLocaleString('en'),
        reading.cpuUsPerEvent.toFixed(2),
        reading.processCpuUsPerEvent?.toFixed(2) ?? '-',
        megabytes(reading.rssMaxBytes),
        megabytes(reading.processRssMaxBytes),
        ms(reading.firstPostMs),
        ms(reading.firstMeasuredMs),
      ]);
    }
    for (const line of verdicts(scene, /** @type {Reading} */ (readings[1]))) console.log(line);
  }
  console.log(
    '\nCPU µs/event and RSS MB: the level alone, from report.json. (process): wait4 on the process and its',
  );
  console.log(
    'children; CPU less that of a run of one request. The aims are for one core of a machine that does nothing else.',
  );
}

/**
 * @param {Scene} scene
 * @param {Reading} reading
 * @returns {string[]}
 */
function verdicts(scene, reading) {
  /** @type {(met: boolean, text: string) => string} */
  const say = (met, text) => `aim ${met ? 'met' : 'MISSED'}: ${text}`;
  if (scene.name === 'flooded') {
    return [
      say(
        reading.eventsPerS >= AIMS.floodedEventsPerS,
        `at least ${AIMS.floodedEventsPerS.toLocaleString('en')} events/s`,
      ),
    ];
  }
  if (scene.name === 'paced') {
    return [
      say(
        reading.cpuUsPerEvent <= AIMS.pacedCpuUsPerEvent,
        `at most ${AIMS.pacedCpuUsPerEvent} µs of CPU per event`,
      ),
    ];
  }
  return [say((reading.rssMaxBytes ?? Infinity) <= AIMS.rssMaxBytes, `at most ${AIMS.rssMaxBytes / 1e6} MB`)];
}

/** @param {readonly string[]} cells */
function row(cells) {
  console.log(
    cells.map((cell, i) => (i === 0 ? cell.padEnd(24) : cell.padStart(i === 7 ? 15 : 13))).join(''),
  );
}

/** @param {number | null} value */
function ms(value) {
  return value === null ? '-' : `${Math.round(value)} ms`;
}

/** @param {number | null} bytes */
function megabytes(bytes) {
  return bytes === null ? '-' : (bytes / 1e6).toFixed(1);
}

/**
 * @param {unknown} actual
 * @param {unknown} expected
 * @param {string} what
 */
function expectEqual(actual, expected, what) {
  if (actual !== expected) fail(1, `${what}: ${actual}, not ${expected}`);
}
