import { describe, expect, it } from 'vitest';
import { parseRanks } from '../../src/stack/failure/rank-list.ts';
import { type SrunEvent, srunSays } from '../../src/stack/failure/srun-says.ts';

/** What srun 22.05.8 printed for a healthy step of four tasks with `--verbose --label`. */
const HEALTHY = `srun: defined options
srun: -------------------- --------------------
srun: input               : /dev/null
srun: jobid               : 1
srun: kill-on-bad-exit    : 1
srun: mpi                 : pmix
srun: nodelist            : node2
srun: overlap             : set
srun: -------------------- --------------------
srun: end of defined options
srun: jobid 1: nodes(2):\`node[1-2]', cpu counts: 8(x2)
srun: launch/slurm: launch_p_step_launch: CpuBindType=(null type)
srun: launching StepId=1.2 on host node2, 4 tasks: [0-3]
srun: route/default: init: route default plugin loaded
srun: launch/slurm: _task_start: Node node2, 4 tasks started
srun: launch/slurm: _task_finish: Received task exit notification for 4 tasks of StepId=1.2 (status=0x0000).
srun: launch/slurm: _task_finish: node2: tasks 0-3: Completed
0: pyxis: importing docker image: img
0: pyxis: imported docker image: img
srun: error: pyxis: ignoring --container-mounts because neither --container-image nor --container-name is set
0: slurmstepd-node2: error: couldn't chdir to \`/nodir': No such file or directory: going to /tmp instead`;

/** What it printed after them when task 2 exited with code 3 under `--kill-on-bad-exit=1`; its own code was 143. */
const CRASH = `2: boom
srun: launch/slurm: _task_finish: Received task exit notification for 1 task of StepId=1.2 (status=0x0300).
srun: error: node2: task 2: Exited with exit code 3
srun: launch/slurm: _step_signal: Terminating StepId=1.2
0: slurmstepd-node2: error: *** STEP 1.2 ON node2 CANCELLED AT 2026-11-26T13:26:29 ***
srun: launch/slurm: _task_finish: Received task exit notification for 3 tasks of StepId=1.2 (status=0x000f).
srun: error: node2: tasks 0-1,3: Terminated
srun: Force Terminated StepId=1.2`;

const events = (text: string): SrunEvent[] =>
  text
    .split('\n')
    .map(srunSays)
    .filter((event) => event !== null);

function brokenClass(line: string): string | null {
  const event = srunSays(line);
  return event?.kind === 'broken' ? event.failureClass : null;
}

describe('what srun says', () => {
  it('is read of a healthy step: where it runs and that it ended', () => {
    expect(events(HEALTHY)).toEqual([
      { kind: 'launching', step: '1.2', node: 'node2', tasks: 4, ranks: [0, 1, 2, 3] },
      { kind: 'tasks-started', node: 'node2', tasks: 4 },
      { kind: 'task-done', node: 'node2', ranks: [0, 1, 2, 3] },
      {
        kind: 'complaint',
        message:
          'pyxis: ignoring --container-mounts because neither --container-image nor --container-name is set',
        node: null,
      },
      {
        kind: 'complaint',
        message: "couldn't chdir to `/nodir': No such file or directory: going to /tmp instead",
        node: 'node2',
      },
    ]);
    expect(srunSays('srun: launching StepId=1.5 on host node2, 1 tasks: 0')).toMatchObject({
      tasks: 1,
      ranks: [0],
    });
  });

  it('has the true exit code first, then what srun made of it', () => {
    expect(events(CRASH)).toEqual([
      { kind: 'task-exit', node: 'node2', ranks: [2], exitCode: 3, signal: null },
      { kind: 'terminating', text: 'Terminating StepId=1.2' },
      { kind: 'cancelled', what: 'step', id: '1.2', node: 'node2', because: 'cancelled', reason: null },
      { kind: 'task-exit', node: 'node2', ranks: [0, 1, 3], exitCode: 143, signal: 'Terminated' },
      { kind: 'terminating', text: 'Force Terminated StepId=1.2' },
    ]);
  });

  it('has the code of each signal', () => {
    const codes = [
      ['Killed', 137],
      ['Segmentation fault (core dumped)', 139],
      ['Aborted (core dumped)', 134],
      ['Bus error (core dumped)', 135],
      ['Terminated', 143],
      ['Out Of Memory', 137],
    ] as const;
    for (const [signal, exitCode] of codes)
      expect(srunSays(`srun: error: node2: tasks 0-1: ${signal}`)).toEqual({
        kind: 'task-exit',
        node: 'node2',
        ranks: [0, 1],
        exitCode,
        signal,
      });
  });

  it('tells a blocked step from a slow one', () => {
    const blocked = 'srun: Job 1 step creation temporarily disabled, retrying (Requested nodes are busy)';
    expect(srunSays(blocked)).toEqual({ kind: 'blocked', reason: 'Requested nodes are busy' });
    expect(srunSays('srun: Step created for job 1')).toEqual({ kind: 'created' });
  });

  it('knows why a step was cancelled, in both spellings', () => {
    const because = (text: string): string | undefined => {
      const event = srunSays(text);
      return event?.kind === 'cancelled' ? event.because : undefined;
    };
    expect(
      because(
        '0: slurmstepd-node3: error: *** STEP 23.0 ON node3 CANCELLED AT 2026-11-26T13:29:28 DUE TO TIME LIMIT ***',
      ),
    ).toBe('time-limit');
    expect(
      because(
        '0: slurmstepd-node1: error: *** STEP 1.30 ON node1 CANCELLED AT 2026-11-26T13:28:31 DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***',
      ),
    ).toBe('node-failure');
    // The next three are of other versions, from documents.
    expect(
      because('slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO PREEMPTION ***'),
    ).toBe('preempted');
    expect(
      because(
        'slurmstepd: error: *** STEP 7.1 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE to SIGNAL Killed ***',
      ),
    ).toBe('cancelled');
    expect(
      because('slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE to TIME LIMIT ***'),
    ).toBe('time-limit');
  });

  it('knows a program that cannot be run', () => {
    expect(srunSays('1: slurmstepd-node2: error: execve(): /nope/x.sh: No such file or directory')).toEqual({
      kind: 'broken',
      failureClass: 'missing-path',
      message: 'execve(): /nope/x.sh: No such file or directory',
      hint: expect.stringContaining('inside of the container'),
      node: 'node2',
      vague: false,
    });
    expect(brokenClass('0: slurmstepd-node2: error: execve(): /tmp/noexec.sh: Permission denied')).toBe(
      'not-executable',
    );
    expect(brokenClass('0: slurmstepd-node2: error: execve(): a.out: Exec format error')).toBe(
      'not-executable',
    );
  });

  it.each([
    // Printed by srun 22.05.8.
    ["srun: unrecognized option '--container-image=foo'", 'container'],
    ["srun: unrecognized option '--segment=2'", 'step-refused'],
    ["srun: error: Invalid MPI type 'pmi99', --mpi=list for acceptable types", 'mpi'],
    ['srun: error: cannot find mpi plugin for mpi/pmi99', 'mpi'],
    ['srun: error: Unable to confirm allocation for job 99999: Invalid job id specified', 'job-ended'],
    [
      'srun: error: Unable to create step for job 1: Requested node configuration is not available',
      'step-refused',
    ],
    ['srun: error: Hostlist is empty!  Can not run job.', 'step-refused'],
    [
      'srun: error: Unable to create step for job 1: More processors requested than permitted',
      'step-refused',
    ],
    ['srun: error: Unable to create step for job 1: Requested nodes are busy', 'step-blocked'],
    ['srun: error: Could not open stdout file: No such file or directory', 'missing-path'],
    ['srun: error: Node failure on node2', 'node-failure'],
    ['srun: error: pyxis: --container-env: argument required', 'container'],
    ['srun: error: Invalid --container-env argument: ', 'container'],
    [
      '0: slurmstepd-node2: error: spank: required plugin fake_pyxis.so: task_init() failed with rc=-1',
      'container',
    ],
    // From documents: pyxis' own messages, other versions, and what this machine cannot provoke.
    [
      '0: slurmstepd-node2: error: pyxis: failed to create container filesystem for image: /nope.sqsh',
      'image',
    ],
    ['slurmstepd: error: pyxis: failed to import docker image: reg#a/b:c', 'image'],
    ['0: slurmstepd-node2: error: pyxis: --container-mounts: source path does not exist: /nope', 'mount'],
    ['slurmstepd: error: pyxis: container start failed with error code: 1', 'container'],
    ["slurmstepd: error: pyxis: couldn't start container", 'container'],
    [
      'slurmstepd: error: Detected 1 oom_kill event in StepId=7.1. Some of the step tasks have been OOM Killed.',
      'host-oom',
    ],
    ['slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.1.', 'host-oom'],
    ['srun: error: Slurm job 7 has expired', 'job-ended'],
  ])('%s is of class %s', (line, expected) => {
    expect(brokenClass(line)).toBe(expected);
  });

  it('takes the line of pyxis that tells more than those around it', () => {
    // The order in which pyxis prints them, by its source.
    const vague = [
      'slurmstepd: error: pyxis: child 4711 failed with error code: 1',
      'slurmstepd: error: pyxis: failed to import docker image',
      'slurmstepd: error: pyxis: printing enroot log file:',
      'slurmstepd: error: pyxis:     [ERROR] URL https://x returned error code: 401 Unauthorized',
      'slurmstepd: error: spank: required plugin spank_pyxis.so: task_init() failed with rc=-1',
    ].map((line) => {
      const event = srunSays(line);
      return event?.kind === 'broken' ? event.vague : event?.kind;
    });
    expect(vague).toEqual([true, false, 'complaint', 'complaint', true]);
    expect(brokenClass('slurmstepd: error: pyxis:     enroot-mount: failed to mount: /nope at /x')).toBe(
      'mount',
    );
  });

  it('names the node that failed', () => {
    expect(srunSays('srun: error: Node failure on node2')).toMatchObject({ node: 'node2' });
    expect(
      srunSays('3: slurmstepd-node7: error: pyxis: container start failed with error code: 1'),
    ).toMatchObject({ node: 'node7' });
  });

  it('hears nothing in what programs print', () => {
    for (const line of ['0: hi 0', 'task 0: Exited with exit code 3', '*** STEP 1.2 ON n CANCELLED AT x ***'])
      expect(srunSays(line)).toBeNull();
  });
});

describe('a list of ranks', () => {
  it('is read as SLURM prints it', () => {
    expect(parseRanks('2')).toEqual([2]);
    expect(parseRanks('[0-3]')).toEqual([0, 1, 2, 3]);
    expect(parseRanks('0-1,3')).toEqual([0, 1, 3]);
    expect(parseRanks('?')).toEqual([]);
  });
});
