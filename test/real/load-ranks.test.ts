import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type BenchOptions,
  bench,
  countLines,
  newOut,
  onlyLevel,
  type Running,
  readRecordLines,
  readRun,
  startBench,
  startServer,
  type TestServer,
  until,
} from '../fixtures/cli.ts';
import { notRun } from './not-run.ts';
import { type Cluster, slurmMissing, startCluster } from './slurm/cluster.ts';
import { leftovers } from './slurm/leftovers.ts';

const missing = notRun('load generators on SLURM', slurmMissing());

/** Goes through srun into the environment of whatever is started. */
const MARK = `BENCH_TEST_RANKS=${randomBytes(6).toString('hex')}`;
const RANKS = 5;

describe.skipIf(missing !== null)('load generators as tasks of one SLURM step', () => {
  let cluster: Cluster;
  let server: TestServer;
  let options: BenchOptions;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 3 });
    const [name, value] = MARK.split('=') as [string, string];
    const salloc = ['--no-shell', '-N3'];
    const env = { ...process.env, ...cluster.env };
    execFileSync('salloc', salloc, { env, stdio: 'ignore' });
    const job = cluster.jobs()[0]!.id;
    // As inside of a job whose own steps had other numbers.
    const others = { SLURM_NTASKS: '9', SLURM_NTASKS_PER_NODE: '3', SLURM_STEP_ID: '0', SLURM_PROCID: '7' };
    options = { env: { ...cluster.env, SLURM_JOB_ID: job, [name]: value, ...others } };
  });

  beforeEach(async () => {
    server = await startServer('--ttft 100ms --step 10ms');
  });

  afterAll(async () => {
    await cluster?.stop();
  });

  const spread = ['--load-nodes', '3', '--load-tasks', String(RANKS)];

  function rankLines(out: string): number[] {
    return Array.from({ length: RANKS }, (_, rank) =>
      countLines(path.join(out, 'ranks', `rank-${rank}`, 'records.ndjson')),
    );
  }

  /** All ranks have recorded something. */
  async function startLong(): Promise<{ out: string; running: Running }> {
    const out = newOut();
    const load = ['--concurrency', '10', '--requests', '3000', '--warmup', '0', '--out', out];
    const running = startBench(
      ['run', '--url', server.url, '--isl', '60', '--osl', '10', ...load, ...spread],
      options,
    );
    await until('records of all ranks', () => rankLines(out).every((lines) => lines >= 2));
    return { out, running };
  }

  async function nothingLeft(): Promise<void> {
    await until('the end of the step', () => cluster.steps().length === 0);
    await until('the end of all processes', () => leftovers(MARK).length === 0);
    expect(cluster.jobs()).toHaveLength(1);
  }

  it('measure what one process measures, on all nodes', async () => {
    const work = [
      '--isl',
      '80',
      '--osl',
      '20',
      '--range-ratio',
      '0.4',
      '--concurrency',
      '5',
      '--requests',
      '40',
    ];
    const measure = async (more: readonly string[]) => {
      const out = newOut();
      const ended = await bench(['run', '--url', server.url, ...work, ...more, '--out', out], options);
      expect(ended.stderr).not.toContain('bench:');
      expect(ended.code).toBe(0);
      return { out, level: onlyLevel(readRun(out)), records: readRun(out).records };
    };
    const one = await measure([]);
    const five = await measure(spread);
    expect(five.level.requests).toEqual(one.level.requests);
    expect(five.level.outputTokens).toBe(one.level.outputTokens);
    expect(five.level.itlMs.count).toBe(one.level.itlMs.count);
    for (const { level } of [one, five]) {
      expect(Math.abs(level.ttftMs.p50! - 100)).toBeLessThan(15);
      expect(Math.abs(level.itlMs.p50! - 10)).toBeLessThan(2);
    }
    const ranks = five.level.ranks!;
    expect(ranks.map(({ rank, concurrency, requests }) => [rank, concurrency, requests])).toEqual(
      [0, 1, 2, 3, 4].map((rank) => [rank, 1, 8]),
    );
    // The first ranks lie on different nodes, so that a small level uses several.
    expect(new Set(ranks.slice(0, 3).map(({ host }) => host))).toEqual(new Set(cluster.nodes));
    for (const { clockOffsetMs, clockErrorMs } of ranks)
      expect(Math.abs(clockOffsetMs)).toBeLessThanOrEqual(clockErrorMs + 1);
    // Two cores serve all of it; what a common start is worth shows in seconds, not in milliseconds.
    const starts = ranks.map(({ startedUtc }) => Date.parse(startedUtc!));
    expect(Math.max(...starts) - Math.min(...starts)).toBeLessThan(1_000);
    expect(new Set(five.records.map(({ requestId }) => requestId)).size).toBe(five.records.length);
    await nothingLeft();
  });

  it('fail the level when one is killed, and say which, where and how', async () => {
    const { out, running } = await startLong();
    const victim = leftovers(MARK)
      .filter((line) => line.endsWith('load-rank'))
      .map((line) => Number(/^pid (\d+)/.exec(line)![1]))
      .find((pid) => readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes('SLURM_PROCID=3'));
    process.kill(victim!, 'SIGKILL');
    const ended = await running.ended;
    expect(ended.code).toBe(4);
    const run = readRun(out);
    const { host } = onlyLevel(run).ranks![3]!;
    expect(cluster.nodes).toContain(host);
    expect(run.report.status).toBe('failed');
    expect(run.report.statusDetail).toBe(
      `rank 3 on ${host} ended before its time: killed by SIGKILL (exit code 137)`,
    );
    expect(ended.stderr).toContain(run.report.statusDetail);
    expect(onlyLevel(run).status).toBe('partial');
    expect(run.records).toHaveLength(rankLines(out).reduce((a, b) => a + b, 0));
    expect(run.records.filter(({ outcome }) => outcome === 'good').length).toBeGreaterThanOrEqual(2 * RANKS);
    await nothingLeft();
  });

  it('stop at Ctrl-C with all that was in flight', async () => {
    const { out, running } = await startLong();
    running.child.kill('SIGINT');
    expect((await running.ended).code).toBe(130);
    const level = onlyLevel(readRun(out));
    expect(level.requests).toMatchObject({ failed: 0, good: level.requests.sent });
    expect(level.ranks!.every(({ audit }) => audit !== null)).toBe(true);
    await nothingLeft();
  });

  it('end with their coordinator, whatever kills it', async () => {
    const { out, running } = await startLong();
    running.child.kill('SIGKILL');
    await running.ended;
    await nothingLeft();
    for (let rank = 0; rank < RANKS; rank++)
      expect(
        readRecordLines(path.join(out, 'ranks', `rank-${rank}`, 'records.ndjson')).length,
      ).toBeGreaterThanOrEqual(2);
  });

  it('that SLURM does not start are exit 4, in its own words', async () => {
    const env = { ...options.env, SLURM_JOB_ID: '424242' };
    const args = ['run', '--url', server.url, '--isl', '60', '--osl', '10', ...spread, '--out', newOut()];
    const ended = await bench(args, { env });
    expect(ended.code).toBe(4);
    expect(ended.stderr).toContain('the load generators could not be started');
    expect(ended.stderr).toContain('Invalid job id');
  });
});
