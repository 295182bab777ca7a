import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Answer,
  eachLine,
  encodeMessage,
  MessageReader,
  type Order,
} from '../../src/commands/ranks/protocol.ts';
import { readLabel, readTaskEnd, srunCommand } from '../../src/commands/ranks/srun-channel.ts';
import { isScrubbed } from '../../src/core/slurm-env.ts';

/** srun's --label: a number before each line, padded to the widest, and lines cut after 1,023 bytes. */
function label(text: string, rank: number): string[] {
  return text
    .trimEnd()
    .split('\n')
    .flatMap((line) => line.match(/.{1,1023}/g) ?? [''])
    .map((line) => `${String(rank).padStart(3)}: ${line}`);
}

describe('messages between coordinator and ranks', () => {
  it('come through labels and cut lines as they were, among lines that are none', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 4_000 })), fc.nat(999), (texts, rank) => {
        const reader = new MessageReader<Answer>();
        const heard: Answer[] = [];
        const sent = texts.map(
          (message): Answer => ({ kind: 'failed', exitCode: 4, message, hint: message.slice(0, 3) }),
        );
        for (const answer of sent) {
          for (const line of [
            ...label(encodeMessage(answer), rank),
            `  ${rank}: pyxis: imported docker image`,
          ]) {
            const labelled = readLabel(line)!;
            expect(labelled.rank).toBe(rank);
            const taken = reader.take(labelled.text);
            if (taken) heard.push(taken);
            if (labelled.text.startsWith('pyxis')) expect(taken).toBeUndefined();
          }
        }
        expect(heard).toEqual(sent);
      }),
      { numRuns: 30 },
    );
  });

  it('hold no line that srun would cut', () => {
    const order: Order = {
      kind: 'begin',
      fields: Array(900).fill('ignore_eos'),
      omitted: [],
      capField: 'max_tokens',
    };
    const lines = encodeMessage(order).split('\n');
    expect(Math.max(...lines.map((line) => Buffer.byteLength(line)))).toBeLessThan(1_000);
    expect(lines.length).toBeGreaterThan(10);
  });

  it('are read whole however the bytes come', async () => {
    const stream = new PassThrough();
    const lines: string[] = [];
    eachLine(stream, (line) => lines.push(line));
    for (const piece of ['a', 'b\ncd', '\n', '\ne']) stream.write(piece);
    stream.end();
    await new Promise((resolve) => stream.once('close', resolve));
    expect(lines).toEqual(['ab', 'cd', '', 'e']);
  });
});

describe('what srun says', () => {
  it.each([
    ['srun: error: node2: task 1: Killed', 1, 'node2', 'killed by SIGKILL (exit code 137)'],
    ['srun: error: node1: task 12: Exited with exit code 5', 12, 'node1', 'exit code 5'],
    ['srun: error: node3: tasks 4-7: Terminated', 4, 'node3', 'killed by SIGTERM (exit code 143)'],
    [
      'srun: error: node3: tasks 0,2: Segmentation fault (core dumped)',
      0,
      'node3',
      'killed by SIGSEGV (exit code 139)',
    ],
    ['srun: error: node3: task 2: Out Of Memory', 2, 'node3', 'Out Of Memory'],
  ])('%s', (line, rank, host, how) => {
    expect(readTaskEnd(line)).toEqual({ rank, host, how });
  });

  it.each([
    'srun: error: Unable to create step for job 1: Requested nodes are busy',
    '0: slurmstepd-node1: error: *** STEP 1.3 ON node1 CANCELLED AT 2026-11-26T13:37:20 ***',
    '3: srun: error: node1: task 0: Killed',
  ])('no end of a task: %s', (line) => {
    expect(readTaskEnd(line)).toBeNull();
  });

  it('labels are told from what has none', () => {
    expect(readLabel(' 7: x: y')).toEqual({ rank: 7, text: 'x: y' });
    expect(readLabel('12: ')).toEqual({ rank: 12, text: '' });
    expect(readLabel('srun: Warning: 3: x')).toBeNull();
  });
});

describe('the command of the step', () => {
  const place = { job: '77', nodes: 2, nodelist: ['a', 'b'] };

  it('says all that the environment of the job could say otherwise', () => {
    const words = srunCommand(place, 4, 'my run');
    expect(words.slice(0, 7)).toEqual([
      ...[
        'srun',
        '--jobid=77',
        '--overlap',
        '--nodes=2',
        '--ntasks=4',
        '--ntasks-per-node=2',
        '--nodelist=a,b',
      ],
    ]);
    for (const word of ['--label', '--kill-on-bad-exit=1', '--input=all', 'my_run.load'])
      expect(words).toContain(word);
    expect(words.slice(-3)).toEqual([process.execPath, process.argv[1], 'load-rank']);
  });

  it('leaves an uneven spread, and unnamed nodes, to SLURM', () => {
    const words = srunCommand({ ...place, nodelist: null }, 5, 'x').join(' ');
    expect(words).not.toMatch(/ntasks-per-node|nodelist/);
  });

  it.each([
    ...[
      'SLURM_NTASKS',
      'SLURM_NPROCS',
      'SLURM_NTASKS_PER_NODE',
      'SLURM_TASKS_PER_NODE',
      'SLURM_CPUS_PER_TASK',
    ],
    ...[
      'SLURM_STEP_ID',
      'SLURM_STEPID',
      'SLURM_STEP_NODELIST',
      'SLURM_PROCID',
      'SLURM_LOCALID',
      'SLURM_NODEID',
    ],
    ...['SLURM_MEM_PER_CPU', 'SLURM_MEM_PER_NODE', 'SLURM_DISTRIBUTION', 'SLURM_LAUNCH_NODE_IPADDR'],
    ...[
      'SLURM_SRUN_COMM_HOST',
      'SLURM_TASK_PID',
      'SLURM_GTIDS',
      'SLURM_CPU_BIND_LIST',
      'SLURM_THREADS_PER_CORE',
    ],
  ])('does not inherit %s', (name) => {
    expect(isScrubbed(name)).toBe(true);
  });

  it.each([
    ...[
      'SLURM_CONF',
      'SLURM_JOB_ID',
      'SLURM_JOB_NODELIST',
      'SLURM_CLUSTER_NAME',
      'SLURMD_NODENAME',
      'PATH',
      'HOME',
    ],
  ])('inherits %s', (name) => {
    expect(isScrubbed(name)).toBe(false);
  });
});
