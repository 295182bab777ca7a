import { describe, expect, it } from 'vitest';
import { WEIGHT } from '../../src/stack/failure/failure-signs.ts';
import { FailureFinder } from '../../src/stack/failure/first-error.ts';
import type { WatchedStep } from '../../src/stack/failure/watched-step.ts';
import type { Why } from '../../src/stack/failure/why.ts';
import { whyLine, whyText } from '../../src/stack/failure/why-text.ts';

const step = (id: string, over: Partial<WatchedStep> = {}): WatchedStep => ({
  id,
  nodes: ['node2'],
  tasks: 4,
  failOn: [],
  exitZeroFails: true,
  logFile: `${id}.log`,
  srunLogFile: `${id}.srun.log`,
  ...over,
});

/** Feeds lines `AT_MS FILE LINE`; the file's name tells the step, and whether it is srun's own stderr. */
function feed(finder: FailureFinder, text: string): void {
  for (const entry of text.split('\n')) {
    const [, at, file, line] = /^(\d+) (\S+)(?: (.*))?$/.exec(entry)!;
    const id = file!.split('.')[0]!;
    if (file!.endsWith('.srun.log')) finder.srunLine(id, file!, line ?? '', Number(at));
    else finder.taskLine(id, file!, line ?? '', Number(at));
  }
}

function whyOf(text: string, ...steps: WatchedStep[]): Why | null {
  const finder = new FailureFinder(steps.length > 0 ? steps : [step('prefill-0'), step('decode-0')]);
  feed(finder, text);
  return finder.why();
}

const LAUNCH = `0 prefill-0.srun.log srun: jobid 1: nodes(2):\`node[1-2]', cpu counts: 8(x2)
0 prefill-0.srun.log srun: launching StepId=1.2 on host node2, 4 tasks: [0-3]
0 prefill-0.srun.log srun: launch/slurm: _task_start: Node node2, 4 tasks started`;
/** As srun 22.05.8 printed them when task 2 exited with 3; its own code was 143. */
const TASK_2_EXITS = `1000 prefill-0.srun.log srun: launch/slurm: _task_finish: Received task exit notification for 1 task of StepId=1.2 (status=0x0300).
1000 prefill-0.srun.log srun: error: node2: task 2: Exited with exit code 3
1000 prefill-0.srun.log srun: launch/slurm: _step_signal: Terminating StepId=1.2
1010 prefill-0.srun.log srun: launch/slurm: _task_finish: Received task exit notification for 3 tasks of StepId=1.2 (status=0x000f).
1010 prefill-0.srun.log srun: error: node2: tasks 0-1,3: Terminated
1010 prefill-0.srun.log srun: Force Terminated StepId=1.2
1200 prefill-0.log 0: slurmstepd-node2: error: *** STEP 1.2 ON node2 CANCELLED AT 2026-11-26T13:26:29 ***`;

const TRACEBACK = `5 w.log Traceback (most recent call last):
5 w.log   File "r.py", line 1, in handle
5 w.log ValueError: bad request`;

describe('a traceback', () => {
  const alone = (over: Partial<WatchedStep> = {}): FailureFinder =>
    new FailureFinder([step('w', { tasks: 1, srunLogFile: null, ...over })]);

  it.each(['^Traceback', '^ValueError: bad'])("is silenced by the step's own rule /%s/", (pattern) => {
    const finder = alone({ failOn: [{ pattern, failureClass: 'crash', action: 'warn' }] });
    feed(finder, TRACEBACK);
    expect(finder.look(10_000)).toBe('quiet');
    expect(finder.suspect('w')).toMatchObject({ message: 'ValueError: bad request' });
  });

  it("has the class of the step's own rule", () => {
    const finder = alone({
      failOn: [{ pattern: 'bad request', failureClass: 'engine-config', action: 'fail' }],
    });
    feed(finder, TRACEBACK);
    expect(finder.look(10_000)).toBe('settled');
    expect(finder.why()?.failureClass).toBe('engine-config');
  });

  it('fails a stack that comes up, and is only suspect in one that serves, until the process ends', () => {
    const loading = alone();
    feed(loading, TRACEBACK);
    expect(loading.look(10_000)).toBe('settled');

    const finder = alone();
    finder.serving();
    feed(finder, TRACEBACK);
    expect(finder.look(10_000)).toBe('quiet');
    expect(finder.outlived()).toMatchObject([{ failureClass: 'crash', message: 'ValueError: bad request' }]);
    expect(finder.suspect(null, 5)).not.toBeNull();
    expect(finder.suspect(null, 6)).toBeNull();
    finder.stepEnded('w', { code: 1, signal: null }, 20_000);
    expect(finder.why()).toMatchObject({ message: 'ValueError: bad request', exitCode: 1 });
  });

  it('fails one that serves when no engine goes on after it', () => {
    const finder = alone();
    finder.serving();
    feed(finder, `${TRACEBACK}\n6 w.log \n6 w.log CUDA out of memory`);
    expect(finder.look(10_000)).toBe('settled');
    expect(finder.why()?.failureClass).toBe('cuda-oom');
  });
});

/** As Dynamo 1.4.2 printed it for a model that is not there; it ends with 1 after it. */
const NO_MODEL = `10 w.log 2026-11-30T23:26:09.091719Z  WARN dynamo_llm::hub: Cannot connect to ModelExpress server: Transport error: tcp connect error: Connection refused (os error 111). Using direct download.
10 w.log 2026-11-30T23:26:09.091770Z  INFO modelexpress_common::providers::huggingface: HF_HUB_OFFLINE is set, using cached model for '/no/such/model'
10 w.log 2026-11-30T23:26:09.091945Z  WARN dynamo_llm::hub: ModelExpress download failed for model '/no/such/model': Model snapshots for '/no/such/model' not found in cache
10 w.log Traceback (most recent call last):
10 w.log   File "<frozen runpy>", line 198, in _run_module_as_main
10 w.log   File "/venv/dynamo/mocker/main.py", line 216, in launch_workers
10 w.log     engine_config = await make_engine(runtime, entrypoint_args)
10 w.log                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
10 w.log Exception: Model snapshots for '/no/such/model' not found in cache`;

describe('a traceback after a warning', () => {
  const alone = (): FailureFinder => new FailureFinder([step('w', { tasks: 1, srunLogFile: null })]);
  const warned = `1 w.log 08:17:04 WARNING no connection: Connection refused, retrying
2 w.log Traceback (most recent call last):
2 w.log   File "serve.py", line 1, in <module>
2 w.log KeyError: 'port'`;

  it('fails where nothing has caught it, and outranks the warnings of retries', () => {
    const finder = alone();
    feed(finder, NO_MODEL);
    expect(finder.look(10_000)).toBe('settled');
    finder.stepEnded('w', { code: 1, signal: null }, 10_001);
    expect(finder.why()).toMatchObject({
      failureClass: 'missing-path',
      message: "Exception: Model snapshots for '/no/such/model' not found in cache",
      exitCode: 1,
    });
  });

  it('explains the end of a process whose last words it is, and alone means nothing', () => {
    const finder = alone();
    feed(finder, warned);
    expect(finder.look(10_000)).toBe('quiet');
    finder.stepEnded('w', { code: 1, signal: null }, 12_000);
    expect(finder.look(20_000)).toBe('settled');
    expect(finder.why()).toMatchObject({ failureClass: 'crash', message: "KeyError: 'port'", exitCode: 1 });
  });

  it('is no failure while the process lives', () => {
    const finder = alone();
    feed(finder, warned);
    expect(finder.why()).toBeNull();
  });

  it('was caught where the process writes on, at once or after a while', () => {
    for (const at of [3, 11_000]) {
      const finder = alone();
      feed(finder, warned);
      finder.look(at - 1);
      feed(finder, `${at} w.log 08:17:05 INFO going on`);
      finder.stepEnded('w', { code: 1, signal: null }, at + 1);
      expect(finder.why()).toMatchObject({ failureClass: 'network' });
    }
  });
});

describe('an end without a line that names its cause', () => {
  const ended = (text: string, code: number | null, signal: NodeJS.Signals | null = null): Why | null => {
    const finder = new FailureFinder([step('w', { tasks: 1, srunLogFile: null })]);
    feed(finder, text);
    finder.stepEnded('w', { code, signal }, 10_000);
    return finder.why();
  };
  const retry = '1 w.log 2026-11-30T23:26:09Z  WARN hub: Connection refused, retrying';
  const error = '5000 w.log 2026-11-30T23:26:14Z ERROR engine: layer kind 7 is not known';

  it('is explained by a line of level ERROR before a warning of a retry', () => {
    for (const text of [`${retry}\n${error}`, `${error}\n${retry.replace('1 w', '6000 w')}`])
      expect(ended(text, 1)).toMatchObject({
        failureClass: 'exit',
        message: expect.stringContaining('layer kind 7 is not known'),
        exitCode: 1,
      });
    expect(ended(retry, 1)?.failureClass).toBe('network');
  });

  it.each([
    [null, 'SIGKILL'],
    [137, null],
    [0, null],
  ] as const)('by a signal, or with 0, is not (%s, %s)', (code, signal) => {
    const why = ended(error, code, signal);
    expect(why).toMatchObject({ failureClass: 'exit' });
    expect(why!.message).not.toContain('layer kind');
  });

  it('is that of a step that SLURM was asked to cancel, with any words of its own', () => {
    const finder = new FailureFinder([step('w', { tasks: 1 })]);
    feed(
      finder,
      `900 w.log 0: 2026-11-30T23:26:14Z ERROR nats: Connection refused
1000 w.log 0: slurmstepd-node2: error: *** STEP 5.0 ON node2 CANCELLED AT 2026-11-26T14:52:08 ***`,
    );
    finder.stepEnded('w', { code: 143, signal: null }, 1_010);
    expect(finder.why()).toMatchObject({ failureClass: 'cancelled', exitCode: 143 });
  });

  it('is no suspicion: healthy programs write such lines', () => {
    const finder = new FailureFinder([step('w', { tasks: 1, srunLogFile: null })]);
    feed(finder, error);
    expect(finder.suspect('w')).toBeNull();
    feed(finder, '6000 w.log Connection refused');
    expect(finder.suspect('w')?.failureClass).toBe('network');
    expect(finder.suspect('w', 0, WEIGHT.crash)).toBeNull();
  });

  it('has the first of a burst of lines, unless a louder one follows', () => {
    const reset = (at: number, nth: number, level = 'WARN'): string =>
      `${at} w.log 2026-11-30T23:30:04Z  ${level} tcp: Connection reset by peer ${nth}`;
    expect(ended([reset(100, 1), reset(2_100, 2)].join('\n'), 1)?.message).toMatch(/ 1$/);
    expect(ended([reset(100, 1), reset(2_101, 2)].join('\n'), 1)?.message).toMatch(/ 2$/);
    expect(ended([reset(100, 1), reset(200, 2, 'ERROR')].join('\n'), 1)?.message).toMatch(/ 2$/);
  });
});

describe('a worker that was stopped for longer than its lease', () => {
  it('ended because that expired, not for the connections that were reset by then', () => {
    // As Dynamo 1.4.2 printed it after SIGSTOP, 10 s and SIGCONT; it ends with 0.
    const finder = new FailureFinder([step('w', { tasks: 1, srunLogFile: null })]);
    finder.serving();
    feed(
      finder,
      `10 w.log 2026-11-30T23:30:04.460060Z ERROR dynamo_runtime::transports::etcd::lease: Keep-alive lease expired lease_id=6481421135597895952
10 w.log 2026-11-30T23:30:04.460356Z ERROR dynamo_runtime::transports::etcd::lease: Unable to maintain lease. Check etcd server status error=Unable to maintain lease - expired or revoked. Check etcd server status
10 w.log 2026-11-30T23:30:04.461822Z  WARN dynamo_runtime::pipeline::network::tcp::client: tcp stream read error, closing connection err=Io(Os { code: 104, kind: ConnectionReset, message: "Connection reset by peer" })`,
    );
    expect(finder.look(10_000)).toBe('quiet');
    finder.stepEnded('w', { code: 0, signal: null }, 10_000);
    expect(finder.why()).toMatchObject({
      failureClass: 'lease-expired',
      message: expect.stringContaining('Keep-alive lease expired'),
      hint: expect.stringContaining('etcd'),
      exitCode: 0,
    });
  });
});

describe('a signal to a whole job', () => {
  /** As srun 22.05.8 and nats-server printed them at scancel --signal=TERM. */
  const CANCELLED = (id: string, at: number): string =>
    `${at} ${id}.log 0: slurmstepd-node1: error: *** STEP 13.5 ON node1 CANCELLED AT 2026-11-30T23:24:04 ***`;
  const EXIT = '1010 nats-0.srun.log srun: error: node1: task 0: Exited with exit code 1';
  const finder = (...lines: string[]): FailureFinder => {
    const made = new FailureFinder([step('nats-0', { tasks: 1 }), step('etcd-0', { tasks: 1 })]);
    feed(made, lines.join('\n'));
    return made;
  };

  it('shows at all its steps', () => {
    expect(finder(CANCELLED('nats-0', 1000), CANCELLED('etcd-0', 3010), EXIT).allCancelled()).toBe(true);
    expect(finder(CANCELLED('nats-0', 1000), CANCELLED('etcd-0', 3011), EXIT).allCancelled()).toBe(false);
    expect(finder(CANCELLED('nats-0', 1000), EXIT).allCancelled()).toBe(false);
    expect(finder(CANCELLED('nats-0', 1000), CANCELLED('etcd-0', 1000)).allCancelled()).toBe(false);
    // What a program itself says of signals is not SLURM's word.
    expect(finder(CANCELLED('nats-0', 1000), '1000 etcd-0.log 0: Terminated', EXIT).allCancelled()).toBe(
      false,
    );
  });

  it('is none to one step alone', () => {
    const one = new FailureFinder([step('nats-0', { tasks: 1 })]);
    feed(one, `${CANCELLED('nats-0', 1000)}\n${EXIT}`);
    expect(one.allCancelled()).toBe(false);
  });
});

describe('the first error', () => {
  it('is quiet while nothing has failed', () => {
    const finder = new FailureFinder([step('prefill-0')]);
    feed(finder, LAUNCH);
    feed(finder, '50 prefill-0.log 1: ERROR something minor\n60 prefill-0.log 1: Connection refused');
    expect(finder.look(100_000)).toBe('quiet');
    expect(finder.why()).toBeNull();
  });

  it('is the rank that exited, with its own code, though srun says 143', () => {
    const finder = new FailureFinder([step('prefill-0')]);
    feed(finder, `${LAUNCH}\n900 prefill-0.log 2: boom\n${TASK_2_EXITS}`);
    finder.stepEnded('prefill-0', { code: 143, signal: null }, 1020);
    expect(finder.look(1300)).toBe('failing');
    expect(finder.look(2500)).toBe('settled');
    const why = finder.why()!;
    expect(why).toMatchObject({
      failureClass: 'rank-crash',
      message: 'task 2 exited with code 3',
      step: 'prefill-0',
      rank: 2,
      node: 'node2',
      exitCode: 3,
      logFile: 'prefill-0.log',
    });
    expect(whyLine(why)).toBe('rank-crash: prefill-0 rank 2 on node2: task 2 exited with code 3');
    expect(why.evidence).toEqual({
      line: 'srun: error: node2: task 2: Exited with exit code 3',
      before: ['boom'],
      after: [],
    });
  });

  it('is what the rank said, even when its log is read after the exit was told', () => {
    const why = whyOf(`${LAUNCH}
${TASK_2_EXITS}
1200 prefill-0.log 2: Traceback (most recent call last):
1200 prefill-0.log 2:   File "/app/worker.py", line 10, in load
1200 prefill-0.log 0: loading weights
1200 prefill-0.log 2:     model.cuda()
1200 prefill-0.log 2: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB.`);
    expect(why).toMatchObject({
      failureClass: 'cuda-oom',
      message: 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB.',
      rank: 2,
      node: 'node2',
      exitCode: 3,
      logFile: 'prefill-0.log',
      hint: expect.stringContaining('free_gpu_memory_fraction'),
    });
    expect(why?.evidence).toEqual({
      line: 'Traceback (most recent call last):',
      before: [],
      after: [
        '  File "/app/worker.py", line 10, in load',
        '    model.cuda()',
        'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB.',
      ],
    });
  });

  it('takes the last line of a traceback for the message, and a crash of a rank for what it is', () => {
    const why = whyOf(`${LAUNCH}
990 prefill-0.log 2: Traceback (most recent call last):
990 prefill-0.log 2:   File "a.py", line 1, in <module>
990 prefill-0.log 2: KeyError: 'quant'
990 prefill-0.log 2:
990 prefill-0.log 2: During handling of the above exception, another exception occurred:
990 prefill-0.log 2:
990 prefill-0.log 2: Traceback (most recent call last):
990 prefill-0.log 2:   File "a.py", line 3, in <module>
990 prefill-0.log 2: ValueError: unknown layer kind 7
${TASK_2_EXITS}`);
    expect(why).toMatchObject({
      failureClass: 'rank-crash',
      message: "ValueError: unknown layer kind 7 (after KeyError: 'quant')",
      rank: 2,
      exitCode: 3,
    });
    expect(whyLine(why!)).toBe(
      "rank-crash: prefill-0 rank 2 on node2: ValueError: unknown layer kind 7 (after KeyError: 'quant') (exit code 3)",
    );
  });

  it('reads a traceback behind the prefix of a logger', () => {
    const why = whyOf(
      `10 w.log (EngineCore_0 pid=77) ERROR 08-21 08:17:04 [core.py:700] Traceback (most recent call last):
10 w.log (EngineCore_0 pid=77) ERROR 08-21 08:17:04 [core.py:700]   File "core.py", line 1, in run
10 w.log (EngineCore_0 pid=77) ERROR 08-21 08:17:05 [core.py:700] ValueError: To serve at least one request, 9.00 GiB KV cache is needed, which is larger than the available KV cache memory`,
      step('w', { tasks: 1, srunLogFile: null }),
    );
    expect(why).toMatchObject({
      failureClass: 'engine-config',
      message: expect.stringMatching(/^ValueError: To serve/),
    });
  });

  it('goes past a traceback that was caught', () => {
    const finder = new FailureFinder([step('w', { tasks: 1, srunLogFile: null })]);
    feed(
      finder,
      `10 w.log 2026-11-26 WARNING optional kernel missing
10 w.log Traceback (most recent call last):
10 w.log   File "k.py", line 1, in <module>
10 w.log ModuleNotFoundError: No module named 'flash_attn'
20 w.log Exception ignored in: <function Pool.__del__>
20 w.log Traceback (most recent call last):
20 w.log   File "p.py", line 1, in __del__
20 w.log AttributeError: 'NoneType' object has no attribute 'x'
30 w.log serving`,
    );
    expect(finder.look(100_000)).toBe('quiet');
  });

  it('is found where the launcher hides it: the step runs on, and nothing more is printed', () => {
    const finder = new FailureFinder([step('prefill-0')]);
    feed(
      finder,
      `${LAUNCH}
10 prefill-0.log 0: rank0 run python3 -m dynamo.trtllm --model-path /m in background
10 prefill-0.log 0: rank0 run mgmn leader node with mpi_world_size: 4 ...
20 prefill-0.log 0: Traceback (most recent call last):
20 prefill-0.log 0:   File "main.py", line 3, in <module>
20 prefill-0.log 0: RuntimeError: no such engine`,
    );
    expect(finder.look(100)).toBe('quiet');
    expect(finder.look(1600)).toBe('settled');
    expect(finder.why()).toMatchObject({
      failureClass: 'launcher-crash',
      message: 'RuntimeError: no such engine',
      rank: 0,
      node: 'node2',
      exitCode: null,
    });
  });

  it('is the cause, not what the others say once their peer is dead', () => {
    const why = whyOf(`${LAUNCH}
700 decode-0.log 0: ConnectionResetError: [Errno 104] Connection reset by peer
710 decode-0.log 0: etcd lease expired
800 prefill-0.log 2: torch.OutOfMemoryError: CUDA out of memory
900 decode-0.log 0: Traceback (most recent call last):
900 decode-0.log 0:   File "d.py", line 1, in <module>
900 decode-0.log 0: RuntimeError: prefill is gone
${TASK_2_EXITS}`);
    expect(why).toMatchObject({ failureClass: 'cuda-oom', step: 'prefill-0', rank: 2, exitCode: 3 });
  });

  it('lets a symptom explain an end that nothing else explains', () => {
    const finder = new FailureFinder([step('w', { tasks: 1, srunLogFile: null })]);
    feed(finder, '5 w.log up');
    feed(finder, '10 w.log Error: Unable to create lease. Check etcd server status at 10.0.0.1:2379');
    expect(finder.look(5000)).toBe('quiet');
    expect(finder.suspect('w')).toMatchObject({ failureClass: 'network' });
    finder.stepEnded('w', { code: 1, signal: null }, 6000);
    expect(finder.why()).toMatchObject({
      failureClass: 'network',
      message: 'Error: Unable to create lease. Check etcd server status at 10.0.0.1:2379',
      exitCode: 1,
      hint: expect.stringContaining('ETCD_ENDPOINTS'),
      evidence: { line: expect.stringContaining('Unable to create lease'), before: ['up'] },
    });
  });

  it('is the end of the job, whatever the tasks say when they are told to stop', () => {
    // Lines of srun 22.05.8 at a time limit.
    const why = whyOf(`${LAUNCH}
980 prefill-0.log 1: Traceback (most recent call last):
980 prefill-0.log 1:   File "x.py", line 1, in <module>
980 prefill-0.log 1: RuntimeError: shutdown while busy
1000 prefill-0.srun.log srun: Job step aborted: Waiting up to 4 seconds for job step to finish.
1010 prefill-0.srun.log srun: error: node3: tasks 0-1: Terminated
1200 prefill-0.log 0: slurmstepd-node3: error: *** STEP 23.0 ON node3 CANCELLED AT 2026-11-26T13:29:28 DUE TO TIME LIMIT ***`);
    expect(why).toMatchObject({ failureClass: 'time-limit', node: 'node3', step: 'prefill-0' });
    expect(why?.message).toContain('TIME LIMIT');
  });

  it('is the node that failed', () => {
    const why = whyOf(`${LAUNCH}
1000 prefill-0.srun.log srun: error: Node failure on node2
1000 prefill-0.srun.log srun: Job step aborted: Waiting up to 4 seconds for job step to finish.
1010 prefill-0.srun.log srun: error: node1: task 0: Terminated
1200 prefill-0.log 0: slurmstepd-node1: error: *** STEP 1.30 ON node1 CANCELLED AT 2026-11-26T13:28:31 DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***`);
    expect(why).toMatchObject({ failureClass: 'node-failure', node: 'node2', exitCode: null });
  });

  it('is the path that is missing, of either order of the two files', () => {
    const exits = '1000 prefill-0.srun.log srun: error: node2: tasks 0-1: Exited with exit code 2';
    const says =
      '1000 prefill-0.log 1: slurmstepd-node2: error: execve(): /nope/x.sh: No such file or directory';
    for (const text of [`${exits}\n${says}`, `${says}\n${exits}`])
      expect(whyOf(`${LAUNCH}\n${text}`)).toMatchObject({
        failureClass: 'missing-path',
        message: 'execve(): /nope/x.sh: No such file or directory',
        rank: 1,
        node: 'node2',
        exitCode: 2,
      });
  });

  it('is the image, not the plugin errors of the other ranks', () => {
    const why = whyOf(`${LAUNCH}
1000 prefill-0.log 0: slurmstepd-node2: error: spank: required plugin spank_pyxis.so: task_init() failed with rc=-1
1000 prefill-0.log 2: slurmstepd-node2: error: pyxis: child 77 failed with error code: 1
1000 prefill-0.log 2: slurmstepd-node2: error: pyxis: failed to import docker image: reg#a/b:c
1000 prefill-0.log 2: slurmstepd-node2: error: pyxis:     [ERROR] URL https://reg/v2 returned error code: 401 Unauthorized
1010 prefill-0.srun.log srun: error: node2: tasks 0-3: Exited with exit code 1`);
    expect(why).toMatchObject({
      failureClass: 'image',
      message: 'pyxis: failed to import docker image: reg#a/b:c',
      exitCode: 1,
    });
    expect(why?.evidence?.after[0]).toContain('401 Unauthorized');
  });

  it('is what srun complained of when no task ever ran', () => {
    const finder = new FailureFinder([step('prefill-0')]);
    feed(finder, '5 prefill-0.srun.log srun: mpi                 : pmix');
    feed(finder, '10 prefill-0.srun.log srun: error: Something new in SLURM 99');
    finder.stepEnded('prefill-0', { code: 1, signal: null }, 20);
    expect(finder.why()).toMatchObject({
      failureClass: 'step-refused',
      message: 'Something new in SLURM 99',
      node: null,
      exitCode: 1,
      evidence: { line: 'srun: error: Something new in SLURM 99', before: [], after: [] },
    });
  });

  it('tells a step that was cancelled also where it ends well when told to', () => {
    const finder = new FailureFinder([step('w', { tasks: 1 })]);
    feed(
      finder,
      '0 w.log slurmstepd-node2: error: *** STEP 5.0 ON node2 CANCELLED AT 2026-11-26T14:52:08 ***',
    );
    finder.stepEnded('w', { code: 0, signal: null }, 100);
    expect(finder.why()).toMatchObject({ failureClass: 'cancelled', step: 'w', exitCode: 0 });
  });

  it('knows the rank and the file of what slurmstepd says in the log of the tasks', () => {
    const why = whyOf(`${LAUNCH}
900 prefill-0.log 1: slurmstepd-node2: error: Detected 1 oom_kill event in StepId=1.2. Some of the step tasks have been OOM Killed.
950 prefill-0.srun.log srun: error: node2: task 1: Killed`);
    expect(why).toMatchObject({
      failureClass: 'host-oom',
      rank: 1,
      node: 'node2',
      exitCode: 137,
      logFile: 'prefill-0.log',
    });
  });

  it('says what to do also where only the end is known', () => {
    expect(whyOf(`${LAUNCH}\n${TASK_2_EXITS}`)?.hint).toContain('plan.sh');
  });

  it('tells a step that somebody cancelled from a rank that was killed', () => {
    // Both as srun 22.05.8 printed them.
    expect(
      whyOf(`${LAUNCH}
1000 prefill-0.log 0: slurmstepd-node2: error: *** STEP 1.19 ON node2 CANCELLED AT 2026-11-26T13:27:14 ***
1000 prefill-0.srun.log srun: error: node2: tasks 0-3: Killed`),
    ).toMatchObject({ failureClass: 'cancelled', exitCode: 137 });
    expect(
      whyOf(`${LAUNCH}
1000 prefill-0.srun.log srun: error: node2: task 0: Killed
1000 prefill-0.srun.log srun: error: node2: tasks 1-3: Terminated
1200 prefill-0.log 0: slurmstepd-node2: error: *** STEP 1.19 ON node2 CANCELLED AT 2026-11-26T13:27:14 ***`),
    ).toMatchObject({
      failureClass: 'rank-crash',
      rank: 0,
      exitCode: 137,
      hint: expect.stringContaining('SIGKILL'),
    });
  });

  it('has the code of a local process, and its signal', () => {
    const local = step('w', { tasks: 1, srunLogFile: null });
    const ended = (code: number | null, signal: NodeJS.Signals | null): Why | null => {
      const finder = new FailureFinder([local]);
      finder.taskLine('w', 'w.log', 'last words', 0);
      finder.stepEnded('w', { code, signal }, 0);
      return finder.why();
    };
    expect(ended(5, null)).toMatchObject({
      failureClass: 'exit',
      exitCode: 5,
      node: 'node2',
      evidence: { line: 'the step ended with exit code 5', before: ['last words'], after: [] },
      logFile: 'w.log',
    });
    expect(ended(null, 'SIGSEGV')).toMatchObject({ exitCode: 139 });
    expect(ended(0, null)?.message).toBe('the step ended with exit code 0 although it is to serve on');
    const once = new FailureFinder([{ ...local, exitZeroFails: false }]);
    once.stepEnded('w', { code: 0, signal: null }, 0);
    expect(once.why()).toBeNull();
  });

  it('follows the patterns of the stack file, which may silence a built-in one', () => {
    const own = step('w', {
      tasks: 1,
      srunLogFile: null,
      failOn: [
        { pattern: 'CUDA out of memory, retrying', failureClass: 'cuda-oom', action: 'warn' },
        { pattern: 'weights are corrupt', failureClass: 'missing-path', action: 'fail' },
      ],
    });
    expect(whyOf('1 w.log CUDA out of memory, retrying with less', own)).toBeNull();
    expect(whyOf('1 w.log weights are corrupt', own)).toMatchObject({ failureClass: 'missing-path' });
  });

  it('reads the port that is taken out of what the real frontend printed', () => {
    const why = whyOf(
      `10 f.log 2026-11-26T13:31:26.016969Z  INFO dynamo_llm::http::service::service_v2: Starting HTTP(S) service protocol="HTTP" address="127.0.0.1:18431"
10 f.log 2026-11-26T13:31:26.017097Z ERROR dynamo_llm::http::service::service_v2: Failed to bind server to address protocol=HTTP address=127.0.0.1:18431 error=Address already in use (os error 98)
10 f.log Traceback (most recent call last):
10 f.log   File "<frozen runpy>", line 198, in _run_module_as_main
10 f.log   File "/venv/dynamo/frontend/main.py", line 470, in async_main
10 f.log     await run_input(runtime, "http", engine, frontend_route_extensions)
10 f.log Exception: Failed to start HTTP server: port 18431 already in use. Use --http-port to specify a different port.`,
      step('f', { tasks: 1 }),
    );
    expect(why).toMatchObject({ failureClass: 'port-taken', message: expect.stringContaining('18431') });
  });

  it('shows at most 20 lines each way, of the same rank, without secrets', () => {
    const noise = (from: number): string =>
      Array.from({ length: 40 }, (_, index) =>
        [`5 prefill-0.log 1: line ${from + index}`, '5 prefill-0.log 3: other rank'].join('\n'),
      ).join('\n');
    const token = `hf_${'a'.repeat(30)}`;
    const why = whyOf(`${noise(0)}
6 prefill-0.log 1: HF_TOKEN=${token} max_tokens: 8192
6 prefill-0.log 1: thread 'main' panicked at src/main.rs:5:9:
6 prefill-0.log 1: index out of bounds
${noise(100)}`);
    expect(why).toMatchObject({
      failureClass: 'rank-crash',
      message: "thread 'main' panicked at src/main.rs:5:9: index out of bounds",
    });
    expect(why?.evidence?.before).toHaveLength(20);
    expect(why?.evidence?.before.slice(-2)).toEqual(['line 39', 'HF_TOKEN=*** max_tokens: 8192']);
    expect(why?.evidence?.after).toHaveLength(20);
    expect(why?.evidence?.after.slice(0, 2)).toEqual(['index out of bounds', 'line 100']);
    expect(whyText(why!)).not.toContain(token);
    expect(whyText(why!).split('\n')).toContain("  > thread 'main' panicked at src/main.rs:5:9:");
  });
});
