import {
  appendFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { ForeignRun } from '../../src/core/foreign.ts';
import { bench, makeFolder, parseReport } from '../fixtures/cli.ts';
import { AIPERF, changed, sglangLine, VLLM } from '../fixtures/foreign.ts';
import { benchHere } from '../fixtures/in-process.ts';

const SAMPLE = fileURLToPath(new URL('../../results/sample', import.meta.url));

function fileOf(name: string, text: string): string {
  const file = path.join(makeFolder(), name);
  writeFileSync(file, text);
  return file;
}

/** A copy of the run that comes with bench. */
function sampleRun(): string {
  const folder = path.join(makeFolder(), 'run');
  cpSync(SAMPLE, folder, { recursive: true });
  return folder;
}

function sglangFile(): string {
  const lines = ['64', '1'].map((cap) => changed(sglangLine('2026-06'), { max_concurrency: cap }));
  return fileOf('sglang.jsonl', `#Input tokens: 20000\n${lines.join('\n#Output tokens: 28\n')}\n`);
}

describe('bench report FILE', () => {
  it('shows results of each tool with that tool’s definitions', async () => {
    const files = [
      [sglangFile(), 'sglang.bench_serving or bench serving', 'as many as were ASKED for'],
      [fileOf('vllm.json', JSON.stringify(VLLM)), 'vllm bench serve', 'chunk that has `choices`'],
      [fileOf('profile.json', JSON.stringify(AIPERF, null, 2)), 'aiperf', '`inter_chunk_latency`'],
    ] as const;
    for (const [file, tool, words] of files) {
      const ended = await benchHere(['report', file]);
      expect(ended).toMatchObject({ code: 0, stderr: '' });
      expect(ended.stdout).toMatch(new RegExp(`^ {2}${tool.replace('.', '\\.')}  ${file}, \\d results?\\n`));
      expect(ended.stdout.replaceAll(/\s+/g, ' ')).toContain(words);
      expect(ended.stdout).toMatch(/What the numbers mean (?:in|where) /);
    }
  });

  it('gives them as JSON, and in no other format', async () => {
    const file = sglangFile();
    const ended = await benchHere(['report', file, '--format', 'json']);
    expect(ended.code).toBe(0);
    const run = JSON.parse(ended.stdout) as ForeignRun;
    expect(run).toMatchObject({ tool: 'sglang.bench_serving', source: file });
    expect(run.points.map(({ concurrency, requestRate }) => [concurrency, requestRate])).toEqual([
      [64, 'inf'],
      [1, 'inf'],
    ]);
    expect(run.points[0]).toMatchObject({ failed: null, ttftMs: { p50: 240 } });
    const csv = await benchHere(['report', file, '--format', 'csv']);
    expect(csv).toMatchObject({ code: 2, stdout: '' });
    expect(csv.stderr).toMatch(
      /^bench: --format: .*sglang\.bench_serving.* csv\n {2}give one of table, json\n$/,
    );
  });

  it('says in a line what is wrong with a file', async () => {
    const half = sglangLine('2026-06').slice(0, 200);
    const cases = [
      [fileOf('a.jsonl', `${sglangLine('2026-06')}\n${half}\n`), /a\.jsonl:2: not JSON/],
      [fileOf('b.json', '{"some": "thing"}'), /b\.json is no report of bench, and no result of a tool/],
      [fileOf('c.jsonl', `${sglangLine('2026-06')}\n{"some": "thing"}\n`), /c\.jsonl:2: no result of sglang/],
      [fileOf('d.txt', ''), /d\.txt is no report of bench/],
    ] as const;
    for (const [file, words] of cases) {
      const ended = await benchHere(['report', file]);
      expect(ended).toMatchObject({ code: 2, stdout: '' });
      expect(ended.stderr).toMatch(words);
      expect(ended.stderr.trimEnd().split('\n')).toHaveLength(2);
    }
  });

  it('still shows a run by the file of its report', async () => {
    const file = path.join(SAMPLE, 'report.json');
    const [byFile, byFolder] = [await benchHere(['report', file]), await bench(['report', SAMPLE])];
    expect(byFile).toEqual(byFolder);
    const json = await benchHere(['report', file, '--format', 'json']);
    expect(parseReport(json.stdout)).toEqual(parseReport(readFileSync(file, 'utf8')));
  });
});

describe('bench report DIR --export', () => {
  it('writes the files of each form and prints their paths', async () => {
    const run = sampleRun();
    const report = parseReport(readFileSync(path.join(run, 'report.json'), 'utf8'));
    const args = ['--export', 'vllm,aiperf', '--export', 'genai-perf-csv'];
    const ended = await benchHere(['report', run, ...args]);
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    const paths = ended.stdout.trimEnd().split('\n');
    expect(paths).toHaveLength(4 * report.levels.length);
    for (const file of paths) expect(existsSync(file), file).toBe(true);
    const written = readdirSync(path.join(run, 'exports'), { recursive: true, withFileTypes: true });
    expect(written.filter((entry) => entry.isFile())).toHaveLength(paths.length);
    for (const level of report.levels) {
      const { isl, osl, concurrency } = level;
      const file = `exports/vllm/sa-bench_isl_${isl}_osl_${osl}/results_concurrency_${concurrency}.json`;
      const result = JSON.parse(readFileSync(path.join(run, file), 'utf8')) as Record<string, number>;
      expect(result).toMatchObject({
        max_concurrency: concurrency,
        completed: level.requests.good,
        num_prompts: level.requests.sent,
        total_output_tokens: level.outputTokens,
      });
      // A record on disk knows microseconds; the report was made before they were rounded.
      expect(Math.abs(result['output_throughput']! / level.outputTokensPerS! - 1)).toBeLessThan(1e-6);
      expect(Math.abs(result['median_ttft_ms']! - level.ttftMs.p50!)).toBeLessThan(0.001);
      expect(Math.abs(result['mean_tpot_ms']! - level.tpotMs.mean!)).toBeLessThan(0.001);
      expect(Math.abs(result['mean_itl_ms']! - level.itlMs.mean!)).toBeLessThan(0.001);
      expect(Math.abs(result['p99_e2el_ms']! - level.e2eMs.p99!)).toBeLessThan(0.002);
      expect(result['max_concurrent_requests']).toBe(concurrency);
    }
    const again = await benchHere(['report', paths[0]!, '--format', 'json']);
    expect((JSON.parse(again.stdout) as ForeignRun).points[0]).toMatchObject({
      concurrency: report.levels[0]!.concurrency,
      good: report.levels[0]!.requests.good,
    });
  });

  it('takes another folder, and a run whose last record was cut off', async () => {
    const run = sampleRun();
    const out = path.join(makeFolder(), 'elsewhere');
    const whole = await benchHere(['report', run, '--export', 'aiperf', '--export-dir', out]);
    expect(whole.code).toBe(0);
    expect(existsSync(path.join(run, 'exports'))).toBe(false);
    const file = path.join(out, 'aiperf/concurrency_4/profile_export.jsonl');
    const before = readFileSync(file, 'utf8');
    expect(before.trimEnd().split('\n')).toHaveLength(16);
    appendFileSync(path.join(run, 'records.ndjson'), '{"id":9999,"point":0,"concurr');
    expect(await benchHere(['report', run, '--export', 'aiperf', '--export-dir', out])).toEqual(whole);
    expect(readFileSync(file, 'utf8')).toBe(before);
  });

  it('refuses a form that it does not know, a run without records, and results of others', async () => {
    const run = sampleRun();
    const unknown = await benchHere(['report', run, '--export', 'vllm,guidellm']);
    expect(unknown).toMatchObject({ code: 2, stdout: '' });
    expect(unknown.stderr).toMatch(
      /--export: "guidellm" is not known\n {2}give one of .*vllm, aiperf, genai-perf-csv/,
    );
    expect(existsSync(path.join(run, 'exports'))).toBe(false);
    rmSync(path.join(run, 'records.ndjson'));
    const bare = await benchHere(['report', run, '--export', 'vllm']);
    expect(bare).toMatchObject({ code: 2, stdout: '' });
    expect(bare.stderr).toContain('holds no records.ndjson');
    const foreign = await benchHere(['report', sglangFile(), '--export', 'vllm']);
    expect(foreign).toMatchObject({ code: 2, stdout: '' });
    expect(foreign.stderr).toContain('--export: ');
  });
});
