import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { runDown } from '../../src/commands/stack/down.ts';
import {
  cleanupScript,
  markedProcesses,
  processGroup,
  RUN_MARK,
  startTicks,
} from '../../src/stack/launch/marked-processes.ts';
import { leftOvers } from '../../src/stack/launch/node-cleanup.ts';
import { STATE_FILE } from '../../src/stack/launch/recorder.ts';
import { type StepProcess, startStep } from '../../src/stack/launch/step-process.ts';
import { layersOf, tearDown } from '../../src/stack/launch/teardown.ts';
import type { PlannedStep } from '../../src/stack/plan/planned.ts';
import { isAlive } from '../fixtures/processes.ts';
import {
  localPlan,
  localStep,
  makeFolder,
  putPrograms,
  stackState,
  startProcess,
  until,
} from './stack-steps.ts';

/** Waits for ever with a child that it started, and writes `up` when its signals are set. */
const WAIT = (trap: string): string[] => [
  'bash',
  '-c',
  `trap ${trap} TERM; echo up; while :; do sleep 0.1; done`,
];
const GRACEFUL = WAIT("'echo bye; exit 0'");
const STUBBORN = WAIT("''");

let count = 0;
const newRun = (): string => `bench-test-${process.pid}-${count++}`;

const logOf = (step: PlannedStep): string =>
  existsSync(step.logFile) ? readFileSync(step.logFile, 'utf8') : '';

async function startAll(run: string, steps: readonly PlannedStep[]): Promise<Map<string, StepProcess>> {
  const started = new Map(steps.map((step) => [step.id, startStep(step, run, process.env)]));
  for (const step of steps) await until(`${step.id} to be up`, () => /^up$/m.test(logOf(step)));
  return started;
}

interface Torn {
  readonly left: readonly string[];
  readonly told: readonly string[];
}

async function tear(
  run: string,
  steps: readonly PlannedStep[],
  started: ReadonlyMap<string, StepProcess>,
  cleanupGlobs: readonly string[] = [],
): Promise<Torn> {
  const told: string[] = [];
  const left = await tearDown({
    run,
    plan: localPlan(run, steps, { cleanupGlobs }),
    job: null,
    pids: new Map([...started].flatMap(([id, { pid }]) => (pid === null ? [] : [[id, pid] as const]))),
    env: process.env,
    stopping: (id) => told.push(`stopping ${id}`),
    ended: (id) => told.push(`ended ${id}`),
    note: (text) => told.push(text),
  });
  return { left, told };
}

const standsOn = (...ids: string[]) => ({
  after: ids.map((step) => ({ step, condition: 'ready' as const })),
});

describe('layers', () => {
  it('put each step after all it stands on', () => {
    const steps = [
      localStep('decode-0', [], '/x', standsOn('etcd-0', 'prefill-0')),
      localStep('etcd-0', [], '/x'),
      localStep('prefill-0', [], '/x', standsOn('frontend-0')),
      localStep('frontend-0', [], '/x', standsOn('etcd-0', 'gone-0')),
      localStep('nats-0', [], '/x'),
    ];
    expect(layersOf(steps).map((layer) => layer.map(({ id }) => id))).toEqual([
      ['etcd-0', 'nats-0'],
      ['frontend-0'],
      ['prefill-0'],
      ['decode-0'],
    ]);
    expect(layersOf([])).toEqual([]);
  });
});

describe('teardown of local processes', () => {
  it('goes in reverse order, each layer after the one above has ended', async () => {
    const run = newRun();
    const dir = makeFolder();
    const steps = [
      localStep('base-0', GRACEFUL, dir),
      localStep('mid-0', GRACEFUL, dir, standsOn('base-0')),
      localStep('top-0', GRACEFUL, dir, standsOn('mid-0')),
    ];
    const started = await startAll(run, steps);
    const { left, told } = await tear(run, steps, started);
    expect(left).toEqual([]);
    expect(told).toEqual([
      'stopping top-0',
      'ended top-0',
      'stopping mid-0',
      'ended mid-0',
      'stopping base-0',
      'ended base-0',
    ]);
    for (const step of steps) expect(logOf(step)).toContain('bye');
    for (const { ended } of started.values()) expect(await ended).toEqual({ code: 0, signal: null });
    expect(markedProcesses(run)).toEqual([]);
  });

  it('kills what ignores TERM, after its grace and with a word', async () => {
    const run = newRun();
    const steps = [localStep('deaf-0', STUBBORN, makeFolder(), { stop: { signal: 'TERM', graceMs: 300 } })];
    const started = await startAll(run, steps);
    const { left, told } = await tear(run, steps, started);
    expect(left).toEqual([]);
    expect(told).toEqual([
      'stopping deaf-0',
      'deaf-0 did not end within 0.3 s of TERM; killed',
      'ended deaf-0',
    ]);
    expect(await started.get('deaf-0')!.ended).toEqual({ code: null, signal: 'SIGKILL' });
    expect(markedProcesses(run)).toEqual([]);
  });

  it('sends the signal that the step wants', async () => {
    const run = newRun();
    const trap = "trap 'echo got INT; exit 7' INT; trap '' TERM; echo up; while :; do sleep 0.1; done";
    const steps = [
      localStep('s-0', ['bash', '-c', trap], makeFolder(), { stop: { signal: 'INT', graceMs: 10_000 } }),
    ];
    const started = await startAll(run, steps);
    await tear(run, steps, started);
    expect(logOf(steps[0]!)).toContain('got INT');
    expect(await started.get('s-0')!.ended).toEqual({ code: 7, signal: null });
  });

  it('finds what left its process group, and what outlived its step', async () => {
    const run = newRun();
    const dir = makeFolder();
    const pidFile = path.join(dir, 'pid');
    const script = `setsid sleep 100 </dev/null >/dev/null 2>&1 & echo $! >${pidFile}; echo up; exec sleep 100`;
    const steps = [localStep('s-0', ['bash', '-c', script], dir)];
    const started = await startAll(run, steps);
    const stray = Number(readFileSync(pidFile, 'utf8'));
    await until('a group of its own', () => processGroup(stray) === stray);
    expect(stray).not.toBe(started.get('s-0')!.pid);
    expect((await tear(run, steps, started)).left).toEqual([]);
    expect(isAlive(stray)).toBe(false);

    const orphan = [
      localStep('o-0', ['bash', '-c', 'sleep 100 >/dev/null 2>&1 & echo up; exit 1'], makeFolder()),
    ];
    const dead = await startAll(run, orphan);
    await dead.get('o-0')!.ended;
    expect(markedProcesses(run)).toHaveLength(1);
    expect((await tear(run, orphan, dead)).left).toEqual([]);
    expect(markedProcesses(run)).toEqual([]);
  });

  it('leaves everything else alone, a group whose number was ours included', async () => {
    const run = newRun();
    const foreign = [
      startProcess(['sleep', '100']),
      startProcess(['sleep', '100'], { [RUN_MARK]: `${run}0` }),
      startProcess(['sleep', '100'], { OTHER: `${RUN_MARK}=${run}` }),
    ];
    const step = localStep('s-0', GRACEFUL, makeFolder());
    // As after a reboot, or long after the step has ended: the number belongs to somebody else.
    const { told, left } = await tear(
      run,
      [step],
      new Map([['s-0', { pid: foreign[0]!.pid! } as StepProcess]]),
    );
    expect([told, left]).toEqual([['ended s-0'], []]);
    for (const child of foreign) expect(isAlive(child.pid!)).toBe(true);
  });

  it('removes the files that processes leave, and no other', async () => {
    const run = newRun();
    const dir = path.join(makeFolder(), 'a b$c');
    mkdirSync(dir);
    for (const name of ['moe_1', 'moe_2', 'other']) writeFileSync(path.join(dir, name), '');
    await tear(run, [], new Map(), [`${dir}/moe_*`]);
    expect(['moe_1', 'moe_2', 'other'].filter((name) => existsSync(path.join(dir, name)))).toEqual(['other']);
  });
});

describe('teardown in a job', () => {
  interface TearOptions {
    readonly globs?: readonly string[];
    readonly before?: readonly string[];
    readonly pids?: ReadonlyMap<string, number>;
  }
  const STARTED = new Map([['s-0', 1]]);

  /** Programs of SLURM that know job 7, which runs until it is cancelled; `srun` does what is told. */
  function fakeSlurm(srun: string): { readonly dir: string; argv(): string[] } {
    const dir = makeFolder();
    const programs: Record<string, string> = {
      squeue: `case "$*" in *-s\\ *) ;; *--me*) ;; *%P*) echo 'gpu|(null)|long|' ;; *) s=RUNNING; [ -e ${dir}/over ] && s=COMPLETED; echo "7|$s|None|n[1-3]|N/A" ;; esac`,
      scancel: `touch ${dir}/over`,
      sinfo: `printf '%s\\n' 'n1|mix' 'n2|mix' 'n3|down*'`,
      srun: `printf '%s\\n' "$@" >${dir}/argv; ${srun}`,
    };
    putPrograms(dir, programs);
    return { dir, argv: () => readFileSync(path.join(dir, 'argv'), 'utf8').split('\n') };
  }

  async function tearJob(
    ours: boolean,
    nodes: readonly string[] = ['n1', 'n2'],
    { globs = [], before = [], pids = new Map() }: TearOptions = {},
  ): Promise<string[]> {
    const run = newRun();
    const steps = nodes.map((node, i) => localStep(`s-${i}`, [], '/x', { nodes: [node] }));
    return await tearDown({
      run,
      plan: localPlan(run, steps, {
        mode: ours ? 'salloc' : 'attach',
        jobId: '7',
        nodes: ['n1', 'n2', 'n3'],
        cleanupGlobs: globs,
      }),
      job: { id: '7', ours },
      pids,
      before,
      env: process.env,
      stopping: () => {},
      ended: () => {},
      note: () => {},
    });
  }

  afterEach(() => vi.unstubAllEnvs());

  it.each([true, false])('counts what its nodes could not end (job of ours: %s)', async (ours) => {
    const { dir } = fakeSlurm('echo "left-over: process 77 python3 -m engine on n2"');
    expect(await tearJob(ours)).toEqual(['process 77 python3 -m engine on n2']);
    expect(existsSync(path.join(dir, 'over'))).toBe(ours);
  });

  it.each([true, false])('counts nodes that it could not look at (job of ours: %s)', async (ours) => {
    fakeSlurm('echo "srun: error: Unable to create step" >&2; exit 1');
    expect(await tearJob(ours)).toEqual([
      'the nodes could not be cleaned: srun: error: Unable to create step',
    ]);
  });

  it('takes the end of a job in the meantime for the end of its processes', async () => {
    const { dir } = fakeSlurm(
      'touch "$(dirname "$0")/over"; echo "srun: Force Terminated job 7" >&2; exit 1',
    );
    expect(await tearJob(true)).toEqual([]);
    expect(existsSync(path.join(dir, 'over'))).toBe(true);
  });

  describe('that ended before its nodes were cleaned', () => {
    /** As above with the job over, each call of srun in a file of its own; it fails on the nodes that are named. */
    function overAlready(busy = 'none'): () => string[] {
      const { dir } = fakeSlurm(
        `case "$*" in *--nodelist=${busy}*) exit 1 ;; esac; printf '%s ' "$@" >${'${0%/*}'}/look.$$`,
      );
      writeFileSync(path.join(dir, 'over'), '');
      return () =>
        readdirSync(dir)
          .filter((name) => name.startsWith('look.'))
          .map((name) => readFileSync(path.join(dir, name), 'utf8'))
          .sort();
    }

    it('has its files removed by a job of their own on each node, asked for as it was', async () => {
      const looks = overAlready();
      expect(await tearJob(true, ['n1', 'n2'], { globs: ['/tmp/x-*'], pids: STARTED })).toEqual([]);
      expect(looks()).toHaveLength(2);
      for (const [nth, look] of looks().entries()) {
        expect(look).toContain(`--partition=gpu --qos=long --nodes=1 --ntasks=1 --nodelist=n${nth + 1} `);
        expect(look).toMatch(/--immediate=\d+ --time=1 --comment=bench-stack:bench-test/);
        expect(look).toContain('for file in /tmp/x-*; do');
        expect(look).not.toContain('--jobid');
      }
    });

    it('though they were about to be has them cleaned all the same', async () => {
      const { dir } = fakeSlurm(
        'case "$*" in *--jobid*) touch "$(dirname "$0")/over"; exit 1 ;; esac; touch "$(dirname "$0")/cleaned"',
      );
      expect(await tearJob(true, ['n1'], { globs: ['/tmp/x'], pids: STARTED })).toEqual([]);
      expect(existsSync(path.join(dir, 'cleaned'))).toBe(true);
    });

    it('counts the nodes that take none', async () => {
      const looks = overAlready('n2');
      expect(await tearJob(true, ['n1', 'n2', 'n3'], { globs: ['/tmp/x', '/y'], pids: STARTED })).toEqual([
        'possibly /tmp/x /y on n2',
        'possibly /tmp/x /y on n3',
      ]);
      expect(looks()).toHaveLength(1);
    });

    it('has nothing to remove where it leaves no files, or nothing was started', async () => {
      const looks = overAlready();
      expect(await tearJob(true, ['n1'], { pids: STARTED })).toEqual([]);
      expect(await tearJob(true, ['n1'], { globs: ['/tmp/x'] })).toEqual([]);
      expect(looks()).toEqual([]);
    });

    it('is looked at again for what was left there before, which counts where a look was not possible', async () => {
      const before = [
        'process 77 engine on n1',
        'process 78 engine on n2',
        'the nodes could not be cleaned: x',
      ];
      overAlready('n2');
      expect(await tearJob(true, ['n1', 'n2'], { before })).toEqual(before.slice(1));
      overAlready();
      expect(await tearJob(true, ['n1', 'n2'], { before })).toEqual([]);
    });
  });

  it('looks only at nodes of the stack that answer, and names those that do not', async () => {
    const { argv } = fakeSlurm('');
    // Of the third nobody can say what still runs there.
    expect(await tearJob(true, ['n2', 'n3', 'n2'])).toEqual(['all that still runs on n3']);
    expect(argv()).toEqual(expect.arrayContaining(['--jobid=7', '--overlap', '--nodes=1', '--nodelist=n2']));
  });

  it('is not told to be whole by a second look that cannot see, until somebody has looked', async () => {
    const { dir } = fakeSlurm(
      '[ -e "$(dirname "$0")/over" ] && exit 1; echo "left-over: process 77 python3 -m engine on n2"',
    );
    const run = newRun();
    const steps = [localStep('s-0', [], '/x', { nodes: ['n2'] })];
    const folder = makeFolder();
    writeFileSync(
      path.join(folder, 'resolved.json'),
      JSON.stringify(localPlan(run, steps, { mode: 'salloc' })),
    );
    const job = { id: '7', ours: true, nodes: ['n2'], endsAt: null };
    const state = stackState({ run, phase: 'ready', mode: 'salloc', job });
    writeFileSync(path.join(folder, STATE_FILE), JSON.stringify(state));
    const down = (forget = false) => runDown({ dir: folder, forget });
    await expect(down()).rejects.toMatchObject({
      exitCode: 4,
      message: expect.stringContaining('still there after teardown: process 77'),
    });
    // The job is over now, and its nodes take no other.
    expect(existsSync(path.join(dir, 'over'))).toBe(true);
    const unseen = {
      exitCode: 4,
      message: expect.stringMatching(
        /^job 7 has ended, so bench cannot see .*: process 77 python3 -m engine on n2$/,
      ),
    };
    await expect(down()).rejects.toMatchObject(unseen);
    await expect(down()).rejects.toMatchObject(unseen);
    expect(await down(true)).toBe(0);
    expect(await down()).toBe(0);
  });

  it('that SLURM does not tell of is not over', async () => {
    const { dir } = fakeSlurm('');
    writeFileSync(
      path.join(dir, 'squeue'),
      `#!/bin/bash\ncase "$*" in *-s*|*--me*) exit 0 ;; esac\n[ -e ${dir}/asked ] && { echo "7|COMPLETED|None|n1|N/A"; exit; }\ntouch ${dir}/asked; echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1\n`,
    );
    expect(await tearJob(true)).toEqual(['the nodes could not be cleaned: SLURM does not answer']);
  });
});

describe('the program that cleans a node', () => {
  it('names what it could not end', async () => {
    const run = newRun();
    const child = startProcess(['sleep', '97'], { [RUN_MARK]: run });
    await until('its start', () => markedProcesses(run).length === 1);
    // A process in the hands of the kernel's driver ends by no signal; here no signal is sent.
    const out = execFileSync('bash', ['-c', `kill() { :; }\n${cleanupScript(run, [])}`], {
      encoding: 'utf8',
    });
    expect(leftOvers(out)).toEqual([`process ${child.pid} sleep 97  on ${os.hostname()}`]);
    expect(leftOvers('something else\n')).toEqual([]);
    const clean = execFileSync('bash', ['-c', cleanupScript(run, [])], { encoding: 'utf8' });
    expect(leftOvers(clean)).toEqual([]);
  });

  it('names the files of this user that it could not remove', () => {
    const dir = makeFolder();
    for (const name of ['x-1', 'x-2']) writeFileSync(path.join(dir, name), '');
    const remove = `rm() { case "$*" in *x-1) command rm "$@" ;; esac; }`;
    const out = execFileSync(
      'bash',
      ['-c', `${remove}\n${cleanupScript(newRun(), [`${dir}/x-*`, `${dir}/y-*`])}`],
      {
        encoding: 'utf8',
      },
    );
    expect(leftOvers(out)).toEqual([`file ${dir}/x-2 on ${os.hostname()}`]);
  });

  it('ends what has the mark and nothing else', async () => {
    const run = newRun();
    const other = startProcess(['sleep', '100'], { [RUN_MARK]: `${run}0` });
    const deaf = startProcess(STUBBORN, { [RUN_MARK]: run });
    const soft = startProcess(['sleep', '100'], { [RUN_MARK]: run });
    let text = '';
    deaf.stdout!.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    await until('the deaf one', () => text.includes('up'));
    execFileSync('bash', ['-c', cleanupScript(run, [])]);
    await until('their end', () => markedProcesses(run).length === 0);
    expect([deaf, soft, other].map(({ pid }) => isAlive(pid!))).toEqual([false, false, true]);
  });
});

describe('processes', () => {
  it('are told by start time and group, whatever their name', async () => {
    const file = path.join(makeFolder(), 'a) b (1 2');
    copyFileSync('/bin/sleep', file);
    chmodSync(file, 0o755);
    const child = startProcess([file, '100']);
    const pid = child.pid!;
    const told = execFileSync('ps', ['-o', 'pgid=', '-p', String(pid)], { encoding: 'utf8' });
    expect(processGroup(pid)).toBe(Number(told));
    const ticks = Number(startTicks(pid));
    const perSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
    const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
    expect(Math.abs(uptime - ticks / perSecond)).toBeLessThan(60);
    child.kill('SIGKILL');
    await until('its end', () => startTicks(pid) === null);
    expect(processGroup(pid)).toBeNull();
  });

  it('have ended when they have, though nobody waits for them', async () => {
    // A shell that becomes a program that never waits leaves its child a zombie.
    const parent = startProcess(['sh', '-c', 'sleep 0.2 & echo $!; exec sleep 100']);
    const pid = Number(await new Promise((resolve) => parent.stdout!.once('data', resolve)));
    expect(startTicks(pid)).toMatch(/^\d+$/);
    await until('a zombie', () => /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')));
    expect([startTicks(pid), processGroup(pid)]).toEqual([null, null]);
  });
});

describe('a step', () => {
  it('sees what it inherits without what it must not see, then its own, and the mark', async () => {
    const dir = makeFolder();
    const step = localStep('env-0', ['env'], dir, {
      env: { OWN: 'mine', BOTH: 'mine' },
      unset: ['SLURM_NTASKS', 'BOTH'],
    });
    const { ended } = startStep(step, 'bench-9', {
      PATH: process.env['PATH'],
      KEPT: 'kept',
      BOTH: 'theirs',
      SLURM_NTASKS: '8',
    });
    expect(await ended).toEqual({ code: 0, signal: null });
    const lines = logOf(step).trimEnd().split('\n').sort();
    expect(lines).toEqual(
      [`${RUN_MARK}=bench-9`, 'BOTH=mine', 'KEPT=kept', 'OWN=mine', `PATH=${process.env['PATH']}`].sort(),
    );
  });

  it('runs in its folder, in a group of its own, reads nothing and writes both streams to its log', async () => {
    const dir = makeFolder();
    const script = 'pwd; ps -o pgid= -p $$; cat; echo told >&2; exit 5';
    const step = localStep('s-0', ['bash', '-c', script], dir, { workdir: dir });
    const process_ = startStep(step, 'bench-9', process.env);
    expect(await process_.ended).toEqual({ code: 5, signal: null });
    expect(process_.end).toEqual({ code: 5, signal: null });
    const [where, group, told] = logOf(step).trimEnd().split('\n');
    expect([where, Number(group), told]).toEqual([dir, process_.pid, 'told']);
    process_.signal('SIGTERM');
  });

  it('that cannot be started ends with 127 and says why in its log', async () => {
    const step = localStep('s-0', ['/no/such/program'], makeFolder());
    const { ended, pid } = startStep(step, 'bench-9', process.env);
    expect(await ended).toEqual({ code: 127, signal: null });
    expect(pid).toBeNull();
    expect(logOf(step)).toMatch(/^cannot start \/no\/such\/program: .*ENOENT/);
  });

  it('of srun keeps the log of its tasks apart from what srun says', async () => {
    const dir = makeFolder();
    const step = localStep('s-0', ['bash', '-c', 'pwd; echo srun: hello >&2'], dir, {
      srunLogFile: path.join(dir, 'logs', 's-0.srun.log'),
      workdir: '/no/such/folder',
    });
    await startStep(step, 'bench-9', process.env).ended;
    expect(readFileSync(step.srunLogFile!, 'utf8')).toBe(`${process.cwd()}\nsrun: hello\n`);
    expect(existsSync(step.logFile)).toBe(false);
  });
});
