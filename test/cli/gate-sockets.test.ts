import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it, vi } from 'vitest';
import { judgeGate } from '../../src/core/gate.ts';
import type { GateVerdict } from '../../src/core/gate-check.ts';
import { DEFAULT_POLICY } from '../../src/core/policy.ts';
import { type Repeat, repeatOf } from '../../src/core/repeat.ts';
import { newOut, parseReport, startBench, startServer } from '../fixtures/cli.ts';

// Thirty-two runs over real sockets.
vi.setConfig({ testTimeout: 300_000 });

const A_SIDE = 4;
/** The mock's schedule with a step of 4 ms, and all of it slower by 20 %. */
const QUICK = '--ttft 40ms --step 4ms --seed 1';
const SLOW = '--ttft 48ms --step 4.8ms --seed 1';

/** Runs one after another against a server of its own, in sets of `A_SIDE`. */
async function measure(flags: string, sets: number): Promise<Repeat[][]> {
  const { url } = await startServer(flags);
  const out = newOut();
  const { ended } = startBench(
    [
      ...['sweep', '--url', url, '--isl', '50', '--osl', '10', '--concurrency', '4,8', '--requests', '8'],
      ...['--pause', '0s', '--seed', '1', '--salt', 'fixed', '--quiet'],
      ...['--repeats', String(sets * A_SIDE), '--out', out],
    ],
    { serves: true },
  );
  expect(await ended).toMatchObject({ code: 0 });
  return Array.from({ length: sets }, (_, set) =>
    Array.from({ length: A_SIDE }, (_, nth) => {
      const file = path.join(out, String(set * A_SIDE + nth + 1), 'report.json');
      return repeatOf(parseReport(readFileSync(file, 'utf8')));
    }),
  );
}

it('fails at most 2 of 10 gates of one server with itself, and all of 5 where the other is slower by 20 %', async () => {
  const [quick, slow] = await Promise.all([measure(QUICK, 5), measure(SLOW, 3)]);
  const policy = { ...DEFAULT_POLICY, requireValid: false };
  const verdict = (baseline: Repeat[], candidate: Repeat[]): GateVerdict =>
    judgeGate({ baseline, anchor: null, candidate }, policy).verdict;
  // Each set against each later one.
  const alike = quick.flatMap((baseline, set) =>
    quick.slice(set + 1).map((candidate) => verdict(baseline, candidate)),
  );
  expect(alike).toHaveLength(10);
  expect(alike.filter((one) => one === 'fail').length).toBeLessThanOrEqual(2);
  const slower = quick.map((baseline, set) => verdict(baseline, slow[set % 3]!));
  expect(slower).toEqual(Array(5).fill('fail'));
});
