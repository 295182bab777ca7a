import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { RUN_MARK } from '../../src/stack/launch/marked-processes.ts';
import type { StackState } from '../../src/stack/launch/state.ts';
import { bench, makeFolder, startBench, until } from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';
import { isAlive, plantLeftOvers } from '../fixtures/processes.ts';
import {
  leftOf,
  type Scripted,
  type ScriptedOptions,
  STACK_MS,
  scriptedStack,
  stateIn,
  untilPhase,
} from '../fixtures/stack.ts';

// Several starts of the program and of a stack each.
vi.setConfig({ testTimeout: 180_000 });

const made: { readonly stack: Scripted; readonly dir: string }[] = [];

/** A stack and the folder that its launch is told to use. */
async function make(options?: ScriptedOptions): Promise<{ stack: Scripted; dir: string }> {
  const stack = await scriptedStack(options);
  const one = { stack, dir: path.join(stack.cwd, 'run') };
  made.push(one);
  return one;
}

afterAll(async () => {
  for (const { stack, dir } of made) if (stateIn(dir) !== null) await bench(['stack', 'down', dir], stack);
});

describe('up --detach, status, logs, down', () => {
  it('launch, show and end a stack', async () => {
    const { stack, dir } = await make();
    const { cwd, file, port } = stack;
    const up = await bench(['stack', 'up', file, '--detach', '--out', 'run'], { cwd });
    expect(up).toMatchObject({ code: 0 });
    expect(up.stdout).toContain(`url:   http://127.0.0.1:${port}\nmodel: tiny\nready: after `);
    expect(up.stdout).toContain('bench stack down run');
    expect(up.stderr).toContain('stack scripted: decode-0 ready after ');

    const models = (await (await fetch(`http://127.0.0.1:${port}/v1/models`)).json()) as {
      data: { id: string }[];
    };
    expect(models.data.map(({ id }) => id)).toEqual(['tiny']);

    const status = await bench(['stack', 'status', 'run'], { cwd });
    expect(status.code).toBe(0);
    expect(status.stdout).toMatch(/^stack scripted {2}ready {2}\(local\)\n {2}✓ frontend-0/);
    expect(status.stdout).toContain(`url: http://127.0.0.1:${port}  model: tiny`);
    const json = await bench(['stack', 'status', 'run', '--json'], { cwd });
    expect(JSON.parse(json.stdout)).toMatchObject({ phase: 'ready', servedModel: 'tiny', mode: 'local' });

    const logs = await bench(['stack', 'logs', '--run', 'run'], { cwd });
    expect(logs.code).toBe(0);
    for (const line of logs.stdout.trimEnd().split('\n'))
      expect(line).toMatch(/^(frontend-0|prefill-0 |decode-0 {2}) \| /);
    expect(logs.stdout).toMatch(/^prefill-0 {2}\| Model init total -- \d/m);
    // The folder may be named as the other verbs name it.
    expect((await bench(['stack', 'logs', 'run'], { cwd })).stdout).toContain(
      'prefill-0  | Model init total',
    );
    const one = await bench(['stack', 'logs', 'decode', '--run', 'run'], { cwd });
    expect(one.stdout).toMatch(/^decode-0 \| mpi_rank: 0$/m);
    expect(one.stdout).not.toContain('frontend-0');
    const none = await bench(['stack', 'logs', 'decoder', '--run', 'run'], { cwd });
    expect(none.code).toBe(2);
    expect(none.stderr).toContain('no service "decoder"');

    const again = await bench(['stack', 'up', file, '--out', 'run'], { cwd });
    expect(again).toMatchObject({ code: 2 });
    expect(again.stderr).toContain('already holds a stack');

    const down = await bench(['stack', 'down', 'run'], { cwd });
    expect(down).toMatchObject({ code: 0 });
    expect(down.stdout).toBe('stack scripted is down: no step, no job of ours, no process is left\n');
    expect(await leftOf(dir, stack)).toEqual([]);
    expect(stateIn(dir)).toMatchObject({ phase: 'stopped', why: null });
    expect((await bench(['stack', 'down', 'run'], { cwd })).code).toBe(0);
  });

  it('find the only stack that is up under results/', async () => {
    const { stack } = await make();
    const { cwd, file } = stack;
    expect((await bench(['stack', 'status'], { cwd })).stdout).toBe('no stack under results/\n');
    const none = await bench(['stack', 'down'], { cwd });
    expect(none.code).toBe(2);
    expect((await bench(['stack', 'up', file, '-d', '--quiet'], { cwd })).code).toBe(0);
    const [name] = readdirSync(path.join(cwd, 'results'));
    expect(name).toMatch(/^\d{8}T\d{6}Z-stack-stack$/);
    expect((await bench(['stack', 'status'], { cwd })).stdout).toContain(`results/${name}  scripted  ready`);
    const follow = startBench(['stack', 'logs', 'frontend', '-f'], { cwd });
    await until('a line', () => follow.output.stdout.includes('frontend-0 | '));
    expect((await bench(['stack', 'down'], { cwd })).code).toBe(0);
    expect((await follow.ended).code).toBe(0);
    expect(await leftOf(path.join(cwd, 'results', name!), stack)).toEqual([]);
  });
});

describe('a launch that fails', () => {
  it('tells the first error, its place and what to do, and is exit 4', async () => {
    const { stack, dir } = await make({ decode: { FAULT: 'crash', FAULT_CODE: '9', FAULT_FILE: '' } });
    const ended = await bench(['stack', 'up', stack.file, '--out', 'run'], stack);
    expect(ended.code).toBe(4);
    expect(ended.stderr).toContain('decode-0 on localhost: terminate called after throwing an instance of');
    expect(ended.stderr).toContain('(exit code 9)');
    expect(ended.stderr).toContain(`log: ${path.join(dir, 'logs', 'decode-0.log')}`);
    const state = stateIn(dir)!;
    expect(state.why).toMatchObject({ step: 'decode-0', exitCode: 9 });
    expect(state.steps.find(({ id }) => id === 'decode-0')?.state).toBe('failed');
    expect(await leftOf(dir, stack)).toEqual([]);
    const status = await bench(['stack', 'status', 'run'], stack);
    expect(status.code).toBe(4);
    expect(status.stdout).toContain('(exit code 9)');
  });

  it('at a port that is taken starts nothing', async () => {
    const first = await make();
    expect((await bench(['stack', 'up', first.stack.file, '-d', '--out', 'run'], first.stack)).code).toBe(0);
    const second = path.join(first.stack.cwd, 'second');
    const ended = await bench(['stack', 'up', first.stack.file, '--out', 'second'], first.stack);
    expect(ended.code).toBe(4);
    expect(ended.stderr).toContain(String(first.stack.port));
    expect(ended.stderr).toMatch(/^bench: preflight: /m);
    expect(stateIn(second)!.steps.map(({ state }) => state)).toEqual(['pending', 'pending', 'pending']);
    const logs = await bench(['stack', 'logs', '--run', 'second'], first.stack);
    expect([logs.code, logs.stdout]).toEqual([
      0,
      expect.stringMatching(/^no task wrote anything: preflight: /),
    ]);
    expect((await bench(['stack', 'status', 'run'], first.stack)).stdout).toContain('ready');
    expect((await bench(['stack', 'down', 'run'], first.stack)).code).toBe(0);
  });
});

describe('signals', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s while the stack comes up is exit %i, and nothing is left', async (signal, code) => {
    const { stack, dir } = await make({ decode: { LOAD_S: '60' } });
    const up = startBench(['stack', 'up', stack.file, '--out', 'run'], stack);
    await until(
      'the workers',
      () => ['started', 'loading'].includes(stateIn(dir)?.steps.at(-1)?.state ?? ''),
      STACK_MS,
    );
    up.child.kill(signal);
    expect((await up.ended).code).toBe(code);
    expect(up.output.stderr).toContain('stopping: the stack is torn down');
    expect(await leftOf(dir, stack)).toEqual([]);
    expect(stateIn(dir)).toMatchObject({ phase: 'stopped', why: null });
  });

  it('Ctrl-C while the stack is held tears it down, exit 0', async () => {
    const { stack, dir } = await make();
    const up = startBench(['stack', 'up', stack.file, '--out', 'run'], stack);
    await until(
      'its holding',
      () => up.output.stderr.includes('holding the stack; Ctrl-C tears it down'),
      STACK_MS,
    );
    up.child.kill('SIGINT');
    expect((await up.ended).code).toBe(0);
    expect(await leftOf(dir, stack)).toEqual([]);
  });

  it('a service that dies while the stack is held is exit 4', async () => {
    const { stack, dir } = await make({ decode: { FAULT: 'kill' } });
    const up = startBench(['stack', 'up', stack.file, '--out', 'run'], stack);
    await until('its holding', () => up.output.stderr.includes('holding the stack'), STACK_MS);
    writeFileSync(stack.faultFile, '');
    const ended = await up.ended;
    expect(ended.code).toBe(4);
    expect(ended.stderr).toMatch(/^bench: .*decode-0/m);
    expect(await leftOf(dir, stack)).toEqual([]);
  });

  it('kill -9 of the holder ends the stack too', async () => {
    const { stack, dir } = await make();
    const up = startBench(['stack', 'up', stack.file, '--out', 'run'], stack);
    await untilPhase(dir, 'ready', up);
    up.child.kill('SIGKILL');
    await untilPhase(dir, 'stopped');
    await until('its end', async () => (await leftOf(dir, stack)).length === 0, STACK_MS);
  });

  it('kill -9 of the supervisor leaves services, which down ends', async () => {
    const { stack, dir } = await make();
    expect((await bench(['stack', 'up', stack.file, '-d', '--out', 'run'], stack)).code).toBe(0);
    const { supervisor } = stateIn(dir)!;
    process.kill(supervisor.pid, 'SIGKILL');
    await until('its end', () => !isAlive(supervisor.pid));
    const left = await leftOf(dir, stack);
    expect(left).toContain(`port ${stack.port}`);
    expect(left.filter((one) => one.startsWith('process')).length).toBeGreaterThanOrEqual(3);
    const status = await bench(['stack', 'status', 'run'], stack);
    expect(status.stdout).toContain('the supervisor is gone; clean up: bench stack down run');
    const sweep = await bench(['run', '--isl', '8', '--osl', '2', '--stack-run', 'run'], stack);
    expect(sweep.code).toBe(4);
    expect(sweep.stderr).toContain('is not up');
    const down = await bench(['stack', 'down', 'run'], stack);
    expect(down).toMatchObject({ code: 0 });
    expect(await leftOf(dir, stack)).toEqual([]);
    expect(stateIn(dir)!.phase).toBe('stopped');
    expect(stateIn(dir)!.steps.map(({ state }) => state)).toEqual(['ended', 'ended', 'ended']);
  });
});

describe('what cannot be ended', () => {
  /** Starts a command that launches a stack, and plants processes in it once it is `phase`. */
  async function planted(args: readonly string[], stack: Scripted, dir: string, phase: StackState['phase']) {
    const running = startBench(args, stack);
    const { run } = await untilPhase(dir, phase, running);
    return { running, plant: plantLeftOvers(`${RUN_MARK}=${run}`) };
  }

  it('is told by up that is stopped before the stack is ready, also when it is to be quiet; down then ends it', async () => {
    const { stack } = await make({ decode: { LOAD_S: '60' } });
    const dir = path.join(stack.cwd, 'results', 'one');
    const { running, plant } = await planted(
      ['stack', 'up', stack.file, '--quiet', '--out', dir],
      stack,
      dir,
      'starting',
    );
    try {
      running.child.kill('SIGINT');
      const ended = await running.ended;
      expect(ended.code).toBe(130);
      expect(ended.stderr).toMatch(/^bench: still there after teardown: process \d+/m);
      expect(ended.stderr).toContain(`try again: bench stack down ${dir}`);
      const status = await bench(['stack', 'status'], stack);
      expect(status.stdout).toContain('not all of it has ended; clean up: bench stack down results/one');
    } finally {
      await plant.stop();
    }
    // Without its folder: it is the only one of which something is left.
    const down = await bench(['stack', 'down'], stack);
    expect(down).toMatchObject({ code: 0, stdout: expect.stringContaining('is down') });
    expect(await leftOf(dir, stack)).toEqual([]);
    expect((await bench(['stack', 'status'], stack)).stdout).not.toContain('not all of it');
  });

  it('is told by a held up that is stopped, and by down of a living supervisor: exit 4', async () => {
    const { stack, dir } = await make();
    const { running, plant } = await planted(
      ['stack', 'up', stack.file, '--out', 'run'],
      stack,
      dir,
      'ready',
    );
    try {
      const down = await bench(['stack', 'down', 'run'], stack);
      expect(down).toMatchObject({ code: 4, stdout: '' });
      expect(down.stderr).toMatch(/^bench: still there after teardown: process \d+/m);
      // The supervisor has tried, and down once more.
      const events = readFileSync(path.join(dir, 'events.jsonl'), 'utf8');
      expect(events).toMatch(
        /"to":"stopped","evidence":"left: process(.|\n)*"evidence":"by bench stack down"/,
      );
      await running.ended;
    } finally {
      await plant.stop();
    }
    expect((await bench(['stack', 'down', 'run'], stack)).code).toBe(0);
    expect(await leftOf(dir, stack)).toEqual([]);
  });

  it('is told by the sweep that launched it: exit 4, with all that was measured', async () => {
    const { stack } = await make();
    const dir = path.join(stack.cwd, 'out', 'stack');
    const args = [
      'sweep',
      '--isl',
      '8',
      '--osl',
      '2',
      '--isl-counts',
      'content',
      '--concurrency',
      '1',
      '--requests',
      '4',
    ];
    const { running, plant } = await planted(
      [...args, '--stack', stack.file, '--out', 'out'],
      stack,
      dir,
      'ready',
    );
    try {
      const ended = await running.ended;
      expect(ended.stderr).toMatch(/^bench: still there after teardown: process \d+/m);
      expect(ended.code).toBe(4);
      expect(ended.stdout).toContain('sweep  complete');
    } finally {
      await plant.stop();
    }
    expect((await bench(['stack', 'down', dir], stack)).code).toBe(0);
    expect(await leftOf(dir, stack)).toEqual([]);
  });
});

describe('a wrong stack file', () => {
  const WRONG = `schema: 1
name: Wrong
cluster: {mode: lokal}
model: {path: /m, served: tiny}
services:
  frontend: {command: [sleep, "1"], port: 8000}
`;

  it.each([
    ['plan', []],
    ['check', []],
    ['up', []],
    ['render', ['--sbatch']],
  ])('stack %s tells every error at once, exit 2, and starts nothing', async (verb, flags) => {
    const cwd = makeFolder();
    writeFileSync(path.join(cwd, 's.yaml'), WRONG);
    const ended = await benchHere(['stack', verb, 's.yaml', ...flags], { cwd });
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain('5 errors in s.yaml');
    for (const place of ['2:7', '3:17', '4:1', '4:19', '6:37'])
      expect(ended.stderr).toContain(`s.yaml:${place}: `);
    expect(ended.stderr).toContain('did you mean "local"');
    expect(readdirSync(cwd)).toEqual(['s.yaml']);
  });

  it('is refused by a sweep before anything comes about', async () => {
    const cwd = makeFolder();
    writeFileSync(path.join(cwd, 's.yaml'), WRONG);
    const ended = await benchHere(
      ['sweep', '--isl', '8', '--osl', '2', '--stack', 's.yaml', '--out', 'out'],
      {
        cwd,
      },
    );
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('5 errors in s.yaml');
    expect(existsSync(path.join(cwd, 'out'))).toBe(false);
    const gone = await benchHere(['stack', 'up', 'no.yaml'], { cwd });
    expect(gone.code).toBe(2);
    expect(gone.stderr).toContain('no.yaml');
    expect(readdirSync(cwd)).toEqual(['s.yaml']);
  });
});

describe('check', () => {
  it('looks, starts nothing, leaves nothing', async () => {
    const { stack } = await make();
    const good = await bench(['stack', 'check', stack.file], stack);
    expect(good).toMatchObject({ code: 0 });
    expect(good.stdout).toMatch(/^✓ /m);
    expect(readdirSync(stack.cwd)).toEqual(['stack.yaml']);
  });

  it('is exit 4 when the launch would fail, and what was found stays where up would write', async () => {
    const { stack, dir } = await make();
    expect((await bench(['stack', 'up', stack.file, '-d', '--out', 'run'], stack)).code).toBe(0);
    const taken = await bench(['stack', 'check', stack.file], stack);
    expect(taken.code).toBe(4);
    expect(taken.stdout).toMatch(new RegExp(`^✗ .*${stack.port}`, 'm'));
    const [kept] = /(?<=^kept: )results\/\d{8}T\d{6}Z-stack-check$/m.exec(taken.stderr)!;
    const found = readFileSync(path.join(stack.cwd, kept, 'preflight.json'), 'utf8');
    expect(found).toContain(`"disk ${path.join(stack.cwd, kept)}"`);
    // A folder that was there is nobody's to remove.
    const other = await scriptedStack();
    const empty = await bench(['stack', 'check', other.file, '--out', other.cwd], other);
    expect(empty).toMatchObject({ code: 0 });
    expect(existsSync(path.join(other.cwd, 'preflight.json'))).toBe(true);
    expect((await bench(['stack', 'down', 'run'], stack)).code).toBe(0);
    expect(await leftOf(dir, stack)).toEqual([]);
  });
});

describe('help and completion', () => {
  it('of each verb shows its options, and examples where there is a choice', async () => {
    const all = await bench(['stack', '--help']);
    expect(all).toMatchObject({ code: 0, stderr: '' });
    for (const verb of ['plan', 'check', 'up', 'status', 'logs', 'down', 'render']) {
      expect(all.stdout).toMatch(new RegExp(`^ +bench stack ${verb} `, 'm'));
      const help = await benchHere(['stack', verb, '--help']);
      expect(help).toMatchObject({ code: 0, stderr: '' });
      expect(help.stdout).toMatch(/^Examples:\n +bench stack /m);
    }
    const sweep = await benchHere(['sweep', '--help']);
    expect(sweep.stdout).toContain('Stack under test:');
    for (const flag of ['--stack ', '--stack-run', '--keep', '--load-on', '--load-nodes', '--load-tasks'])
      expect(sweep.stdout).toContain(flag);
  });

  it('knows the verbs and the flags', async () => {
    const complete = async (...words: string[]): Promise<string[]> => {
      const ended = await benchHere(['--get-yargs-completions', 'bench', ...words]);
      return ended.stdout.split('\n').map((line) => line.split(':')[0]!);
    };
    expect(await complete('')).toContain('stack');
    const verbs = await complete('stack', '');
    for (const verb of ['plan', 'check', 'up', 'status', 'logs', 'down', 'render'])
      expect(verbs).toContain(verb);
    expect(await complete('stack', 'up', '--')).toEqual(expect.arrayContaining(['--detach', '--out']));
    expect(await complete('sweep', '--')).toEqual(
      expect.arrayContaining(['--stack', '--stack-run', '--keep', '--load-on', '--load-nodes']),
    );
  });

  it.each([
    [['stack'], 'say what to do: bench stack plan'],
    [['stack', 'plam', 'x'], 'plan'],
    [['stack', 'up'], 'the stack file is missing'],
    [['stack', 'up', 'x', '--detached'], '--detached'],
    [['stack', 'plan', 'x', '--full', '--json'], '--full and --json'],
    [['stack', 'render', 'x'], 'write --sbatch'],
    [['stack', 'check', 'x', '--isl', '8'], '--osl is missing'],
    [['stack', 'check', 'x', '--concurrency', '4'], '--isl is missing'],
  ])('%j is refused', async (args, word) => {
    const ended = await benchHere(args);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain(word);
    expect(ended.stderr).not.toContain('bug of bench');
  });
});
