import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Found, Probe } from '../../src/core/capacity.ts';
import { newOut, readRun, startServer } from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';

/** A step of decode takes 5 ms and 1 ms more for each stream: TPOT is about 5 ms + C. */
const SERVER = '--step 5ms --step-per-stream 1ms --base-ttft 5ms --prefill-tokens-per-s 10000000';
const SHAPE = ['--isl', '20', '--osl', '10', '--pause', '0s', '--attain', '80%'];

interface Answer {
  readonly found: Found;
  readonly complete: boolean;
  readonly probes: readonly Probe[];
  readonly directory: string;
}

describe('bench capacity', () => {
  it('finds the level up to which the limits are met', async () => {
    const { url } = await startServer(SERVER);
    const out = newOut();
    const ended = await benchHere([
      ...['capacity', '--url', url, ...SHAPE, '--slo', 'tpot=17.5ms'],
      ...['--from', '4', '--to', '32', '--out', out, '--json'],
    ]);
    expect(ended.code).toBe(0);
    const { found, complete, probes } = JSON.parse(ended.stdout) as Answer;
    expect(complete).toBe(true);
    // 12 by the server's schedule; a busy machine is slower, and a batch that is not full is faster.
    expect(found.meets!.load).toBeGreaterThanOrEqual(6);
    expect(found.meets!.load).toBeLessThanOrEqual(14);
    expect(found.misses!.load - found.meets!.load).toBe(1);
    const runs = probes.map((_, nth) => `${nth + 1}`);
    expect(readdirSync(out).sort()).toEqual([...runs, 'capacity.json', 'report.html'].sort());
    expect(JSON.parse(readFileSync(path.join(out, 'capacity.json'), 'utf8'))).toMatchObject({
      schema: 'bench-serving.capacity/1',
      status: 'complete',
      runs: runs.map((folder) => ({ folder, status: 'complete' })),
      ...{ slo: 'tpot=17.5ms', found, probes, complete },
    });
    // The same again, of the runs that the document names.
    rmSync(path.join(out, 'report.html'));
    const again = await benchHere(['report', out, '--format', 'json']);
    expect(again).toMatchObject({ code: 0, stdout: ended.stdout, stderr: '' });
    expect(existsSync(path.join(out, 'report.html'))).toBe(false);
    const page = await benchHere(['report', out]);
    expect(page).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(
        `  capacity  ${found.meets!.load} in flight; ${found.misses!.load} miss\n`,
      ),
    });
    expect(page.stdout).toMatch(/← capacity/);
    const html = readFileSync(path.join(out, 'report.html'), 'utf8');
    expect(html).toContain(`<h1>capacity: ${found.meets!.load} in flight; ${found.misses!.load} miss</h1>`);
    expect(html).toContain('tpot ≤ 17.5ms, for at least 80 % of the requests');
    for (const [nth, probe] of probes.entries()) {
      const { report } = readRun(path.join(out, `${nth + 1}`));
      const [level] = report.levels;
      expect(level).toMatchObject({ concurrency: probe.load, goodput: { met: probe.met } });
      expect(level!.requests.sent).toBe(Math.max(4 * probe.load, 14));
    }
  });

  it('takes a rate for missed that the server does not keep up with, though each request that it takes is fast', async () => {
    // Room in the cache for 4 requests of 70 tokens, and 0.2 s for each: 20 a second.
    const { url } = await startServer(
      '--kv-tokens 280 --base-ttft 10ms --prefill-tokens-per-s 10000000 --step 10ms --step-per-stream 0ms',
    );
    const ended = await benchHere([
      ...['capacity', '--url', url, '--isl', '50', '--osl', '20', '--pause', '0s'],
      ...['--slo', 'tpot=500ms', '--attain', '80%', '--arrival', 'constant', '--duration', '3s'],
      ...['--from', '10', '--to', '80', '--precision', '90%', '--out', newOut(), '--json'],
    ]);
    expect(ended.code).toBe(0);
    const { found, probes } = JSON.parse(ended.stdout) as Answer;
    // Every request met its limit, whatever came.
    for (const { met, sent } of probes) expect(met).toBe(sent);
    expect(found.misses).toMatchObject({ lag: 'fell-behind' });
    expect(found.meets!.load).toBeLessThanOrEqual(20);
    expect(found.misses!.load).toBeGreaterThan(10);
    expect(found.misses!.load).toBeLessThanOrEqual(40);
  });

  it('says when the answer lies outside of the range', async () => {
    const { url } = await startServer(SERVER);
    const args = ['capacity', '--url', url, ...SHAPE];
    const out = newOut();
    const above = await benchHere([...args, '--slo', 'e2e=1m', '--from', '2', '--to', '4', '--out', out]);
    expect(above.code).toBe(0);
    expect(`${(await benchHere(['report', out])).stdout}\nresults: ${out}\n`).toBe(above.stdout);
    expect(above.stdout).toContain('at least 4 in flight, the end of the range');
    const below = await benchHere([...args, '--slo', 'ttft=1ms', '--out', newOut()]);
    expect(below.code).toBe(1);
    expect(below.stdout).toContain('none: 1 in flight miss already');
  });

  it.each([
    [['--isl', '5', '--osl', '5'], 'missing: --slo'],
    [['--isl', '5', '--osl', '5', '--slo', 'ttft=x'], '--slo ttft: "x" is not a duration'],
    [
      ['--isl', '5', '--osl', '5', '--slo', 'ttft=1s', '--from', '9', '--to', '3'],
      '--from and --to: 9 is above 3',
    ],
    [['--isl', '5', '--osl', '5', '--slo', 'ttft=1s', '--attain', '100%'], '--attain: "100%" is no share'],
    [['--isl', '5', '--osl', '5', '--slo', 'ttft=1s', '--concurrency', '4'], 'unknown: --concurrency'],
  ])('%j is refused', async (words, message) => {
    expect(await benchHere(['capacity', ...words])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining(message),
    });
  });
});
