import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { BenchError } from '../../src/core/errors.ts';
import { StackFailure } from '../../src/stack/failure/why.ts';
import { type AbandonedStack, allocate, endJob } from '../../src/stack/launch/allocation.ts';
import { RUN_MARK } from '../../src/stack/launch/marked-processes.ts';
import type { AllocationPlan } from '../../src/stack/plan/planned.ts';
import { makeFolder, putPrograms } from './stack-steps.ts';

/**
 * Client commands of a cluster that is not there. Files of the folder say how they answer: `said` is what salloc
 * writes, `code` how it ends (none: it waits), `queue` an answer of squeue in each line, the last one for good.
 */
const SCRIPTS: Readonly<Record<string, string>> = {
  salloc: `
echo $$ >salloc.pid
while IFS= read -r line; do printf '%b' "$line" >&2; sleep 0.1; done <said
[ -e code ] && exit "$(cat code)"
exec sleep 30`,
  sbatch: 'cat said; exit "$(cat code)"',
  squeue: `
case "$*" in
  *'%A|%N|%k'*) cat comments 2>/dev/null; exit 0 ;;
esac
[ -e squeue.error ] && { cat squeue.error >&2; exit 1; }
head -n 1 queue
[ "$(wc -l <queue)" -gt 1 ] && sed -i 1d queue
exit 0`,
  scontrol: `[ "$1 $2" = 'show hostnames' ] && tr ' ' '\\n' <hosts`,
  scancel: '[ -e salloc.pid ] && kill "$(cat salloc.pid)"; rm -f salloc.pid',
};

/** How long a silent controller is asked again. */
const PATIENCE_MS = 1_500;

let dir = '';

beforeEach(() => {
  dir = makeFolder();
  const logged = Object.entries(SCRIPTS).map(([name, body]) => [
    name,
    `cd ${dir}\necho "${name} $*" >>calls\n${body}`,
  ]);
  putPrograms(dir, Object.fromEntries(logged));
});

afterEach(() => {
  vi.unstubAllEnvs();
  // An salloc that still waits.
  const file = path.join(dir, 'salloc.pid');
  if (!existsSync(file)) return;
  try {
    process.kill(Number(readFileSync(file, 'utf8')), 'SIGKILL');
  } catch {
    // It has ended.
  }
});

function say(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(dir, name), text);
}

const calls = (): string[] => readFileSync(path.join(dir, 'calls'), 'utf8').trimEnd().split('\n');
const cancelled = (): string[] => calls().filter((line) => line.startsWith('scancel'));

interface Outcome {
  readonly events: readonly string[];
  readonly result: Awaited<ReturnType<typeof allocate>> | null;
  readonly error: unknown;
}

async function ask(
  over: Partial<AllocationPlan> = {},
  signal = new AbortController().signal,
  waiting: (reason: string) => void = () => undefined,
  abandoned: readonly AbandonedStack[] = [],
): Promise<Outcome> {
  const events: string[] = [];
  const plan: AllocationPlan = {
    mode: 'salloc',
    argv: ['salloc', '--no-shell', '--nodes=2'],
    jobId: null,
    nodeCount: 2,
    pendingTimeoutMs: 60_000,
    cancelOnExit: true,
    jobName: 'job',
    ...over,
  };
  try {
    const result = await allocate(
      plan,
      'bench-7',
      {
        submitted: (id, ours) => events.push(`submitted ${id} ${ours}`),
        waiting: (reason) => {
          events.push(`waiting ${reason}`);
          waiting(reason);
        },
        abandoned: () => Promise.resolve(abandoned),
      },
      signal,
      PATIENCE_MS,
    );
    return { events, result, error: null };
  } catch (error) {
    return { events, result: null, error };
  }
}

/** Class and message of a failure that has a place in the table. */
function whyOf({ error }: Outcome): [string, string] {
  expect(error).toBeInstanceOf(StackFailure);
  const { why } = error as StackFailure;
  return [why.failureClass, why.message];
}

const RUNNING = '4242|RUNNING|None|n[1-2]|2026-03-01T10:00:00\n';

describe('salloc', () => {
  it('gives nodes in the order of the allocation, and when it ends', async () => {
    say({ said: 'salloc: Granted job allocation 4242\\n\n', code: '0', queue: RUNNING, hosts: 'n1 n2\n' });
    const { result, events } = await ask();
    expect(result).toEqual({
      jobId: '4242',
      ours: true,
      nodes: ['n1', 'n2'],
      endsAt: new Date('2026-03-01T10:00:00').toISOString(),
    });
    expect(events).toEqual(['submitted 4242 true']);
    expect(calls()[0]).toBe('salloc --no-shell --nodes=2');
    expect(calls()).toContain('scontrol show hostnames n[1-2]');
    expect(cancelled()).toEqual([]);
  });

  it('tells of the job as soon as it waits, and each reason once', async () => {
    say({
      said: 'salloc: Pending job allocation 4242\\n\nsalloc: job 4242 queued and waiting for resources\\n\n',
      queue: `4242|PENDING|Priority||N/A\n4242|PENDING|Priority||N/A\n4242|PENDING|Resources||N/A\n${RUNNING}`,
      hosts: 'n1 n2\n',
    });
    const { result, events } = await ask();
    expect(result?.nodes).toEqual(['n1', 'n2']);
    expect(events).toHaveLength(3);
    expect(events[0]).toBe('submitted 4242 true');
    expect(events[1]).toMatch(/^waiting .*\(Priority\)$/);
    expect(events[2]).toMatch(/^waiting .*\(Resources\)$/);
  });

  it('is believed only when it has told the whole number', async () => {
    say({ said: 'salloc: Granted job allocation 42\n42\\n\n', code: '0', queue: RUNNING, hosts: 'n1 n2\n' });
    const { events } = await ask();
    expect(events).toEqual(['submitted 4242 true']);
  });

  it('that refuses is a failure with what it said', async () => {
    say({
      said: 'salloc: error: invalid partition specified: nope\\nsalloc: error: Job submit/allocate failed: Invalid partition name specified\\n\n',
      code: '1',
    });
    const [kind, message] = whyOf(await ask());
    expect(kind).toBe('allocation-refused');
    expect(message).toContain('nope');
  });

  it('that is not installed is a refusal too', async () => {
    const [kind, message] = whyOf(await ask({ argv: [path.join(dir, 'no-salloc')] }));
    expect([kind, message]).toEqual(['allocation-refused', expect.stringContaining('ENOENT')]);
  });

  it('whose number never came is found by its comment and cancelled', async () => {
    say({
      said: 'salloc: error: lost the controller\\n\n',
      code: '1',
      comments: '9|n1|other\n4243||bench-stack:bench-7 /results/a b\n4244||bench-stack:bench-70 /x\n',
    });
    await ask();
    expect(cancelled()).toEqual(['scancel 4243']);
  });

  it('with a reason that never goes away is given up when it is seen twice, and cancelled', async () => {
    say({
      said: 'salloc: Pending job allocation 4242\\n\n',
      queue: '4242|PENDING|PartitionNodeLimit||N/A\n',
    });
    const [kind, message] = whyOf(await ask());
    expect(kind).toBe('job-pending');
    expect(message).toMatch(/^job 4242 will not start: .*\(PartitionNodeLimit\)$/);
    expect(calls().filter((line) => line.startsWith('squeue'))).toHaveLength(2);
    expect(cancelled()).toEqual(['scancel 4242']);
  });

  it('with such a reason for a moment only goes on', async () => {
    say({
      said: 'salloc: Pending job allocation 4242\\n\n',
      queue: `4242|PENDING|PartitionNodeLimit||N/A\n${RUNNING}`,
      hosts: 'n1 n2\n',
    });
    expect((await ask()).result?.jobId).toBe('4242');
  });

  it('that waits longer than it may is cancelled', async () => {
    say({ said: 'salloc: Pending job allocation 4242\\n\n', queue: '4242|PENDING|Resources||N/A\n' });
    const [kind, message] = whyOf(await ask({ pendingTimeoutMs: 500 }));
    expect(kind).toBe('job-pending');
    expect(message).toMatch(/has not started in \d+ s/);
    expect(cancelled()).toEqual(['scancel 4242']);
  });

  it('that waits behind the job of an abandoned stack says so and is cancelled, and otherwise waits on', async () => {
    const holder = { jobId: '7', nodeList: 'n[1-2]', dir: '/a', remedy: 'bench stack down /a' };
    const waits = '4242|PENDING|Resources||N/A\n';
    say({ said: 'salloc: Pending job allocation 4242\\n\n', queue: waits });
    const signal = new AbortController().signal;
    const behind = await ask({}, signal, undefined, [{ ...holder, nodeList: '' }, holder]);
    const [kind, message] = whyOf(behind);
    expect(kind).toBe('job-pending');
    expect(message).toBe(
      'job 4242 waits (Resources) while job 7 of an earlier stack, whose supervisor is gone, holds n[1-2]',
    );
    expect((behind.error as StackFailure).why.hint).toContain('bench stack down /a');
    expect(cancelled()).toEqual(['scancel 4242']);

    say({ queue: `${waits}${waits}${waits}${RUNNING}`, hosts: 'n1 n2\n' });
    const beside = await ask({}, signal, undefined, [{ ...holder, nodeList: '' }]);
    expect(beside.result?.jobId).toBe('4242');
  });

  it('that is called off while it waits is cancelled', async () => {
    say({ said: 'salloc: Pending job allocation 4242\\n\n', queue: '4242|PENDING|Resources||N/A\n' });
    const stop = new AbortController();
    const { error, result } = await ask({}, stop.signal, () => stop.abort());
    expect(result).toBeNull();
    expect(error).toMatchObject({ exitCode: 4 });
    expect(cancelled()).toEqual(['scancel 4242']);
  });

  it('whose job ends before it runs says so', async () => {
    say({
      said: 'salloc: Pending job allocation 4242\\n\n',
      queue: '4242|CANCELLED|None||N/A\n',
    });
    const [kind, message] = whyOf(await ask());
    expect([kind, message]).toEqual(['job-ended', expect.stringContaining('job 4242 is over')]);
    expect(cancelled()).toEqual(['scancel 4242']);
  });

  it('is not taken for ended while the controller does not answer', async () => {
    say({
      said: 'salloc: Pending job allocation 4242\\n\n',
      'squeue.error': 'slurm_load_jobs error: Unable to contact slurm controller\n',
    });
    const { error } = await ask();
    expect((error as BenchError).message).toContain('squeue does not answer');
    expect(cancelled()).toEqual(['scancel 4242']);
  });
});

describe('sbatch', () => {
  it('prints the number, with the cluster behind it', async () => {
    say({ said: '4242;cluster\n', code: '0', queue: RUNNING, hosts: 'n1 n2\n' });
    const { result } = await ask({ mode: 'sbatch', argv: ['sbatch', '--parsable'] });
    expect(result?.jobId).toBe('4242');
  });

  it('has no mark of the run: the job would be ended before its nodes are cleaned', async () => {
    say({ said: '4242\n', code: '0', queue: RUNNING, hosts: 'n1 n2\n' });
    putPrograms(dir, { sbatch: `env >${dir}/env; echo 4242` });
    await ask({ mode: 'sbatch', argv: ['sbatch', '--parsable'] });
    expect(readFileSync(path.join(dir, 'env'), 'utf8')).not.toContain(RUN_MARK);
  });

  it('may refuse', async () => {
    say({ said: '', code: '1' });
    const [kind] = whyOf(await ask({ mode: 'sbatch', argv: ['sbatch', '--parsable'] }));
    expect(kind).toBe('allocation-refused');
  });
});

describe('a job that is there already', () => {
  it('is looked at, asked for nothing and never cancelled', async () => {
    say({ queue: RUNNING, hosts: 'n1 n2\n' });
    const { result, events } = await ask({ mode: 'attach', argv: null, jobId: '4242', cancelOnExit: false });
    expect(result).toMatchObject({ jobId: '4242', ours: false });
    expect(events).toEqual(['submitted 4242 false']);
    say({ queue: '\n' });
    const gone = await ask({ mode: 'attach', argv: null, jobId: '4242', cancelOnExit: false });
    const [kind, message] = whyOf(gone);
    expect([kind, message]).toEqual(['job-ended', expect.stringContaining('SLURM does not know it')]);
    expect((gone.error as StackFailure).why.hint).toContain('cluster.attach.job_id');
    expect(cancelled()).toEqual([]);
  });
});

describe('the end of a job', () => {
  it('is waited for until it has left', async () => {
    say({ queue: `${RUNNING}4242|COMPLETING|None|n1|N/A\n\n` });
    expect(await endJob('4242')).toBe(true);
    expect(calls()).toHaveLength(4);
    expect(cancelled()).toEqual(['scancel 4242']);
    expect(existsSync(path.join(dir, 'salloc.pid'))).toBe(false);
  });
});
