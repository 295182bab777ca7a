import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { RequestRecord } from '../../src/core/record.ts';
import type { LevelReport } from '../../src/core/report.ts';
import {
  allTexts,
  bench,
  countLines,
  makeFolder,
  newOut,
  onlyLevel,
  type Running,
  readRecordLines,
  readRun,
  startBench,
  startServer,
  startStub,
  until,
} from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';
import { findProcesses, isAlive } from '../fixtures/processes.ts';

// Each test starts several processes, each of which starts another for its prompts.
vi.setConfig({ testTimeout: 90_000 });

const MOCK = ['--mock', '--mock-flags', '--ttft 20ms --step 2ms'];
const SHAPE = ['--isl', '60', '--osl', '10', '--pause', '0s'];

function rankRecords(out: string, rank: number): RequestRecord[] {
  return readRecordLines(path.join(out, 'ranks', `rank-${rank}`, 'records.ndjson'));
}

function linesOfRanks(out: string, ranks: number): number {
  let lines = 0;
  for (let rank = 0; rank < ranks; rank++)
    lines += countLines(path.join(out, 'ranks', `rank-${rank}`, 'records.ndjson'));
  return lines;
}

/** The longest that a process is kept from two readings of clocks in a row here. */
const HELD_UP_MS = 10;

describe('several load generators', () => {
  it('share each level, and their records are one run', async () => {
    const out = newOut();
    const levels = ['--concurrency', '2,5,9', '--range-ratio', '0.5', '--load-tasks', '3'];
    const ended = await bench(['sweep', ...MOCK, ...SHAPE, ...levels, '--require-exact', '--out', out]);
    expect(ended.code).toBe(0);
    const { report, records } = readRun(out);
    expect(report.status).toBe('complete');
    expect(report.spec.load).toEqual({ tasks: 3, nodes: null });
    const shares = report.levels.map(({ ranks }) => ranks!.map((rank) => [rank.concurrency, rank.requests]));
    // The smallest level uses the first two.
    expect(shares).toEqual([
      [
        [1, 4],
        [1, 4],
      ],
      [
        [2, 8],
        [2, 8],
        [1, 4],
      ],
      [
        [3, 12],
        [3, 12],
        [3, 12],
      ],
    ]);
    for (const level of report.levels) {
      const { concurrency } = level;
      expect(level.requests).toMatchObject({
        sent: 4 * concurrency,
        good: 4 * concurrency,
        warmup: concurrency,
      });
      expect(level.witness!.requests).toEqual({ server: 4 * concurrency, ours: 4 * concurrency });
      expect(level.cachedTokens).toBe(0);
      expect(level.audit!.reads!.count).toBe(
        level.ranks!.reduce((total, { audit }) => total + audit!.reads!.count, 0),
      );
      for (const rank of level.ranks!) {
        expect(Date.parse(rank.startedUtc!)).toBeGreaterThan(Date.parse(report.origin.utc));
        // One host, one clock; a busy machine answers late. Each process reads the wall clock as it starts and counts on from
        // there: one that was held up between the two readings is really off by so much.
        expect(Math.abs(rank.clockOffsetMs)).toBeLessThanOrEqual(rank.clockErrorMs + HELD_UP_MS);
        expect(rank.audit!.rssMaxBytes).toBeGreaterThan(0);
        expect(rank.audit!.stampErrorMs!.count).toBeGreaterThan(0);
      }
    }
    expect(records).toHaveLength(5 * 16);
    expect(new Set(records.map(({ id }) => id))).toEqual(new Set(records.keys()));
    expect(new Set(records.map(({ requestId }) => requestId)).size).toBe(records.length);
    const own = [0, 1, 2].flatMap((rank) => rankRecords(out, rank));
    const names = (list: readonly RequestRecord[]): string[] => list.map(({ requestId }) => requestId).sort();
    expect(names(own)).toEqual(names(records));
    // What was measured is as the rank measured it.
    const byName = new Map(own.map((record) => [record.requestId, record]));
    for (const { requestId, chunkUs, sentAtMs, firstAtMs, outcome, isl, osl } of records) {
      const other = byName.get(requestId)!;
      expect({ chunkUs, outcome, isl, osl }).toEqual({
        ...{ chunkUs: other.chunkUs, outcome: other.outcome, isl: other.isl, osl: other.osl },
      });
      expect(firstAtMs! - sentAtMs).toBeCloseTo(other.firstAtMs! - other.sentAtMs, 2);
    }
    expect(ended.stdout).toContain('sent by 3 load generators on');
    expect(ended.stderr).toContain('C=9 60x10  36 done in ');
  });

  it('ask for the same work as one process, and measure what it measures', async () => {
    const server = await startServer('--ttft 100ms --step 10ms');
    const shape = ['--isl', '80', '--osl', '20', '--range-ratio', '0.3', '--seed', '5'];
    const load = ['--concurrency', '6', '--requests', '40', '--warmup', '6'];
    const measure = async (args: readonly string[]) => {
      const out = newOut();
      const ended = await bench(['run', '--url', server.url, ...shape, ...load, ...args, '--out', out]);
      expect(ended.code).toBe(0);
      const run = readRun(out);
      return { level: onlyLevel(run), records: run.records };
    };
    const one = await measure([]);
    const three = await measure(['--workers', '3']);
    const asked = (records: readonly RequestRecord[]): string[] =>
      records.map(({ phase, isl, osl }) => `${phase} ${isl.asked} ${osl.asked}`).sort();
    expect(asked(three.records)).toEqual(asked(one.records));
    expect(three.level.requests).toEqual(one.level.requests);
    expect(three.level.inputTokens).toBe(one.level.inputTokens);
    expect(three.level.outputTokens).toBe(one.level.outputTokens);
    expect(three.level.itlMs.count).toBe(one.level.itlMs.count);
    // The server's schedule is known, so both must come near it; other work on the machine delays both.
    for (const [level, sentBy] of [
      [one.level, 'one process'],
      [three.level, 'three'],
    ] as const) {
      expect(Math.abs(level.ttftMs.p50! - 100), sentBy).toBeLessThan(15);
      expect(Math.abs(level.itlMs.p50! - 10), sentBy).toBeLessThan(2);
    }
    // Requests of unlike lengths are shared out otherwise, which moves the last end a little.
    const ratio = three.level.outputTokensPerS! / one.level.outputTokensPerS!;
    expect(ratio).toBeGreaterThan(0.75);
    expect(ratio).toBeLessThan(1.25);
  });

  it('hold the load until the last of them has ended, and send for a time', async () => {
    const server = await startServer('--ttft 20ms --step 5ms');
    const out = newOut();
    const shape = ['--isl', '60', '--osl', '20', '--concurrency', '4', '--load-tasks', '2'];
    const load = ['--duration', '800ms', '--hold-load', '--max-failure-ratio', '0', '--out', out];
    expect((await bench(['run', '--url', server.url, ...shape, ...load])).code).toBe(0);
    const run = readRun(out);
    const level = onlyLevel(run);
    expect(level.requests.hold).toBeGreaterThan(0);
    expect(level.status).toBe('complete');
    const measured = run.records.filter(({ phase }) => phase === 'measured');
    const lastEndMs = Math.max(...measured.map(({ endAtMs }) => endAtMs));
    // Each rank has something in flight when the last measured request of all ends.
    for (const mark of ['-r0-', '-r1-']) {
      const own = run.records.filter(({ requestId }) => requestId.includes(mark));
      expect(own.some(({ endAtMs }) => endAtMs >= lastEndMs - 1)).toBe(true);
      expect(own.filter(({ phase }) => phase === 'measured').length).toBeGreaterThan(4);
    }
    expect(await server.counter('requests_running')).toBe(0);
  });

  it('fail a level of failures by the same budget', async () => {
    let count = 0;
    const url = await startStub({ models: ['m'], fails: (tokens) => tokens === 5 && count++ % 4 === 0 });
    const load = ['--concurrency', '4', '--requests', '40', '--warmup', '0', '--load-tasks', '2'];
    const run = (ratio: string, out: string) =>
      bench([
        ...['run', '--url', url, '--isl', '60', '--osl', '5', ...load],
        ...['--max-failure-ratio', ratio, '--out', out],
      ]);
    const out = newOut();
    expect((await run('0.25', out)).code).toBe(0);
    expect(onlyLevel(readRun(out)).requests).toMatchObject({ sent: 40, good: 30, failed: 10 });
    expect((await run('0.24', newOut())).code).toBe(1);
  });

  it('get the credentials through a pipe: they are in no file and no command line', async () => {
    const seen: unknown[] = [];
    const url = await startStub({
      models: ['m'],
      fails: (tokens) => tokens === 5,
      leak: (request) => {
        seen.push(request.headers['authorization']);
        for (const pid of findProcesses('load-rank'))
          expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain('SECRET1');
        return ` for ${request.headers['authorization']}`;
      },
    });
    const cwd = makeFolder();
    const load = ['--requests', '4', '--concurrency', '2', '--warmup', '0', '--load-tasks', '2'];
    const args = [
      'run',
      '--url',
      url,
      '--isl',
      '60',
      '--osl',
      '5',
      ...load,
      '--api-key',
      'SECRET1',
      '--out',
      'out',
    ];
    expect((await bench(args, { cwd })).code).toBe(3);
    expect(seen).toEqual(Array(4).fill('Bearer SECRET1'));
    expect(allTexts(cwd)).toContain('out of order');
    expect(allTexts(cwd)).not.toContain('SECRET1');
  });
});

/** A run of many short requests by three load generators, some of which have ended. */
async function startLong(
  args: readonly string[] = [],
): Promise<{ out: string; running: Running; ranks: number[] }> {
  const server = await startServer('--ttft 20ms --step 10ms');
  const out = newOut();
  const load = ['--concurrency', '6', '--requests', '2000', '--warmup', '0', '--load-tasks', '3'];
  const running = startBench([
    ...['sweep', '--url', server.url, '--isl', '60', '--osl', '20', ...load, '--out', out],
    ...args,
  ]);
  await until('requests of all ranks', () =>
    [0, 1, 2].every((rank) => countLines(path.join(out, 'ranks', `rank-${rank}`, 'records.ndjson')) >= 3),
  );
  const ranks = findProcesses('load-rank', running.child.pid);
  expect(ranks).toHaveLength(3);
  return { out, running, ranks };
}

async function allGone(pids: readonly number[]): Promise<void> {
  await until('the end of the load generators', () => !pids.some(isAlive));
}

describe('a load generator that is killed', () => {
  it('fails the level with exit 4, by name; what had ended is kept and nothing is left running', async () => {
    const { out, running, ranks } = await startLong();
    process.kill(ranks[1]!, 'SIGKILL');
    const ended = await running.ended;
    expect(ended.code).toBe(4);
    expect(ended.stderr).toMatch(
      /bench: rank 1 on \S+ ended before its time: killed by SIGKILL \(exit code 137\)/,
    );
    await allGone(ranks);
    const run = readRun(out);
    expect(run.report.status).toBe('failed');
    expect(run.report.statusDetail).toMatch(/^rank 1 on \S+ ended before its time/);
    const level = onlyLevel(run);
    expect(level.status).toBe('partial');
    expect(level.requests.sent).toBe(run.records.length);
    expect(level.requests.sent).toBeLessThan(2_000);
    expect(run.records).toHaveLength(linesOfRanks(out, 3));
    expect(level.ranks!.map(({ audit }) => audit === null)).toEqual([false, true, false]);
    expect(level.ranks![1]!.requests).toBeGreaterThanOrEqual(3);
    expect(ended.stdout).toContain('cut off after');
  });

  it('after which the run goes on with --resume', async () => {
    const out = newOut();
    const levels = ['--concurrency', '2,4', '--warmup', '0', '--load-tasks', '2', '--requests', '40'];
    const flags = ['--mock', '--mock-flags', '--ttft 20ms --step 5ms'];
    const running = startBench(['sweep', ...flags, ...SHAPE, ...levels, '--out', out]);
    await until('the second level', () => linesOfRanks(out, 2) >= 48);
    process.kill(findProcesses('load-rank', running.child.pid)[0]!, 'SIGKILL');
    expect((await running.ended).code).toBe(4);
    const before = readRun(out);
    expect(before.report.levels.map(({ status }) => status)).toEqual(['complete', 'partial']);

    const ended = await bench(['sweep', ...flags, '--resume', out]);
    expect(ended.code).toBe(0);
    const { report, records } = readRun(out);
    expect(report.status).toBe('complete');
    expect(report.levels[0]).toEqual(before.report.levels[0]);
    expect(report.levels[1]!.requests).toMatchObject({ sent: 40, good: 40 });
    expect(report.levels[1]!.ranks).toHaveLength(2);
    expect(records).toHaveLength(80);
    expect(new Set(records.map(({ requestId }) => requestId)).size).toBe(80);
    expect(linesOfRanks(out, 2)).toBe(80);
    expect(report.levels[1]!.startedAtMs).toBeGreaterThan(report.levels[0]!.endedAtMs!);
  });
});

describe('Ctrl-C', () => {
  it('reaches all load generators: nothing more is sent, what is in flight ends', async () => {
    const { out, running, ranks } = await startLong();
    running.child.kill('SIGINT');
    const ended = await running.ended;
    expect(ended.code).toBe(130);
    await allGone(ranks);
    const run = readRun(out);
    expect(run.report.status).toBe('interrupted');
    const level: LevelReport = onlyLevel(run);
    expect(level.status).toBe('partial');
    expect(level.requests).toMatchObject({ sent: run.records.length, good: run.records.length, failed: 0 });
    expect(run.records).toHaveLength(linesOfRanks(out, 3));
    expect(level.ranks!.every(({ audit }) => audit !== null)).toBe(true);
  });

  it('twice ends all at once', async () => {
    const { running, ranks } = await startLong();
    running.child.kill('SIGINT');
    await until('the first word', () => running.output.stderr.includes('again to quit at once'));
    running.child.kill('SIGINT');
    expect((await running.ended).code).toBe(130);
    await allGone(ranks);
  });

  it('before anything was sent leaves nothing behind', async () => {
    const out = path.join(makeFolder(), 'out');
    const big = ['--isl', '30000', '--osl', '10', '--text', 'corpus', '--concurrency', '64'];
    const running = startBench(['sweep', '--mock', ...big, '--load-tasks', '2', '--out', out]);
    const ranks = await until('prompts under way', () => {
      const pids = findProcesses('load-rank', running.child.pid);
      return pids.length === 2 && pids.every((pid) => findProcesses('__prompts', pid).length > 0) && pids;
    });
    running.child.kill('SIGINT');
    const ended = await running.ended;
    expect(ended.code).toBe(130);
    expect(ended.stderr).not.toContain('bug of bench');
    await allGone(ranks);
    expect(readdirSync(path.dirname(out))).toEqual([]);
  });
});

describe('a coordinator that is killed', () => {
  it('takes its load generators with it; their records are whole', async () => {
    const { out, running, ranks } = await startLong();
    running.child.kill('SIGKILL');
    await running.ended;
    await allGone(ranks);
    for (const rank of [0, 1, 2]) expect(rankRecords(out, rank).length).toBeGreaterThanOrEqual(3);
  });
});

describe('wrong usage', () => {
  const none = ['sweep', '--isl', '60', '--osl', '10', '--url', 'http://127.0.0.1:1'];

  it.each([
    [['--load-nodes', '2'], '--load-nodes: there is no SLURM job'],
    [['--load-tasks', '0'], '--load-tasks: 0 is no whole number'],
    [['--load-nodes', '1.5'], '--load-nodes: 1.5 is no whole number'],
    [['--load-tasks', '5000'], '--load-tasks: 5000 is more than'],
    [['--load-nodes', '3', '--load-tasks', '2'], 'leave some of 3 nodes empty'],
    [['--load-job', '7'], '--load-job: it says where --load-nodes are'],
    [['--load-tasks', '2', '--load-nodelist', 'a'], '--load-nodelist: it says where'],
    [['--load-nodes', '2', '--load-job', '7', '--load-nodelist', 'a'], '1 names for 2 nodes'],
  ])('%j', async (args, message) => {
    const cwd = makeFolder();
    const ended = await benchHere([...none, ...args], { cwd });
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain(message);
    expect(existsSync(path.join(cwd, 'results'))).toBe(false);
  });

  it('a plan shows who would send what, and with which command', async () => {
    const args = [
      ...none,
      '--concurrency',
      '1,5',
      '--load-nodes',
      '2',
      '--load-tasks',
      '4',
      '--load-job',
      '7',
    ];
    const { code, stdout } = await benchHere([...args, '--dry-run']);
    expect(code).toBe(0);
    expect(stdout).toContain('load: 4 load generators on 2 nodes of job 7');
    expect(stdout).toContain('C=1      1 × (1 in flight, 4 requests) + 3 × (idle)');
    expect(stdout).toContain('C=5      1 × (2 in flight, 8 requests) + 3 × (1 in flight, 4 requests)');
    expect(stdout).toMatch(/srun --jobid=7 --overlap --nodes=2 --ntasks=4 --ntasks-per-node=2 /);
  });

  it('a step that cannot be started is exit 4, with the reason', async () => {
    const { url } = await startServer();
    const place = ['--load-nodes', '2', '--load-job', '7', '--url', url];
    const ended = await bench([...none.slice(0, 5), ...place, '--out', newOut()], {
      env: { PATH: '/nonexistent' },
    });
    expect(ended.code).toBe(4);
    expect(ended.stderr).toContain('the load generators could not be started: there is no srun on this host');
  });
});
