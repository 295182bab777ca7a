// Measures what the client itself costs, beside the least that a client must do and beside other clients:
// `node test/bench/client.mjs [--json] [--short] [--only flooded,paced,memory]`. A calibrated C server sends.
import { existsSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compile, cores, fail, onCore, pinned, run, withServer, work } from './rig.mjs';
import {
  INSTALL,
  makeShareGpt,
  makeTokenizer,
  sglangFlags,
  sglangPythonClient,
  sglangRustClient,
} from './rivals.mjs';
import { readLog, readRun, stampError } from './stamps.mjs';
import { verdicts } from './verdicts.mjs';

/**
 * @typedef {object} Scene
 * @property {string} name
 * @property {string} about
 * @property {number} streams Requests in flight.
 * @property {number} requests
 * @property {number} rivalRequests Requests of the clients of others; 0 where they are left out.
 * @property {number} tokens Output tokens of each request.
 * @property {readonly string[]} server Options of the C server.
 * @property {boolean} logged Whether the server logs its writes.
 */

/**
 * @typedef {object} Reading
 * @property {string} client
 * @property {string} missing Why there is nothing to read: the client is not installed. Empty where it is.
 * @property {number | null} eventsPerS Token events per second, first send to last byte.
 * @property {number | null} cpuUsPerEvent CPU of the level alone.
 * @property {number | null} processCpuUsPerEvent CPU of the whole process and its children, less that of a run of one request.
 * @property {import('./stamps.mjs').StampError | null} stampErrorMs
 * @property {number | null} rssMaxBytes Highest sample while the level ran.
 * @property {number | null} processRssMaxBytes Peak of the process and each of its children.
 * @property {number | null} firstPostMs Spawn to the first POST that the server read (a probe).
 * @property {number | null} firstMeasuredMs Spawn to the first measured POST.
 */

const here = path.dirname(fileURLToPath(import.meta.url));
const main = path.join(here, '../../dist/main.js');
const ISL = 32;
const PACE = ['--ttft-us', '100000', '--step-us', '12800', '--spread'];
const ONE_REQUEST = {
  name: 'empty',
  about: '',
  streams: 1,
  requests: 1,
  rivalRequests: 1,
  tokens: 2,
  server: [],
  logged: false,
};

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
});
const TOTAL_TIMEOUT_MS = options.short ? 120_000 : 240_000;
/** @type {<T>(whole: T, short: T) => T} */
const size = (whole, short) => (options.short ? short : whole);

/** @type {readonly Scene[]} */
const SCENES = [
  {
    name: 'flooded',
    about: '64 streams, 25 events per write, as fast as the client takes them',
    streams: 64,
    requests: size(512, 64),
    rivalRequests: size(128, 64),
    tokens: size(4_000, 1_000),
    server: ['--burst', '25'],
    logged: false,
  },
  {
    name: 'paced',
    about: '256 streams, an event per stream every 12.8 ms: 20,000 events/s',
    streams: 256,
    requests: size(768, 256),
    rivalRequests: size(768, 256),
    tokens: size(200, 100),
    server: PACE,
    logged: true,
  },
  {
    name: 'memory',
    about: `1,024 streams of ${size('1,000', '50')} tokens, an event per stream every 12.8 ms`,
    streams: 1_024,
    requests: 1_024,
    rivalRequests: 0,
    tokens: size(1_000, 50),
    server: PACE,
    logged: false,
  },
];

const wanted = options.only?.split(',') ?? SCENES.map((scene) => scene.name);
for (const name of wanted) {
  if (!SCENES.some((scene) => scene.name === name)) fail(2, `--only: no scene "${name}"`);
}
if (!existsSync(main)) fail(2, `no ${main}: run npm run build first`);

setTimeout(() => fail(1, `not finished within ${TOTAL_TIMEOUT_MS / 1_000} s`), TOTAL_TIMEOUT_MS).unref();
const programs = compile(['sse-server', 'sse-reader', 'measure']);
const files = {
  tokenizer: makeTokenizer(),
  sharegpt: makeShareGpt(Math.max(...SCENES.map((scene) => scene.rivalRequests))),
};
const rivals = [sglangRustClient(), sglangPythonClient()];
/** CPU seconds of a run of one request, by the rival's name. @type {Map<string, number>} */
const idleCpuS = new Map();
const empty = await runCli(ONE_REQUEST, 0);
/** @type {{ scene: Scene, readings: Reading[] }[]} */
const results = [];
for (const scene of SCENES.filter((one) => wanted.includes(one.name))) {
  const readings = [
    await runReader(scene, false),
    await runReader(scene, true),
    await runBare(scene),
    await runCli(scene, empty.processCpuS),
  ];
  if (scene.rivalRequests > 0) for (const rival of rivals) readings.push(await runRival(rival, scene));
  results.push({ scene, readings: readings.map(({ processCpuS: _, ...reading }) => reading) });
}
const host = {
  node: process.version,
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cores.length,
  pinned,
};
const told = results.map(({ scene, readings }) => ({ scene, readings, verdicts: verdicts(scene, readings) }));
if (options.json) {
  const startup = {
    firstPostMs: empty.firstPostMs,
    firstMeasuredMs: empty.firstMeasuredMs,
    cpuS: empty.processCpuS,
  };
  console.log(JSON.stringify({ host, startup, results: told }, null, 2));
} else print();

/**
 * Runs a client against a server of its own, and says what the client's processes used.
 * @param {Scene} scene
 * @param {string} client
 * @param {(port: string) => string[]} command
 * @param {(out: string) => Map<string, number[]> | null} stamps The client's stamps, from its standard output or elsewhere.
 */
async function measure(scene, client, command, stamps) {
  const file = path.join(work, `${scene.name}-${client}`);
  const log = scene.logged ? ['--log', `${file}.log`] : [];
  const read = await withServer(
    programs['sse-server'],
    ['--mark', String(scene.tokens), ...scene.server, ...log],
    async (port) => {
      const out = await run([programs.measure, `${file}.json`, ...onCore(1, command(port))]);
      const times = await (await fetch(`http://127.0.0.1:${port}/times`)).json();
      return { out, times };
    },
  );
  const whole = JSON.parse(readFileSync(`${file}.json`, 'utf8'));
  const own = scene.logged ? stamps(read.out) : null;
  return {
    out: read.out,
    missing: '',
    stampErrorMs: own === null ? null : stampError(own, readLog(`${file}.log`)),
    processRssMaxBytes: whole.rssMaxBytes,
    firstPostMs: (read.times.firstPostNs - whole.startNs) / 1e6,
    firstMeasuredMs: (read.times.firstMarkedNs - whole.startNs) / 1e6,
    processCpuS: whole.cpuS,
  };
}

/**
 * @param {Scene} scene
 * @param {boolean} kernel Whether it takes the kernel's stamps.
 * @returns {Promise<Reading & { processCpuS: number }>}
 */
async function runReader(scene, kernel) {
  const log = path.join(work, `${scene.name}-stamps.log`);
  const { out, ...used } = await measure(
    scene,
    kernel ? 'reader-kernel' : 'reader',
    (port) => [
      programs['sse-reader'],
      ...(kernel ? ['--kernel'] : []),
      ...[port, scene.streams, scene.requests, scene.tokens].map(String),
      ...(scene.logged ? [log] : []),
    ],
    () => readLog(log),
  );
  const { events, elapsedS, cpuS } = JSON.parse(out);
  // Each stream ends with three events that carry no token.
  expectEqual(events, scene.requests * (scene.tokens + 3), `${scene.name}: events of the C reader`);
  const name = kernel ? 'the same, kernel stamps' : 'C epoll reader, no JSON';
  return { ...readingOf(name, scene, elapsedS, cpuS), ...used };
}

/**
 * What a client told of a scene that has nothing but events to tell.
 * @param {string} client
 * @param {Scene} scene
 * @param {number} elapsedS
 * @param {number} cpuS
 */
function readingOf(client, scene, elapsedS, cpuS) {
  const tokens = scene.requests * scene.tokens;
  return {
    client,
    eventsPerS: tokens / elapsedS,
    cpuUsPerEvent: (cpuS * 1e6) / tokens,
    processCpuUsPerEvent: null,
    rssMaxBytes: null,
  };
}

/**
 * @param {Scene} scene
 * @returns {Promise<Reading & { processCpuS: number }>}
 */
async function runBare(scene) {
  const { out, ...used } = await measure(
    scene,
    'bare',
    (port) => [
      process.execPath,
      path.join(here, 'bare-reader.mjs'),
      ...[port, scene.streams, scene.requests, scene.tokens].map(String),
    ],
    () => null,
  );
  const { elapsedS, cpuS } = JSON.parse(out);
  return { ...readingOf('bare Node socket, no HTTP', scene, elapsedS, cpuS), ...used };
}

/**
 * @param {Scene} scene
 * @param {number} emptyCpuS CPU seconds of a run that measures nothing.
 * @returns {Promise<Reading & { processCpuS: number }>}
 */
async function runCli(scene, emptyCpuS) {
  const folder = path.join(work, scene.name);
  const { out: _, ...used } = await measure(
    scene,
    'cli',
    (port) => {
      const flags = {
        url: `http://127.0.0.1:${port}`,
        concurrency: scene.streams,
        requests: scene.requests,
        isl: ISL,
        osl: scene.tokens,
        warmup: 0,
        pause: '0s',
        out: folder,
      };
      const argv = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
      return [process.execPath, main, 'sweep', ...argv, '--quiet'];
    },
    () => readRun(folder),
  );
  const level = JSON.parse(readFileSync(path.join(folder, 'report.json'), 'utf8')).levels[0];
  const tokens = scene.requests * scene.tokens;
  expectEqual(level.requests.good, scene.requests, `${scene.name}: good requests`);
  expectEqual(level.outputTokens, tokens, `${scene.name}: output tokens`);
  return {
    client: 'bench sweep',
    eventsPerS: tokens / level.durationS,
    cpuUsPerEvent: (level.audit.cpuRatio * level.durationS * 1e6) / tokens,
    processCpuUsPerEvent: ((used.processCpuS - emptyCpuS) * 1e6) / tokens,
    rssMaxBytes: level.audit.rssMaxBytes,
    ...used,
  };
}

/**
 * @param {import('./rivals.mjs').Rival} rival
 * @param {Scene} scene
 * @returns {Promise<Reading & { processCpuS: number }>}
 */
async function runRival(rival, scene) {
  const nothing = {
    client: rival.name,
    eventsPerS: null,
    cpuUsPerEvent: null,
    processCpuUsPerEvent: null,
    stampErrorMs: null,
    rssMaxBytes: null,
    processRssMaxBytes: null,
    firstPostMs: null,
    firstMeasuredMs: null,
    missing: rival.missing,
    processCpuS: 0,
  };
  if (rival.missing !== '') return nothing;
  let idle = idleCpuS.get(rival.name);
  if (idle === undefined) {
    idle = (await runSglang(rival, ONE_REQUEST)).processCpuS;
    idleCpuS.set(rival.name, idle);
  }
  const { out: _, line, ...used } = await runSglang(rival, scene);
  const tokens = scene.rivalRequests * scene.tokens;
  expectEqual(line.completed, scene.rivalRequests, `${scene.name}: requests that ${rival.name} completed`);
  return {
    ...nothing,
    eventsPerS: tokens / line.duration,
    processCpuUsPerEvent: ((used.processCpuS - idle) * 1e6) / tokens,
    ...used,
  };
}

/**
 * @param {import('./rivals.mjs').Rival} rival
 * @param {Scene} scene
 */
async function runSglang(rival, scene) {
  const output = path.join(work, `${scene.name}-${rivals.indexOf(rival)}.jsonl`);
  const of = { streams: scene.streams, requests: scene.rivalRequests, tokens: scene.tokens };
  const used = await measure(
    { ...scene, logged: false },
    String(rivals.indexOf(rival)),
    (port) => [...rival.command, ...sglangFlags(port, of, { ...files, output })],
    () => null,
  );
  return { ...used, line: JSON.parse(readFileSync(output, 'utf8').replaceAll(': Infinity', ': null')) };
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
  for (const { scene, readings, verdicts: judged } of told) {
    console.log(`\n${scene.name}: ${scene.about}`);
    row([
      'client',
      'events/s',
      'CPU µs/event',
      '(process)',
      'stamp p50',
      'p99',
      'p99.9',
      'RSS MB',
      '(process)',
      'first POST',
      'measured',
    ]);
    for (const reading of readings) {
      if (reading.missing !== '') {
        console.log(`${reading.client.padEnd(26)}   not installed (${reading.missing}; ${INSTALL})`);
        continue;
      }
      row([
        reading.client,
        reading.eventsPerS === null ? '-' : Math.round(reading.eventsPerS).toLocaleString('en'),
        reading.cpuUsPerEvent?.toFixed(2) ?? '-',
        reading.processCpuUsPerEvent?.toFixed(2) ?? '-',
        reading.stampErrorMs === null ? '-' : `${reading.stampErrorMs.p50.toFixed(3)} ms`,
        reading.stampErrorMs === null ? '-' : `${reading.stampErrorMs.p99.toFixed(3)} ms`,
        reading.stampErrorMs === null ? '-' : `${reading.stampErrorMs.p999.toFixed(3)} ms`,
        megabytes(reading.rssMaxBytes),
        megabytes(reading.processRssMaxBytes),
        ms(reading.firstPostMs),
        ms(reading.firstMeasuredMs),
      ]);
    }
    for (const { met, text } of judged) console.log(`aim ${met ? 'met' : 'MISSED'}: ${text}`);
  }
  console.log(
    '\nCPU µs/event and RSS MB: the level alone, from report.json. (process): wait4 on the process and its children,' +
      '\nCPU less that of a run of one request. Stamp: the time given to an event less the instant before its write.' +
      '\nThe aims are for one core of a machine that does nothing else.',
  );
}

/** @param {readonly string[]} cells */
function row(cells) {
  console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(26) : cell.padStart(12))).join(''));
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
