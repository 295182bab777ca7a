// Measures by how much sglang.bench_serving misreads a server that it is too slow for, and what `bench serving` reads
// with the same flags: `node test/bench/python.mjs [--json]`. A calibrated C server sends; its own log is the truth.
import { existsSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compile, cores, fail, onCore, pinned, run, withServer, work } from './rig.mjs';
import { makeShareGpt, makeTokenizer, sglangFlags, sglangPythonClient } from './rivals.mjs';

/**
 * @typedef {object} Times
 * @property {number} ttftMeanMs
 * @property {number} ttftP99Ms
 * @property {number} itlMeanMs Over the gaps of all streams, as one pool.
 * @property {number} itlP99Ms
 */

/**
 * @typedef {object} Client
 * @property {string} name
 * @property {readonly string[]} command
 */

/**
 * @typedef {object} Reading
 * @property {string} client
 * @property {Times} told What the client reports.
 * @property {Times} truth What the server's log says of the same run.
 * @property {number} durationS
 * @property {number} cpuUsPerEvent CPU of the process and its children, less that of a run of one request.
 */

const here = path.dirname(fileURLToPath(import.meta.url));
const main = path.join(here, '../../dist/main.js');
const TOTAL_TIMEOUT_MS = 180_000;
const LOAD = { streams: 256, requests: 768, tokens: 200 };
const STEP_US = 12_800;
/** Spread over a step, the first events come 100 ms after the request in the mean. */
const TTFT_US = 100_000 - STEP_US / 2;

const { values: options } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
const original = sglangPythonClient();
if (original.missing !== '') {
  fail(2, `sglang's benchmark is missing: ${original.missing}\ntest/bench/install-rivals.sh`);
}
if (!existsSync(main)) fail(2, `no ${main}: run npm run build first`);

setTimeout(() => fail(1, `not finished within ${TOTAL_TIMEOUT_MS / 1_000} s`), TOTAL_TIMEOUT_MS).unref();
const programs = compile(['sse-server', 'measure']);
const tokenizer = makeTokenizer();
const sharegpt = makeShareGpt(LOAD.requests);

const ours = [process.execPath, main, 'serving'];
/** @type {readonly Client[]} */
const CLIENTS = [
  { name: 'sglang.bench_serving', command: original.command },
  { name: 'bench serving', command: ours },
  { name: ' … --bug-compatible', command: [...ours, '--bug-compatible'] },
];
/** @type {Reading[]} */
const readings = [];
for (const client of CLIENTS) readings.push(await read(client));
const host = {
  node: process.version,
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cores.length,
  pinned,
};
if (options.json)
  console.log(JSON.stringify({ host, load: { ...LOAD, stepUs: STEP_US }, readings }, null, 2));
else print();

/**
 * @param {Client} client
 * @returns {Promise<Reading>}
 */
async function read(client) {
  const file = String(CLIENTS.indexOf(client));
  const idle = await load(client, `${file}-idle`, { streams: 1, requests: 1, tokens: 2 });
  const { line, truth, cpuS } = await load(client, file, LOAD);
  return {
    client: client.name,
    told: {
      ttftMeanMs: line['mean_ttft_ms'],
      ttftP99Ms: line['p99_ttft_ms'],
      itlMeanMs: line['mean_itl_ms'],
      itlP99Ms: line['p99_itl_ms'],
    },
    truth,
    durationS: line['duration'],
    cpuUsPerEvent: ((cpuS - idle.cpuS) * 1e6) / (LOAD.requests * LOAD.tokens),
  };
}

/**
 * Runs a client against a server of its own.
 * @param {Client} client
 * @param {string} file
 * @param {typeof LOAD} of
 */
async function load(client, file, of) {
  const log = path.join(work, `${file}.log`);
  const used = path.join(work, `${file}.json`);
  const output = path.join(work, `${file}.jsonl`);
  const pace = ['--ttft-us', String(TTFT_US), '--step-us', String(STEP_US), '--spread', '--log', log];
  await withServer(programs['sse-server'], pace, async (port) => {
    const argv = sglangFlags(port, of, { tokenizer, sharegpt, output });
    const own = client.command[0] === ours[0] ? ['--out', path.join(work, `${file}-out`)] : [];
    await run([programs.measure, used, ...onCore(1, [...client.command, ...argv, ...own])]);
  });
  const line = JSON.parse(readFileSync(output, 'utf8').replaceAll(': Infinity', ': null'));
  if (line['completed'] !== of.requests || line['total_output_tokens'] !== of.requests * of.tokens) {
    fail(
      1,
      `${client.name}: not all of ${of.requests} requests were answered in full\n${JSON.stringify(line)}`,
    );
  }
  return { line, truth: readTruth(log, of), cpuS: JSON.parse(readFileSync(used, 'utf8'))['cpuS'] };
}

/**
 * The times of the measured requests, which are those last asked for.
 * @param {string} log
 * @param {typeof LOAD} of
 * @returns {Times}
 */
function readTruth(log, of) {
  /** @type {Map<string, number[]>} */
  const streams = new Map();
  for (const line of readFileSync(log, 'utf8').trimEnd().split('\n')) {
    const [id, , atNs] = /** @type {[string, string, string]} */ (line.split(' '));
    const times = streams.get(id);
    if (times === undefined) streams.set(id, [Number(atNs)]);
    else times.push(Number(atNs));
  }
  // The first instant of each is the one at which its request was read.
  const measured = [...streams.values()].slice(-of.requests);
  if (measured.some((times) => times.length !== of.tokens + 1)) fail(1, 'the log of the server is not whole');
  const ttftsMs = measured.map(([readAt, first]) => (first - readAt) / 1e6);
  const gapsMs = measured.flatMap((times) => times.slice(2).map((at, i) => (at - times[i + 1]) / 1e6));
  return {
    ttftMeanMs: mean(ttftsMs),
    ttftP99Ms: percentile(ttftsMs, 0.99),
    itlMeanMs: mean(gapsMs),
    itlP99Ms: percentile(gapsMs, 0.99),
  };
}

/** @param {readonly number[]} values */
function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * numpy's default percentile.
 * @param {readonly number[]} values
 * @param {number} share
 */
function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = share * (sorted.length - 1);
  const low = sorted[Math.floor(rank)] ?? 0;
  return low + ((sorted[Math.ceil(rank)] ?? low) - low) * (rank % 1);
}

function print() {
  console.log(`Node ${host.node}, ${host.cpu}, ${host.cores} cores`);
  console.log(
    pinned
      ? `server on core ${cores[0]}, client on core ${cores[1]}`
      : 'NOT pinned (taskset or a second core is missing): server and client share what there is',
  );
  console.log(
    `${LOAD.streams} streams, an event per stream every ${STEP_US / 1_000} ms, ${LOAD.requests} requests of ${LOAD.tokens} tokens\n`,
  );
  row(['', 'TTFT mean', 'p99', 'ITL mean', 'p99', 'CPU µs/event', 'duration s']);
  for (const { client, told, truth, cpuUsPerEvent, durationS } of readings) {
    row([client, ...cells(told), cpuUsPerEvent.toFixed(1), durationS.toFixed(2)]);
    row(['   the truth of this run', ...cells(truth), '', '']);
  }
  const [theirs, other] = /** @type {[Reading, Reading]} */ (readings);
  const offMs = ({ told, truth }) => Math.abs(told.ttftMeanMs - truth.ttftMeanMs);
  console.log(
    `\nmean TTFT: sglang.bench_serving is off by ${offMs(theirs).toFixed(1)} ms, bench serving by ${offMs(other).toFixed(1)} ms` +
      `\nCPU per event: ${(theirs.cpuUsPerEvent / other.cpuUsPerEvent).toFixed(1)} times that of bench serving`,
  );
  console.log(
    'times in ms; the truth: from the request read to its event written, by the clock of the server',
  );
}

/** @param {Times} times */
function cells({ ttftMeanMs, ttftP99Ms, itlMeanMs, itlP99Ms }) {
  return [ttftMeanMs.toFixed(1), ttftP99Ms.toFixed(1), itlMeanMs.toFixed(2), itlP99Ms.toFixed(2)];
}

/** @param {readonly string[]} texts */
function row(texts) {
  console.log(texts.map((text, i) => (i === 0 ? text.padEnd(26) : text.padStart(13))).join(''));
}
