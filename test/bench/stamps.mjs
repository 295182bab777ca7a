// How far the times that a client gave to events lie from the instants at which the server wrote them.
import { readFileSync } from 'node:fs';
import path from 'node:path';

/**
 * @typedef {object} StampError Client's time less the server's, in ms, over all token events.
 * @property {number} p50
 * @property {number} p99
 * @property {number} p999
 * @property {number} max
 */

/**
 * Instants of a log as the C programs write it (request id, index of the event, CLOCK_MONOTONIC ns, more), by request.
 * @param {string} file
 * @returns {Map<string, number[]>}
 */
export function readLog(file) {
  /** @type {Map<string, number[]>} */
  const streams = new Map();
  for (const line of readFileSync(file, 'utf8').trimEnd().split('\n')) {
    const [id, index, atNs] = /** @type {[string, string, string]} */ (line.split(' '));
    if (index === '-1') continue;
    const times = streams.get(id);
    if (times === undefined) streams.set(id, [Number(atNs)]);
    else times.push(Number(atNs));
  }
  return streams;
}

/**
 * Times of the measured events of a run, by request, in ns of CLOCK_MONOTONIC.
 * @param {string} folder A run's folder.
 * @returns {Map<string, number[]>}
 */
export function readRun(folder) {
  const report = JSON.parse(readFileSync(path.join(folder, 'report.json'), 'utf8'));
  const zeroNs = Number(report.origin.monotonicNs);
  const records = readFileSync(path.join(folder, 'records.ndjson'), 'utf8').trimEnd().split('\n');
  return new Map(
    records
      .map((line) => JSON.parse(line))
      .filter((record) => record.phase === 'measured')
      .map((record) => {
        let atUs = record.sentAtMs * 1e3;
        const times = record.chunkUs.map((/** @type {number} */ gapUs) => {
          atUs += gapUs;
          return zeroNs + atUs * 1e3;
        });
        return [record.requestId, times];
      }),
  );
}

/**
 * @param {Map<string, number[]>} client
 * @param {Map<string, number[]>} server
 * @returns {StampError | null} null when an event of the client's is missing in the server's log, or the other way.
 */
export function stampError(client, server) {
  /** @type {number[]} */
  const errorsMs = [];
  for (const [id, times] of client) {
    const written = server.get(id);
    if (written?.length !== times.length) return null;
    for (const [k, atNs] of times.entries()) errorsMs.push((atNs - (written[k] ?? 0)) / 1e6);
  }
  const sorted = Float64Array.from(errorsMs).sort();
  /** @type {(share: number) => number} */
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) };
}
