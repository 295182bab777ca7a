import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  bench,
  countLines,
  MAIN,
  makeFolder,
  newOut,
  parseReport,
  type Running,
  readRecordLines,
  readRun,
  startBench,
  startServer,
  until,
} from '../fixtures/cli.ts';

const FLAGS = '--ttft 20ms --step 10ms';
/** Two levels of 12 requests that take half a second each. */
const SWEEP = ['--isl', '60', '--osl', '50', '--concurrency', '12,5', '--warmup', '0', '--pause', '0s'];
const FIRST = 12;

interface Started {
  readonly out: string;
  readonly running: Running;
}

/** A sweep whose second level is under way. */
async function startSweep(args: readonly string[] = []): Promise<Started> {
  const out = newOut();
  const flags = ['--mock', '--mock-flags', FLAGS];
  const running = startBench(['sweep', ...flags, ...SWEEP, '--requests', '12', '--out', out, ...args]);
  await until('the second level', () => countLines(path.join(out, 'records.ndjson')) >= FIRST);
  await until('its requests', () => readdirSync(out).includes('report.json') && levelsOf(out) === 1);
  return { out, running };
}

function levelsOf(out: string): number {
  return parseReport(readFileSync(path.join(out, 'report.json'), 'utf8')).levels.length;
}

/** The page without its line breaks. */
function flat(page: string): string {
  return page.replaceAll(/\s+/g, ' ');
}

async function pageOf(out: string): Promise<string> {
  return flat((await bench(['report', out])).stdout);
}

function inMs(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

describe('Ctrl-C', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    // What batch jobs ask to be warned with: sbatch --signal=B:USR1@120.
    ['SIGUSR1', 143],
    // A terminal that is closed.
    ['SIGHUP', 143],
  ] as const)('%s once lets requests end, keeps all records and is exit %i', async (signal, code) => {
    const { out, running } = await startSweep();
    await until(
      'requests of the second level',
      () => countLines(path.join(out, 'records.ndjson')) >= FIRST + 5,
    );
    running.child.kill(signal);
    const ended = await running.ended;
    expect(ended.code).toBe(code);
    expect(ended.stderr).toContain('interrupted: nothing more is sent');
    const run = readRun(out);
    expect(run.report.status).toBe('interrupted');
    expect(run.report.levels.map(({ status }) => status)).toEqual(['complete', 'partial']);
    const partial = run.report.levels[1]!;
    expect(partial.requests.sent).toBeLessThan(12);
    expect(partial.requests).toMatchObject({ good: partial.requests.sent, failed: 0 });
    expect(run.records).toHaveLength(FIRST + partial.requests.sent);
    expect(run.records.every(({ outcome }) => outcome === 'good')).toBe(true);
    expect(ended.stdout).toContain('cut off after');
    const hint = `the run was interrupted; go on with it: bench sweep --resume ${out} (beside it give --mock`;
    expect(flat(ended.stdout)).toContain(hint);
    expect(await pageOf(out)).toContain(hint);
    // The counters agreed on the first level; of the second they were not read.
    expect(flat(ended.stdout)).toContain("the run was interrupted before the server's counters were read");
    expect(ended.stdout).not.toContain('has none of the counters');
  });

  it('once cancels what is still in flight after --grace', async () => {
    const { out, running } = await startLong('50ms');
    running.child.kill('SIGINT');
    const ended = await running.ended;
    expect(ended.code).toBe(130);
    const run = readRun(out);
    expect(run.report.status).toBe('interrupted');
    const level = run.report.levels.at(-1)!;
    expect(level.failures.cancelled?.count).toBe(level.requests.failed);
    expect(level.requests.failed).toBeGreaterThan(0);
  });

  it('twice ends at once; nothing of a finished level is lost', async () => {
    const tmp = makeFolder();
    const { out, running } = await startLong('30s', { TMPDIR: tmp });
    expect(await pageOf(out)).not.toContain('did not end');
    running.child.kill('SIGINT');
    await until('the first word', () => running.output.stderr.includes('again to quit at once'));
    running.child.kill('SIGINT');
    const ended = await Promise.race([running.ended, inMs(2_000).then(() => null)]);
    expect(ended?.code).toBe(130);
    expect(ended?.stderr).toMatch(new RegExp(`\nwhat had ended is in ${out}\n$`));
    expect(await pageOf(out)).toContain('the run did not end: nothing writes to it any more');
    readRecordLines(path.join(out, 'records.ndjson'));
    expect(readdirSync(tmp).filter((name) => name.startsWith('bench-'))).toEqual([]);
  });

  it('before anything was measured leaves nothing behind', async () => {
    const tmp = makeFolder();
    const out = path.join(makeFolder(), 'out');
    const big = ['--isl', '30000', '--osl', '10', '--text', 'corpus', '--concurrency', '64'];
    const running = startBench(['sweep', '--mock', ...big, '--out', out], { env: { TMPDIR: tmp } });
    await until('its folder', () => readdirSync(path.dirname(out)).includes('out'));
    await until('the making of prompts', () => readdirSync(tmp).some((name) => name.startsWith('bench-')));
    await inMs(300);
    running.child.kill('SIGINT');
    const ended = await running.ended;
    expect(ended.code).toBe(130);
    expect(ended.stderr).not.toContain('bug of bench');
    expect(readdirSync(path.dirname(out))).toEqual([]);
    expect(readdirSync(tmp)).toEqual([]);
  });
});

/** A run of answers that take half a minute, all of them in flight. */
async function startLong(grace: string, env: Record<string, string> = {}): Promise<Started> {
  const server = await startServer(FLAGS);
  const out = newOut();
  const shape = ['--isl', '60', '--osl', '3000', '--concurrency', '4', '--warmup', '0', '--grace', grace];
  const running = startBench(['run', '--url', server.url, ...shape, '--out', out], { env });
  await until('four requests', async () => (await server.counter('requests_running')) === 4);
  return { out, running };
}

describe('kill -9 and --resume', () => {
  it('keeps what had ended; the rest is measured again under a new salt', async () => {
    const { out, running } = await startSweep(['--seed', '3']);
    await until(
      'requests of the second level',
      () => countLines(path.join(out, 'records.ndjson')) >= FIRST + 5,
    );
    running.child.kill('SIGKILL');
    await running.ended;
    expect(await pageOf(out)).toContain(
      `the run did not end: nothing writes to it any more; go on with it: bench sweep --resume ${out}`,
    );
    const killed = parseReport(readFileSync(path.join(out, 'report.json'), 'utf8'));
    expect(killed.status).toBe('running');
    expect(killed.levels.map(({ point, status }) => [point, status])).toEqual([[0, 'complete']]);
    const before = readRecordLines(path.join(out, 'records.ndjson'));
    expect(before.length).toBeGreaterThanOrEqual(17);

    const ended = await bench(['sweep', '--mock', '--mock-flags', FLAGS, '--resume', out]);
    expect(ended.code).toBe(0);
    const { report, records } = readRun(out);
    expect(report.status).toBe('complete');
    expect(report.levels.map(({ concurrency, status }) => [concurrency, status])).toEqual([
      [12, 'complete'],
      [5, 'complete'],
    ]);
    expect(report.levels[0]).toEqual(killed.levels[0]);
    expect(report.levels[1]!.requests).toMatchObject({ sent: 12, good: 12 });
    expect(report.levels[1]!.islProof.deviations).toBe(0);
    expect(report.levels[1]!.cachedTokens).toBe(0);
    expect(records).toHaveLength(24);
    expect(new Set(records.map(({ id }) => id)).size).toBe(24);
    expect(new Set(records.map(({ requestId }) => requestId)).size).toBe(24);
    const discarded = readRecordLines(path.join(out, 'records.discarded.ndjson'));
    expect(discarded).toEqual(before.filter(({ point }) => point === 1));
    const used = new Set([...records, ...discarded].map(({ id }) => id));
    expect(used.size).toBe(24 + discarded.length);
    expect(records.filter(({ point }) => point === 0)).toEqual(before.filter(({ point }) => point === 0));
    expect(report.spec.prompts.salt).not.toBe(killed.spec.prompts.salt);
    expect(report.spec.prompts.seed).toBe(3);
    const starts = report.levels.map(({ startedAtMs }) => startedAtMs!);
    expect(starts[1]).toBeGreaterThan(report.levels[0]!.endedAtMs!);

    const again = await bench(['sweep', '--mock', '--resume', out]);
    expect(again.code).toBe(2);
    expect(again.stderr).toContain('is complete');
  });
});

describe('a disk that takes no more', () => {
  it('is told with exit 2, and what it took is whole', async () => {
    const out = newOut();
    const load = ['--isl', '60', '--osl', '3000', '--requests', '24', '--concurrency', '6', '--warmup', '0'];
    const flags = ['--mock', '--mock-flags', '--ttft 5ms --step 0.2ms'];
    // No file may grow beyond 256 KiB; the signal that says so is ignored, so that writes fail with EFBIG.
    const shell = "trap '' XFSZ; ulimit -f 256";
    const ended = await bench(['run', ...flags, ...load, '--out', out], { shell });
    expect(ended.stderr).not.toContain('bug of bench');
    expect(ended.stderr).toMatch(/EFBIG/);
    expect(ended.code).toBe(2);
    const records = readRecordLines(path.join(out, 'records.ndjson'));
    expect(records.length).toBeGreaterThan(0);
    expect(records.length).toBeLessThan(24);
    for (const record of records) expect(record.outcome).toBe('good');
  });
});

describe('a mock server', () => {
  it('ends with the process that started it, also when that is gone before it listens', async () => {
    const child = spawn(process.execPath, [MAIN, 'mock', '--port', '0'], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    child.disconnect();
    const [code] = await once(child, 'exit', { signal: AbortSignal.timeout(30_000) });
    expect(code).toBe(0);
  });
});
