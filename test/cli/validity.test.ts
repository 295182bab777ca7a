import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { LevelReport } from '../../src/core/report.ts';
import type { TruthLine } from '../../src/core/truth.ts';
import {
  bench,
  makeFolder,
  newOut,
  onlyLevel,
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

/** A process that takes all it can get of a core, for a few seconds at most. */
function startHog(core: string): void {
  const loop = 'const end = Date.now() + 20_000; while (Date.now() < end);';
  hogs.push(spawn('taskset', ['-c', core, process.execPath, '-e', loop], { stdio: 'ignore' }));
}

const run = (url: string, out: string, ...words: string[]): string[] =>
  ['run', '--url', url, '--isl', '10', '--warmup', '0', '--require-valid', '--out', out].concat(words);

function expectTurned(level: LevelReport, code: number | null, stdout: string): void {
  expect(level.requests.failed).toBe(0);
  expect(level.validity.verdict).not.toBe('valid');
  expect(level.validity.reasons.length).toBeGreaterThan(0);
  expect(code).toBe(5);
  // Never in silence: in the row, and with the reason below the table.
  expect(stdout).toContain(level.validity.verdict);
  expect(stdout.replaceAll(/\s+/g, ' ')).toContain(level.validity.reasons[0]!);
}

/** Gaps of the run that is to be valid, and the error of its stamps up to which nothing was amiss: a fifth of the limit. */
const ITL_MS = 200;
const GOOD_MS = 0.01 * ITL_MS;

/** The largest error of the run's stamps, by the server's log of its writes. */
async function trueErrorMs({ report, records }: Run, log: string): Promise<number> {
  const lines = await until('the log', () => {
    const read = readFileSync(log, 'utf8').trimEnd().split('\n');
    return records.every(({ requestId }) => read.some((line) => line.includes(requestId))) && read;
  });
  const [head, ...answers] = lines.map((line) => JSON.parse(line));
  const shiftMs = Number(BigInt(report.origin.monotonicNs) - BigInt(head.monotonicNs)) / 1e6;
  const errors = records.flatMap(({ requestId, sentAtMs, chunkUs }) => {
    const { eventAtMs } = answers.find((answer) => answer.requestId === requestId) as TruthLine;
    expect(eventAtMs).toHaveLength(chunkUs.length);
    let atMs = sentAtMs + shiftMs;
    return [...chunkUs].map((gapUs, i) => {
      atMs += gapUs / 1_000;
      return atMs - eventAtMs[i]!;
    });
  });
  return Math.max(...errors);
}

describe('the verdict on a level', () => {
  it('turns when the server sends faster than this process can read', async () => {
    const server = await startServer('--ttft 5ms --step 0ms');
    const out = newOut();
    const ended = await bench(
      run(server.url, out, ...'--osl 4000 --concurrency 16 --requests 32'.split(' ')),
    );
    expectTurned(onlyLevel(readRun(out)), ended.code, ended.stdout);
  });

  it.skipIf(CORE === null)('turns when others use the core that it is kept on', async () => {
    const server = await startServer('--ttft 20ms --step 10ms');
    const out = newOut();
    for (let n = 0; n < 3; n++) startHog(CORE!);
    const words = run(server.url, out, ...'--osl 150 --concurrency 48 --requests 48'.split(' '));
    const ended = await bench(words, { shell: `taskset -pc ${CORE} $$ > /dev/null` });
    for (const hog of hogs) hog.kill('SIGKILL');
    expectTurned(onlyLevel(readRun(out)), ended.code, ended.stdout);
  });
  if (CORE === null) console.error('SKIPPED: no taskset here, so no process can be kept on a core');

  it('turns when the process is stopped for a while', async () => {
    const server = await startServer('--ttft 20ms --step 100ms');
    const out = newOut();
    const running = startBench(run(server.url, out, ...'--osl 25 --concurrency 4 --requests 4'.split(' ')));
    // The canary and all of the level.
    await until('the level', async () => (await server.counter('requests_total')) >= 5);
    await new Promise((resolve) => setTimeout(resolve, 800));
    running.child.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 400));
    running.child.kill('SIGCONT');
    const ended = await running.ended;
    const level = onlyLevel(readRun(out));
    expectTurned(level, ended.code, ended.stdout);
    expect(level.validity.reasons.join()).toMatch(/the harness stood still for (3[5-9]|4|5)\d+ ms/);
    // A second process saw how late each stamp was.
    expect(level.audit!.stampErrorMs!.max).toBeGreaterThan(350);
    expect(level.audit!.eventLoopDelayMs.max).toBeGreaterThan(350);
  });

  it('stays valid where nothing is amiss, and tells what was seen', async (context) => {
    const log = path.join(makeFolder(), 'truth.ndjson');
    const server = await startServer(`--ttft 400ms --step ${ITL_MS}ms --truth ${log}`);
    const measure = async () => {
      const out = newOut();
      const ended = await bench(run(server.url, out, ...'--osl 10 --concurrency 4 --requests 4'.split(' ')));
      const own = readRun(out);
      return { ended, level: onlyLevel(own), errorMs: await trueErrorMs(own, log) };
    };
    let measured = await measure();
    // Other work may have had the core, as the server's own log then shows: it may be quiet the next time.
    for (let n = 0; n < 2 && measured.errorMs > GOOD_MS; n++) measured = await measure();
    const { ended, level, errorMs } = measured;
    const audit = level.audit!;
    // Each of 40 events was a read of its own, with a few for what ends a stream.
    expect(audit.reads!.count).toBeGreaterThanOrEqual(20);
    expect(audit.reads!.count * audit.reads!.eventsPerRead!).toBeCloseTo(40 + 3 * 4, 6);
    expect(audit.reads!.fullRatio).toBe(0);
    expect(audit.reads!.waitMs).not.toBeNull();
    expect(audit.gc!.count).toBeGreaterThanOrEqual(0);
    expect(audit.involuntarySwitches).toBeGreaterThanOrEqual(0);
    // About 200 a second for two seconds.
    expect(audit.stampErrorMs!.count).toBeGreaterThan(100);
    expect(audit.stampErrorMs!.p50).toBeGreaterThan(0);
    if (audit.receiveQueue === null) console.error('SKIPPED: no /proc/net/tcp here, so no queue was seen');
    else expect(audit.receiveQueue!.looks).toBeGreaterThan(0);
    expect(audit.calibration).toBeNull();
    if (errorMs > GOOD_MS) {
      const why = `SKIPPED: this machine was not idle: stamps were truly ${errorMs.toFixed(1)} ms late`;
      console.error(why);
      context.skip(why);
    }
    expect(level.validity).toEqual({ verdict: 'valid', reasons: [] });
    expect(ended.code).toBe(0);
  });

  it('can lean on a calibration of this host, with the load of the level', async () => {
    const server = await startServer('--ttft 10ms --step 20ms');
    const out = newOut();
    const shape = ['--isl', '10', '--osl', '20', '--concurrency', '8', '--requests', '8', '--warmup', '0'];
    const ended = await bench(['run', '--url', server.url, ...shape, '--calibrate', 'always', '--out', out]);
    expect(ended.code).toBe(0);
    const run = readRun(out);
    expect(run.report.spec.calibrate).toBe('always');
    const { calibration } = onlyLevel(run).audit!;
    // 8 streams with an event each 20 ms, for about 1.5 s; the mock logged when it wrote them.
    expect(calibration!.concurrency).toBe(8);
    expect(calibration!.stampErrorMs.count % 8).toBe(0);
    expect(calibration!.stampErrorMs.count / 8).toBeGreaterThan(60);
    expect(calibration!.stampErrorMs.count / 8).toBeLessThan(90);
    expect(calibration!.eventsPerS).toBeGreaterThan(200);
    expect(calibration!.eventsPerS).toBeLessThan(500);
    expect(calibration!.stampErrorMs.p50).toBeGreaterThan(0);
    expect(calibration!.stampErrorMs.p50).toBeLessThan(5);
    // None of its requests is a request of the run.
    expect(run.records).toHaveLength(8);
    expect(await server.counter('requests_total')).toBe(9);
    expect(ended.stdout).toContain('against a known server');
  });

  it('is not calibrated against the mock server that it measures', async () => {
    const out = newOut();
    const shape = ['--isl', '10', '--osl', '3', '--requests', '1', '--warmup', '0'];
    const flags = ['--mock', '--mock-flags', '--ttft 5ms --step 1ms', '--calibrate', 'always'];
    expect((await bench(['run', ...flags, ...shape, '--out', out])).code).toBe(0);
    const run = readRun(out);
    expect(run.report.spec.calibrate).toBe('never');
    expect(onlyLevel(run).audit!.calibration).toBeNull();
  });
});
