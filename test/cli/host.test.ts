import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  bench,
  MAIN,
  makeFolder,
  newOut,
  onlyLevel,
  parseReport,
  readRecordLines,
  readRun,
  startBench,
} from '../fixtures/cli.ts';

vi.setConfig({ testTimeout: 60_000 });

const SMALL = ['--isl', '40', '--osl', '4', '--requests', '2', '--warmup', '0'];
const RUN = ['run', '--mock', ...SMALL];

/** In a namespace of its own, after a mount. */
function mounted(mount: string): string {
  return `exec unshare --user --map-root-user --mount bash -c '${mount} && exec "$@"' bash "$@"`;
}

const NO_PROC = mounted('mount -t tmpfs none /proc');

function canMount(): boolean {
  const works = spawnSync('bash', ['-c', NO_PROC, 'bash', 'true']).status === 0;
  if (!works) console.warn('*** NOT RUN: hosts without /proc, small and read-only disks: no mounts here ***');
  return works;
}
const MOUNTS = canMount();

/** The lines of an error: one and its hint. */
function refusalOf(stderr: string): string[] {
  return stderr.trimEnd().split('\n').slice(-2);
}

describe('a host that lacks something', () => {
  it.skipIf(!MOUNTS)('without /proc a run has no word on memory, and all else', async () => {
    const out = newOut();
    const ended = await bench([...RUN, '--out', out], { shell: NO_PROC });
    expect(ended.stderr).not.toContain('bug of bench');
    expect(ended.code).toBe(0);
    const run = readRun(out);
    expect(onlyLevel(run).requests).toMatchObject({ sent: 2, good: 2 });
    expect(onlyLevel(run).audit).toMatchObject({ rssMaxBytes: null, otherCpuRatio: null });
    expect(run.report.provenance.cpus).toBeGreaterThan(0);
  });

  it.skipIf(!existsSync('/proc/self'))('does without a cache that cannot be made', async () => {
    const ended = await bench([...RUN, '--out', newOut()], { env: { XDG_CACHE_HOME: '/proc/nope' } });
    expect(ended.code).toBe(0);
  });

  it('does without a home, and leaves no cache where it stands', async () => {
    const cwd = makeFolder();
    const ended = await bench([...RUN, '--out', 'out'], { cwd, env: { HOME: '', XDG_CACHE_HOME: '' } });
    expect(ended.code).toBe(0);
    expect(readdirSync(cwd)).toEqual(['out']);
  });

  it.skipIf(!existsSync('/proc/self'))('ends where --out cannot be made', async () => {
    const ended = await bench([...RUN, '--out', '/proc/x']);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toMatch(
      /^bench: --out: cannot write to \/proc\/x \(ENOENT: .*\)\n {2}choose a folder/,
    );
  });

  it.each([
    [RUN],
    [['--help']],
    [['serving', '--help']],
    [['report', 'x']],
  ])('names a working directory that is gone: %j', async (args) => {
    const cwd = path.join(makeFolder(), 'gone');
    mkdirSync(cwd);
    const ended = await bench(args, { cwd, shell: 'rmdir "$PWD"' });
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(refusalOf(ended.stderr)).toEqual([
      expect.stringMatching(/^bench: the working directory is gone \(ENOENT/),
      '  go to a folder that exists first',
    ]);
  });

  it('names the limit of open files', async () => {
    const few = await bench([...RUN, '--out', newOut()], { shell: 'ulimit -n 48' });
    expect(few).toMatchObject({ code: 2, stdout: '' });
    expect(refusalOf(few.stderr)).toEqual([
      expect.stringMatching(/^bench: EMFILE: too many open files/),
      expect.stringContaining('ulimit -n'),
    ]);
  });

  it.each([
    [
      ['run', '--rate', '200', '--duration', '3s'],
      '--max-in-flight: 6\\d\\d connections need',
      '--max-in-flight 192',
    ],
    [['run', '--concurrency', '300'], '--concurrency: 300 connections need 364', '--concurrency 192'],
    [['ab', '--rate', '99'], '--max-in-flight: 4096 connections need 4160', '--max-in-flight 192'],
  ])('names the option that asks for too many connections: %j', async ([verb, ...load], line, lower) => {
    const target = verb === 'ab' ? ['--a', 'http://127.0.0.1:1', '--b', 'http://127.0.0.1:2'] : ['--mock'];
    const ended = await bench([verb!, ...target, '--isl', '40', '--osl', '4', ...load], {
      shell: 'ulimit -n 256',
    });
    expect(ended.code).toBe(2);
    const [said, hint] = refusalOf(ended.stderr);
    expect(said).toMatch(new RegExp(`^bench: ${line} .*, the limit is 256$`));
    expect(hint).toMatch(new RegExp(`ulimit -n \\d+, or give ${lower}$`));
  });
});

describe.skipIf(!existsSync('/dev/full'))('standard output that takes nothing', () => {
  const FULL = 'exec "$@" >/dev/full';
  const LINE = 'bench: cannot write to standard output (no space left on device)';
  let done: string;

  beforeAll(async () => {
    done = newOut();
    expect((await bench([...RUN, '--out', done, '--quiet'])).code).toBe(0);
  });

  it.each([
    [['--help']],
    [['--version']],
    [['run', '--help']],
    [['serving', '--help']],
    [['completion', 'bash']],
    [['prompts', '--isl', '5', '--count', '100000']],
    [['mock', '--port', '0']],
    [['stack', 'status']],
    [[...RUN, '--dry-run']],
    [['report', 'DONE']],
    [['report', 'DONE', '--format', 'json']],
  ])('is exit 2 with the cause: %j', async (args) => {
    const words = args.map((word) => (word === 'DONE' ? done : word));
    const ended = await bench(words, { shell: FULL, cwd: makeFolder() });
    expect(refusalOf(ended.stderr)).toEqual([LINE, expect.stringMatching(/^ {2}\S/)]);
    expect(ended.stderr.split(LINE)).toHaveLength(2);
    expect(ended.code).toBe(2);
  });

  it('loses no results: a run says where they are', async () => {
    const out = newOut();
    const ended = await bench([...RUN, '--out', out], { shell: FULL });
    expect(refusalOf(ended.stderr)).toEqual([LINE, `  the results are in ${out}`]);
    expect(ended.code).toBe(2);
    expect(readRun(out).report.status).toBe('complete');
  });

  it('does not matter on standard error', async () => {
    const ended = await bench([...RUN, '--out', newOut()], { shell: 'exec "$@" 2>/dev/full' });
    expect(ended.code).toBe(0);
    expect(ended.stdout).toContain('results: ');
  });

  it('is no failure where the reader has seen enough', async () => {
    const ended = await bench(['report', done, '--format', 'json'], {
      shell: 'set -o pipefail; "$@" | true; exit',
    });
    expect(ended).toMatchObject({ code: 0, stderr: '' });
  });
});

describe.skipIf(!MOUNTS)('a disk that takes no more', () => {
  /** Runs a command with a disk of that size at `disk`, and gives what is on it in the end. */
  function onDisk(
    size: string,
    args: readonly string[],
    after = '',
  ): SpawnSyncReturns<string> & { cwd: string } {
    const cwd = makeFolder();
    mkdirSync(path.join(cwd, 'disk'));
    const script = `mount -t tmpfs -o size=${size} tmpfs disk; ${after} "$@"; code=$?; cp -r disk kept; exit $code`;
    const command = [
      '--user',
      '--map-root-user',
      '--mount',
      'bash',
      '-c',
      script,
      'bash',
      process.execPath,
      MAIN,
    ];
    const env = { PATH: process.env['PATH'], HOME: cwd, TMPDIR: cwd };
    const ended = spawnSync('unshare', [...command, ...args], {
      cwd,
      env,
      encoding: 'utf8',
      timeout: 40_000,
    });
    return { ...ended, cwd: path.join(cwd, 'kept') };
  }

  const SWEEP = ['sweep', '--mock', '--mock-flags', '--ttft 5ms --step 2ms', '--isl', '40', '--osl', '30'];
  const LEVELS = ['--concurrency', '2,3,4,5', '--requests', '60', '--warmup', '0', '--pause', '0s'];

  it.each([
    [[]],
    [['--quiet']],
  ])('ends the sweep when it happens, and what was recorded stays %j', (flags) => {
    const ended = onDisk('150k', [...SWEEP, ...LEVELS, '--out', 'disk/out', ...flags]);
    expect(ended.stderr).toContain(
      'bench: the disk refused results in disk/out (ENOSPC: no space left on device',
    );
    expect(ended.stderr).toContain('nothing more is sent');
    expect(ended.stderr).toMatch(/not on disk: .*\(ENOSPC: no space left on device/);
    expect(ended.status).toBe(2);
    const kept = path.join(ended.cwd, 'out');
    const records = readRecordLines(path.join(kept, 'records.ndjson'));
    const { levels } = parseReport(readFileSync(path.join(kept, 'report.json'), 'utf8'));
    expect(levels.length).toBeGreaterThan(0);
    expect(levels.map(({ status }) => status)).toEqual(levels.map(() => 'complete'));
    expect(records.length).toBeGreaterThanOrEqual(60 * levels.length);
    // No level was begun after the one in which it happened.
    expect(Math.max(...records.map(({ point }) => point))).toBeLessThanOrEqual(levels.length);
    expect(readdirSync(kept).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    if (flags.length === 0) expect(ended.stdout).toContain('the disk refused results in disk/out');
  });

  it.each(['4k', '16k'])('of %s from the start refuses the run, and nothing is left', (size) => {
    const ended = onDisk(size, [...RUN, '--out', 'disk/out']);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(
      /bench: --out: the disk refused results in disk\/out \(ENOSPC.*\)\n {2}make room on that disk, or choose another/,
    );
    expect(readdirSync(ended.cwd)).toEqual([]);
  });

  it('is named where it may only be read', () => {
    const readOnly = 'mount -o remount,ro disk;';
    for (const [args, line] of [
      [[...RUN, '--out', 'disk/out'], '--out: cannot write to disk/out (EROFS: read-only file system'],
      [
        ['prompts', '--isl', '5', '--out', 'disk/p'],
        '--out: cannot write disk/p (EROFS: read-only file system',
      ],
    ] as const) {
      const ended = onDisk('1m', args, readOnly);
      expect(ended.stderr).toContain(`bench: ${line}`);
      expect(ended.status).toBe(2);
    }
  });

  it('is named where a run on it is to go on', async () => {
    const run = newOut();
    expect((await bench([...RUN, '--out', run, '--quiet'])).code).toBe(0);
    const file = path.join(run, 'report.json');
    const report = parseReport(readFileSync(file, 'utf8'));
    const levels = report.levels.map((level) => ({ ...level, status: 'partial' }));
    writeFileSync(file, JSON.stringify({ ...report, levels }));
    const after = `cp -r ${run} disk/run; mount -o remount,ro disk;`;
    const ended = onDisk('1m', ['sweep', '--mock', '--resume', 'disk/run'], after);
    expect(ended.stderr).toMatch(
      /^bench: --resume: cannot write to disk\/run \(EROFS: read-only file system/,
    );
    expect(ended.status).toBe(2);
  });
});

describe('text of a server or a file', () => {
  const EVIL = 'bad \u001b[2J\u001b]0;title\u0007 thing\rover\b \u009b31m \u202ewritten';
  // What a server answers is put on one line first.
  const SHOWN = 'bad \\x1b[2J\\x1b]0;title\\x07 thing over\\x08 \\u009b31m \\u202ewritten';
  const controls = (text: string): string[] =>
    [...text].filter(
      (character) => /[\p{Cc}\p{Bidi_Control}]/u.test(character) && !'\n\t'.includes(character),
    );
  const server = createServer((request, response) => {
    request.resume();
    if (request.url === '/v1/models')
      response.end(JSON.stringify({ data: [{ id: 'm\u001b[31mred\nbench: fine' }] }));
    else response.writeHead(500).end(EVIL);
  });
  let url: string;

  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  it('has its control characters shown, and begins no line of its own', async () => {
    for (const args of [
      ['check', '--url', url],
      ['run', '--url', url, ...SMALL, '--out', newOut()],
    ]) {
      const { code, stdout, stderr } = await bench(args);
      expect(code).toBe(3);
      expect(stderr).toContain(SHOWN);
      expect(stdout + stderr).toContain('m\\x1b[31mred bench: fine');
      expect(controls(stdout + stderr)).toEqual([]);
      expect(stdout + stderr).not.toMatch(/^bench: fine/m);
    }
  });

  it('is shown so in paths, names, tags and JSON', async () => {
    const cwd = makeFolder();
    const names = ['--out', 'o\u001b[31m', '--name', 'n\u001b[2J\u009b', '--tag', 'k=\u202ev\u007f'];
    const page = await bench([...RUN, ...names], { cwd });
    expect(page.code).toBe(0);
    expect(controls(page.stdout + page.stderr)).toEqual([]);
    expect(page.stdout).toContain('results: o\\x1b[31m');
    expect(page.stdout).toContain('n\\x1b[2J\\u009b');
    const json = await bench(['report', 'o\u001b[31m', '--format', 'json'], { cwd });
    expect(controls(json.stdout)).toEqual([]);
    expect(parseReport(json.stdout)).toMatchObject({
      name: 'n\u001b[2J\u009b',
      tags: { k: '\u202ev\u007f' },
    });
    const missing = await bench(['report', 'no\u001b[2J/where'], { cwd });
    expect(missing.stderr).toContain('no\\x1b[2J/where');
    expect(controls(missing.stderr)).toEqual([]);
  });
});

describe('a terminal', () => {
  const hasScript = spawnSync('script', ['--version']).status === 0;
  if (!hasScript) console.warn('*** NOT RUN: what a terminal shows. There is no script(1) here ***');

  /** What a terminal is sent by a run. */
  async function shown(env: Record<string, string>): Promise<string> {
    const args = [...RUN, '--mock-flags', '--ttft 400ms', '--out', newOut()];
    const shell = 'printf -v line "%q " "$@"; exec script -qec "$line" /dev/null';
    const ended = await startBench(args, { env, shell }).ended;
    expect(ended.code).toBe(0);
    expect(ended.stdout).toContain('results: ');
    return ended.stdout;
  }

  it.skipIf(!hasScript)('has colours and a line that is drawn anew', async () => {
    const text = await shown({ TERM: 'xterm' });
    expect(text).toContain('\u001b[1m');
    expect(text).toContain('\r\u001b[2K');
  });

  it.skipIf(!hasScript).each([[{ TERM: 'dumb' }], [{ TERM: 'xterm', NO_COLOR: '1' }]])(
    'that is dumb, or shall be plain, gets lines: %j',
    async (env) => {
      expect(await shown(env)).not.toContain('\u001b');
    },
  );
});
