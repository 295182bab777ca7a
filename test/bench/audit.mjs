// Holds the verdict of the audit against the truth: `node test/bench/audit.mjs [--json FILE] [--only NAME,…] [--repeat N]`.
// Loads of rising severity against a C server that logs when it wrote each event. A level is bad when the p99 error of
// its time stamps is above 5 % of the gap between two events of a stream; a bad one must never be called valid.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compile, cores, fail, onCore, pinned, run, start, withServer, work } from './rig.mjs';

/**
 * @typedef {object} Scene
 * @property {string} name
 * @property {number} streams
 * @property {number} stepUs Between two events of a stream; 0 for as fast as the client takes them.
 * @property {boolean} [together] All streams of a step at once, as an engine sends them; else spread over it.
 * @property {0 | 1} [core] Where the client runs: 1 unless told, the server is on 0.
 * @property {number} [hogs] Busy loops beside the client on its core.
 * @property {readonly number[]} [stopsMs] The client is stopped so long, again and again, 300 ms apart.
 */

/**
 * @typedef {object} Reading
 * @property {string} scene
 * @property {number} eventsPerS
 * @property {number} itlMs Mean gap between the writes of a stream.
 * @property {number} errorP50Ms
 * @property {number} errorP99Ms Stamp − write, of all events.
 * @property {number} errorRatio p99 error ÷ ITL.
 * @property {boolean} bad
 * @property {string} verdict
 * @property {readonly string[]} reasons
 * @property {Record<string, any>} audit
 */

const here = path.dirname(fileURLToPath(import.meta.url));
const main = path.join(here, '../../dist/main.js');
const LIMIT_RATIO = 0.05;
const TTFT_US = 200_000;
const LEVEL_S = 3;
const FLOODED_TOKENS = 4_000;
/** Bounds each scene, whatever it does. */
const SCENE_TIMEOUT_MS = 90_000;

/** @type {readonly Scene[]} */
const SCENES = [
  { name: 'idle: 200/s', streams: 4, stepUs: 20_000 },
  { name: 'slow streams: 50/s', streams: 10, stepUs: 200_000 },
  { name: 'slow streams: 1k/s', streams: 100, stepUs: 100_000 },
  { name: 'slow streams: 5k/s', streams: 256, stepUs: 51_200 },
  { name: 'slow streams: 10k/s', streams: 1_024, stepUs: 102_400 },
  { name: '1k/s', streams: 32, stepUs: 32_000 },
  { name: '5k/s', streams: 64, stepUs: 12_800 },
  { name: '10k/s', streams: 128, stepUs: 12_800 },
  { name: '20k/s', streams: 256, stepUs: 12_800 },
  { name: '30k/s', streams: 384, stepUs: 12_800 },
  { name: '40k/s', streams: 512, stepUs: 12_800 },
  { name: '60k/s', streams: 768, stepUs: 12_800 },
  { name: '80k/s', streams: 1_024, stepUs: 12_800 },
  { name: 'together: 1.3k/s', streams: 64, stepUs: 50_000, together: true },
  { name: 'together: 5k/s', streams: 256, stepUs: 50_000, together: true },
  { name: 'together: 20k/s', streams: 1_024, stepUs: 50_000, together: true },
  { name: 'flooded', streams: 64, stepUs: 0 },
  { name: "on the server's core: 200/s", streams: 4, stepUs: 20_000, core: 0 },
  { name: "on the server's core: 5k/s", streams: 64, stepUs: 12_800, core: 0 },
  { name: "on the server's core: 20k/s", streams: 256, stepUs: 12_800, core: 0 },
  { name: 'beside a hog: 200/s', streams: 4, stepUs: 20_000, hogs: 1 },
  { name: 'beside a hog: slow, 1k/s', streams: 100, stepUs: 100_000, hogs: 1 },
  { name: 'beside a hog: 5k/s', streams: 64, stepUs: 12_800, hogs: 1 },
  { name: 'beside a hog: 20k/s', streams: 256, stepUs: 12_800, hogs: 1 },
  { name: 'beside 3 hogs: 5k/s', streams: 64, stepUs: 12_800, hogs: 3 },
  { name: 'stopped 20 ms: 5k/s', streams: 64, stepUs: 12_800, stopsMs: [20] },
  { name: 'stopped 100 ms: 5k/s', streams: 64, stepUs: 12_800, stopsMs: [100] },
  { name: 'stopped 500 ms: 200/s', streams: 4, stepUs: 20_000, stopsMs: [500] },
  { name: 'stopped 8 × 10 ms: 1k/s', streams: 32, stepUs: 32_000, stopsMs: [10, 10, 10, 10, 10, 10, 10, 10] },
];

const { values: options } = parseArgs({
  options: {
    json: { type: 'string' },
    only: { type: 'string' },
    repeat: { type: 'string', default: '1' },
  },
});
if (!existsSync(main)) fail(2, `no ${main}: run npm run build first`);
const wanted = SCENES.filter(
  ({ name }) => options.only === undefined || options.only.split(',').some((part) => name.includes(part)),
);
if (wanted.length === 0) fail(2, `--only: no scene has "${options.only}" in its name`);

const programs = compile(['sse-server']);
/** @type {Reading[]} */
const readings = [];
for (let round = 0; round < Number(options.repeat); round++) {
  for (const scene of wanted) {
    readings.push(await measure(scene));
    if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(readings, null, 1));
  }
}
print();

/**
 * @param {Scene} scene
 * @returns {Promise<Reading>}
 */
async function measure(scene) {
  const guard = setTimeout(() => fail(1, `${scene.name}: not finished in time`), SCENE_TIMEOUT_MS);
  const { streams, stepUs, core = 1 } = scene;
  const log = path.join(work, 'truth.log');
  const out = path.join(work, `out-${readings.length}`);
  const tokens = stepUs === 0 ? FLOODED_TOKENS : Math.round((LEVEL_S * 1e6) / stepUs);
  const pace =
    stepUs === 0
      ? ['--burst', '25']
      : ['--ttft-us', String(TTFT_US), '--step-us', String(stepUs), ...(scene.together ? [] : ['--spread'])];
  const server = ['--log', log, '--mark', String(tokens), ...pace];
  const requests = stepUs === 0 ? 8 * streams : streams;
  await withServer(programs['sse-server'], server, async (port) => {
    const flags = {
      url: `http://127.0.0.1:${port}`,
      concurrency: streams,
      requests,
      isl: 16,
      osl: tokens,
      out,
    };
    const argv = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const command = [
      process.execPath,
      main,
      'run',
      ...argv,
      '--warmup',
      '0',
      '--calibrate',
      'never',
      '--quiet',
    ];
    const hogs = Array.from({ length: scene.hogs ?? 0 }, () =>
      start(onCore(core, ['sh', '-c', 'while :; do :; done'])),
    );
    try {
      await run(onCore(core, command), (pid) => {
        if (scene.stopsMs !== undefined)
          stopNowAndThen(pid, port, scene.stopsMs).catch((error) =>
            fail(1, `${scene.name}: the level ended before the last stop (${error.message})`),
          );
      });
    } finally {
      for (const end of hogs) end();
    }
  });
  clearTimeout(guard);
  return compare(scene, log, out);
}

/**
 * @param {number} pid
 * @param {string} port
 * @param {readonly number[]} stopsMs
 */
async function stopNowAndThen(pid, port, stopsMs) {
  /** @param {number} ms */
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  for (let tries = 0; tries < 200; tries++) {
    const times = await (await fetch(`http://127.0.0.1:${port}/times`)).json();
    if (times.firstMarkedNs > 0) break;
    await sleep(50);
  }
  for (const ms of stopsMs) {
    await sleep(300);
    process.kill(pid, 'SIGSTOP');
    await sleep(ms);
    process.kill(pid, 'SIGCONT');
  }
}

/**
 * The level as it was told, beside the server's log of the same events.
 * @param {Scene} scene
 * @param {string} log
 * @param {string} out
 * @returns {Reading}
 */
function compare(scene, log, out) {
  /** @type {Map<string, number[]>} */
  const written = new Map();
  for (const line of readFileSync(log, 'latin1').split('\n')) {
    const [id, index, ns] = /** @type {[string, string, string]} */ (line.split(' '));
    if (ns === undefined || index === '-1') continue;
    const times = written.get(id);
    if (times === undefined) written.set(id, [Number(ns) / 1e6]);
    else times.push(Number(ns) / 1e6);
  }
  const report = JSON.parse(readFileSync(path.join(out, 'report.json'), 'utf8'));
  const originMs = Number(report.origin.monotonicNs) / 1e6;
  /** @type {number[]} */
  const errors = [];
  let gapsMs = 0;
  let gaps = 0;
  for (const line of readFileSync(path.join(out, 'records.ndjson'), 'utf8').trimEnd().split('\n')) {
    const record = JSON.parse(line);
    const times = written.get(record.requestId) ?? [];
    if (record.outcome !== 'good' || times.length !== record.chunkUs.length)
      fail(
        1,
        `${scene.name}: ${record.requestId} ${record.outcome}, ${record.chunkUs.length} of ${times.length} events`,
      );
    let atMs = originMs + record.sentAtMs;
    for (const [i, gapUs] of record.chunkUs.entries()) {
      atMs += gapUs / 1_000;
      errors.push(atMs - /** @type {number} */ (times[i]));
    }
    gapsMs += /** @type {number} */ (times.at(-1)) - /** @type {number} */ (times[0]);
    gaps += times.length - 1;
  }
  errors.sort((a, b) => a - b);
  /** @param {number} q */
  const at = (q) =>
    /** @type {number} */ (errors[Math.min(errors.length - 1, Math.floor(q * errors.length))]);
  const [level] = report.levels;
  const itlMs = gapsMs / gaps;
  const errorRatio = at(0.99) / itlMs;
  return {
    scene: scene.name,
    eventsPerS: errors.length / level.durationS,
    itlMs,
    errorP50Ms: at(0.5),
    errorP99Ms: at(0.99),
    errorRatio,
    bad: errorRatio > LIMIT_RATIO,
    verdict: level.validity.verdict,
    reasons: level.validity.reasons,
    audit: { ...level.audit, itlMs: level.itlMs.mean },
  };
}

function print() {
  console.log(`Node ${process.version}, ${cpus()[0]?.model.trim() ?? 'unknown'}, ${cores.length} cores`);
  console.log(
    pinned
      ? `server on core ${cores[0]}, client on core ${cores[1]} where not told otherwise`
      : 'NOT pinned (taskset or a second core is missing): these figures say little',
  );
  row(
    'load',
    'events/s',
    'ITL ms',
    'true p99',
    'of ITL',
    'stamps',
    'wake-ups',
    'waits',
    'busy',
    'verdict',
    '',
  );
  for (const { scene, audit, ...reading } of readings) {
    const wrong = reading.bad === (reading.verdict === 'valid');
    row(
      scene,
      Math.round(reading.eventsPerS).toLocaleString('en'),
      reading.itlMs.toFixed(1),
      reading.errorP99Ms.toFixed(2),
      reading.errorRatio > 10 ? '>1000 %' : `${(reading.errorRatio * 100).toFixed(1)} %`,
      audit['stampErrorMs']?.p99.toFixed(2) ?? '-',
      audit['wakeMs']?.p99.toFixed(2) ?? '-',
      audit['reads'].waitMs?.p99.toFixed(2) ?? '-',
      `${(audit['eventLoopUtilizationRatio'] * 100).toFixed(0)} %`,
      reading.verdict,
      wrong ? (reading.bad ? 'MISSED' : 'false alarm') : '',
    );
  }
  const misses = readings.filter(({ bad, verdict }) => bad && verdict === 'valid').length;
  const alarms = readings.filter(({ bad, verdict }) => !bad && verdict !== 'valid').length;
  const bad = readings.filter((reading) => reading.bad).length;
  console.log(
    `\n${bad} bad levels, of which ${misses} were called valid; ${readings.length - bad} good ones, of which ${alarms} were not`,
  );
  if (misses > 0) process.exitCode = 1;
}

/** @param {readonly string[]} cells */
function row(...cells) {
  const widths = [28, 9, 8, 10, 10, 10, 10, 10, 7, -14, -12];
  console.log(
    cells
      .map((cell, i) => {
        const width = /** @type {number} */ (widths[i]);
        return i === 0 ? cell.padEnd(width) : width < 0 ? `  ${cell.padEnd(-width)}` : cell.padStart(width);
      })
      .join('')
      .trimEnd(),
  );
}
