import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  bench,
  countLines,
  newOut,
  parseReport,
  readRecordLines,
  readRun,
  startBench,
} from '../fixtures/cli.ts';
import {
  PATIENCE,
  type Rig,
  type Sweep,
  scriptedStack,
  stackMissing,
  startRig,
  startSweep,
  stateOf,
} from './stack-rig.ts';

const missing = stackMissing('the end of a stack on SLURM', 'slurm');
/** A request takes 0.2 s; the second level would take two minutes. The imitated server counts no prompts. */
const SHAPE = ['--isl', '60', '--osl', '10', '--isl-counts', 'content', '--warmup', '0', '--pause', '0s'];
const LONG = [...SHAPE, '--concurrency', '400,4', '--requests', '400'];
const IN_FLIGHT = 4;
const CYCLES = 10;

describe.skipIf(missing !== null)('whatever ends a stack', () => {
  let rig: Rig;
  let file: string;

  beforeAll(async () => {
    rig = await startRig();
    file = scriptedStack(rig);
  });

  afterAll(async () => {
    await rig?.stop();
  });

  /** A sweep that launched the stack and is in the middle of its second level. */
  async function sweepInLevel(): Promise<Sweep> {
    const sweep = startSweep(rig, [...LONG, '--stack', file, '--grace', '5s']);
    const records = path.join(sweep.out, 'records.ndjson');
    await vi.waitFor(() => {
      expect(sweep.running.child.exitCode, sweep.running.output.stderr).toBeNull();
      expect(countLines(records)).toBeGreaterThanOrEqual(400 + 2 * IN_FLIGHT);
    }, PATIENCE);
    expect(rig.cluster.steps()).toHaveLength(3);
    expect(rig.running().filter((line) => line.includes('worker.sh')).length).toBeGreaterThanOrEqual(4);
    return sweep;
  }

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s of the sweep is exit %i, with what was measured; nothing is left', async (signal, code) => {
    const { out, dir, running } = await sweepInLevel();
    running.child.kill(signal);
    const ended = await running.ended;
    expect(ended.code, ended.stderr).toBe(code);
    const { report, records } = readRun(out);
    expect(report.status).toBe('interrupted');
    expect(report.levels.map(({ status, requests }) => [status, requests.failed])).toEqual([
      ['complete', 0],
      ['partial', 0],
    ]);
    expect(records).toHaveLength(400 + report.levels[1]!.requests.sent);
    // The stack was well until it was told to go.
    expect(report.stack!.failure).toBeNull();
    expect(stateOf(dir)).toMatchObject({ phase: 'stopped', why: null });
    await rig.nothingLeft([dir]);
  });

  it('kill -9 of the sweep ends the stack by its supervisor; what had ended is on disk', async () => {
    const { out, dir, running } = await sweepInLevel();
    running.child.kill('SIGKILL');
    await running.ended;
    await rig.nothingLeft([dir]);
    expect(stateOf(dir)).toMatchObject({ phase: 'stopped', why: null });
    const report = parseReport(readFileSync(path.join(out, 'report.json'), 'utf8'));
    expect([report.status, report.levels.map(({ status }) => status)]).toEqual(['running', ['complete']]);
    const records = readRecordLines(path.join(out, 'records.ndjson'));
    expect(records.length).toBeGreaterThanOrEqual(400 + 2 * IN_FLIGHT);
    expect(records.every(({ outcome }) => outcome === 'good')).toBe(true);
  });

  it('kill -9 of the supervisor ends the sweep, which takes the stack down', async () => {
    const { out, dir, running } = await sweepInLevel();
    process.kill(stateOf(dir).supervisor.pid, 'SIGKILL');
    const ended = await running.ended;
    expect(ended.code, ended.stderr).toBe(4);
    expect(readRun(out).report).toMatchObject({
      status: 'failed',
      statusDetail: 'the stack is gone: the supervisor of the stack is gone',
    });
    expect(rig.cluster.jobs()).toEqual([]);
    await rig.nothingLeft([dir]);
    expect(stateOf(dir)).toMatchObject({ phase: 'stopped', left: [] });
  });

  it('kill -9 of sweep and supervisor leaves a job that the next launch does not wait for; down ends it', async () => {
    const { dir, running } = await sweepInLevel();
    const state = stateOf(dir);
    running.child.kill('SIGSTOP');
    process.kill(state.supervisor.pid, 'SIGKILL');
    running.child.kill('SIGKILL');
    await running.ended;
    expect(rig.cluster.jobs().map(({ id }) => id)).toEqual([state.job!.id]);
    expect(rig.cluster.steps()).toHaveLength(3);
    const status = await bench(['stack', 'status', dir], rig.options);
    expect(status.stdout).toContain(`the supervisor is gone; clean up: bench stack down ${dir}`);

    const next = newOut();
    const behind = await bench(['stack', 'up', file, '--out', next], rig.options);
    expect(behind.code).toBe(4);
    expect(behind.stderr).toMatch(
      new RegExp(
        `job-pending: job \\d+ waits .* while job ${state.job!.id} of an earlier stack, whose supervisor is gone`,
      ),
    );
    expect(behind.stderr).toContain(`bench stack down ${dir}`);

    const down = await bench(['stack', 'down', dir], rig.options);
    expect(down.code, down.stderr).toBe(0);
    await rig.nothingLeft([dir, next]);
    expect(stateOf(dir).phase).toBe('stopped');
    // Once more finds nothing to do.
    expect((await bench(['stack', 'down', dir], rig.options)).code).toBe(0);
  });

  describe('of which a sweep is sent from the head node', () => {
    let dir: string;

    beforeAll(async () => {
      dir = newOut();
      const up = await bench(['stack', 'up', file, '--detach', '--out', dir], rig.options);
      expect(up.code, up.stderr).toBe(0);
    });

    afterAll(async () => {
      if (dir !== undefined) await bench(['stack', 'down', dir], rig.options);
    });

    const loads = () => rig.cluster.steps().filter(({ name }) => name.endsWith('.load'));
    /** Processes of the sweep here and on the node. */
    const sweeping = () => rig.running().filter((line) => line.includes('--stack-run'));

    it('kill -9 of the command here ends the requests there, keeps what was measured, and leaves the stack', async () => {
      const { out, running } = startSweep(rig, [...LONG, '--stack-run', dir, '--load-on', 'head']);
      const records = path.join(out, 'records.ndjson');
      await vi.waitFor(() => {
        expect(running.child.exitCode, running.output.stderr).toBeNull();
        expect(countLines(records)).toBeGreaterThanOrEqual(400 + 2 * IN_FLIGHT);
      }, PATIENCE);
      expect(loads()).toHaveLength(1);
      expect(sweeping().length).toBeGreaterThanOrEqual(2);
      running.child.kill('SIGKILL');
      await running.ended;
      await vi.waitFor(() => expect([loads(), sweeping()]).toEqual([[], []]), PATIENCE);
      const { report } = readRun(out);
      expect(report.status).toBe('interrupted');
      expect(report.levels.map(({ status, requests }) => [status, requests.failed])).toEqual([
        ['complete', 0],
        ['partial', 0],
      ]);
      expect(stateOf(dir).phase).toBe('ready');
      expect(rig.cluster.steps()).toHaveLength(3);
    });

    it('Ctrl-C before the step is there ends it all the same, exit 130', async () => {
      const { running } = startSweep(rig, [...LONG, '--stack-run', dir, '--load-on', 'head']);
      await vi.waitFor(
        () => expect(rig.running().some((line) => /^pid \d+: srun .*\.load\b/.test(line))).toBe(true),
        { ...PATIENCE, interval: 10 },
      );
      running.child.kill('SIGINT');
      const ended = await running.ended;
      expect(ended.code, ended.stderr).toBe(130);
      expect([loads(), sweeping()]).toEqual([[], []]);
      expect(stateOf(dir).phase).toBe('ready');
      expect(rig.cluster.steps()).toHaveLength(3);
    });
  });

  it(`${CYCLES} times up and down in a row leaves nothing at all`, async () => {
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      const dir = newOut();
      // Every other one is held in the foreground and ends by Ctrl-C.
      const held = cycle % 2 === 1;
      const up = startBench(['stack', 'up', file, '--out', dir, ...(held ? [] : ['--detach'])], rig.options);
      if (held) {
        await vi.waitFor(() => expect(up.output.stderr).toContain('holding the stack'), PATIENCE);
        up.child.kill('SIGINT');
      }
      const ended = await up.ended;
      expect(ended.code, ended.stderr).toBe(0);
      expect(ended.stdout).toContain('model: scripted');
      if (!held) expect((await bench(['stack', 'down', dir], rig.options)).code).toBe(0);
      // At once, not after a time: the command has said that nothing is left.
      expect(rig.cluster.jobs()).toEqual([]);
      await rig.nothingLeft([dir]);
    }
  });
});
