import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { bench, countLines, makeFolder, type Running, readRun, startBench, until } from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';
import {
  leftOf,
  type Scripted,
  type ScriptedOptions,
  STACK_MS,
  scriptedStack,
  stateIn,
  textsIn,
  untilPhase,
} from '../fixtures/stack.ts';

// Several starts of the program and of a stack each.
vi.setConfig({ testTimeout: 180_000 });

/** The scripted frontend counts no prompt. */
const SHAPE = ['--isl', '20', '--isl-counts', 'content', '--warmup', '0', '--pause', '0s'];
const SHORT = ['sweep', ...SHAPE, '--osl', '4', '--concurrency', '1,2'];

const made: { readonly stack: Scripted; readonly dirs: string[] }[] = [];

async function make(options?: ScriptedOptions): Promise<{ stack: Scripted; out: string; dir: string }> {
  const stack = await scriptedStack(options);
  const out = path.join(stack.cwd, 'out');
  const dir = path.join(out, 'stack');
  made.push({ stack, dirs: [dir, path.join(stack.cwd, 'run')] });
  return { stack, out, dir };
}

afterAll(async () => {
  for (const { stack, dirs } of made)
    for (const dir of dirs) if (stateIn(dir) !== null) await bench(['stack', 'down', dir], stack);
});

/** Requests of a second each, for minutes. */
const LONG = ['sweep', ...SHAPE, '--osl', '100', '--concurrency', '2', '--requests', '500'];
const SLOW = { frontend: { TOKEN_MS: '10' } };

/** A sweep over a stack, with its first requests on disk. */
async function startLong(stack: Scripted, out: string): Promise<Running> {
  const running = startBench([...LONG, '--stack', stack.file, '--out', 'out'], stack);
  await untilSome(out);
  return running;
}

function untilSome(out: string): Promise<boolean> {
  return until('its requests', () => countLines(path.join(out, 'records.ndjson')) >= 2, STACK_MS);
}

describe('bench sweep --stack', () => {
  it('launches once for all repeats', async () => {
    const { stack, out, dir } = await make();
    const ended = await bench([...SHORT, '--stack', stack.file, '--out', 'out', '--repeats', '2'], stack);
    expect(ended.code).toBe(0);
    expect(ended.stdout).toContain('2 of 2 repeats complete');
    const runs = ['1', '2'].map((number) => readRun(path.join(out, number)).report);
    expect(runs.map(({ stack: facts }) => facts!.run)).toEqual(Array(2).fill(stateIn(dir)!.run));
    expect(runs[0]!.stack!.fileHash).toMatch(/^[0-9a-f]{64}$/);
    expect(stateIn(dir)!.phase).toBe('stopped');
    expect(await leftOf(dir, stack)).toEqual([]);
  });

  it('launches, measures, tears down and keeps what it launched', async () => {
    const { stack, out, dir } = await make();
    const ended = await bench([...SHORT, '--stack', stack.file, '--out', 'out', '--gpus', '8'], stack);
    expect(ended.code).toBe(0);
    expect(ended.stdout).toContain('stack       scripted (local), ready after ');
    const { report } = readRun(out);
    expect(report.status).toBe('complete');
    expect(report.levels.map(({ status, requests }) => [status, requests.good])).toEqual([
      ['complete', 4],
      ['complete', 8],
    ]);
    const state = stateIn(dir)!;
    expect(report.stack).toMatchObject({
      name: 'scripted',
      run: state.run,
      dir,
      mode: 'local',
      failure: null,
    });
    expect(report.stack!.startupS).toHaveProperty(['stack.ready']);
    expect(report.stack!.startupS).toHaveProperty(['decode-0.ready']);
    expect(report.spec.model).toBe('tiny');
    expect(report.spec.urls).toEqual([`http://127.0.0.1:${stack.port}`]);
    expect(state.phase).toBe('stopped');
    expect(await leftOf(dir, stack)).toEqual([]);
    for (const name of ['stack.yaml', 'resolved.json', 'plan.sh', 'events.jsonl', 'preflight.json'])
      expect(existsSync(path.join(dir, name))).toBe(true);
    expect(readFileSync(path.join(dir, 'logs', 'prefill-0.log'), 'utf8')).toContain('Model init total');
  });

  it('tells within seconds why a service died, and marks its level', async () => {
    const { stack, out, dir } = await make({ ...SLOW, decode: { FAULT: 'crash', FAULT_CODE: '9' } });
    const running = await startLong(stack, out);
    writeFileSync(stack.faultFile, '');
    const brokenMs = performance.now();
    const ended = await running.ended;
    expect(performance.now() - brokenMs).toBeLessThan(20_000);
    expect(ended.code).toBe(4);
    const { report } = readRun(out);
    expect(report.status).not.toBe('complete');
    expect(report.levels.map(({ status }) => status)).toEqual(['partial']);
    expect(report.stack!.failure).toMatch(/decode-0 on localhost: terminate called .* \(exit code 9\)$/);
    expect(ended.stdout).toContain('decode-0');
    expect(ended.stderr).toContain(`log: ${path.join(dir, 'logs', 'decode-0.log')}`);
    expect(stateIn(dir)).toMatchObject({ phase: 'stopped', why: { step: 'decode-0', exitCode: 9 } });
    expect(await leftOf(dir, stack)).toEqual([]);
  });

  it('whose launch fails is exit 4 and has no results', async () => {
    const { stack, out, dir } = await make({ decode: { FAULT: 'crash', FAULT_FILE: '' } });
    const ended = await bench([...SHORT, '--stack', stack.file, '--out', 'out'], stack);
    expect(ended.code).toBe(4);
    expect(ended.stderr).toContain('decode-0');
    expect(existsSync(path.join(out, 'records.ndjson'))).toBe(false);
    expect(await leftOf(dir, stack)).toEqual([]);
  });

  it('Ctrl-C while the stack comes up is exit 130, and nothing is left', async () => {
    const { stack, dir } = await make({ decode: { LOAD_S: '60' } });
    const running = startBench([...SHORT, '--stack', stack.file, '--out', 'out'], stack);
    await until(
      'the workers',
      () => (stateIn(dir)?.steps ?? []).some(({ state }) => state === 'registered' || state === 'ready'),
      STACK_MS,
    );
    running.child.kill('SIGINT');
    expect((await running.ended).code).toBe(130);
    expect(await leftOf(dir, stack)).toEqual([]);
  });

  it('Ctrl-C while it measures is exit 130 with a partial level, and nothing is left', async () => {
    const { stack, out, dir } = await make(SLOW);
    const running = await startLong(stack, out);
    running.child.kill('SIGINT');
    const ended = await running.ended;
    expect(ended.code).toBe(130);
    expect(ended.stdout.replace(/\s+/g, ' ')).toContain('(beside it give --stack or --stack-run again)');
    const { report } = readRun(out);
    expect(report.levels.map(({ status }) => status)).toEqual(['partial']);
    expect(report.stack!.failure).toBeNull();
    expect(await leftOf(dir, stack)).toEqual([]);
  });

  it('kill -9 of the sweep ends its stack', async () => {
    const { stack, out, dir } = await make(SLOW);
    const running = await startLong(stack, out);
    running.child.kill('SIGKILL');
    await untilPhase(dir, 'stopped');
    await until('its end', async () => (await leftOf(dir, stack)).length === 0, STACK_MS);
  });
});

describe('a supervisor that is killed in the middle of a level', () => {
  const kill = (dir: string): void => void process.kill(stateIn(dir)!.supervisor.pid, 'SIGKILL');

  it('leaves its stack to the sweep, which takes it down, exit 4', async () => {
    const { stack, out, dir } = await make(SLOW);
    const running = await startLong(stack, out);
    kill(dir);
    const ended = await running.ended;
    expect(ended.code, ended.stderr).toBe(4);
    expect(ended.stderr).toContain(`the supervisor of ${dir} is gone: what it launched is taken down`);
    expect(readRun(out).report).toMatchObject({
      statusDetail: 'the stack is gone: the supervisor of the stack is gone',
      levels: [{ status: 'partial' }],
    });
    expect(stateIn(dir)).toMatchObject({ phase: 'stopped', left: [] });
    expect(await leftOf(dir, stack)).toEqual([]);
  });

  it('leaves one that was only attached to, and the command that ends it is named', async () => {
    const { stack } = await make(SLOW);
    const run = path.join(stack.cwd, 'run');
    expect((await bench(['stack', 'up', stack.file, '-d', '--out', 'run'], stack)).code).toBe(0);
    const running = startBench([...LONG, '--stack-run', 'run', '--out', 'out'], stack);
    await untilSome(path.join(stack.cwd, 'out'));
    kill(run);
    const ended = await running.ended;
    expect(ended.code).toBe(4);
    expect(ended.stderr).toContain(
      'the supervisor of run is gone, what it launched is not: bench stack down run',
    );
    expect(stateIn(run)!.phase).toBe('ready');
    expect((await bench(['stack', 'down', 'run'], stack)).code).toBe(0);
    expect(await leftOf(run, stack)).toEqual([]);
  });

  it('together with its sweep leaves a stack that --resume ends before it launches another', async () => {
    const { stack, out, dir } = await make(SLOW);
    const load = ['--osl', '100', '--concurrency', '2', '--requests', '6'];
    const running = startBench(['sweep', ...SHAPE, ...load, '--stack', stack.file, '--out', 'out'], stack);
    await untilSome(out);
    running.child.kill('SIGSTOP');
    kill(dir);
    running.child.kill('SIGKILL');
    await running.ended;
    expect(await leftOf(dir, stack)).not.toEqual([]);
    const resumed = await bench(['sweep', '--resume', 'out', '--stack', stack.file], stack);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(resumed.stderr).toContain('the supervisor of out/stack is gone: what it launched is taken down');
    expect(readRun(out).report.levels).toMatchObject([{ status: 'complete', requests: { good: 6 } }]);
    for (const name of ['stack', 'stack-2']) expect(await leftOf(path.join(out, name), stack)).toEqual([]);
  });
});

describe('a stack that outlives its sweep', () => {
  it('is kept by --keep, measured again by --stack-run, and ended by down', async () => {
    const { stack, dir } = await make();
    const first = await bench([...SHORT, '--stack', stack.file, '--keep', '--out', 'out'], stack);
    expect(first.code).toBe(0);
    expect(first.stderr).toContain('the stack stays up: bench sweep --stack-run ');
    expect(stateIn(dir)!.phase).toBe('ready');
    for (const named of ['out', path.join('out', 'stack')]) {
      const next = path.join(makeFolder(), 'next');
      const again = await bench([...SHORT, '--stack-run', named, '--out', next], stack);
      expect(again.code).toBe(0);
      expect(readRun(next).report.stack).toMatchObject({ run: stateIn(dir)!.run, failure: null });
      expect(stateIn(dir)!.phase).toBe('ready');
    }
    expect((await bench(['stack', 'down', 'out'], stack)).code).toBe(0);
    expect(await leftOf(dir, stack)).toEqual([]);
    const late = await bench([...SHORT, '--stack-run', 'out'], stack);
    expect(late.code).toBe(4);
    expect(late.stderr).toContain('is not up: stopped');
  });

  it('that is torn down under a sweep makes its level partial, exit 4', async () => {
    const { stack } = await make(SLOW);
    expect((await bench(['stack', 'up', stack.file, '-d', '--out', 'run'], stack)).code).toBe(0);
    const out = path.join(stack.cwd, 'out');
    const running = startBench([...LONG, '--stack-run', 'run', '--out', 'out'], stack);
    await untilSome(out);
    expect((await bench(['stack', 'down', 'run'], stack)).code).toBe(0);
    const ended = await running.ended;
    expect(ended.code).toBe(4);
    expect(ended.stdout).toContain('torn down');
    expect(readRun(out).report.levels.map(({ status }) => status)).toEqual(['partial']);
  });
});

describe('--dry-run of a stack', () => {
  it('names it, launches nothing, and refuses a wrong file', async () => {
    const { stack } = await make();
    const plan = await bench([...SHORT, '--stack', stack.file, '--dry-run'], stack);
    expect(plan).toMatchObject({ code: 0, stderr: '' });
    expect(plan.stdout).toContain(
      `against the stack that ${stack.file} launches (bench stack plan ${stack.file} shows it)`,
    );
    expect(existsSync(path.join(stack.cwd, 'results'))).toBe(false);
    // Its job has no number yet.
    const cluster = readFileSync(stack.file, 'utf8');
    writeFileSync(stack.file, cluster.replace('mode: local', 'mode: salloc, nodes: 3'));
    const spread = await bench([...SHORT, '--stack', stack.file, '--load-nodes', '2', '--dry-run'], stack);
    expect(spread).toMatchObject({ code: 0, stdout: expect.stringContaining('on 2 nodes of job JOB') });
    const wide = await bench([...SHORT, '--stack', stack.file, '--load-nodes', '4', '--dry-run'], stack);
    expect(wide).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--load-nodes: 4 nodes, but the job of scripted has 3'),
    });
    writeFileSync(stack.file, cluster);
    writeFileSync(stack.file, 'schema: 1\nservices: {}\n');
    expect((await bench([...SHORT, '--stack', stack.file, '--dry-run'], stack)).code).toBe(2);
    expect((await bench([...SHORT, '--stack-run', 'nowhere', '--dry-run'], stack)).code).toBe(2);
  });
});

describe('load from nodes that the stack will not have', () => {
  it.each([
    [['--load-on', 'head'], '--load-on: head is no node of scripted, which runs on this machine'],
    [['--load-nodes', '2'], '--load-nodes: scripted runs on this machine'],
  ])('is refused before the launch: %j', async (flags, words) => {
    const { stack, out } = await make();
    const ended = await benchHere([...SHORT, '--stack', stack.file, '--out', 'out', ...flags], stack);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(words);
    expect(existsSync(out)).toBe(false);
  });
});

describe('flags that do not go together', () => {
  it.each([
    [['--stack', 's.yaml', '--url', 'http://x'], '--url and --stack'],
    [['--stack', 's.yaml', '--mock'], '--mock and --stack'],
    [['--stack', 's.yaml', '--stack-run', 'x'], '--stack and --stack-run'],
    [['--stack-run', 'x', '--url', 'http://x'], '--url and --stack-run'],
    [['--load-on', 'head'], '--load-on: there is no stack'],
    [['--keep'], '--keep: there is no stack'],
    [['--stack-run', 'x', '--keep'], '--keep: there is no stack'],
    [['--stack-run', 'nowhere'], 'nowhere holds no stack'],
  ])('%j', async (flags, word) => {
    const cwd = makeFolder();
    const ended = await benchHere([...SHORT, ...flags, '--out', 'out'], { cwd });
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(word);
    expect(existsSync(path.join(cwd, 'out'))).toBe(false);
  });
});

describe('secrets', () => {
  /** A literal one, one from the environment, and a frontend that tells both before it breaks. */
  const LITERAL = 'SECRETliteral"1';
  const FROM_ENV = 'SECRETenvironment2';

  it('reach the service and no file, log or screen of bench', async () => {
    const seen = path.join(makeFolder(), 'seen');
    const { stack, out, dir } = await make({
      env: { MY_TOKEN: LITERAL, HF_TOKEN: '${env:HF_TOKEN}', PLAIN: 'open' },
      more: `  teller:
    role: sidecar
    command: [bash, -c, 'printf "%s %s" "$MY_TOKEN" "$HF_TOKEN" >${seen}; exec sleep 100']
  teller2:
    role: sidecar
    failure: {critical: true, exit_0_is_failure: true}
    depends_on: [{service: decode}]
    command: [bash, -c, 'echo "Error: cannot log in with $MY_TOKEN or $HF_TOKEN" >&2; exit 3']
`,
    });
    const options = { ...stack, env: { HF_TOKEN: FROM_ENV } };
    let screens = '';
    for (const args of [
      ['stack', 'plan', stack.file],
      ['stack', 'plan', stack.file, '--json'],
      ['stack', 'plan', stack.file, '--full'],
      ['stack', 'render', stack.file, '--sbatch'],
    ]) {
      const ended = await bench(args, options);
      screens += ended.stdout + ended.stderr;
      if (args[1] === 'plan') expect(ended.code).toBe(0);
    }
    const ended = await bench([...SHORT, '--stack', stack.file, '--out', 'out'], options);
    screens += ended.stdout + ended.stderr;
    expect(ended.code).toBe(4);
    const status = await bench(['stack', 'status', 'out'], options);
    screens += status.stdout + status.stderr;
    expect(readFileSync(seen, 'utf8')).toBe(`${LITERAL} ${FROM_ENV}`);
    expect(ended.stderr).toContain('cannot log in with');
    expect(screens).not.toContain('SECRET');
    expect(screens).toContain('open');

    const texts = textsIn(out);
    // What a service prints is its own.
    const logs = [...texts.keys()].filter((file) => file.startsWith(path.join('stack', 'logs')));
    expect(logs.filter((file) => texts.get(file)!.includes('SECRET'))).toEqual([
      path.join('stack', 'logs', 'teller2-0.log'),
    ]);
    const bench_ = [...texts.keys()].filter((file) => !logs.includes(file));
    expect(bench_).toEqual(
      expect.arrayContaining(
        ['stack.yaml', 'order.json', 'resolved.json', 'plan.sh', 'state.json', 'events.jsonl'].map((name) =>
          path.join('stack', name),
        ),
      ),
    );
    expect(bench_.filter((file) => texts.get(file)!.includes('SECRET'))).toEqual([]);
    expect(texts.get(path.join('stack', 'stack.yaml'))).toContain('HF_TOKEN: "${env:HF_TOKEN}"');
    expect(await leftOf(dir, stack)).toEqual([]);
  });

  it('that a command line would show are refused', async () => {
    const { stack } = await make({ more: '  extra: {role: sidecar, command: [sleep, "${env:HF_TOKEN}"]}\n' });
    const ended = await bench(['stack', 'plan', stack.file], { ...stack, env: { HF_TOKEN: FROM_ENV } });
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('looks like a secret');
    expect(ended.stderr).not.toContain(FROM_ENV);
  });
});
