// Compares the audit with the truth: `node test/bench/audit.mjs [--json FILE] [--only NAME,…] [--repeat N] [--wire NAME]`.
// Loads of rising severity against a C server that logs the clock before and after each write. An event whose write lies outside
// of its arrival interval, or a metric whose true value lies outside of its bounds, is a bug: there may be none. And at least
// nine in ten levels whose metrics are right within 2 % must be called valid.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  compile,
  compileLibrary,
  cores,
  fail,
  onCore,
  pinned,
  run,
  start,
  withServer,
  work,
} from './rig.mjs';

/**
 * @typedef {object} Scene
 * @property {string} name
 * @property {number} streams
 * @property {number} stepUs Between two events of a stream; 0 for as fast as the client takes them.
 * @property {boolean} [garbage] The client makes garbage and holds up its event loop meanwhile.
 * @property {number} [stepsMs] The client's system clock is set by so much, forward and back, every 50 ms.
 * @property {readonly string[]} [cut] Options of the server: how its writes are cut.
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
 * @property {number} errorP50Us Instant − write (the nearer end of it), of all events.
 * @property {number} errorP99Us
 * @property {number} errorP999Us
 * @property {number} broken Events whose write lies outside of their arrival interval.
 * @property {readonly string[]} brokenMetrics Metrics whose true value lies outside of their bounds.
 * @property {number} worstRatio Greatest error of a headline metric ÷ its true value.
 * @property {string} verdict
 * @property {readonly string[]} reasons
 * @property {Record<string, any>} audit
 */

/** Metrics and statistics that have bounds. */
const METRICS = /** @type {const} */ (['ttftMs', 'itlMs', 'tpotMs', 'e2eMs']);
const STATS = ['mean', 'p50', 'p90', 'p95', 'p99'];
const here = path.dirname(fileURLToPath(import.meta.url));
const main = path.join(here, '../../dist/main.js');
/** A level whose metrics are off by less is good, */
const GOOD_RATIO = 0.02;
/** or by less than this many ms. */
const GOOD_MS = 0.1;
/** Of the good levels so many must be called valid. */
const LEAST_VALID_RATIO = 0.9;
/** Instants are kept in whole µs. */
const RESOLUTION_NS = 1_000;
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
  { name: 'garbage: 5k/s', streams: 64, stepUs: 12_800, garbage: true },
  { name: 'garbage: 20k/s', streams: 256, stepUs: 12_800, garbage: true },
  { name: 'clock set by 3 ms: 5k/s', streams: 64, stepUs: 12_800, stepsMs: 3 },
  { name: 'clock set by 1 h: 5k/s', streams: 64, stepUs: 12_800, stepsMs: 3_600_000 },
  { name: '4,096 streams: 20k/s', streams: 4_096, stepUs: 204_800 },
  { name: 'cut: 4 events in a write', streams: 32, stepUs: 25_600, cut: ['--burst', '4'] },
  { name: 'cut: 25 events in a write', streams: 16, stepUs: 160_000, cut: ['--burst', '25'] },
  { name: 'cut: 4 events in 4 writes', streams: 32, stepUs: 25_600, cut: ['--burst', '4', '--cut', 'each'] },
  {
    name: 'cut: 25 events in 25 writes',
    streams: 16,
    stepUs: 160_000,
    cut: ['--burst', '25', '--cut', 'each'],
  },
  { name: 'cut: byte by byte', streams: 4, stepUs: 40_000, cut: ['--cut', 'byte'] },
];

const { values: options } = parseArgs({
  options: {
    json: { type: 'string' },
    only: { type: 'string' },
    repeat: { type: 'string', default: '1' },
    wire: { type: 'string', default: 'auto' },
  },
});
if (!existsSync(main)) fail(2, `no ${main}: run npm run build first`);
const wanted = SCENES.filter(
  ({ name }) => options.only === undefined || options.only.split(',').some((part) => name.includes(part)),
);
if (wanted.length === 0) fail(2, `--only: no scene has "${options.only}" in its name`);

const programs = compile(['sse-server']);
const clockSetter = compileLibrary('set-clock');
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
  const perStep = Number(scene.cut?.[scene.cut.indexOf('--burst') + 1] ?? 1) || 1;
  const tokens = stepUs === 0 ? FLOODED_TOKENS : perStep * Math.round((LEVEL_S * 1e6) / stepUs);
  const pace =
    stepUs === 0
      ? ['--burst', '25']
      : [
          '--ttft-us',
          String(TTFT_US),
          '--step-us',
          String(stepUs),
          ...(scene.together ? [] : ['--spread']),
        ].concat(scene.cut ?? []);
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
      '--wire',
      options.wire,
      '--quiet',
    ];
    const hogs = Array.from({ length: scene.hogs ?? 0 }, () =>
      start(onCore(core, ['sh', '-c', 'while :; do :; done'])),
    );
    try {
      await run(onCore(core, ['env', ...disturbance(scene), ...command]), (pid) => {
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
 * Variables that disturb the client from within.
 * @param {Scene} scene
 */
function disturbance({ garbage, stepsMs }) {
  return [
    ...(garbage ? [`NODE_OPTIONS=--require=${path.join(here, 'make-garbage.cjs')}`] : []),
    ...(stepsMs === undefined ? [] : [`LD_PRELOAD=${clockSetter}`, `SET_CLOCK_MS=${stepsMs}`]),
  ];
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
 * @typedef {object} Write
 * @property {number} beforeNs
 * @property {number} afterNs Infinity where its end is not known.
 */

/**
 * @param {string} log
 * @returns {Map<string, Write[]>}
 */
function readWrites(log) {
  /** @type {Map<string, Write[]>} */
  const written = new Map();
  for (const line of readFileSync(log, 'latin1').split('\n')) {
    const [id, index, before, after] = /** @type {[string, string, string, string]} */ (line.split(' '));
    if (after === undefined || index === '-1') continue;
    const write = { beforeNs: Number(before), afterNs: Number(after) || Infinity };
    const writes = written.get(id);
    if (writes === undefined) written.set(id, [write]);
    else writes.push(write);
  }
  return written;
}

/**
 * The level as it was reported, beside the server's log of the same events.
 * @param {Scene} scene
 * @param {string} log
 * @param {string} out
 * @returns {Reading}
 */
function compare(scene, log, out) {
  const written = readWrites(log);
  const report = JSON.parse(readFileSync(path.join(out, 'report.json'), 'utf8'));
  const originNs = Number(report.origin.monotonicNs);
  /** @type {number[]} */
  const errorsUs = [];
  let broken = 0;
  // Each latency with its writes as early and as late as they may have been.
  const low = emptyLatencies();
  const high = emptyLatencies();
  let gapsMs = 0;
  let gaps = 0;
  for (const line of readFileSync(path.join(out, 'records.ndjson'), 'utf8').trimEnd().split('\n')) {
    const record = JSON.parse(line);
    const writes = written.get(record.requestId) ?? [];
    if (record.outcome !== 'good' || writes.length !== record.chunkUs.length)
      fail(
        1,
        `${scene.name}: ${record.requestId} ${record.outcome}, ${record.chunkUs.length} of ${writes.length} events`,
      );
    const sentNs = originNs + record.sentAtMs * 1e6;
    let atNs = sentNs;
    for (const [i, gapUs] of record.chunkUs.entries()) {
      atNs += gapUs * 1_000;
      const { beforeNs, afterNs } = /** @type {Write} */ (writes[i]);
      const earliestNs = atNs - (record.chunkSlackUs?.[i] ?? 0) * 1_000;
      const isBounded = record.stampedBy === 'kernel';
      if (isBounded && (atNs < beforeNs - RESOLUTION_NS || earliestNs > afterNs + RESOLUTION_NS)) broken++;
      // Between both ends of the write nothing is known to be wrong.
      errorsUs.push((atNs < beforeNs ? atNs - beforeNs : Math.max(0, atNs - afterNs)) / 1_000);
    }
    addLatencies(low, high, writes, sentNs);
    gapsMs += /** @type {Write} */ (writes.at(-1).beforeNs - /** @type {Write} */ (writes[0]).beforeNs) / 1e6;
    gaps += writes.length - 1;
  }
  errorsUs.sort((a, b) => a - b);
  /** @param {number} q */
  const at = (q) =>
    /** @type {number} */ (errorsUs[Math.min(errorsUs.length - 1, Math.floor(q * errorsUs.length))]);
  const [level] = report.levels;
  const known = scene.stepUs > 0;
  const truths = known ? METRICS.flatMap((metric) => truthOf(metric, low[metric], high[metric])) : [];
  const brokenMetrics = truths.flatMap(({ id, lowMs, highMs }) => {
    const [metric, stat] = /** @type {[string, string]} */ (id.split('.'));
    const bound = level.bounds?.[metric]?.[stat];
    // Percentiles of gaps come from histograms of three significant digits.
    const spareMs = 0.002 + 0.002 * highMs;
    return bound && (bound.lower > highMs + spareMs || bound.upper < lowMs - spareMs)
      ? [`${id}: ${bound.lower} to ${bound.upper}, true ${lowMs} to ${highMs}`]
      : [];
  });
  const worst = truths.map(({ id, lowMs, highMs }) => {
    const [metric, stat] = /** @type {[string, string]} */ (id.split('.'));
    const value = level[metric][stat];
    const offMs = value < lowMs ? lowMs - value : Math.max(0, value - highMs);
    return offMs <= GOOD_MS ? 0 : offMs / lowMs;
  });
  return {
    scene: scene.name,
    eventsPerS: errorsUs.length / level.durationS,
    itlMs: gapsMs / gaps,
    errorP50Us: at(0.5),
    errorP99Us: at(0.99),
    errorP999Us: at(0.999),
    broken,
    brokenMetrics,
    worstRatio: Math.max(0, ...worst),
    verdict: level.validity.verdict,
    reasons: level.validity.reasons,
    audit: level.audit,
  };
}

/** @typedef {Record<(typeof METRICS)[number], number[]>} Latencies */

/** @returns {Latencies} */
function emptyLatencies() {
  return { ttftMs: [], itlMs: [], tpotMs: [], e2eMs: [] };
}

/**
 * @param {Latencies} low
 * @param {Latencies} high
 * @param {readonly Write[]} writes
 * @param {number} sentNs
 */
function addLatencies(low, high, writes, sentNs) {
  const first = /** @type {Write} */ (writes[0]);
  const last = /** @type {Write} */ (writes.at(-1));
  low.ttftMs.push((first.beforeNs - sentNs) / 1e6);
  high.ttftMs.push((first.afterNs - sentNs) / 1e6);
  low.e2eMs.push((last.beforeNs - sentNs) / 1e6);
  high.e2eMs.push((last.afterNs - sentNs) / 1e6);
  const later = Math.max(1, writes.length - 1);
  low.tpotMs.push(Math.max(0, last.beforeNs - first.afterNs) / 1e6 / later);
  high.tpotMs.push((last.afterNs - first.beforeNs) / 1e6 / later);
  for (let i = 1; i < writes.length; i++) {
    const [before, write] = /** @type {[Write, Write]} */ ([writes[i - 1], writes[i]]);
    low.itlMs.push(Math.max(0, write.beforeNs - before.afterNs) / 1e6);
    high.itlMs.push((write.afterNs - before.beforeNs) / 1e6);
  }
}

/**
 * Between what each statistic of a metric truly lies.
 * @param {string} metric
 * @param {number[]} low
 * @param {number[]} high
 */
function truthOf(metric, low, high) {
  const [a, b] = [Float64Array.from(low).sort(), Float64Array.from(high).sort()];
  const of = metric === 'itlMs' ? pooled : statistic;
  return STATS.map((stat) => ({ id: `${metric}.${stat}`, lowMs: of(a, stat), highMs: of(b, stat) }));
}

/**
 * As an HDR histogram has it: the value of that rank, not one between two.
 * @param {Float64Array} sorted
 * @param {string} stat
 */
function pooled(sorted, stat) {
  if (stat === 'mean') return statistic(sorted, stat);
  const rank = Math.max(1, Math.floor((Number(stat.slice(1)) / 100) * sorted.length + 0.5));
  return sorted[rank - 1] ?? 0;
}

/**
 * @param {Float64Array} sorted
 * @param {string} stat
 */
function statistic(sorted, stat) {
  if (stat === 'mean') return sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  const rank = (Number(stat.slice(1)) / 100) * (sorted.length - 1);
  const low = sorted[Math.floor(rank)] ?? 0;
  return low + ((sorted[Math.ceil(rank)] ?? low) - low) * (rank - Math.floor(rank));
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
    'error p50',
    'p99',
    'p99.9 µs',
    'bound p99',
    'max ms',
    'broken',
    'worst',
    'verdict',
    '',
  );
  let alarms = 0;
  let good = 0;
  let bugs = 0;
  for (const reading of readings) {
    const { stampErrorMs } = reading.audit;
    const isGood = reading.worstRatio <= GOOD_RATIO && !reading.scene.startsWith('flooded');
    const isAlarm = isGood && reading.verdict !== 'valid';
    const bug = reading.broken + reading.brokenMetrics.length;
    good += isGood ? 1 : 0;
    alarms += isAlarm ? 1 : 0;
    bugs += bug;
    row(
      reading.scene,
      Math.round(reading.eventsPerS).toLocaleString('en'),
      reading.itlMs.toFixed(1),
      reading.errorP50Us.toFixed(0),
      reading.errorP99Us.toFixed(0),
      reading.errorP999Us.toFixed(0),
      stampErrorMs?.p99.toFixed(3) ?? '-',
      stampErrorMs?.max.toFixed(2) ?? '-',
      String(reading.broken),
      `${(reading.worstRatio * 100).toFixed(1)} %`,
      reading.verdict,
      isAlarm ? 'false alarm' : bug > 0 ? 'BROKEN' : '',
    );
    for (const metric of reading.brokenMetrics) console.log(`    BROKEN ${metric}`);
  }
  const enough = alarms <= (1 - LEAST_VALID_RATIO) * good;
  console.log(
    `\n${bugs} events or metrics outside of their bounds; ${good} levels right within 2 %, of which ${good - alarms} were called valid`,
  );
  if (bugs > 0 || !enough) process.exitCode = 1;
}

/** @param {readonly string[]} cells */
function row(...cells) {
  const widths = [30, 9, 8, 10, 8, 10, 10, 9, 8, 9, -14, -12];
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
