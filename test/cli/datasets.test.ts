import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { bench, makeFolder, newOut, onlyLevel, readRun, startStub } from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';

const SAMPLES = path.join(import.meta.dirname, '../../datasets');
const MOCK = ['--mock', '--mock-flags', '--ttft 2ms --step 1ms'];
const dataset = (name: string, file: string): string[] => [
  ...['--dataset', name, '--dataset-path', path.join(SAMPLES, file)],
];

describe('a dataset with lengths of its own', () => {
  it('asks for each row’s lengths, level after level other rows, and the server counts the same', async () => {
    const out = newOut();
    const load = ['--concurrency', '1,2', '--requests', '4', '--warmup', '1', '--pause', '0s'];
    const rows = dataset('jsonl', 'prompts-sample.jsonl');
    const ended = await bench(['sweep', ...MOCK, ...rows, ...load, '--require-exact', '--out', out]);
    expect(ended.code, ended.stderr).toBe(0);
    const { report, records } = readRun(out);
    const asked = records.map(({ isl, osl }) => `${isl.asked} ${osl.asked}`);
    // Ten rows, of which those of the warm-up ask for 32 tokens at most.
    expect(new Set(asked).size).toBe(10);
    for (const { isl, osl } of records) expect([isl.counted, osl.counted]).toEqual([isl.asked, osl.asked]);
    const { isl, osl } = report.prompts.rows!;
    for (const one of [...report.spec.points, ...report.levels]) expect(one).toMatchObject({ isl, osl });
    for (const { lengths } of report.spec.points) expect(lengths).toBe('dataset');
    expect(ended.stdout).toContain(`jsonl: mean ISL ${isl}, mean OSL ${osl}`);
    expect(ended.stdout).toContain('ISL of each row of the dataset, OSL of each row of the dataset: all 8');
  });

  it('says that nobody knew the lengths of texts where the model’s tokenizer is not at hand', async () => {
    const out = newOut();
    const url = await startStub({ models: ['m'], ownedBy: 'somebody' });
    const load = ['--requests', '4', '--warmup', '0', '--url', url];
    const ended = await bench(['run', ...dataset('sharegpt', 'sharegpt-sample.json'), ...load, '--out', out]);
    expect(ended.code, ended.stderr).toBe(0);
    const run = readRun(out);
    expect(onlyLevel(run).islProof).toMatchObject({ asked: null, unasked: 4, deviations: 0 });
    expect(run.report.prompts.rows!.isl).toBeNull();
    expect(ended.stdout).toContain('4 prompts are as long as the server says');
    expect(ended.stdout).toContain('ISL unknown');
  });

  it('is refused before anything is sent when it has too few rows or a broken one', async () => {
    const seen: unknown[] = [];
    const url = await startStub({ models: ['m'], seen: (body) => seen.push(body) });
    const few = await bench([
      'run',
      ...dataset('jsonl', 'prompts-sample.jsonl'),
      '--url',
      url,
      '--requests',
      '20',
    ]);
    expect(few.code).toBe(2);
    expect(few.stderr).toContain('has 10 usable rows, and 21 prompts are wanted');
    const file = path.join(makeFolder(), 'mine.jsonl');
    writeFileSync(file, '{"prompt": "a", "osl": 4}\n{"promt": "b", "osl": 4}\n');
    const broken = await bench(['run', '--dataset', 'jsonl', '--dataset-path', file, '--url', url]);
    expect(broken.code).toBe(2);
    expect(broken.stderr).toContain(`bench: ${file}, line 2: it has no prompt\n`);
    expect(seen).toEqual([]);
  });
});

describe('what prompts share on purpose', () => {
  it('is one prefix for all load generators, again behind the prompts that were made', async () => {
    const out = newOut();
    const shape = ['--dataset', 'prefix', '--prefix-tokens', '300', '--isl', '400', '--osl', '4'];
    const load = ['--concurrency', '4', '--duration', '2s', '--workers', '2'];
    const flags = ['--mock', '--mock-flags', '--ttft 1ms --step 1ms'];
    const ended = await bench(['run', ...flags, ...shape, ...load, '--require-exact', '--out', out]);
    expect(ended.code, ended.stderr).toBe(0);
    const { records, report } = readRun(out);
    const measured = records.filter(({ phase }) => phase === 'measured');
    expect(measured.length).toBeGreaterThan(128);
    // The mock remembers blocks of 64 characters: 300 words are about 2,000 of them.
    for (const { cachedTokens } of measured) {
      expect(cachedTokens).toBeGreaterThan(280);
      expect(cachedTokens).toBeLessThan(320);
    }
    expect(report.prompts.sharedRatio).toBe(0.75);
    expect(report.prompts).not.toHaveProperty('sharedSalt');
    expect(ended.stdout).not.toContain('WARNING');
  });

  it('of a trace is what its rows share', async () => {
    const out = newOut();
    const rows = dataset('trace', 'trace-sample.jsonl');
    const load = ['--arrival', 'trace', '--slowdown', '0.1', '--warmup', '0', '--require-exact'];
    const ended = await bench(['run', ...MOCK, ...rows, ...load, '--out', out]);
    expect(ended.code, ended.stderr).toBe(0);
    const { records } = readRun(out);
    const cached = new Map(
      [...records]
        .sort((a, b) => a.dueAtMs - b.dueAtMs)
        .map(({ isl, cachedTokens }) => [isl.asked, cachedTokens!]),
    );
    // Whole blocks of 512 tokens, as far as the mock's own of 64 characters tell them.
    for (const [isl, shared] of [
      ...[
        [1_200, 0],
        [1_400, 1_024],
        [700, 0],
        [1_536, 1_024],
        [300, 0],
      ],
      ...[
        [2_000, 512],
        [1_030, 1_024],
        [900, 0],
      ],
    ] as const)
      expect(Math.abs(cached.get(isl!)! - shared!), `${isl}`).toBeLessThan(20);
  });
});

describe('a trace whose numbers may be others', () => {
  const file = (rows: readonly object[]): string => {
    const place = path.join(makeFolder(), 'trace.jsonl');
    writeFileSync(place, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    return place;
  };
  const rows = (timestamps: readonly number[], more: object): string =>
    file(timestamps.map((timestamp) => ({ timestamp, output_length: 6, ...more })));
  const run = async (words: readonly string[]) => {
    const out = newOut();
    const ended = await benchHere([
      'run',
      '--arrival',
      'trace',
      '--warmup',
      '0',
      ...MOCK,
      '--out',
      out,
      ...words,
    ]);
    expect(ended.code, ended.stderr).toBe(0);
    return { ...ended, ...readRun(out) };
  };

  it('is questioned where its timestamps look like seconds, and sent as slowly as they say', async () => {
    const seconds = rows([0, 0.1, 0.2, 0.3, 0.4, 0.5], { input_length: 60, hash_ids: [0] });
    const trace = ['--dataset', 'trace', '--dataset-path', seconds];
    const fast = await run(trace);
    const asked = 'come within 0.5 ms, 10000 a second: are its timestamps seconds? --trace-unit s';
    expect(fast.stderr.split(asked)).toHaveLength(2);
    expect(fast.report.warnings.filter((warning) => warning.includes(asked))).toHaveLength(1);
    const known = await run([...trace, '--trace-unit', 's']);
    expect(known.stderr).not.toContain('--trace-unit');
    expect(known.report.warnings).toEqual([]);
    const dueAtMs = known.records.map((record) => record.dueAtMs).sort((a, b) => a - b);
    expect(dueAtMs.map((atMs) => Math.round(atMs - dueAtMs[0]!))).toEqual([0, 100, 200, 300, 400, 500]);
    const own = await run(['--dataset-path', seconds, '--isl', '40', '--osl', '4', '--trace-unit', 'ms']);
    expect(own.report.warnings).toEqual([]);
    const planned = await benchHere(['run', '--arrival', 'trace', ...trace, '--dry-run']);
    expect(planned.stdout).toContain(asked);
  });

  it('has a sharedRatio of blocks as large as its rows say', async () => {
    const wide = rows([0, 100, 200, 300, 400, 500], { input_length: 2_048, hash_ids: [1, 2] });
    const trace = ['--dataset', 'trace', '--dataset-path', wide];
    const seen = await run(trace);
    expect(seen.report.prompts.sharedRatio).toBeCloseTo(5 / 6, 12);
    expect(seen.stderr).toContain('as many hash_ids as blocks of 1024 tokens');
    const given = await run([...trace, '--trace-block', '512']);
    expect(given.report.prompts.sharedRatio).toBeCloseTo(5 / 12, 12);
    expect(given.report.warnings.filter((warning) => warning.includes('hash_ids'))).toEqual([]);
  });
});
