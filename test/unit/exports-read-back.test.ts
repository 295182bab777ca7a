import { describe, expect, it } from 'vitest';
import { aiperfExport } from '../../src/exporters/aiperf.ts';
import { vllmExport } from '../../src/exporters/vllm.ts';
import { exported } from '../fixtures/exports.ts';
import { onlyPoint, read } from '../fixtures/foreign.ts';
import { makeRecord } from '../fixtures/records.ts';

const RECORDS = Array.from({ length: 7 }, (_, id) =>
  makeRecord({
    id,
    sentAtMs: id * 31.7,
    gapsMs: [50 + 3.3 * id, 5.1, 7.9, 6 + id],
    endAtMs: 400 + id,
    ...(id === 3 ? { outcome: 'reset' as const } : {}),
  }),
);

describe('what bench exports', () => {
  it('is read back as it was: vLLM', () => {
    const [file] = exported(vllmExport, [RECORDS], [{ concurrency: 4 }]);
    const written = JSON.parse(file!.text) as Record<string, number>;
    const run = read(file!.text);
    expect(run.points[0]).toMatchObject({
      concurrency: 4,
      requestRate: 'inf',
      model: 'Qwen/Qwen3-32B',
      sent: 7,
      good: 6,
      failed: 1,
      durationS: 0.406,
      inputTokens: 600,
      outputTokens: 24,
      outputTokensPerS: 24 / 0.406,
      totalTokensPerS: 624 / 0.406,
    });
    for (const [metric, name] of [
      ['ttftMs', 'ttft'],
      ['itlMs', 'itl'],
      ['tpotMs', 'tpot'],
      ['e2eMs', 'e2el'],
    ] as const)
      expect(run.points[0]![metric]).toEqual({
        mean: written[`mean_${name}_ms`],
        p50: written[`median_${name}_ms`],
        std: written[`std_${name}_ms`],
        p90: written[`p90_${name}_ms`],
        p95: written[`p95_${name}_ms`],
        p99: written[`p99_${name}_ms`],
      });
    expect(run.notes).toEqual([expect.stringMatching(/^not written by vLLM: bench-serving 0\.1\.0/)]);
  });

  it('is read back as it was: AIPerf', () => {
    const [summary] = exported(aiperfExport, [RECORDS], [{ concurrency: 4, isl: 100, osl: 4 }]);
    const point = onlyPoint(summary!.text);
    expect(point).toMatchObject({
      concurrency: 4,
      isl: 100,
      osl: 4,
      sent: 7,
      good: 6,
      failed: 1,
      outputTokens: 24,
    });
    const vllm = onlyPoint(exported(vllmExport, [RECORDS])[0]!.text);
    for (const metric of ['ttftMs', 'itlMs', 'tpotMs', 'e2eMs'] as const) {
      expect(Object.keys(point[metric])).toHaveLength(13);
      for (const name of Object.keys(vllm[metric]))
        expect(point[metric][name]).toBeCloseTo(vllm[metric][name]!, 9);
    }
  });
});
