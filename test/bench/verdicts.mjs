// The aims of the client benchmark, and whether a run met them.

/**
 * @typedef {object} Verdict
 * @property {boolean} met
 * @property {string} text
 */

const RSS_MAX_BYTES = 180e6;

/**
 * Judges a scene by its readings: the C reader without and with the kernel's stamps, bare Node sockets, this client, sglang's Rust client, sglang's Python client. A comparison
 * with a client that is not installed is left out.
 * @param {{ name: string }} scene
 * @param {readonly import('./client.mjs').Reading[]} readings
 * @returns {Verdict[]}
 */
export function verdicts(scene, readings) {
  const [reader, , , ours, rust, python] = readings;
  /** @type {(what: string, share: number | null, holds: 'at most' | 'at least', limit: number) => Verdict[]} */
  const judge = (what, share, holds, limit) =>
    share === null
      ? []
      : [
          {
            met: holds === 'at most' ? share <= limit : share >= limit,
            text: `${what}: ${share.toFixed(2)}, ${holds} ${limit}`,
          },
        ];
  if (scene.name === 'flooded') {
    return [
      ...judge("events/s ÷ sglang Rust's", ratio(ours?.eventsPerS, rust?.eventsPerS), 'at least', 1.3),
      ...judge("events/s ÷ sglang Python's", ratio(ours?.eventsPerS, python?.eventsPerS), 'at least', 5),
    ];
  }
  if (scene.name === 'paced') {
    const own = ours?.processCpuUsPerEvent;
    return [
      ...judge("CPU ÷ the C reader's", ratio(ours?.cpuUsPerEvent, reader?.cpuUsPerEvent), 'at most', 1.7),
      ...judge("CPU ÷ sglang Rust's", ratio(own, rust?.processCpuUsPerEvent), 'at most', 1),
      ...judge("sglang Python's CPU ÷ ours", ratio(python?.processCpuUsPerEvent, own), 'at least', 2.5),
      ...judge('stamp error, p99 in ms', ours?.stampErrorMs?.p99 ?? null, 'at most', 0.06),
      ...judge('stamp error, p99.9 in ms', ours?.stampErrorMs?.p999 ?? null, 'at most', 0.25),
    ];
  }
  return judge('MB resident', (ours?.rssMaxBytes ?? Infinity) / 1e6, 'at most', RSS_MAX_BYTES / 1e6);
}

/**
 * @param {number | null | undefined} value
 * @param {number | null | undefined} other
 */
function ratio(value, other) {
  return typeof value === 'number' && typeof other === 'number' ? value / other : null;
}
