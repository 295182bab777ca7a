import { readdirSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  bench,
  makeFolder,
  newOut,
  onlyLevel,
  parseReport,
  readRun,
  startServer,
  type TestServer,
} from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';

const SHAPE = ['--isl', '60', '--osl', '5'];
let server: TestServer;
beforeAll(async () => {
  server = await startServer('--ttft 10ms --step 2ms');
});

/** A run against the file's server. */
async function run(
  args: readonly string[],
  verb = 'run',
  shape: readonly string[] = SHAPE,
  start = benchHere,
) {
  const out = newOut();
  const ended = await start([verb, '--url', server.url, ...shape, '--out', out, ...args]);
  return { ended, out, ...readRun(out) };
}

/** Progress that is no terminal's: a line when the level has ended. */
const ONE_LINE = /^\[1\/1\] C=\d+ \S+ {2}\d+ done in .*\n$/;

describe('what is printed', () => {
  it('--quiet: nothing', async () => {
    const { ended } = await run(['--quiet'], 'run', SHAPE, bench);
    expect(ended).toEqual({ code: 0, signal: null, stdout: '', stderr: '' });
  });

  it('--json: the report alone', async () => {
    const { ended, report } = await run(['--json'], 'run', SHAPE, bench);
    expect(ended.code).toBe(0);
    expect(ended.stderr).toMatch(ONE_LINE);
    expect(parseReport(ended.stdout)).toEqual(report);
  });

  it('has no colours where no terminal is, in runs, errors and help', async () => {
    const { ended, out } = await run([], 'run', SHAPE, bench);
    const texts = [ended, await bench(['report', out]), await bench(['--help']), await bench(['swep'])];
    for (const { stdout, stderr } of texts) expect(stdout + stderr).not.toContain('\x1b');
  });

  it('--slo: how many requests met all limits, in the report, the table and summary.csv', async () => {
    // The server's TTFT is 10 ms, and what comes then takes 8 ms.
    const { ended, report, summary } = await run(['--requests', '4', '--slo', 'ttft=5s,tpot=1s,e2e=5s']);
    expect(ended.code).toBe(0);
    expect(report.spec.slosMs).toEqual({ ttft: 5_000, tpot: 1_000, e2el: 5_000 });
    const [level] = report.levels;
    expect(level!.goodput).toMatchObject({ met: 4, attainmentRatio: 1, requestsPerS: level!.requestsPerS });
    expect(ended.stdout).toMatch(/goodput/);
    expect(summary[0]!['goodput.attainmentRatio']).toBe('1');
    const strict = await run(['--requests', '4', '--slo', 'ttft=1ms']);
    expect(strict.report.levels[0]!.goodput).toEqual({
      met: 0,
      attainmentRatio: 0,
      requestsPerS: 0,
      attainmentBy: { ttft: 0 },
    });
  });

  it.each([
    [[], false],
    [['--no-require-valid'], false],
    [['--require-valid'], true],
    [['--require-valid', '--no-require-valid'], false],
    [['--require-valid=tpot,ttft'], ['ttft', 'tpot']],
  ])('%j: which metrics must be valid, in the spec', async (words, asked) => {
    const { ended, report } = await run(words);
    expect(report.spec.requireValid).toEqual(asked);
    // Whether they are is this machine's to say.
    expect([0, asked === false ? 0 : 5]).toContain(ended.code);
  });

  it('--dry-run: the plan and a request; nothing is sent, nothing is written', async () => {
    const quiet = await startServer();
    const cwd = makeFolder();
    const ended = await bench(['sweep', '--url', quiet.url, ...SHAPE, '--dry-run'], { cwd });
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(ended.stdout).toContain('plan: 8 points');
    expect(ended.stdout).toContain('POST /v1/chat/completions');
    const body = JSON.parse(ended.stdout.trimEnd().split('\n').at(-1)!) as Record<string, unknown>;
    expect(body).toMatchObject({ stream: true, max_tokens: 5, temperature: 0 });
    expect(await quiet.counter('requests_total')).toBe(0);
    expect(readdirSync(cwd)).toEqual([]);
  });

  it('completion: a script for the shell', async () => {
    const ended = await bench(['completion']);
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(ended.stdout).toContain('bench');
    expect(ended.stdout).toContain('complete ');
  });

  it('--help of each command, and --version', async () => {
    for (const verb of ['sweep', 'report', 'mock']) {
      const ended = await bench([verb, '--help']);
      expect(ended).toMatchObject({ code: 0, stderr: '' });
      expect(ended.stdout).toContain(`bench ${verb}`);
    }
    expect((await bench(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('what is sent', () => {
  it('--requests and --warmup 0: so many and no more', async () => {
    const before = await server.counter('requests_total');
    const { report, records } = await run(['--requests', '7', '--warmup', '0', '--concurrency', '3']);
    expect(report.levels[0]!.requests).toMatchObject({ sent: 7, good: 7, warmup: 0, hold: 0 });
    expect(records).toHaveLength(7);
    // The canary is the one request more.
    expect((await server.counter('requests_total')) - before).toBe(8);
  });

  it('--duration: sends until the time is over, then lets requests end', async () => {
    const { report, records } = await run(['--duration', '1s', '--concurrency', '4', '--warmup', '0']);
    const level = report.levels[0]!;
    expect(level.requests).toMatchObject({ good: level.requests.sent, failed: 0 });
    expect(level.requests.sent).toBeGreaterThan(40);
    const sent = records.map(({ sentAtMs }) => sentAtMs);
    expect(Math.max(...sent) - Math.min(...sent)).toBeLessThanOrEqual(1_000);
    expect(level.durationS!).toBeGreaterThan(0.9);
    expect(level.cachedTokens! / level.inputTokens).toBeLessThan(0.01);
  });

  it('--skip: leaves points out and keeps their numbers', async () => {
    const levels = ['--concurrency', '1,2,3', '--requests', '3', '--pause', '0s', '--skip', '2'];
    const { report } = await run(levels, 'sweep');
    expect(report.levels.map(({ point, concurrency }) => [point, concurrency])).toEqual([[2, 3]]);
    expect(report.status).toBe('complete');
  });

  it('--shape: every shape at every level', async () => {
    const args = [
      '--shape',
      '40x2,70x4',
      '--concurrency',
      '1..3',
      '--requests',
      '3',
      '--pause',
      '0s',
      '--json',
    ];
    const { report } = await run(args, 'sweep', []);
    expect(report.levels.map(({ isl, osl, concurrency }) => [isl, osl, concurrency])).toEqual([
      [40, 2, 1],
      [40, 2, 2],
      [40, 2, 3],
      [70, 4, 1],
      [70, 4, 2],
      [70, 4, 3],
    ]);
    for (const { inputTokens, outputTokens, isl, osl } of report.levels)
      expect([inputTokens, outputTokens]).toEqual([3 * isl, 3 * osl]);
  });

  it('--hold-load: unmeasured requests keep the slots full to the end', async () => {
    const { ended, report, records } = await run(['--hold-load', '--concurrency', '4', '--requests', '40']);
    expect(ended.code).toBe(0);
    const level = report.levels[0]!;
    expect(level.requests).toMatchObject({ sent: 40, good: 40, failed: 0 });
    expect(level.requests.hold).toBeGreaterThan(0);
    expect(records.filter(({ phase }) => phase === 'hold')).toHaveLength(level.requests.hold);
    expect(level.outputTokens).toBe(200);
    expect(level.achievedConcurrency).toBeGreaterThan(3);
  });

  it('--gpus: rates per GPU', async () => {
    const { report } = await run(['--gpus', '8', '--requests', '4']);
    const level = report.levels[0]!;
    expect(level.outputTokensPerSPerGpu! * 8).toBeCloseTo(level.outputTokensPerS!, 9);
    expect(level.totalTokensPerSPerGpu! * 8).toBeCloseTo(level.totalTokensPerS!, 9);
  });

  it('--extra-body: wins over what bench would send', async () => {
    const { report } = await run(['--extra-body', '{"max_tokens": 3, "min_tokens": 0}', '--requests', '2']);
    expect(report.levels[0]!.outputTokens).toBe(6);
    expect(report.levels[0]!.oslProof).toMatchObject({ asked: 5, deviations: 2 });
    expect(report.spec.extraBody).toEqual({ max_tokens: 3, min_tokens: 0 });
  });
});

describe('how it is sent', () => {
  it('several --url: in turn', async () => {
    const [a, b] = await Promise.all([startServer('--ttft 5ms'), startServer('--ttft 5ms')]);
    const out = newOut();
    const urls = ['--url', a.url, '--url', b.url];
    const ended = await bench(['run', ...urls, ...SHAPE, '--requests', '20', '--warmup', '0', '--out', out]);
    expect(ended.code).toBe(0);
    const level = onlyLevel(readRun(out));
    expect(level.requests.good).toBe(20);
    expect(level.witness?.requests).toEqual({ server: 20, ours: 20 });
    const counts = [await a.counter('requests_total'), await b.counter('requests_total')];
    // Each streams the canary once, and half of the load.
    expect(counts).toEqual([11, 11]);
  });

  it('a unix socket', async () => {
    const socket = path.join(makeFolder(), 's.sock');
    const port = Number(new URL(server.url).port);
    const proxy: Server = createServer((near) => {
      const far = connect(port, '127.0.0.1');
      near.pipe(far).pipe(near);
      for (const end of [near, far]) end.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => proxy.listen(socket, resolve));
    const out = newOut();
    const ended = await bench(['run', '--url', `unix:${socket}`, ...SHAPE, '--requests', '4', '--out', out]);
    const asked = await bench([
      'run',
      '--url',
      `unix:${socket}`,
      ...SHAPE,
      '--wire',
      'kernel',
      '--out',
      newOut(),
    ]);
    proxy.close();
    expect(ended.code).toBe(0);
    // The only wire that has it is not the one with the stamps of the kernel, which is no secret.
    const why =
      "time stamps are those of the event loop, not the kernel's: the kernel stamps no Unix sockets";
    const [note, ...others] = ended.stderr.split('\n');
    expect(note).toBe(`note: ${why}`);
    expect(others.filter((line) => line !== `warning: ${why}`).join('\n')).toMatch(ONE_LINE);
    const { report } = readRun(out);
    expect(report.warnings).toEqual([why]);
    const level = report.levels[0]!;
    expect(level.requests).toMatchObject({ sent: 4, good: 4 });
    expect(level.audit!.stampedBy).toBe('process');
    expect(asked.code).toBe(2);
    expect(asked.stderr).toContain('--wire kernel: the kernel stamps no Unix sockets');
  });

  it('every --wire and --connection-per-request count the same', async () => {
    const shape = ['--requests', '12', '--concurrency', '4', '--warmup', '0'];
    const counts = async (...args: string[]) => {
      const { ended, report } = await run([...args, ...shape]);
      expect(ended.code, ended.stderr).toBe(0);
      const { requests, inputTokens, outputTokens, islProof, oslProof, connections, audit, bounds } =
        report.levels[0]!;
      return {
        counts: { requests, inputTokens, outputTokens, islProof, oslProof },
        connections,
        wire: report.spec.wire,
        stampedBy: audit!.stampedBy,
        hasBounds: bounds !== null,
      };
    };
    const usual = await counts();
    expect(usual.counts.requests.good).toBe(12);
    expect(usual.connections.opened).toBe(4);
    expect(usual).toMatchObject({ wire: 'auto', stampedBy: 'kernel', hasBounds: true });
    for (const wire of ['kernel', 'socket', 'undici']) {
      const kept = await counts('--wire', wire);
      const each = await counts('--wire', wire, '--connection-per-request');
      for (const other of [kept, each]) {
        expect(other.counts).toEqual(usual.counts);
        const isKernel = wire === 'kernel';
        expect(other).toMatchObject({
          wire,
          stampedBy: isKernel ? 'kernel' : 'process',
          hasBounds: isKernel,
        });
      }
      if (wire !== 'undici') expect([kept.connections.opened, each.connections.opened]).toEqual([4, 12]);
    }
  });
});
