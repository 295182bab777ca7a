import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { abandonedStacks } from '../../src/commands/stack/abandoned.ts';
import { runDown } from '../../src/commands/stack/down.ts';
import { findStack, listStacks } from '../../src/commands/stack/find.ts';
import { leftBehind, supervisorLives } from '../../src/commands/stack/follow.ts';
import { whySkipped } from '../../src/commands/stack/level-guard.ts';
import { StackLink, urlOf } from '../../src/commands/stack/link.ts';
import { LiveView, stateLines } from '../../src/commands/stack/live-view.ts';
import {
  childEnvironment,
  headOf,
  innerWords,
  sentHeaders,
  withoutLaunch,
} from '../../src/commands/stack/load-on.ts';
import { newOrder } from '../../src/commands/stack/order.ts';
import type { LevelReport } from '../../src/core/report.ts';
import type { PointSpec } from '../../src/core/spec.ts';
import { writeAtomic } from '../../src/host/store.ts';
import { plainWhy } from '../../src/stack/failure/why.ts';
import { startTicks } from '../../src/stack/launch/marked-processes.ts';
import { STATE_FILE } from '../../src/stack/launch/recorder.ts';
import type { StackState } from '../../src/stack/launch/state.ts';
import { refusal } from '../fixtures/refusal.ts';
import { makeFolder, putPrograms, stackState, startProcess, stepStatus, until } from './stack-steps.ts';

/** A supervisor that lives as long as these tests. */
const LIVING = { pid: process.pid, startTicks: startTicks(process.pid)!, host: os.hostname() };

function put(dir: string, over: Partial<StackState>): string {
  mkdirSync(dir, { recursive: true });
  const state = stackState({ phase: 'ready', supervisor: LIVING, url: 'http://127.0.0.1:1', ...over });
  writeAtomic(path.join(dir, STATE_FILE), JSON.stringify(state));
  return dir;
}

afterEach(() => vi.restoreAllMocks());

const aborted = (signal: AbortSignal): Promise<void> => until('the loss', () => signal.aborted);

describe('a stack of which something was left', () => {
  it('is torn down anew by down, which then says so', async () => {
    const dead = { ...LIVING, startTicks: '1' };
    const dir = put(makeFolder(), {
      phase: 'stopped',
      supervisor: dead,
      mode: 'local',
      job: null,
      left: ['process 5'],
    });
    expect(await runDown({ dir, forget: false })).toBe(0);
    const state = JSON.parse(readFileSync(path.join(dir, STATE_FILE), 'utf8')) as StackState;
    expect([state.phase, state.left]).toEqual(['stopped', []]);
  });

  it('on another host is ended there, which is said', async () => {
    const away = { ...LIVING, host: 'elsewhere' };
    const alive = new Date().toISOString();
    const lives = put(makeFolder(), { supervisor: away, mode: 'salloc', alive });
    await expect(runDown({ dir: lives, forget: false })).rejects.toMatchObject({
      exitCode: 4,
      message: `the supervisor of ${lives} runs on elsewhere, process ${process.pid}`,
      hint: `run it there: bench stack down ${lives}`,
    });
    const dead = put(makeFolder(), { supervisor: away, mode: 'local', alive: '2026-01-01T00:00:00.000Z' });
    await expect(runDown({ dir: dead, forget: false })).rejects.toMatchObject({
      exitCode: 4,
      message: expect.stringContaining('ran on elsewhere'),
    });
  });

  it("of another user's supervisor is not ended, and no word says that it was", async () => {
    const dir = put(makeFolder(), {});
    vi.spyOn(process, 'kill').mockImplementation(() => {
      throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' });
    });
    await expect(runDown({ dir, forget: false })).rejects.toMatchObject({
      exitCode: 4,
      message: expect.stringContaining("is another user's"),
    });
  });

  it('is told with exit 4 and what to do, as a shell takes it', () => {
    expect(leftBehind(['process 5 on n1', 'job 7 is still in the queue'], 'DIR')).toMatchObject({
      exitCode: 4,
      message: 'still there after teardown: process 5 on n1, job 7 is still in the queue',
      hint: 'try again: bench stack down DIR',
    });
    expect(leftBehind(['process 5'], "my stack's").hint).toBe("try again: bench stack down 'my stack'\\''s'");
  });
});

describe('abandoned stacks', () => {
  it('are those with a job whose supervisor has died', async () => {
    const dead = { ...LIVING, startTicks: '1' };
    const folder = (name: string, over: Partial<StackState>): string =>
      put(path.join(makeFolder(), name), over);
    const left = folder('left here', { run: 'a', supervisor: dead });
    const lives = folder('b', { run: 'b' });
    const down = folder('c', { run: 'c', supervisor: dead, phase: 'stopped' });
    const own = folder('d', { run: 'd', supervisor: dead });
    const other = folder('e', { run: 'e', supervisor: dead });
    const queue = [
      `1|n[1-2]|bench-stack:a ${left}`,
      `2|n3|bench-stack:b ${lives}`,
      `3|n3|bench-stack:c ${down}`,
      `4|n3|bench-stack:d ${own}`,
      `5|n3|bench-stack:another ${other}`,
      '6|n3|bench-stack:f',
      '7|n3|bench-stack:g /no/such/folder',
      '8|n3|of a person | bench-stack:a',
    ];
    putPrograms(makeFolder(), { squeue: `printf '%s\\n' ${queue.map((line) => `'${line}'`).join(' ')}` });
    expect(await abandonedStacks('d')).toEqual([
      { jobId: '1', nodeList: 'n[1-2]', dir: left, remedy: `bench stack down '${left}'` },
    ]);
    vi.unstubAllEnvs();
  });
});

describe('the stack that a run measures', () => {
  it('is refused with its first cause when it does not serve', () => {
    const why = { ...plainWhy('cuda-oom', 'CUDA out of memory'), step: 'decode-0', rank: 3 };
    const failed = put(makeFolder(), { phase: 'stopped', why });
    expect(() => new StackLink(failed)).toThrow(
      expect.objectContaining({
        exitCode: 4,
        message: `the stack in ${failed} is not up: cuda-oom: decode-0 rank 3: CUDA out of memory`,
      }),
    );
    const starting = put(makeFolder(), { phase: 'starting' });
    expect(() => new StackLink(starting)).toThrow(/is not up: starting/);
    const dead = put(makeFolder(), { supervisor: { ...LIVING, startTicks: '1' } });
    expect(() => new StackLink(dead)).toThrow(
      expect.objectContaining({
        exitCode: 4,
        message: `the stack in ${dead} is not up: its supervisor is gone`,
        hint: `end it: bench stack down ${dead}`,
      }),
    );
    expect(refusal(() => new StackLink(makeFolder())).message).toContain('holds no state.json');
  });

  it('is lost when it fails, with the cause as soon as that is known', async () => {
    const dir = put(makeFolder(), {});
    const link = new StackLink(dir);
    try {
      expect([link.lost.aborted, link.lostReason]).toEqual([false, null]);
      put(dir, { phase: 'failing' });
      await aborted(link.lost);
      expect(link.lostReason).toBe('a service of the stack has failed');
      const verdict = link.verdict(20_000);
      put(dir, { phase: 'failed', why: plainWhy('rank-crash', 'it crashed') });
      await verdict;
      expect(link.lostReason).toBe('rank-crash: it crashed');
      expect(link.facts().failure).toBe('rank-crash: it crashed');
    } finally {
      link.close();
    }
  });

  it('is lost when it is torn down, or nobody looks after it any more', async () => {
    const dir = put(makeFolder(), {});
    const torn = new StackLink(dir);
    put(dir, { phase: 'stopping' });
    await aborted(torn.lost);
    expect(torn.lostReason).toBe('the stack was torn down (stopping)');
    torn.close();

    const child = startProcess(['sleep', '100']);
    const supervisor = { pid: child.pid!, startTicks: startTicks(child.pid!)!, host: os.hostname() };
    const orphan = new StackLink(put(makeFolder(), { supervisor }));
    child.kill('SIGKILL');
    await aborted(orphan.lost);
    expect(orphan.lostReason).toBe('the supervisor of the stack is gone');
    orphan.close();
  });

  it('gives the cause when that comes a moment after the loss', async () => {
    const dir = put(makeFolder(), {});
    const link = new StackLink(dir);
    expect(await link.whyLost(0)).toBeNull();
    put(dir, { phase: 'failing' });
    await aborted(link.lost);
    expect(link.lostReason).toBe('a service of the stack has failed');
    setTimeout(() => put(dir, { phase: 'failed', why: plainWhy('crash', 'it broke') }), 300);
    expect(await link.whyLost(10_000)).toContain('it broke');
    link.close();
  });

  it('gives its verdict after the time it has when nothing is wrong', async () => {
    const link = new StackLink(put(makeFolder(), {}));
    await link.verdict(100);
    expect(link.lostReason).toBeNull();
    link.close();
  });

  describe('by its watch', () => {
    const SHORT = '0 of 1 prefill instances registered';
    const seen = (looks: number, missing: string[] = [], silent: string[] = []) => ({
      watch: { looks, missing, silent },
    });
    const pending = async (promise: Promise<void>): Promise<boolean> => {
      const waited = new Promise<string>((resolve) => setTimeout(() => resolve('pending'), 600));
      return (await Promise.race([promise, waited])) === 'pending';
    };

    it('is well once that has looked anew, so often as is wanted, and missed nothing', async () => {
      const dir = put(makeFolder(), seen(5));
      const link = new StackLink(dir);
      const verdict = link.verdict(60_000);
      put(dir, seen(6));
      expect(await pending(verdict)).toBe(true);
      put(dir, seen(7));
      await verdict;
      const more = link.verdict(60_000, { looks: 4 });
      put(dir, seen(10));
      expect(await pending(more)).toBe(true);
      put(dir, seen(11));
      await more;
      expect(link.lostReason).toBeNull();
      link.close();
    });

    it('is not waited for once the run is to stop', async () => {
      const dir = put(makeFolder(), seen(5, [SHORT], []));
      const link = new StackLink(dir);
      const stop = new AbortController();
      const verdict = link.verdict(60_000, { stop: stop.signal });
      expect(await pending(verdict)).toBe(true);
      stop.abort();
      await verdict;
      link.close();
    });

    it.each([
      ['misses something', [SHORT], []],
      ['gets no answer', [], ['no answer']],
    ])('is waited for while that %s, until it is decided', async (_, missing, silent) => {
      const dir = put(makeFolder(), seen(5));
      const link = new StackLink(dir);
      const verdict = link.verdict(10, { decideWithinMs: 60_000 });
      put(dir, seen(6, missing, silent));
      // Both looks have come, and the first time is over.
      put(dir, seen(7, missing, silent));
      const open = new StackLink(dir);
      const decided = open.verdict(10, { decideWithinMs: 60_000 });
      expect(await pending(decided)).toBe(true);
      put(dir, { phase: 'failed', why: plainWhy('lost', 'gone'), ...seen(8, missing, silent) });
      await Promise.all([verdict, decided]);
      expect(open.lostReason).toBe('lost: gone');
      expect(link.facts().failure).toBe('lost: gone');
      link.close();
      open.close();
    });

    it('was not whole while the frontend said so, which is reported once', async () => {
      const dir = put(makeFolder(), seen(1));
      const link = new StackLink(dir);
      expect(link.takeMissing()).toBeNull();
      put(dir, seen(2, [SHORT, 'no model']));
      await until('the look', () => link.state.watch?.looks === 2);
      put(dir, seen(3, [], ['no answer']));
      await until('the next', () => link.state.watch?.looks === 3);
      expect([link.takeMissing(), link.takeMissing()]).toEqual([`${SHORT}; no model`, null]);
      link.close();
    });
  });

  it('knows what is left of the allocation, and tells the report', () => {
    const endsAt = new Date(Date.now() + 3_600_000).toISOString();
    const job = { id: '7', ours: true, nodes: ['n1', 'n2'], endsAt };
    const dir = put(makeFolder(), {
      job,
      gpus: 8,
      mode: 'salloc',
      startupS: { 'stack.ready': 12.5 },
      versions: { 'ai-dynamo': '1.4.2' },
      drivers: { n1: '570.1' },
    });
    const link = new StackLink(dir);
    link.close();
    expect(link.leftMs).toBeGreaterThan(3_500_000);
    expect(link.leftMs).toBeLessThanOrEqual(3_600_000);
    expect(link.facts()).toEqual({
      name: 'test',
      run: 'bench-1',
      dir,
      mode: 'salloc',
      jobId: '7',
      nodes: ['n1', 'n2'],
      gpus: 8,
      startupS: { 'stack.ready': 12.5 },
      failure: null,
      warnings: [],
      versions: { 'ai-dynamo': '1.4.2' },
      drivers: { n1: '570.1' },
      image: null,
    });
    const local = new StackLink(put(makeFolder(), {}));
    local.close();
    expect(local.leftMs).toBeNull();
  });

  it('has an address, or is told one', () => {
    expect(urlOf(stackState({ url: 'http://n1:8000' }))).toBe('http://n1:8000');
    expect(refusal(() => urlOf(stackState())).hint).toContain('--url');
  });

  it('on another host lives as long as it shows life', () => {
    const supervisor = { pid: 1, startTicks: 'x', host: 'elsewhere' };
    const shown = (ms: number): string => new Date(Date.now() - ms).toISOString();
    expect(supervisorLives(stackState({ supervisor, alive: shown(5_000) }))).toBe(true);
    expect(supervisorLives(stackState({ supervisor, alive: shown(60_000) }))).toBe(false);
  });
});

describe('a level that would outlast the allocation', () => {
  const level = (concurrency: number, durationS: number, sent = concurrency * 4): LevelReport =>
    ({
      concurrency,
      isl: 1000,
      osl: 100,
      durationS,
      requests: { sent },
      e2eMs: {},
    }) as unknown as LevelReport;
  const point = (over: Partial<PointSpec>): PointSpec =>
    ({
      isl: 1000,
      osl: 100,
      concurrency: 16,
      requests: 64,
      durationMs: null,
      warmup: 1,
      ...over,
    }) as PointSpec;
  const MINUTE = 60_000;

  it('is not started', () => {
    // Waves of 100 s, then of 200 s: the next takes four waves of 400 s, and a minute is kept for the rest.
    const done = [level(4, 400), level(8, 800)];
    expect(whySkipped(done, point({}), 1_600_000 + MINUTE, null)).toBeNull();
    expect(whySkipped(done, point({}), 1_600_000 + MINUTE - 1, null)).toBe(
      'time: it needs about 26 m 40 s, the allocation ends in 27 m 40 s',
    );
  });

  it('is known by its duration', () => {
    expect(whySkipped([], point({ requests: null, durationMs: 5 * MINUTE }), 6 * MINUTE, null)).toBeNull();
    expect(whySkipped([], point({ requests: null, durationMs: 5 * MINUTE }), 5 * MINUTE, null)).toMatch(
      /^time: it needs/,
    );
    // A warm-up before it and a drain behind it, as long as the longest request so far.
    const done = [{ ...level(4, 60), e2eMs: { max: 45_000 } } as LevelReport];
    const timed = point({ requests: null, durationMs: 5 * MINUTE });
    expect(whySkipped(done, timed, 7.5 * MINUTE, null)).toBeNull();
    expect(whySkipped(done, timed, 7.5 * MINUTE - 1, null)).toBe(
      'time: it needs about 6 m 30 s, the allocation ends in 7 m 30 s',
    );
  });

  it('counts what the last level took beside its measured requests', () => {
    const done = [level(4, 400), level(8, 800)];
    const extraMs = 90_000;
    expect(whySkipped(done, point({}), 1_600_000 + extraMs + MINUTE, extraMs)).toBeNull();
    expect(whySkipped(done, point({}), 1_600_000 + extraMs + MINUTE - 1, extraMs)).toMatch(
      /needs about 28 m 10 s/,
    );
    const timed = point({ requests: null, durationMs: 5 * MINUTE });
    const slow = [{ ...level(4, 60), e2eMs: { max: 45_000 } } as LevelReport];
    expect(whySkipped(slow, timed, 5 * MINUTE + 45_000 + extraMs + MINUTE, extraMs)).toBeNull();
    expect(whySkipped(slow, timed, 5 * MINUTE + 45_000 + extraMs + MINUTE - 1, extraMs)).toMatch(/^time: /);
  });

  it('has a warm-up as long as the longest request where none was run here, unless it has none', () => {
    const done = [{ ...level(4, 400), e2eMs: { max: 120_000 } } as LevelReport];
    // Four waves of 100 s.
    expect(whySkipped(done, point({}), 400_000 + 120_000 + MINUTE - 1, null)).toMatch(/^time: /);
    expect(whySkipped(done, point({}), 400_000 + 120_000 + MINUTE, null)).toBeNull();
    expect(whySkipped(done, point({ warmup: 0 }), 400_000 + MINUTE, null)).toBeNull();
  });

  it('has the longest request of all levels so far, though the last was skipped', () => {
    const skipped = { ...level(8, 0, 0), durationS: null, e2eMs: { max: null } } as unknown as LevelReport;
    const done = [{ ...level(4, 400), e2eMs: { max: 120_000 } } as LevelReport, skipped];
    expect(whySkipped(done, point({}), 400_000 + 120_000 + MINUTE - 1, null)).toMatch(/^time: /);
    expect(whySkipped(done, point({}), 400_000 + 120_000 + MINUTE, null)).toBeNull();
  });

  it('is started when nothing is known of it, or of the end', () => {
    expect(whySkipped([], point({}), 2 * MINUTE, null)).toBeNull();
    expect(whySkipped([level(4, 4_000)], point({}), null, null)).toBeNull();
    expect(whySkipped([], point({}), -5, null)).toBe('time: the allocation ends in 0 ms');
  });
});

describe('the live view', () => {
  const now = Date.parse('2026-03-01T10:10:00Z');
  const at = (seconds: number): string => new Date(now - seconds * 1_000).toISOString();
  const STATE = stackState({
    phase: 'starting',
    mode: 'salloc',
    job: { id: '4242', ours: true, nodes: ['n1', 'n2'], endsAt: new Date(now + 7_200_000).toISOString() },
    steps: [
      stepStatus('frontend-0', { state: 'ready', since: at(65) }),
      stepStatus('prefill-0', {
        state: 'loading',
        since: at(30),
        loaded: { done: 3, of: 4 },
        waitingFor: ['0 of 1 prefill instances registered'],
      }),
      stepStatus('decode-0', {
        state: 'pending',
        since: at(70),
        nodes: ['n2'],
        waitingFor: ['prefill-0 ready'],
      }),
      stepStatus('x-0', { state: 'failed', since: at(1), nodes: ['n1', 'n2'] }),
    ],
    waitingFor: ['model "m" is not listed'],
  });

  it('is a line for each step, and what the whole waits for', () => {
    expect(stateLines(STATE, now)).toEqual([
      'stack test  starting  (job 4242 on n1, n2, 2 h 00 m left)',
      '  ✓ frontend-0  ready      1 m 05 s  n1',
      '  ▸ prefill-0   loading      30.0 s  n1 3/4 loaded  waits for 0 of 1 prefill instances registered',
      '  · decode-0    pending    1 m 10 s  n2',
      '  ✗ x-0         failed        1.0 s  n1,n2',
      '  waits for model "m" is not listed',
    ]);
    expect(stateLines(stackState({ phase: 'ready', waitingFor: ['old'] }), now)).toEqual([
      'stack test  ready  (local)',
    ]);
    const pending = stackState({ mode: 'salloc', job: { id: '7', ours: true, nodes: [], endsAt: null } });
    expect(stateLines(pending, now)[0]).toBe('stack test  starting  (job 7 on no node yet)');
  });

  it('on no terminal tells each change once', () => {
    const written: string[] = [];
    const stream = {
      isTTY: false,
      write: (text: string) => written.push(text),
    } as unknown as NodeJS.WriteStream;
    const view = new LiveView(stream);
    view.show(STATE);
    view.show(STATE);
    view.show({
      ...STATE,
      phase: 'ready',
      warnings: ['hot'],
      startupS: { 'decode-0.ready': 61 },
      steps: [...STATE.steps.slice(0, 2), { ...STATE.steps[2]!, state: 'ready' }],
    });
    expect(written.join('')).toBe(
      [
        'stack test: starting',
        'stack test: job 4242',
        'stack test: frontend-0 ready',
        'stack test: prefill-0 loading',
        'stack test: x-0 failed',
        'stack test: ready',
        'stack test: decode-0 ready after 1 m 01 s',
        'stack test: warning: hot',
        '',
      ].join('\n'),
    );
  });

  it('on a terminal draws over what it drew, and no line is longer than the screen', () => {
    const written: string[] = [];
    const stream = {
      isTTY: true,
      columns: 40,
      write: (text: string) => written.push(text),
    } as unknown as NodeJS.WriteStream;
    const view = new LiveView(stream);
    view.show(STATE);
    view.show(STATE);
    view.done();
    view.show(STATE);
    view.show({ ...STATE, warnings: [...STATE.warnings, 'hot'] });
    expect(written.at(-1)).toContain('\x1b[2Kwarning: hot\n\x1b[2Kstack test');
    written.pop();
    expect(written[0]!.startsWith('\x1b[2Kstack test')).toBe(true);
    expect(written[1]!.startsWith('\x1b[6A\x1b[2Kstack')).toBe(true);
    expect(written[2]!.startsWith('\x1b[2Kstack')).toBe(true);
    const lines = written[0]!.split('\n').map((line) => line.replace('\x1b[2K', ''));
    for (const line of lines) expect(line.length).toBeLessThan(40);
  });
});

describe('finding a stack', () => {
  const before = process.cwd();
  let cwd = '';
  beforeEach(() => {
    cwd = makeFolder();
    process.chdir(cwd);
  });
  afterEach(() => process.chdir(before));

  it('takes the folder that is named, or the one of its sweep', () => {
    put('a', {});
    put('sweep/stack', {});
    expect(findStack('a', 'down')).toBe('a');
    expect(findStack('sweep', 'down')).toBe('sweep/stack');
    put('sweep/stack-2', {});
    expect(findStack('sweep', 'down')).toBe('sweep/stack-2');
    expect(refusal(() => findStack('b', 'down')).message).toBe('b holds no stack');
  });

  it('else the only one that is not down', () => {
    expect(refusal(() => findStack(undefined, 'down')).hint).toBe('name its folder: bench stack down DIR');
    put('results/1-old/stack', { phase: 'stopped', left: [] });
    put('results/0-left', { phase: 'stopped', left: ['process 5'] });
    expect(findStack(undefined, 'down')).toBe('results/0-left');
    put('results/0-left', { phase: 'stopped' });
    put('results/2-up', {});
    mkdirSync('results/3-other');
    expect(listStacks()).toEqual(['results/0-left', 'results/1-old/stack', 'results/2-up']);
    expect(findStack(undefined, 'logs')).toBe('results/2-up');
    put('results/4-too/stack', { phase: 'starting' });
    expect(refusal(() => findStack(undefined, 'logs')).message).toBe(
      'several stacks are up: results/2-up, results/4-too/stack',
    );
  });
});

describe('the command that sends from a node', () => {
  it('runs on the head of the plan, which need not be the first node', () => {
    const job = { id: '7', ours: true, nodes: ['n1', 'n2'], endsAt: null };
    const dir = put(makeFolder(), { job });
    expect(headOf({ dir, state: stackState({ job }) })).toBe('n1');
    writeFileSync(path.join(dir, 'resolved.json'), JSON.stringify({ head: { node: 'n2', address: 'n2' } }));
    expect(headOf({ dir, state: stackState({ job }) })).toBe('n2');
  });

  it('is told no folder beside --resume, which names it', () => {
    expect(innerWords(['sweep', '--isl', '4'], '/s', '/o')).toEqual([
      'sweep',
      '--isl',
      '4',
      '--stack-run=/s',
      '--out=/o',
    ]);
    for (const words of [['--resume', '/o'], ['--resume=/o']])
      expect(innerWords(['sweep', ...words], '/s', '/o')).toEqual(['sweep', ...words, '--stack-run=/s']);
  });

  it.each([
    ['--stack f.yaml --isl 4 --keep', '--isl 4'],
    ['--stack=f.yaml --isl=4 --load-on=head', '--isl=4'],
    ['--api-key SECRET --isl 4', '--isl 4'],
    ['--api-key=SECRET --isl 4', '--isl 4'],
    ['--stack-run DIR --out o --no-preflight --no-keep --osl 2', '--osl 2'],
    ['--header x --concurrency 1,2', '--concurrency 1,2'],
  ])('%s becomes %s', (given, kept) => {
    expect(withoutLaunch(['sweep', ...given.split(' ')])).toEqual(['sweep', ...kept.split(' ')]);
  });

  it('has no secret on its command line but in its environment, in whatever way it was given', () => {
    for (const secret of [
      ['--api-key', 'SECRET1'],
      ['--api-key=SECRET1'],
      ['--header', 'Authorization: Bearer SECRET1'],
      ['--header=x-api-key: SECRET1'],
    ]) {
      const env = childEnvironment(['sweep', ...secret], { KEPT: 'yes', SLURM_NTASKS: '8' });
      expect(env['KEPT']).toBe('yes');
      expect(env).not.toHaveProperty('SLURM_NTASKS');
      expect([env['OPENAI_API_KEY'], ...sentHeaders(env)].filter((one) => one !== undefined)).toEqual([
        secret.at(-1)!.replace(/^--[a-z-]+=/, ''),
      ]);
      const words = withoutLaunch(['sweep', '--stack', 'f', ...secret, '--isl', '4']);
      expect(words.join(' ')).not.toContain('SECRET1');
      expect(words.slice(-2)).toEqual(['--isl', '4']);
    }
  });
});

describe('the order for a supervisor', () => {
  const FILE = `schema: 1
name: s
cluster: {mode: local}
model: {path: /m, served_name: m}
env: {MY_TOKEN: SECRET1}
services:
  frontend: {command: [sleep, "100"], ports: {http: 7999}}
`;

  it('names the file and the folder in full, and no two runs alike', () => {
    const file = path.join(makeFolder(), 's.yaml');
    writeFileSync(file, FILE);
    const one = newOrder(file, 'x/stack', { lifeline: true }).order;
    const two = newOrder(file, 'x/stack', {}).order;
    expect(one).toEqual({
      file,
      run: one.run,
      dir: path.resolve('x/stack'),
      lifeline: true,
      checkOnly: false,
      preflight: true,
      shapes: [],
    });
    expect(one.run).toMatch(/^bench-[0-9a-f]{8}$/);
    expect(two.run).not.toBe(one.run);
    expect(JSON.stringify(one)).not.toContain('SECRET1');
  });

  it('is refused where no plan can be made of the file, before a node is asked for', () => {
    const file = path.join(makeFolder(), 's.yaml');
    const service = (name: string, placement: string): string =>
      `  ${name}: {role: sidecar, command: [sleep, "9"], placement: ${placement}, ports: {http: 8000}}\n`;
    const write = (...services: string[]): void =>
      writeFileSync(file, FILE.replace('mode: local', 'mode: salloc') + services.join(''));
    write(service('a', 'auto'), service('b', '{share: a}'));
    const clash = refusal(() => newOrder(file, 'x', {}));
    expect(clash.exitCode).toBe(2);
    expect(clash.message).toMatch(/^port 8000 of node NODE\d is wanted by a-0 and by b-0/);
    write(service('a', '{nodes: [n7]}'), service('b', '{nodes: [n8]}'));
    expect(newOrder(file, 'x', {}).order.checkOnly).toBe(false);
    // On a node that is named the head is only where the file says so.
    write(service('a', '{nodes: [n7]}'), service('b', 'head'));
    expect(newOrder(file, 'x', {}).order.checkOnly).toBe(false);
    writeFileSync(file, readFileSync(file, 'utf8').replace('mode: salloc', 'mode: salloc, head: n7'));
    expect(refusal(() => newOrder(file, 'x', {})).message).toMatch(/^port 8000 of node n7 is wanted/);
  });

  it('is refused where the file is not right, or not there', () => {
    const file = path.join(makeFolder(), 's.yaml');
    expect(refusal(() => newOrder(file, 'x', {})).message).toBe(`no stack file ${file}`);
    writeFileSync(file, FILE.replace('served_name', 'served'));
    expect(refusal(() => newOrder(file, 'x', {})).message).toContain('2 errors');
    writeFileSync(file, FILE.replace('mode: local', 'mode: attach'));
    const { SLURM_JOB_ID: job, ...rest } = process.env;
    process.env = rest;
    try {
      expect(refusal(() => newOrder(file, 'x', {})).message).toBe('there is no job to attach to');
    } finally {
      process.env = { ...rest, ...(job === undefined ? {} : { SLURM_JOB_ID: job }) };
    }
  });
});
