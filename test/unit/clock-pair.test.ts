import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { pairClocks } from '../../src/core/clock-pair.ts';
import { readTruth } from '../../src/core/truth.ts';
import { startClock } from '../../src/host/clock.ts';
import { TruthLog } from '../../src/mock/truth-log.ts';

describe('pairClocks', () => {
  it('keeps the closest of several readings, also where most of them are interrupted', () => {
    let nowMs = 0;
    let reads = 0;
    // The other clock is 1,000 ms ahead. Reading it takes 4 ms, and once, the 31st time, 0.002 ms.
    const pair = pairClocks(
      () => nowMs,
      () => {
        const tookMs = ++reads === 31 ? 0.002 : 4;
        const value = nowMs + 1_000 + 0.9 * tookMs;
        nowMs += tookMs;
        return value;
      },
    );
    expect(Math.abs(pair.other - pair.atMs - 1_000)).toBeLessThan(0.001);
  });

  it('holds for a clock that stands still', () => {
    expect(
      pairClocks(
        () => 7,
        () => 9n,
      ),
    ).toEqual({ atMs: 7, other: 9n });
  });
});

/** CLOCK_MONOTONIC in ms at `performance.now()` 0. The least of many readings is next to it. */
const ZERO_MS = Math.min(
  ...Array.from({ length: 2_000 }, () => -performance.now() + Number(process.hrtime.bigint()) / 1e6),
);

/** As if the process were interrupted for 2 ms before it reads the clock, nine times of ten. */
function interrupt(): void {
  const read = process.hrtime.bigint;
  let reads = 0;
  vi.spyOn(process.hrtime, 'bigint').mockImplementation(() => {
    const until = performance.now() + (++reads % 10 === 0 ? 0 : 2);
    while (performance.now() < until);
    return read();
  });
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('the instant 0 on CLOCK_MONOTONIC is right to µs, whatever comes between two readings,', () => {
  it('of a run', () => {
    interrupt();
    const clock = startClock();
    const before = performance.now();
    const nowMs = clock.now();
    const after = performance.now();
    const originMs = Number(clock.origin.monotonicNs) / 1e6 - ZERO_MS;
    expect(originMs + nowMs).toBeGreaterThan(before - 0.01);
    expect(originMs + nowMs).toBeLessThan(after + 0.01);
  });

  it('of a truth log', async () => {
    interrupt();
    const folder = mkdtempSync(path.join(os.tmpdir(), 'bench-truth-'));
    const file = path.join(folder, 'truth.ndjson');
    const log = new TruthLog(file, { eventsPerWrite: 1, roleChunk: false });
    const arrivedAtMs = performance.now();
    log.begin({ requestId: 'a', responseId: '', arrivedAtMs, promptTokens: 0 }).end('good');
    await log.close();
    const { head, lines } = readTruth(readFileSync(file, 'utf8'), file);
    rmSync(folder, { recursive: true });
    const monotonicMs = Number(head.monotonicNs) / 1e6 + lines[0]!.arrivedAtMs;
    expect(Math.abs(monotonicMs - (arrivedAtMs + ZERO_MS))).toBeLessThan(0.01);
  });
});
