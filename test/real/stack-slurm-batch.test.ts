import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  bench,
  countLines,
  MAIN,
  makeFolder,
  newOut,
  readRun,
  startBench,
  startServer,
  type TestServer,
} from '../fixtures/cli.ts';
import {
  mockerStack,
  PATIENCE,
  type Rig,
  scriptedStack,
  shortLivedStack,
  stackMissing,
  startRig,
  startSweep,
} from './stack-rig.ts';

const missing = stackMissing('stacks and sweeps as batch jobs', 'dynamo');

describe.skipIf(missing !== null)('a batch job', () => {
  let rig: Rig;

  beforeAll(async () => {
    rig = await startRig();
  });

  afterAll(async () => {
    await rig?.stop();
  });

  interface Batch {
    /** Exit code of sbatch, which is the job's where it has a command to wait for. */
    readonly exit: Promise<number | null>;
    /** What the job has printed so far. */
    output(): string;
    readonly job: string;
    /** Folders of its own: for temporary files, and for its run. */
    readonly tmp: string;
    readonly runDir: string;
  }

  async function submit(
    script: string,
    words: readonly string[],
    env: Record<string, string> = {},
  ): Promise<Batch> {
    const tmp = makeFolder();
    const runDir = newOut();
    const log = path.join(makeFolder(), 'out');
    const own = { TMPDIR: tmp, BENCH_RUN_DIR: runDir };
    // A waiting sbatch would outlast its job by up to half a minute.
    const wait = words.length > 0 ? ['--wait'] : [];
    const child = spawn('sbatch', [...wait, '--parsable', `--output=${log}`, script, ...words], {
      cwd: rig.work,
      env: { ...process.env, ...rig.options.env, ...own, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
    const job = await vi.waitFor(() => {
      const id = /^\d+/.exec(said)?.[0];
      expect(id, said).toBeDefined();
      return id!;
    }, PATIENCE);
    return {
      exit,
      output: () => (existsSync(log) ? readFileSync(log, 'utf8') : ''),
      job,
      tmp,
      runDir,
    };
  }

  /** The same as the queue tells it, as soon as the job has ended. */
  async function exitCodeOf({ job, output }: Batch): Promise<number> {
    return vi.waitFor(() => {
      const shown = rig.client(['scontrol', 'show', 'job', job]);
      expect(shown, output()).toMatch(/JobState=(COMPLETED|FAILED)/);
      return Number(/ExitCode=(\d+):0/.exec(shown)![1]);
    }, PATIENCE);
  }

  async function rendered(file: string): Promise<string> {
    const script = path.join(makeFolder(), 'stack.sh');
    const made = await bench(['stack', 'render', file, '--sbatch', '--out', script], rig.options);
    expect(made.code, made.stderr).toBe(0);
    return script;
  }

  describe('that bench stack render wrote', () => {
    it('brings a Dynamo up, proves it, holds it until TERM and takes it down, all without Node', async () => {
      // What it must not need is in the way, and tells when it is called.
      const bin = makeFolder();
      const called = path.join(bin, 'called');
      for (const name of ['node', 'npm', 'bench'])
        writeFileSync(path.join(bin, name), `#!/bin/sh\necho ${name} >>${called}\nexit 1\n`, { mode: 0o755 });
      const script = await rendered(mockerStack(rig));
      const batch = await submit(script, [], { PATH: `${bin}:${process.env['PATH']}` });
      await vi.waitFor(() => {
        expect(batch.output()).not.toContain('FAILED');
        expect(batch.output()).toContain(
          `READY: mocker at http://${rig.cluster.addressOf('node1')}:${rig.ports[0]}`,
        );
      }, PATIENCE);
      expect(
        rig.cluster
          .steps()
          .map(({ name, nodes }) => `${name} ${nodes}`)
          .sort(),
      ).toEqual(
        ['decode-0 node3', 'etcd-0 node1', 'frontend-0 node1', 'nats-0 node1', 'prefill-0 node2'].map(
          (step) => `bench-${batch.job}.${step}`,
        ),
      );
      // Tokens were streamed before it called itself ready, through both workers.
      const log = (step: string): string =>
        readFileSync(path.join(batch.runDir, 'logs', `${step}.log`), 'utf8');
      expect(log('frontend-0')).toMatch(/endpoint=chat_completions request_type=stream .*status=success/);
      for (const worker of ['prefill-0', 'decode-0']) expect(log(worker)).toContain('request completed');

      rig.client(['scancel', '--batch', '--signal=TERM', batch.job]);
      expect(await exitCodeOf(batch), batch.output()).toBe(143);
      expect(batch.output()).toMatch(/teardown\n(.*\n)*.* done\n$/);
      expect(existsSync(called)).toBe(false);
      // Without what the mocker itself leaves there.
      expect(readdirSync(batch.tmp).filter((name) => !/^tmp\w+\.json$/.test(name))).toEqual([]);
      expect(readdirSync('/tmp')).not.toContain(`bench-stack-bench-${batch.job}`);
      await rig.nothingLeft([]);
    });

    it('ends with its command, and as that does', async () => {
      const script = await rendered(scriptedStack(rig));
      const ask = 'echo "asked $BENCH_MODEL"; curl -s --noproxy "*" "$BENCH_URL/v1/models"; exit 7';
      const batch = await submit(script, ['bash', '-c', ask]);
      expect(await batch.exit, batch.output()).toBe(7);
      expect(batch.output()).toContain('asked scripted\n{"object":"list","data":[{"id":"scripted"');
      expect(readdirSync(batch.tmp)).toEqual([]);
      await rig.nothingLeft([]);
    });

    it('lets its command write what it has before the stack goes, when the job is to end', async () => {
      const script = await rendered(scriptedStack(rig));
      const ask = `trap 'sleep 1; curl -s -o /dev/null --noproxy "*" "$BENCH_URL/v1/models" && echo flushed; exit 9' TERM; echo at work; while :; do sleep 0.1; done`;
      const batch = await submit(script, ['bash', '-c', ask]);
      await vi.waitFor(() => expect(batch.output()).toContain('at work'), PATIENCE);
      rig.client(['scancel', '--batch', '--signal=TERM', batch.job]);
      expect(await batch.exit, batch.output()).toBe(143);
      expect(batch.output()).toMatch(/teardown\nflushed\n(.*\n)*.* done\n$/);
      expect(batch.output()).not.toContain('killed');
      expect(readdirSync(batch.tmp)).toEqual([]);
      await rig.nothingLeft([]);
    });

    it('ends with 4 and the words of what broke', async () => {
      const fault = { FAULT: 'crash', FAULT_CODE: '9', FAULT_AFTER_S: '2' };
      const batch = await submit(await rendered(scriptedStack(rig)), [], fault);
      expect(await exitCodeOf(batch), batch.output()).toBe(4);
      expect(batch.output()).toMatch(/FAILED: (frontend|prefill|decode)-0 ended with exit code 9; see /);
      expect(readdirSync(batch.tmp)).toEqual([]);
      await rig.nothingLeft([]);
    });
  });

  describe('that runs a sweep', () => {
    let server: TestServer;

    beforeAll(async () => {
      server = await startServer('--ttft 20ms --step 40ms');
    });

    it.each([
      'TERM',
      'USR1',
    ])('and is warned by %s ends in order, and the run can be gone on with', async (signal) => {
      const out = newOut();
      const records = path.join(out, 'records.ndjson');
      const load = [
        '--isl',
        '60',
        '--osl',
        '20',
        '--concurrency',
        '20,4',
        '--requests',
        '40',
        '--warmup',
        '0',
      ];
      const sweep = ['sweep', '--url', server.url, ...load, '--pause', '0s', '--out', out];
      const script = path.join(makeFolder(), 'sweep.sh');
      mkdirSync(path.dirname(script), { recursive: true });
      const header = `#!/bin/bash\n#SBATCH --nodes=1 --signal=B:${signal}@120\n`;
      writeFileSync(script, `${header}exec ${[process.execPath, MAIN, ...sweep].join(' ')}\n`);
      const batch = await submit(script, []);
      await vi.waitFor(
        () => expect(countLines(records), batch.output()).toBeGreaterThanOrEqual(48),
        PATIENCE,
      );
      // What SLURM itself does so long before the end of the job.
      rig.client(['scancel', '--batch', `--signal=${signal}`, batch.job]);
      expect(await exitCodeOf(batch), batch.output()).toBe(143);
      expect(batch.output()).toContain('interrupted: nothing more is sent');

      const before = readRun(out);
      expect(before.report.status).toBe('interrupted');
      expect(before.report.provenance.slurm).toMatchObject({ SLURM_JOB_ID: batch.job });
      expect(before.report.levels.map(({ status }) => status)).toEqual(['complete', 'partial']);
      expect(before.records).toHaveLength(40 + before.report.levels[1]!.requests.sent);
      expect(before.records.every(({ outcome }) => outcome === 'good')).toBe(true);

      const resumed = await startBench(['sweep', '--resume', out], rig.options).ended;
      expect(resumed.code, resumed.stderr).toBe(0);
      const after = readRun(out);
      expect(after.report.status).toBe('complete');
      expect(after.report.levels.map(({ status, requests }) => [status, requests.good])).toEqual([
        ['complete', 40],
        ['complete', 40],
      ]);
      expect(after.report.levels[0]).toEqual(before.report.levels[0]);
      await rig.nothingLeft([]);
    });
  });

  it('is not begun a level that would outlast it; the others are measured, and the exit code is 0', async () => {
    // 15, 240 and 20 rounds of 0.38 s. The second would end within the two minutes, but a minute is kept in hand.
    const load = [
      '--isl',
      '60',
      '--osl',
      '10',
      '--concurrency',
      '16,1,12',
      '--requests',
      '240',
      '--warmup',
      '0',
    ];
    const stack = ['--pause', '0s', '--stack', shortLivedStack(rig)];
    const { out, dir, running } = startSweep(rig, [...load, ...stack]);
    const ended = await running.ended;
    expect(ended.code, ended.stderr).toBe(0);
    const { report, records, summary } = readRun(out);
    expect(report.status).toBe('complete');
    expect(
      report.levels.map(({ concurrency, status, requests }) => [concurrency, status, requests.sent]),
    ).toEqual([
      [16, 'complete', 240],
      [1, 'skipped', 0],
      [12, 'complete', 240],
    ]);
    const { statusReason } = report.levels[1]!;
    expect(statusReason).toMatch(/^time: it needs about \d m \d\d s, the allocation ends in 1 m \d\d s$/);
    expect(ended.stderr).toContain(`C=1 60x10 skipped: ${statusReason}`);
    expect(ended.stdout).toContain('skipped: time');
    expect(summary[1]!['status']).toBe('skipped');
    expect(new Set(records.map(({ concurrency }) => concurrency))).toEqual(new Set([16, 12]));
    await rig.nothingLeft([dir]);
  });
});
