import { describe, expect, it } from 'vitest';
import { DEFAULT_POLICY } from '../../src/core/policy.ts';
import { parsePolicy } from '../../src/gate/policy.ts';
import { refusal } from '../fixtures/refusal.ts';

const parse = (text: string) => parsePolicy(text, 'gate.yaml');

describe('a policy', () => {
  it('is read with its shares, limits and levels', () => {
    const policy = parse(`
schema: 1
metrics:
  ttftMs.p50: {max_increase: 10%}
  outputTokensPerS: {max_decrease: 0.05, min: 5000}
  itlMs.p95: {max: 30ms}
  e2eMs.p50: {max: 2s, max_increase: 150%}
levels:
  - concurrency: 64
    isl: 4000
    metrics: {tpotMs.p50: {max_increase: 2.5 %}}
max_failure_ratio: 0.5%
require_valid: false
require_exact: true
`);
    const all = { level: null, worseRatio: null, limit: null };
    expect(policy).toEqual({
      rules: [
        { ...all, metric: 'ttftMs.p50', worseRatio: 0.1 },
        { ...all, metric: 'outputTokensPerS', worseRatio: 0.05 },
        { ...all, metric: 'outputTokensPerS', limit: 5_000 },
        { ...all, metric: 'itlMs.p95', limit: 30 },
        { ...all, metric: 'e2eMs.p50', worseRatio: 1.5 },
        { ...all, metric: 'e2eMs.p50', limit: 2_000 },
        { ...all, metric: 'tpotMs.p50', worseRatio: 0.025, level: { concurrency: 64, isl: 4_000 } },
      ],
      maxFailureRatio: 0.005,
      requireValid: false,
      requireExact: true,
    });
  });

  it('asks for valid levels and no failure where it does not say', () => {
    expect(parse('metrics: {ttftMs.p50: {max_increase: 2%}}')).toMatchObject({
      maxFailureRatio: 0,
      requireValid: true,
      requireExact: false,
    });
  });

  it.each([
    [
      'metrics: {ttftMs.p50: {max_increase: 10}}',
      'gate.yaml:1:38: metrics.ttftMs.p50.max_increase: 10 is no share',
    ],
    ['metrics: {outputTokensPerS: {max_decrease: 100%}}', '"100%" is no share below 100 %'],
    ['metrics: *nope', 'gate.yaml: Unresolved alias'],
    ['[1]', 'gate.yaml is no policy'],
    [
      'metrics: {ttftMs.p50: {max_decrease: 1%}}',
      'gate.yaml:1:23: ttftMs.p50: less of it is better: write max_increase or max',
    ],
    [
      'metrics: {outputTokensPerS: {max: 30}}',
      'outputTokensPerS: more of it is better: write max_decrease or min',
    ],
    [
      'metrics: {ttftMs.p5: {max_increase: 1%}}',
      'ttftMs.p5: is no metric with a better and a worse: did you mean "ttftMs.p50"?',
    ],
    ['metrics: {requests.sent: {max: 1}}', 'requests.sent: is no metric with a better and a worse'],
    ['metrics: {itlMs.p95: {max: 30}}', 'itlMs.p95: limit: "30" is not a duration'],
    ['metrics: {itlMs.p95: {max: 0ms}}', 'itlMs.p95: "0ms" is no limit: write 30ms or 2s'],
    ['metrics: {itlMs.p95: {}}', 'itlMs.p95: has no rule: write max_increase or max'],
    [
      'metrics: {itlMs.p95: {maximum: 3ms}}',
      'gate.yaml:1:23: unknown key "maximum" in metrics.itlMs.p95: known: max_increase, max_decrease, max, min',
    ],
    ['metric: {}', 'gate.yaml:1:1: unknown key "metric": did you mean "metrics"?'],
    ['metrics: {}', 'gate.yaml: no metric has a rule'],
    ['levels: []', 'gate.yaml: no metric has a rule'],
    ['require_valid: false\nmetrics: {}', 'gate.yaml: no metric has a rule'],
    ['', 'gate.yaml: no metric has a rule'],
    ['# require_valid: false', 'gate.yaml: no metric has a rule'],
    ['schema: 2', 'gate.yaml:1:9: schema: 2 is not 1, the version that this bench reads'],
    ['levels: [{concurrency: 0, metrics: {}}]', 'gate.yaml:1:24: levels[0].concurrency: 0 is less than 1'],
    ['metrics: {a: [}', 'errors in gate.yaml'],
  ])('%s is refused', (text, message) => {
    expect(refusal(() => parse(text))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining(message),
    });
  });

  it.each([
    ['require_valid: false', { requireValid: false }],
    ['require_exact: true', { requireExact: true }],
    ['max_failure_ratio: 1%', { maxFailureRatio: 0.01 }],
    ['schema: 1', {}],
  ])('of %s alone has the default rules', (text, patch) => {
    expect(parse(text)).toEqual({ ...DEFAULT_POLICY, ...patch });
    const rules = [{ metric: 'ttftMs.p50', level: null, worseRatio: 0.1, limit: null }];
    expect(parsePolicy(text, 'gate.yaml', rules)).toEqual({ ...DEFAULT_POLICY, ...patch, rules });
  });

  it('is refused with all its errors at once', () => {
    const { message, hint } = refusal(() =>
      parse('metrics:\n  ttftMs.p5: {max: 1s}\n  itlMs.p50: {min: 1}\n'),
    );
    expect(message).toBe('2 errors in gate.yaml');
    expect(hint).toMatch(/gate\.yaml:2:\d+: ttftMs\.p5: .*\n {2}gate\.yaml:3:\d+: itlMs\.p50: /);
  });
});
