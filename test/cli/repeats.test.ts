import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Report } from '../../src/core/report.ts';
import {
  bench,
  newOut,
  parseReport,
  readRecordLines,
  startBench,
  startServer,
  until,
} from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';

const FAST = '--ttft 20ms --step 1ms';
const SHAPE = ['--isl', '50', '--osl', '5', '--pause', '0s'];

const reportIn = (folder: string): Report =>
  parseReport(readFileSync(path.join(folder, 'report.json'), 'utf8'));

const documentIn = (folder: string, name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as Record<string, unknown>;

describe('--repeats', () => {
  it('sweeps all levels each time, into a run of its own with prompts of its own', async () => {
    const { url } = await startServer(FAST);
    const out = newOut();
    const args = ['sweep', '--url', url, ...SHAPE, '--concurrency', '1,2', '--repeats', '3', '--out', out];
    const ended = await bench([...args, '--export', 'sglang']);
    expect(ended.code).toBe(0);
    expect(ended.stderr).toContain('repeat 2 of 3');
    expect(ended.stdout).toMatch(/sweep {2}3 of 3 repeats complete/);
    // Concurrency, good of sent, mean and variation.
    expect(ended.stdout).toMatch(/^ +1 +12\/12 +2\d\.\d +<?\d+\.\d %/m);
    expect(ended.stdout).toMatch(/^ +2 +24\/24 /m);
    expect(ended.stdout.match(/^export: .*/gm)).toHaveLength(3);
    const reports = [1, 2, 3].map((number) => reportIn(path.join(out, `${number}`)));
    expect(reports.map(({ spec }) => spec.repeat)).toEqual(
      [1, 2, 3].map((number) => ({ set: reports[0]!.spec.repeat!.set, number, of: 3 })),
    );
    expect(new Set(reports.map(({ spec }) => spec.prompts.salt)).size).toBe(3);
    expect(reports.every(({ levels }) => levels.map(({ concurrency }) => concurrency).join() === '1,2')).toBe(
      true,
    );
    // One after another: no level of a repeat begins before the last of the one before has ended.
    const begun = reports.map(({ origin }) => Date.parse(origin.utc));
    const done = reports.map(({ finishedUtc }) => Date.parse(finishedUtc!));
    expect(begun[1]).toBeGreaterThanOrEqual(done[0]!);
    expect(begun[2]).toBeGreaterThanOrEqual(done[1]!);
    expect(documentIn(out, 'repeats.json')).toMatchObject({
      schema: 'bench-serving.repeats/1',
      status: 'complete',
      repeats: 3,
      runs: ['1', '2', '3'].map((folder, nth) => ({ folder, utc: reports[nth]!.origin.utc })),
    });
    rmSync(path.join(out, 'report.html'));
    const again = await bench(['report', out]);
    expect(again).toMatchObject({ code: 0, stderr: '' });
    // Without its lines on where the results are.
    expect(ended.stdout).toBe(
      `${again.stdout}\nresults: ${out}\n${ended.stdout.match(/^export: .*\n/gm)!.join('')}`,
    );
    expect(readFileSync(path.join(out, 'report.html'), 'utf8')).toContain(
      '<h1>sweep: 3 of 3 repeats complete</h1>',
    );
    const lines = await bench(['report', out, '--format', 'json']);
    expect(
      lines.stdout
        .trimEnd()
        .split('\n')
        .map((line) => parseReport(line).origin.utc),
    ).toEqual(reports.map(({ origin }) => origin.utc));
    expect((await bench(['report', out, '--format', 'csv'])).stderr).toContain('holds 3 runs');
    // The folder is taken.
    expect(await bench(args)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('already holds a run'),
    });
  });

  it('is gone on with where it was cut, and ends at the first signal', async () => {
    const { url } = await startServer('--ttft 20ms --step 10ms');
    const out = newOut();
    const running = startBench([
      ...['sweep', '--url', url, '--isl', '50', '--osl', '20', '--concurrency', '1', '--repeats', '3'],
      ...['--pause', '0s', '--grace', '0s', '--out', out],
    ]);
    await until('the second repeat', () => existsSync(path.join(out, '2', 'report.json')));
    running.child.kill('SIGINT');
    const ended = await running.ended;
    expect(ended.code).toBe(130);
    expect(existsSync(path.join(out, '3'))).toBe(false);
    const first = reportIn(path.join(out, '1'));
    expect(reportIn(path.join(out, '2')).status).toBe('interrupted');
    const runs = (second: string) => [
      { folder: '1', status: 'complete' },
      { folder: '2', status: second },
    ];
    expect(documentIn(out, 'repeats.json')).toMatchObject({
      status: 'interrupted',
      repeats: 3,
      runs: runs('interrupted'),
    });
    const partial = await bench(['report', out]);
    expect(partial).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('1 of 3 repeats complete'),
      stderr: 'bench: the command was interrupted after 2 runs\n',
    });
    // What a run leaves that is killed while it gets ready.
    mkdirSync(path.join(out, '3'));
    for (const name of ['records.ndjson', 'spec.json']) writeFileSync(path.join(out, '3', name), '');
    const resumed = await bench(['sweep', '--resume', out, '--url', url]);
    expect(resumed.code).toBe(0);
    expect(resumed.stderr).not.toContain('repeat 1 of 3');
    expect(resumed.stdout).toContain('3 of 3 repeats complete');
    expect(documentIn(out, 'repeats.json')).toMatchObject({
      status: 'complete',
      runs: [...runs('complete'), { folder: '3', status: 'complete' }],
    });
    expect(reportIn(path.join(out, '1'))).toEqual(first);
    for (const number of [2, 3]) {
      const report = reportIn(path.join(out, `${number}`));
      expect(report).toMatchObject({
        status: 'complete',
        spec: { repeat: { number, set: first.spec.repeat!.set } },
      });
      expect(
        readRecordLines(path.join(out, `${number}`, 'records.ndjson')).filter(
          ({ phase }) => phase === 'measured',
        ),
      ).toHaveLength(4);
    }
    expect(await bench(['sweep', '--resume', out, '--url', url])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('all 3 runs'),
    });
  });

  it('has a document while it is running that says so, and that a kill leaves', async () => {
    const { url } = await startServer(FAST);
    const out = newOut();
    const running = startBench([
      ...['sweep', '--url', url, '--isl', '50', '--osl', '5', '--concurrency', '1', '--repeats', '2'],
      ...['--pause', '30s', '--out', out],
    ]);
    await until('the document', () => existsSync(path.join(out, 'repeats.json')));
    running.child.kill('SIGKILL');
    await running.ended;
    expect(documentIn(out, 'repeats.json')).toMatchObject({
      status: 'running',
      runs: [{ folder: '1', status: 'complete' }],
    });
    expect(await bench(['report', out])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('1 of 2 repeats complete'),
      stderr: 'bench: the command has not ended, or was killed: 1 run so far\n',
    });
  });

  it('ends in the pause between two repeats, too', async () => {
    const { url } = await startServer(FAST);
    const out = newOut();
    const running = startBench([
      ...['sweep', '--url', url, '--isl', '50', '--osl', '5', '--concurrency', '1', '--repeats', '2'],
      ...['--pause', '30s', '--out', out],
    ]);
    await until('the pause', () => {
      const file = path.join(out, '1', 'report.json');
      return existsSync(file) && reportIn(path.join(out, '1')).status === 'complete';
    });
    // The report is on disk a moment before the run has ended.
    await until('the end of the first', () => existsSync(path.join(out, '1', 'report.html')));
    await new Promise((resolve) => setTimeout(resolve, 500));
    running.child.kill('SIGTERM');
    const ended = await running.ended;
    expect(ended.code).toBe(143);
    expect(ended.stderr).toContain('stopping: no further run is begun');
    expect(ended.stdout).toContain('1 of 2 repeats complete');
    expect(existsSync(path.join(out, '2'))).toBe(false);
  });

  it('is shared out among workers as a single run is', async () => {
    const { url } = await startServer(FAST);
    const out = newOut();
    const ended = await bench([
      ...[
        'sweep',
        '--url',
        url,
        ...SHAPE,
        '--concurrency',
        '4',
        '--repeats',
        '2',
        '--workers',
        '2',
        '--out',
        out,
      ],
    ]);
    expect(ended.code).toBe(0);
    for (const number of ['1', '2'])
      expect(reportIn(path.join(out, number)).levels[0]!.ranks).toHaveLength(2);
  });

  it('stops at a repeat that finds no server, and keeps those before', async () => {
    const { url, running } = await startServer(FAST);
    const out = newOut();
    const sweep = startBench([
      ...['sweep', '--url', url, '--isl', '50', '--osl', '5', '--concurrency', '1', '--repeats', '3'],
      ...['--pause', '2s', '--out', out],
    ]);
    await until(
      'the first repeat',
      () =>
        sweep.output.stderr.includes('C=1') &&
        existsSync(path.join(out, '1', 'report.json')) &&
        reportIn(path.join(out, '1')).status === 'complete',
    );
    running.child.kill('SIGKILL');
    const ended = await sweep.ended;
    expect(ended.code).toBe(3);
    expect(ended.stdout).toContain('1 of 3 repeats complete');
    expect(ended.stdout).toContain(`go on with it: bench sweep --resume ${out}`);
    expect(existsSync(path.join(out, '3'))).toBe(false);
    rmSync(out, { recursive: true });
  });

  it.each([
    [['--repeats', '0'], '--repeats: 0 is no whole number from 1 on'],
    [['--repeats', '1.5'], '--repeats: 1.5 is no whole number from 1 on'],
  ])('%j is refused', async (words, message) => {
    const ended = await benchHere(['sweep', '--isl', '5', '--osl', '5', ...words]);
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(message) });
  });
});

describe('bench ab', () => {
  it('measures two servers in the order A B B A, and tells which is slower', async () => {
    const [a, b] = [await startServer(FAST), await startServer('--ttft 40ms --step 1ms')];
    const out = newOut();
    const args = ['ab', '--a', a.url, '--b', b.url, ...SHAPE, '--concurrency', '1', '--repeats', '4'];
    const ended = await bench([...args, '--metric', 'ttftMs.p50', '--out', out]);
    expect(ended.code).toBe(1);
    expect(
      ended.stderr
        .match(/^[AB] \d of 4/gm)!
        .map((label) => label[0])
        .join(''),
    ).toBe('ABBAABBA');
    expect(ended.stdout).toMatch(/all levels +ttftMs\.p50 .* worse/);
    expect(ended.stdout).toContain(`differs       address (where or when): ${a.url} → ${b.url}`);
    expect(reportIn(path.join(out, 'b', '3'))).toMatchObject({
      target: { urls: [b.url] },
      spec: { repeat: { side: 'b', number: 3, of: 4 } },
    });
    const json = await benchHere(['report', out, '--format', 'json']);
    expect(documentIn(out, 'ab.json')).toMatchObject({
      schema: 'bench-serving.ab/1',
      status: 'complete',
      ...{ repeats: 4, metrics: ['ttftMs.p50'], marginRatio: 0.02, comparison: JSON.parse(json.stdout) },
    });
    const again = await benchHere(['report', out]);
    // Whatever the command came to: it is shown here, and judged there.
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect(`${again.stdout}\nresults: ${out}\n`).toBe(ended.stdout);
    expect(readFileSync(path.join(out, 'report.html'), 'utf8')).toContain('<h1>A → B</h1>');
    rmSync(path.join(out, 'report.html'));
    const exported = await benchHere(['report', out, '--export', 'html']);
    expect(exported).toMatchObject({ code: 0, stdout: `${path.join(out, 'report.html')}\n` });
    expect(await benchHere(['report', out, '--export', 'vllm'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`holds 8 runs\n  name one of them, as in ${path.join(out, 'a', '1')}`),
    });
    const swapped = await bench([
      'compare',
      path.join(out, 'b'),
      path.join(out, 'a'),
      '--metric',
      'ttftMs.p50',
    ]);
    expect(swapped).toMatchObject({ code: 0, stdout: expect.stringMatching(/ttftMs\.p50 .* better/) });
  });

  it.each([
    [['--a', 'http://x'], 'missing: --b'],
    [
      ['--a', 'http://x', '--b', 'http://y', '--isl', '5', '--osl', '5', '--repeats', '3'],
      '--repeats: 3 is odd',
    ],
    [['--a', 'http://x', '--b', 'http://x', '--isl', '5', '--osl', '5'], '--a and --b: both are http://x'],
    [
      ['--a', 'http://x', '--b', 'http://y', '--isl', '5', '--osl', '5', '--metric', 'no'],
      '"no" has no better',
    ],
    [['--a', 'http://x', '--b', 'http://y'], 'the shape is missing'],
    [['--a', 'http://x', '--b', 'http://y', '--stack', 'f'], 'unknown: --stack'],
  ])('%j is refused', async (words, message) => {
    expect(await benchHere(['ab', ...words])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining(message),
    });
  });
});

describe('a folder whose document is none', () => {
  const folder = (document: unknown): string => {
    const out = newOut();
    mkdirSync(path.join(out, '1'), { recursive: true });
    writeFileSync(
      path.join(out, '1', 'report.json'),
      readFileSync(path.resolve('results/sample/report.json'), 'utf8'),
    );
    writeFileSync(
      path.join(out, 'ab.json'),
      typeof document === 'string' ? document : JSON.stringify(document),
    );
    return out;
  };
  const GOOD = {
    schema: 'bench-serving.ab/1',
    status: 'complete',
    runs: [{ folder: '1' }],
    repeats: 2,
    metrics: null,
    marginRatio: 0.02,
  };

  it.each([
    ['{', 'cannot read'],
    [{ ...GOOD, schema: 'bench-serving.ab/2' }, 'schema: '],
    [{ ...GOOD, status: 'done' }, 'status: '],
    [{ ...GOOD, runs: [] }, 'runs: '],
    [{ ...GOOD, runs: [{ folder: '../1' }] }, 'runs.0.folder: is no folder of a run'],
    [{ ...GOOD, runs: [{ folder: 'a/1' }] }, 'cannot read'],
    [{ ...GOOD, marginRatio: '2%' }, 'marginRatio: '],
  ])('%j is refused', async (document, message) => {
    const ended = await benchHere(['report', folder(document)]);
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(message) });
  });

  it('is not one whose runs cannot be compared: it says so', async () => {
    expect(await benchHere(['report', folder(GOOD)])).toMatchObject({
      code: 0,
      stdout: '',
      stderr: 'nothing to compare: of A 0 runs are complete, of B 0\n',
    });
  });
});
