import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { BOUNDED_STATS, type ValueBound } from '../../src/core/audit-facts.ts';
import type { LevelReport } from '../../src/core/report.ts';
import type { TruthLine } from '../../src/core/truth.ts';
import { doubtfulHeadlines } from '../../src/core/validity.ts';
import {
  bench,
  makeFolder,
  newOut,
  onlyLevel,
  percentile,
  type Run,
  readRun,
  startBench,
  startServer,
  until,
} from '../fixtures/cli.ts';

/** The last core that this process may use, where processes can be kept on one; else null. */
const CORE = spawnSync('taskset', ['--version']).status === 0 ? lastCore() : null;
const hogs: ChildProcess[] = [];

afterAll(() => {
  for (const hog of hogs) hog.kill('SIGKILL');
});

function lastCore(): string | null {
  try {
    const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    return list?.split(/[,-]/).at(-1) ?? null;
  } catch {
    return null;
  }
}

/** A process that takes all it can get of a core, for half a minute at most. */
function startHog(core: string): void {
  const loop = 'const end = Date.now() + 30_000; while (Date.now() < end);';
  hogs.push(spawn('taskset', ['-c', core, process.execPath, '-e', loop], { stdio: 'ignore' }));
}

const run = (url: string, out: string, ...words: string[]): string[] =>
  ['run', '--url', url, '--isl', '10', '--warmup', '0', '--out', out].concat(words);

/** The page with each wrapped line joined. */
const flat = (text: string): string => text.replaceAll(/\s+/g, ' ');

/** When the server wrote each event, on the clock of the run. */
async function trueEvents({ report, records }: Run, log: string): Promise<Map<string, number[]>> {
  const lines = await until('the log', () => {
    const read = readFileSync(log, 'utf8').trimEnd().split('\n');
    return records.every(({ requestId }) => read.some((line) => line.includes(requestId))) && read;
  });
  const [head, ...answers] = lines.map((line) => JSON.parse(line));
  const shiftMs = Number(BigInt(report.origin.monotonicNs) - BigInt(head.monotonicNs)) / 1e6;
  return new Map(
    (answers as TruthLine[]).map(({ requestId, eventAtMs }) => [
      requestId!,
      eventAtMs.map((atMs) => atMs - shiftMs),
    ]),
  );
}

/** For each output chunk: when its event was written, and between which instants it arrived. */
async function arrivals(of: Run, log: string) {
  const written = await trueEvents(of, log);
  return of.records.flatMap(({ requestId, sentAtMs, chunkUs, chunkSlackUs }) => {
    const events = written.get(requestId)!;
    expect(events).toHaveLength(chunkUs.length);
    let atMs = sentAtMs;
    // A record is read as JSON, so its arrays are plain.
    return [...chunkUs].map((gapUs, i) => {
      atMs += gapUs / 1_000;
      return { writtenAtMs: events[i]!, lowerMs: atMs - (chunkSlackUs?.[i] ?? 0) / 1_000, upperMs: atMs };
    });
  });
}

/** The event is written just before it arrives, in whole µs on either clock. */
const CLOCKS_MS = 0.1;

/** The metrics of a level that are sure of themselves. */
const widths = (bounds: Readonly<Record<string, ValueBound>>): number[] =>
  BOUNDED_STATS.map((stat) => bounds[stat]!.upper - bounds[stat]!.lower);

describe('the verdict on a level', () => {
  it('is by the stamps of the kernel, which lie where the server wrote', async () => {
    const log = path.join(makeFolder(), 'truth.ndjson');
    const server = await startServer(`--ttft 300ms --step 100ms --truth ${log}`);
    const out = newOut();
    const ended = await bench(run(server.url, out, ...'--osl 12 --concurrency 4 --requests 4'.split(' ')));
    const own = readRun(out);
    const level = onlyLevel(own);
    const audit = level.audit!;
    expect(own.report.spec.wire).toBe('auto');
    expect(audit.stampedBy).toBe('kernel');
    expect(own.records.every(({ stampedBy }) => stampedBy === 'kernel')).toBe(true);
    expect(ended.code).toBe(0);
    expect(ended.stdout).toMatch(
      /^ +clock +stamped by the kernel, within \S+ ms at p99 \(at most \S+ ms\)$/m,
    );
    // 4 × 12 chunks; beside them each stream ends with a few events.
    expect(audit.stampErrorMs!.count).toBe(48);
    expect(audit.reads!.count * audit.reads!.eventsPerRead!).toBeCloseTo(48 + 3 * 4, 6);
    expect(audit.reads!.fullRatio).toBe(0);
    expect(audit.reads!.unstamped).toBe(0);
    expect(audit.reads!.waitMs!.max).toBeGreaterThan(0);
    expect(audit.ring).toEqual({ stalls: 0, stalledMs: 0, clockSteps: 0 });
    expect(audit.gc!.count).toBeGreaterThanOrEqual(0);
    expect(audit.involuntarySwitches).toBeGreaterThanOrEqual(0);
    expect(audit.otherCpuRatio).toBeGreaterThanOrEqual(0);
    expect(audit.otherCpuRatio).toBeLessThanOrEqual(1.05);
    // No event arrived before it was written, and half of them within a ms.
    const late = (await arrivals(own, log)).map(({ writtenAtMs, upperMs }) => upperMs - writtenAtMs);
    expect(Math.min(...late)).toBeGreaterThan(-CLOCKS_MS);
    expect(percentile(late, 0.5)).toBeLessThan(1);
    expect(level.validity.verdict).not.toBe('client-bound');
    for (const latency of ['ttftMs', 'tpotMs', 'e2eMs'] as const)
      expect(Math.max(...widths(level.bounds![latency]!)), latency).toBeLessThan(20);
  });

  it.skipIf(CORE === null)('leaves TTFT and TPOT valid beside others on the only core', async () => {
    const server = await startServer('--ttft 300ms --step 100ms');
    const out = newOut();
    for (let n = 0; n < 2; n++) startHog(CORE!);
    const words = '--osl 20 --concurrency 4 --requests 4 --require-valid=ttft,tpot'.split(' ');
    const ended = await bench(run(server.url, out, ...words), {
      shell: `taskset -pc ${CORE} $$ > /dev/null`,
    });
    for (const hog of hogs) hog.kill('SIGKILL');
    const level = onlyLevel(readRun(out));
    const why = level.validity.reasons.join();
    expect(level.audit!.stampedBy).toBe('kernel');
    expect(level.validity.verdict, why).not.toBe('client-bound');
    expect(doubtfulHeadlines(level.validity), why).not.toContain('ttft');
    expect(doubtfulHeadlines(level.validity), why).not.toContain('tpot');
    expect(ended.code, why).toBe(0);
    // Two hogs on one of the cores.
    expect(level.audit!.otherCpuRatio).toBeGreaterThan(0.1);
    expect(flat(ended.stdout)).toMatch(
      /other processes, a server on this host included, used up to \d+(\.\d)? % of its cores/,
    );
  });
  if (CORE === null) console.error('SKIPPED: no taskset here, so no process can be kept on a core');

  it('has wide bounds for what arrived while the process was stopped, and the truth inside', async () => {
    const log = path.join(makeFolder(), 'truth.ndjson');
    const server = await startServer(`--ttft 200ms --step 100ms --truth ${log}`);
    const out = newOut();
    const words = '--osl 25 --concurrency 4 --requests 4 --require-valid'.split(' ');
    const running = startBench(run(server.url, out, ...words));
    // The canary and all of the level.
    await until('the level', async () => (await server.counter('requests_total')) >= 5);
    await new Promise((resolve) => setTimeout(resolve, 800));
    running.child.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 600));
    running.child.kill('SIGCONT');
    const ended = await running.ended;
    const own = readRun(out);
    const level = onlyLevel(own);
    expect(level.requests.good).toBe(4);
    // Some five events of each stream came in one read: the last is known, the others came since the read before.
    expect(level.audit!.stampErrorMs!.max).toBeGreaterThan(200);
    expect(level.bounds!.itlMs!.p99.upper).toBeGreaterThan(300);
    expect(level.bounds!.itlMs!.p99.lower).toBeLessThan(level.bounds!.itlMs!.p99.upper - 200);
    expectSuspect(level, ended.code, ended.stdout);
    expect(level.validity.doubtful).toContain('itlMs.p99');
    expect(level.validity.reasons[0]).toMatch(/^error bound of time stamps: .*ITL \(p\d+ \d+ ± \d+ ms\)/);
    // What the first and the last event of a stream make is known all the same.
    const sure = ['tpotMs', 'e2eMs'].flatMap((latency) => BOUNDED_STATS.map((stat) => `${latency}.${stat}`));
    for (const id of [...sure, 'outputTokensPerS']) expect(level.validity.doubtful).not.toContain(id);
    // The server's own log: each event came within its interval, and each true gap is in the bounds.
    const events = await arrivals(own, log);
    const tolerance = (late: number): number => late + CLOCKS_MS;
    for (const { writtenAtMs, upperMs } of events) expect(writtenAtMs - upperMs).toBeLessThan(CLOCKS_MS);
    const hidden = events.filter(({ lowerMs, upperMs }) => upperMs - lowerMs > 50);
    expect(hidden.length).toBeGreaterThanOrEqual(4);
    for (const { writtenAtMs, lowerMs } of hidden)
      expect(writtenAtMs - lowerMs).toBeGreaterThan(-tolerance(20));
    const written = await trueEvents(own, log);
    const gaps = own.records.flatMap(({ requestId }) => {
      const atMs = written.get(requestId)!;
      return atMs.slice(1).map((at, i) => at - atMs[i]!);
    });
    for (const [stat, share] of [
      ['p50', 0.5],
      ['p90', 0.9],
    ] as const) {
      const { lower, upper } = level.bounds!.itlMs![stat];
      expect(percentile(gaps, share)).toBeGreaterThan(lower - tolerance(20));
      expect(percentile(gaps, share)).toBeLessThan(upper + tolerance(20));
    }
  });

  it("says that the clock is the event loop's with --wire socket, whose error nothing bounds", async () => {
    const server = await startServer('--ttft 300ms --step 100ms');
    const out = newOut();
    const words = '--osl 5 --concurrency 2 --requests 2 --wire socket'.split(' ');
    const ended = await bench(run(server.url, out, ...words));
    expect(ended.code).toBe(0);
    expect(flat(ended.stdout)).toContain(
      "clock time stamps are those of the harness's event loop, not the kernel's: their error is estimated, not bounded",
    );
    const own = readRun(out);
    const level = onlyLevel(own);
    expect(level.bounds).toBeNull();
    expect(level.audit).toMatchObject({ stampedBy: 'process', stampErrorMs: null });
    expect(level.audit).not.toHaveProperty('ring');
    expect(level.audit!.reads).not.toHaveProperty('unstamped');
    for (const record of own.records) {
      expect(record.stampedBy).toBe('process');
      expect(record).not.toHaveProperty('chunkSlackUs');
    }
    // Asked for, and so no warning.
    expect(own.report.warnings).toEqual([]);
  });

  it('turns when the process is stopped and the event loop stamps, by an estimate', async () => {
    const server = await startServer('--ttft 200ms --step 100ms');
    const out = newOut();
    const words = '--osl 15 --concurrency 4 --requests 4 --require-valid=itl --wire socket'.split(' ');
    const running = startBench(run(server.url, out, ...words));
    await until('the level', async () => (await server.counter('requests_total')) >= 5);
    await new Promise((resolve) => setTimeout(resolve, 600));
    running.child.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 600));
    running.child.kill('SIGCONT');
    const ended = await running.ended;
    const level = onlyLevel(readRun(out));
    expect(level.audit!.eventLoopDelayMs.max).toBeGreaterThan(400);
    expect(level.bounds).toBeNull();
    expectSuspect(level, ended.code, ended.stdout);
    expect(level.validity.doubtful).toContain('itlMs.p99');
    expect(level.validity.reasons[0]).toMatch(/^estimated error of time stamps: .*ITL \(p\d+ \d+ ± \d+ ms\)/);
  });

  it('turns when the server sends faster than this process can read', async () => {
    const server = await startServer('--ttft 5ms --step 0ms');
    const out = newOut();
    const words = '--osl 4000 --concurrency 16 --requests 32 --require-valid'.split(' ');
    const ended = await bench(run(server.url, out, ...words));
    expectSuspect(onlyLevel(readRun(out)), ended.code, ended.stdout);
  });

  it('is not touched by a load that was less than asked, which is said beside it', async () => {
    const server = await startServer('--ttft 1ms --step 0ms');
    const out = newOut();
    const ended = await bench(run(server.url, out, ...'--osl 1 --concurrency 1 --requests 50'.split(' ')));
    expect(ended.code).toBe(0);
    const { validity, audit, e2eMs } = onlyLevel(readRun(out));
    const turnaroundMs = audit!.sendLagMs.mean!;
    const ratio = turnaroundMs / (turnaroundMs + e2eMs.mean!);
    const { load = [] } = validity;
    expect(load).toHaveLength(ratio > 0.02 ? 1 : 0);
    if (ratio <= 0.02) return;
    expect(load[0]).toMatch(
      /^a slot took \d+\.\d\d ms from a response to the next request in the mean, \d+ % of its time$/,
    );
    expect(validity.reasons.join()).not.toContain('a slot took');
    expect(flat(ended.stdout)).toContain(` load ${load[0]}`);
  });
});

/** Not valid, with exit 5, and never in silence: in the row, and with the reason below the table. */
function expectSuspect(level: LevelReport, code: number | null, stdout: string): void {
  expect(level.requests.failed).toBe(0);
  expect(level.validity.verdict).not.toBe('valid');
  expect(level.validity.reasons.length).toBeGreaterThan(0);
  expect(code).toBe(5);
  expect(stdout).toContain(level.validity.verdict);
  expect(flat(stdout)).toContain(level.validity.reasons[0]!);
  expect(stdout).toMatch(/ \?~?\d/);
}
