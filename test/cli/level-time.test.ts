import { describe, expect, it } from 'vitest';
import { parseAccess, parseSpec } from '../../src/commands/arguments.ts';
import { exitCodeOf } from '../../src/commands/exit-code.ts';
import type { MeasureArgs } from '../../src/commands/options.ts';
import type { StackLink } from '../../src/commands/stack/link.ts';
import { runSweep, type SweepResult } from '../../src/commands/sweep-run.ts';
import { startClock } from '../../src/host/clock.ts';
import { readProvenance } from '../../src/host/environment.ts';
import { RunStore } from '../../src/host/store.ts';
import { MAIN, newOut, readRun, startServer } from '../fixtures/cli.ts';

/** A sweep of two levels on a stack whose allocation has so much time left before each. */
async function sweepWith(leftMs: readonly number[]): Promise<SweepResult & { readonly out: string }> {
  // Prompts are made by the built program.
  process.argv[1] = MAIN;
  const { url } = await startServer('--ttft 5ms --step 1ms');
  const left = [...leftMs];
  const stack = {
    lost: new AbortController().signal,
    lostReason: null,
    get leftMs() {
      return left.shift()!;
    },
    verdict: () => Promise.resolve(),
    whyLost: () => Promise.resolve(null),
    takeMissing: () => null,
    facts: () => ({
      ...{
        name: 's',
        run: 'r',
        dir: '.',
        mode: 'salloc',
        jobId: '1',
        nodes: ['n1'],
        gpus: null,
        image: null,
      },
      ...{ startupS: { 'stack.ready': 1 }, failure: null, warnings: [], versions: {}, drivers: {} },
    }),
  } as unknown as StackLink;
  const args = {
    ...{ url: [url], header: [], concurrency: '1,2', requests: 4, warmup: 0, isl: 40, osl: 4, skip: 0 },
    ...{ dataset: 'random', 'range-ratio': 1, 'isl-counts': 'prompt', text: 'words', seed: 1, tag: [] },
    ...{
      endpoint: 'openai-chat',
      server: 'auto',
      wire: 'auto',
      pause: '0s',
      grace: '1s',
      'hold-load': false,
    },
    ...{ 'connection-per-request': false, 'timeout-connect': '5s', 'timeout-first': '5s' },
    ...{ 'timeout-idle': '5s', 'timeout-total': '5s', 'requests-per-concurrency': 4 },
    ...{
      'require-exact': false,
      'max-failure-ratio': 0,
      omit: [],
      query: [],
      'server-metrics': ['off'],
      'dataset-repeat': false,
    },
  } as unknown as MeasureArgs;
  const access = parseAccess(args);
  const out = newOut();
  const store = RunStore.create(out);
  const result = await runSweep({
    spec: parseSpec(args, access, 'sweep'),
    access,
    clock: startClock(),
    provenance: readProvenance([], 'test'),
    store,
    quiet: true,
    ...{ earlier: [], earlierNotes: [], firstId: 0, stack },
  });
  store.close();
  return { ...result, out };
}

const LONG_MS = 3_600_000;

describe('levels that outlast the allocation', () => {
  it('are exit 4 where none is left that was measured', async () => {
    const { report, exitCode, out } = await sweepWith([10, 10]);
    expect(exitCode).toBe(4);
    expect(report.levels.map(({ status }) => status)).toEqual(['skipped', 'skipped']);
    expect(report).toMatchObject({
      status: 'failed',
      statusDetail: 'no level fitted into what was left of the allocation',
    });
    const stored = readRun(out).report;
    expect(exitCodeOf(stored, [])).toBe(4);
    expect(exitCodeOf({ ...stored, levels: [] }, [])).toBe(0);
  });

  it('are no failure beside one that was', async () => {
    const { report, exitCode } = await sweepWith([LONG_MS, 10]);
    expect(exitCode).toBe(0);
    expect(report.levels.map(({ status }) => status)).toEqual(['complete', 'skipped']);
    expect(report).toMatchObject({ status: 'complete', statusDetail: null });
  });
});
