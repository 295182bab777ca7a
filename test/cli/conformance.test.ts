import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ConformanceResult } from '../../src/core/conformance.ts';
import { bench, makeFolder, newOut, startBench } from '../fixtures/cli.ts';
import { AIPERF, VLLM } from '../fixtures/foreign.ts';
import { pacedTruth, truthText } from '../fixtures/truth.ts';

describe('bench conformance', () => {
  it('finds this program true, by the server’s own log', { timeout: 240_000 }, async () => {
    const measure = async () => {
      const out = newOut();
      // Cases are tried again while the machine is busy: there is no limit to hold this to.
      const ended = await startBench(['conformance', '--quick', '--json', '--out', out], { serves: true })
        .ended;
      return { ended, out, result: JSON.parse(ended.stdout) as ConformanceResult };
    };
    // A program that errs does so each time; a machine with other work to do judges otherwise, or nothing (5).
    let measured = await measure();
    for (let tries = 1; tries < 3 && [1, 5].includes(measured.ended.code ?? 1); tries++)
      measured = await measure();
    const { ended, out, result } = measured;

    expect(ended.code, ended.stderr).toBe(0);
    expect(result.missing).toEqual([]);
    expect(result.cases.map((one) => one.case)).toEqual(['usual', 'tokens-4', 'truncate']);
    const judged = result.cases.filter(({ score }) => score.verdict !== 'void');
    expect(judged.length).toBeGreaterThan(0);
    for (const { client, case: name, score } of judged) {
      expect({ client, verdict: score.verdict, reasons: score.reasons }, name).toEqual({
        client: 'bench',
        verdict: 'pass',
        reasons: [],
      });
      // Four counts and three statistics of five latencies.
      expect(score.scores).toHaveLength(4 + 5 * 3);
      expect(score.stamps!.unmatched).toBe(0);
      expect(score.stamps!.errorMs.p50).toBeGreaterThan(-0.1);
      expect(score.stamps!.errorMs.p50).toBeLessThan(2);
      const truth = (metric: string) => score.scores.find((one) => one.metric === metric)!.truth;
      expect(truth('sent')).toBe(48);
      if (name === 'truncate') expect(truth('failed')).toBeGreaterThan(4);
      else expect(truth('outputTokens')).toBe(48 * (name === 'tokens-4' ? 80 : 40));
      expect(truth('good') + truth('failed')).toBe(48);
    }
    expect(JSON.parse(readFileSync(path.join(out, 'conformance.json'), 'utf8'))).toEqual(result);
    expect(readdirSync(path.join(out, 'bench', 'usual'))).toEqual(
      expect.arrayContaining(['client.log', 'run', 'truth.ndjson']),
    );
    expect(ended.stderr).toContain('[3/3] bench truncate: ');
  });

  it('tells a client that is not there, and fails one that made its numbers up', async () => {
    // In the place of AIPerf, a program that sends nothing and leaves a result.
    const folder = makeFolder();
    const made = path.join(folder, 'made.json');
    writeFileSync(made, JSON.stringify(AIPERF));
    const program = path.join(folder, 'liar');
    const copy = 'while [ "$1" != --artifact-dir ]; do shift; done; cp';
    writeFileSync(program, `#!/bin/sh\n${copy} '${made}' "$2/profile_export_aiperf.json"\n`, { mode: 0o755 });
    const env = { BENCH_AIPERF: program, BENCH_VLLM: '/nowhere/vllm' };
    const args = ['conformance', '--client', 'aiperf,vllm', '--cases', 'truncate', '--out', newOut()];
    const ended = await bench(args, { env });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain('vllm is not scored: BENCH_VLLM is /nowhere/vllm, which is no program');
    expect(ended.stdout).toMatch(/not scored\s+vllm: BENCH_VLLM is/);
    expect(ended.stdout).toContain('aiperf truncate: asked for 48 requests, the server got 0');
    expect(ended.stdout).toContain('aiperf truncate: good: told 12, it was 0');

    const none = await bench(['conformance', '--client', 'vllm', '--cases', 'one'], { env });
    expect(none).toMatchObject({ code: 2, stdout: '' });
    expect(none.stderr).toContain('--client: none of vllm is installed');
  });

  it('fails a client that leaves nothing, with what it said last', async () => {
    const program = path.join(makeFolder(), 'broken');
    writeFileSync(program, '#!/bin/sh\necho "no module named whatever" >&2\nexit 3\n', { mode: 0o755 });
    const out = newOut();
    const args = ['conformance', '--client', 'guidellm', '--cases', 'one', '--out', out];
    const ended = await bench(args, { env: { BENCH_GUIDELLM: program } });
    expect(ended.code).toBe(1);
    expect(ended.stdout).toContain('guidellm one: no result (exit 3: no module named whatever)');
    expect(existsSync(path.join(out, 'guidellm', 'one', 'client.log'))).toBe(true);
  });

  it('scores a result that was recorded elsewhere', async () => {
    const folder = makeFolder();
    const truth = path.join(folder, 'truth.ndjson');
    const pace = { requests: 40, chunks: 21, ttftMs: 100, stepMs: 20 };
    writeFileSync(truth, truthText(pacedTruth(pace)));
    // What vllm bench serve takes for a gap is that to the finish reason, too: 20 of 20 ms and one of none.
    const itl = { mean_itl_ms: 400 / 21, median_itl_ms: 20, p99_itl_ms: 20 };
    const counts = { num_prompts: 40, completed: 40, failed: 0, total_output_tokens: 840 };
    const honest = {
      ...VLLM,
      ...counts,
      ...itl,
      mean_ttft_ms: 101,
      median_ttft_ms: 101,
      p99_ttft_ms: 103,
      mean_tpot_ms: 20,
    };
    const score = async (name: string, result: object) => {
      const file = path.join(folder, name);
      writeFileSync(file, JSON.stringify(result));
      return bench(['conformance', '--truth', truth, '--result', file]);
    };
    const right = await score('right.json', honest);
    expect(right).toMatchObject({ code: 0, stderr: '' });
    expect(right.stdout).toContain('vllm  1 of 1 pass');
    const wrong = await score('wrong.json', { ...honest, mean_ttft_ms: 116 });
    expect(wrong.code).toBe(1);
    expect(wrong.stdout).toContain('ttftMs.mean: told 116.0 ms, it was 100.0 (+16.00, within 2.00 passes)');
  });
});
