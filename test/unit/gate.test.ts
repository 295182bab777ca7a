import { describe, expect, it } from 'vitest';
import { judgeGate } from '../../src/core/gate.ts';
import { ALPHA, type Check } from '../../src/core/gate-check.ts';
import type { Policy, Rule } from '../../src/core/policy.ts';
import type { Repeat, RepeatLevel } from '../../src/core/repeat.ts';
import { refusal } from '../fixtures/refusal.ts';
import { makeRepeat, makeRepeatLevel } from '../fixtures/repeats.ts';

/** Five runs that differ by about 1 %. */
const NOISE = [1, 1.01, 0.99, 1.005, 0.995];

const at = (nth: number): Partial<Repeat> => ({ utc: `2026-06-01T00:0${nth}:00.000Z` });

const rule = (metric: string, patch: Partial<Rule> = {}): Rule => ({
  metric,
  level: null,
  worseRatio: 0.05,
  limit: null,
  ...patch,
});

const policy = (rules: readonly Rule[], patch: Partial<Policy> = {}): Policy => ({
  rules,
  maxFailureRatio: 0,
  requireValid: false,
  requireExact: false,
  ...patch,
});

/** Runs of two levels, with these factors on both metrics. */
function side(
  factor: { readonly ttft?: number; readonly perS?: number } = {},
  patch: Partial<RepeatLevel> = {},
  of: Partial<Repeat> = {},
): Repeat[] {
  return NOISE.map((noise, nth) =>
    makeRepeat(
      [8, 64].map((concurrency) =>
        makeRepeatLevel(
          concurrency,
          {
            'ttftMs.p50': 3 * concurrency * noise * (factor.ttft ?? 1),
            'itlMs.p95': 20 * noise,
            outputTokensPerS: 100 * concurrency * NOISE[(nth + 2) % 5]! * (factor.perS ?? 1),
          },
          patch,
        ),
      ),
      { ...at(nth), ...of },
    ),
  );
}

const judge = (candidate: Repeat[], of: Policy, anchor: Repeat[] | null = null) =>
  judgeGate({ baseline: side(), anchor, candidate }, of);

const ofMetrics = (checks: readonly Check[]) =>
  checks.filter(({ against }) => against !== 'runs').map(({ name, verdict }) => [name, verdict]);

describe('a change', () => {
  it.each([
    ['ttftMs.p50', { ttft: 1.1 }, 'fail'],
    ['ttftMs.p50', { ttft: 0.8 }, 'pass'],
    ['ttftMs.p50', {}, 'pass'],
    // Sure to be there, and within the margin of 5 %.
    ['ttftMs.p50', { ttft: 1.03 }, 'pass'],
    // The estimate is within, its bound is not.
    ['ttftMs.p50', { ttft: 1.045 }, 'inconclusive'],
    ['outputTokensPerS', { perS: 0.9 }, 'fail'],
    ['outputTokensPerS', { perS: 1.2 }, 'pass'],
    // A fall by 4.9 % is within 5 %, though the way back would be a rise by more.
    ['outputTokensPerS', { perS: 0.951 }, 'inconclusive'],
  ])('of %s by %j: %s', (metric, factor, verdict) => {
    const result = judge(side(factor), policy([rule(metric)]));
    expect(ofMetrics(result.checks)).toEqual([[metric, verdict]]);
    expect(result.verdict).toBe(verdict);
  });

  it('fails only when its p of all that is asked is at most one in twenty', () => {
    const wide = [1, 1.1, 0.9, 1.05, 0.95];
    const runs = (factor: number): Repeat[] =>
      wide.map((noise, nth) =>
        makeRepeat(
          [
            makeRepeatLevel(8, {
              'ttftMs.p50': 100 * noise * factor,
              'tpotMs.p50': 10,
              'e2eMs.p50': 1_000,
              'itlMs.p50': 10,
            }),
          ],
          at(nth),
        ),
      );
    const judged = (metrics: readonly string[]): Check => {
      const sides = { baseline: runs(1), anchor: null, candidate: runs(1.12) };
      return judgeGate(sides, policy(metrics.map((metric) => rule(metric)))).checks.find(
        ({ name }) => name === 'ttftMs.p50',
      )!;
    };
    const alone = judged(['ttftMs.p50']);
    expect(alone).toMatchObject({ verdict: 'fail', pAdjusted: alone.change!.pWorse });
    const among = judged(['ttftMs.p50', 'tpotMs.p50', 'e2eMs.p50', 'itlMs.p50']);
    expect(among.pAdjusted).toBeCloseTo(4 * alone.pAdjusted!, 12);
    expect(among.pAdjusted).toBeGreaterThan(ALPHA);
    expect(among).toMatchObject({
      verdict: 'inconclusive',
      why: expect.stringContaining('worse by 12 %, which may be chance'),
    });
  });

  it('at a level that no rule names is told and decides nothing', () => {
    const candidate = side().map((run) => ({
      ...run,
      levels: run.levels.map((level, nth) =>
        nth === 0
          ? level
          : { ...level, values: { ...level.values, 'ttftMs.p50': level.values['ttftMs.p50']! * 1.08 } },
      ),
    }));
    const overall = judge(candidate, policy([rule('ttftMs.p50')]));
    expect(overall.verdict).toBe('pass');
    expect(overall.advisory.map(({ level }) => level?.concurrency)).toEqual([64]);
    const named = judge(
      candidate,
      policy([rule('ttftMs.p50'), rule('ttftMs.p50', { level: { concurrency: 64 } })]),
    );
    expect(ofMetrics(named.checks)).toEqual([
      ['ttftMs.p50', 'pass'],
      ['ttftMs.p50', 'fail'],
    ]);
    expect(named.advisory).toEqual([]);
    expect(
      refusal(() => judge(candidate, policy([rule('ttftMs.p50', { level: { concurrency: 7 } })]))),
    ).toMatchObject({
      message: 'the policy names a level that is not measured: concurrency 7',
      exitCode: 2,
    });
  });

  it('is held against an anchor too, so that small losses do not add up', () => {
    const anchor = side({ ttft: 0.9 });
    const alone = judge(side({ ttft: 1.02 }), policy([rule('ttftMs.p50')]));
    expect(alone.verdict).toBe('pass');
    const both = judge(side({ ttft: 1.02 }), policy([rule('ttftMs.p50')]), anchor);
    expect(
      both.checks.filter(({ name }) => name === 'ttftMs.p50').map((one) => [one.against, one.verdict]),
    ).toEqual([
      ['baseline', 'pass'],
      ['anchor', 'fail'],
    ]);
    expect(both.anchor?.repeats).toEqual({ base: 5, cand: 5 });
    expect(both.verdict).toBe('fail');
  });

  it('of a single run is judged where the baseline is of three days, and refused before', () => {
    const days = (count: number): Repeat[] =>
      Array.from({ length: count }, (_, day) => ({
        ...side()[day % 5]!,
        set: `day ${day}`,
        utc: `2026-06-1${day}T00:00:00.000Z`,
      }));
    const one = (factor: number): Repeat[] => side({ ttft: factor }).slice(0, 1);
    const against = (baseline: Repeat[], factor: number) =>
      judgeGate({ baseline, anchor: null, candidate: one(factor) }, policy([rule('ttftMs.p50')]));
    expect(refusal(() => against(days(2), 2.5))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('a baseline made at 3 different times or more is needed'),
    });
    const twice = side().concat(side({}, {}, { set: 'two' }));
    expect(refusal(() => against(twice, 2.5)).message).toContain('there are 10 and 1 repeats');
    expect(against(days(3), 2.5).verdict).toBe('fail');
    expect(against(days(3), 1).verdict).toBe('pass');
    expect(against(days(8), 1.5)).toMatchObject({ verdict: 'fail' });
    expect(against(days(8), 1).verdict).toBe('pass');
    expect(against(days(8), 1.5).checks.at(-1)!.change!.grounds).toBe('history');
  });
});

describe('a change from a history', () => {
  const runsAt = (metric: string, values: readonly number[], day: number): Repeat[] =>
    values.map((value, nth) =>
      makeRepeat([makeRepeatLevel(8, { [metric]: value, 'e2eMs.p50': 1_000 * NOISE[nth]! })], {
        set: `day ${day + nth}`,
        utc: new Date(Date.UTC(2026, 5, day + nth)).toISOString(),
      }),
    );
  const of = (metric: string, days: readonly number[], cand: readonly number[]): Check =>
    judgeGate(
      { baseline: runsAt(metric, days, 1), anchor: null, candidate: runsAt(metric, cand, 20) },
      // Of two metrics, so that p alone shows less.
      policy([rule(metric), rule('e2eMs.p50')]),
    ).checks.find(({ name }) => name === metric)!;

  it.each([
    [[10, 12, 9], [25], 'worse', 'fail'],
    [[10, 13, 8], [25], 'worse', 'fail'],
    [[10, 13, 8], [40], 'worse', 'fail'],
    // Each of two days has to be beyond.
    [[10, 13, 8], [26, 25], 'worse', 'fail'],
    [[10, 13, 8], [26, 24], null, 'inconclusive'],
    // Beyond the slowest by 80 %, and not by 1.3 times their range.
    [[10, 13, 8], [24], null, 'inconclusive'],
    [[10, 20, 8], [65], null, 'inconclusive'],
    [[10, 20, 8], [67], 'worse', 'fail'],
    // Of days so much alike, Student's t sees it anyhow.
    [[10, 11, 9], [19.7], null, 'fail'],
    [[10, 11, 9], [19.9], 'worse', 'fail'],
    [[10, 10.1, 9.9], [10.1], null, 'pass'],
    [[10, 13, 8], [10], null, 'inconclusive'],
  ])('of days of %j ms by runs of %j ms is gross: %s, %s', (days, cand, gross, verdict) => {
    expect(of('tpotMs.p50', days, cand)).toMatchObject({ verdict, change: { grounds: 'history', gross } });
  });

  it('for the better is gross by the same rule, and passes', () => {
    expect(of('tpotMs.p50', [10, 13, 8], [3])).toMatchObject({
      verdict: 'pass',
      change: { gross: 'better' },
    });
  });

  it('names the rule that it fails by', () => {
    expect(of('tpotMs.p50', [10, 13, 8], [25]).why).toBe(
      'worse by 147 %: it is beyond every time of the baseline by more than 80 %, and by more than 1.3 times their range of logs',
    );
  });

  it('of a rate fails by the same ratio, and where it fell to 0', () => {
    expect(of('outputTokensPerS', [100, 130, 80], [42]).verdict).toBe('fail');
    expect(of('outputTokensPerS', [100, 130, 80], [43]).verdict).toBe('inconclusive');
    expect(of('outputTokensPerS', [100, 130, 80], [0])).toMatchObject({
      verdict: 'fail',
      why: expect.stringMatching(/^worse by 100 %: it is beyond every time/),
    });
    expect(of('outputTokensPerS', [100, 0, 80], [0]).verdict).toBe('inconclusive');
  });
});

describe('few runs', () => {
  const rules = policy(['ttftMs.p50', 'itlMs.p95', 'outputTokensPerS'].map((metric) => rule(metric)));
  const few = (count: number, factor: Parameters<typeof side>[0] = {}, patch: Partial<RepeatLevel> = {}) =>
    side(factor, patch).slice(0, count);
  const of = (base: Repeat[], candidate: Repeat[], anchor: Repeat[] | null = null) =>
    judgeGate({ baseline: base, anchor, candidate }, rules);

  it('of three a side fail a gross change and pass none', () => {
    const failed = of(few(3), few(3, { ttft: 2.5 }));
    expect(failed.verdict).toBe('fail');
    expect(ofMetrics(failed.checks)).toEqual([
      ['ttftMs.p50', 'fail'],
      ['itlMs.p95', 'pass'],
      ['outputTokensPerS', 'pass'],
    ]);
    expect(failed.checks.find(({ name }) => name === 'ttftMs.p50')!.why).toBe(
      'worse by 150 %: every run is beyond every run of the baseline by more than 50 %',
    );
    expect(of(few(3), few(3)).verdict).toBe('pass');
    // By less than half again, and no chance all the same.
    expect(of(few(3), few(3, { ttft: 1.4 })).checks.find(({ name }) => name === 'ttftMs.p50')).toMatchObject({
      verdict: 'fail',
      why: expect.stringContaining('no chance'),
      change: { gross: null },
    });
  });

  it('fail a gross change of one whose runs differ wildly, unless the margin allows as much', () => {
    const wild = few(3).map((run, nth) => ({
      ...run,
      levels: run.levels.map((level) => ({
        ...level,
        values: { ...level.values, 'ttftMs.p50': level.values['ttftMs.p50']! * [1.6, 3, 8][nth]! },
      })),
    }));
    const judged = (worseRatio: number) =>
      judgeGate(
        { baseline: few(3), anchor: null, candidate: wild },
        policy([rule('ttftMs.p50', { worseRatio })]),
      ).verdict;
    expect([judged(0.05), judged(4)]).toEqual(['fail', 'inconclusive']);
  });

  it.each([
    [1, 1],
    [2, 2],
    [5, 2],
    [2, 5],
  ])('of %i and %i are refused with the number that is needed, for any values', (base, cand) => {
    for (const factor of [1, 2.5])
      expect(refusal(() => of(few(base), few(cand, { ttft: factor })))).toMatchObject({
        exitCode: 2,
        message: `too few runs to judge a change from the baseline: at least 3 repeats a side are needed, or a baseline made at 3 different times; there are ${base} and ${cand} repeats`,
        hint: 'measure each side with --repeats 3 or more (5 show smaller changes), or add runs of other days: bench gate --update --add',
      });
  });

  it('are refused against an anchor, too', () => {
    expect(refusal(() => of(few(3), few(3), few(1))).message).toMatch(
      /^too few runs to judge a change from the anchor: .* there are 1 and 3 repeats$/,
    );
  });

  it('fail all the same where something else does, and are enough for a limit', () => {
    expect(of(few(1), few(1, {}, { failed: 1 })).verdict).toBe('fail');
    const limits = policy([rule('itlMs.p95', { worseRatio: null, limit: 30, level: { concurrency: 8 } })]);
    const judged = (limit: number) =>
      judgeGate(
        { baseline: few(1), anchor: null, candidate: few(1) },
        policy([{ ...limits.rules[0]!, limit }]),
      ).verdict;
    expect([judged(30), judged(15)]).toEqual(['pass', 'fail']);
    const both = policy([...limits.rules, rule('ttftMs.p50')]);
    expect(
      refusal(() => judgeGate({ baseline: few(1), anchor: null, candidate: few(1) }, both)).exitCode,
    ).toBe(2);
  });
});

describe('a value that the candidate has not', () => {
  const without = (runs: Repeat[], count: number): Repeat[] =>
    runs.map((run, nth) => ({
      ...run,
      levels: run.levels.map((level) => {
        const { 'itlMs.p95': _, ...values } = level.values;
        return nth < count ? { ...level, values } : level;
      }),
    }));
  const of = (base: Repeat[], candidate: Repeat[]) =>
    judgeGate({ baseline: base, anchor: null, candidate }, policy([rule('itlMs.p95')])).checks.at(-1)!;

  it('in most runs fails where the baseline has it in all, and is inconclusive else, with the number of runs', () => {
    expect(of(side(), without(side(), 5))).toMatchObject({
      verdict: 'fail',
      why: 'no run of the candidate has a value, those of the baseline have',
    });
    expect(of(side(), without(side(), 1))).toMatchObject({
      verdict: 'inconclusive',
      why: '1 of 5 repeats of the candidate without a value',
    });
    expect(of(side(), without(side(), 2)).verdict).toBe('inconclusive');
    expect(of(side().slice(1), without(side().slice(1), 2))).toMatchObject({
      verdict: 'inconclusive',
      why: '2 of 4 repeats of the candidate without a value',
    });
    expect(of(side(), without(side(), 3))).toMatchObject({
      verdict: 'fail',
      why: '3 of 5 runs of the candidate have no value, all of the baseline have',
    });
    // A baseline that misses some itself does not say that a run has a value.
    expect(of(without(side(), 1), without(side(), 3))).toMatchObject({
      verdict: 'inconclusive',
      why: '1 of 5 repeats of the baseline without a value',
    });
    expect(of(without(side(), 5), without(side(), 5)).verdict).toBe('inconclusive');
    expect(of(without(side(), 5), side()).verdict).toBe('inconclusive');
  });

  it('of a rate that fell to 0 fails', () => {
    const none = side().map((run) => ({
      ...run,
      levels: run.levels.map((level) => ({ ...level, values: { ...level.values, outputTokensPerS: 0 } })),
    }));
    expect(
      judgeGate(
        { baseline: side(), anchor: null, candidate: none },
        policy([rule('outputTokensPerS')]),
      ).checks.at(-1),
    ).toMatchObject({ verdict: 'fail', why: expect.stringContaining('worse by 100 %: every run') });
  });
});

describe('a limit', () => {
  const limit = (metric: string, value: number, level: Rule['level'] = null): Policy =>
    policy([rule(metric, { worseRatio: null, limit: value, level })]);

  it.each([
    ['itlMs.p95', 30, 'pass'],
    ['itlMs.p95', 15, 'fail'],
    ['itlMs.p95', 20.05, 'inconclusive'],
    ['outputTokensPerS', 700, 'pass'],
    ['outputTokensPerS', 10_000, 'fail'],
  ])('of %s at %s: %s', (metric, value, verdict) => {
    const result = judge(side(), limit(metric, value, { concurrency: 64 }));
    expect(ofMetrics(result.checks)).toEqual([[metric, verdict]]);
  });

  it('is kept at each level', () => {
    const result = judge(side(), limit('outputTokensPerS', 1_000));
    expect(
      result.checks
        .filter(({ against }) => against === 'limit')
        .map((one) => [one.level?.concurrency, one.verdict]),
    ).toEqual([
      [8, 'fail'],
      [64, 'pass'],
    ]);
    expect(result.verdict).toBe('fail');
  });

  it('of few runs is kept by each as measured', () => {
    const few = (value: number): string =>
      judgeGate(
        { baseline: side(), anchor: null, candidate: side().slice(1, 3) },
        limit('itlMs.p95', value, { concurrency: 8 }),
      ).verdict;
    expect([few(30), few(20), few(15)]).toEqual(['pass', 'inconclusive', 'fail']);
    // 19.8, 20 and 20.2 ms: a bound of three would be beyond.
    const three = { baseline: side(), anchor: null, candidate: side().slice(0, 3) };
    expect(judgeGate(three, limit('itlMs.p95', 20.25, { concurrency: 8 })).verdict).toBe('pass');
  });

  it('leaves out levels with too few requests where there are others, and says so', () => {
    const thin = side().map((run) => ({
      ...run,
      levels: run.levels.map((level, nth) => (nth === 0 ? { ...level, good: 20 } : level)),
    }));
    const { checks } = judge(thin, limit('itlMs.p95', 30));
    expect(checks.filter(({ against }) => against === 'limit')).toMatchObject([
      {
        level: { concurrency: 64 },
        verdict: 'pass',
        asked: 'at most 30 ms (1 levels have too few requests)',
      },
    ]);
    const all = judge(side({}, { good: 20 }), limit('itlMs.p95', 30));
    expect(ofMetrics(all.checks)).toEqual([
      ['itlMs.p95', 'inconclusive'],
      ['itlMs.p95', 'inconclusive'],
    ]);
  });
});

describe('the runs', () => {
  const quiet = policy([rule('ttftMs.p50')]);
  const verdicts = (candidate: Repeat[], of: Policy) =>
    Object.fromEntries(
      judge(candidate, of)
        .checks.filter(({ against }) => against === 'runs')
        .map(({ name, verdict, why }) => [name, `${verdict}: ${why}`]),
    );

  it('are complete, and fail no more than is allowed', () => {
    expect(verdicts(side(), quiet)).toEqual({
      complete: 'pass: 5 runs of 10 levels in all',
      failures: 'pass: 0 of 4000 requests failed',
    });
    expect(verdicts(side({}, {}, { status: 'interrupted' }), quiet)['complete']).toMatch(
      /^fail: the run of .* is interrupted; .* and 2 more$/,
    );
    const failing = side({}, { failed: 4, good: 396 });
    expect(verdicts(failing, quiet)['failures']).toContain('fail: 4 of 400 failed at 4000x1000 C=8');
    // Their latencies are of the good ones alone, and are compared where that is allowed.
    expect(judge(failing, quiet).checks.at(-1)!.verdict).toBe('inconclusive');
    expect(judge(failing, policy(quiet.rules, { maxFailureRatio: 0.01 })).verdict).toBe('pass');
  });

  it('are valid and exact where that is asked', () => {
    const asked = policy(quiet.rules, { requireValid: true, requireExact: true });
    expect(judge(side(), asked).verdict).toBe('pass');
    expect(verdicts(side({}, { verdict: 'suspect' }), asked)['valid']).toContain(
      'fail: 4000x1000 C=8 is suspect in ttftMs.p50;',
    );
    expect(verdicts(side({}, { inexact: 2 }), asked)['exact']).toContain('fail: 2 lengths at 4000x1000 C=8');
    expect(judge(side({}, { verdict: 'suspect', inexact: 2 }), quiet).verdict).toBe('pass');
  });

  it('are valid where each metric that the policy names is, at the levels of its rule', () => {
    const asked = { requireValid: true };
    const [both, single] = [
      policy([rule('ttftMs.p50'), rule('itlMs.p95', { worseRatio: null, limit: 30 })], asked),
      policy([rule('ttftMs.p50'), rule('itlMs.p95', { level: { concurrency: 64 } })], asked),
    ];
    const suspect = (...doubtful: string[]) => side({}, { verdict: 'suspect', doubtful });
    const valid = (candidate: Repeat[], of: Policy) => verdicts(candidate, of)['valid']!;
    expect(valid(suspect('itlMs.p99', 'tpotMs.p50', 'outputTokensPerS'), both)).toBe('pass: all of them are');
    expect(valid(suspect(), both)).toBe('pass: all of them are');
    expect(valid(suspect('itlMs.p95'), both)).toBe(
      'fail: 4000x1000 C=8 is suspect in itlMs.p95; 4000x1000 C=64 is suspect in itlMs.p95; 4000x1000 C=8 is suspect in itlMs.p95 and 7 more',
    );
    expect(valid(suspect('itlMs.p95', 'ttftMs.p50').slice(0, 1), both)).toBe(
      'fail: 4000x1000 C=8 is suspect in ttftMs.p50, itlMs.p95; 4000x1000 C=64 is suspect in ttftMs.p50, itlMs.p95',
    );
    // At the level with a rule for it, and not at the other one.
    expect(valid(suspect('itlMs.p95').slice(0, 1), single)).toBe(
      'fail: 4000x1000 C=64 is suspect in itlMs.p95',
    );
    const bound = side({}, { verdict: 'client-bound', doubtful: [] }).slice(0, 1);
    expect(valid(bound, single)).toBe(
      'fail: 4000x1000 C=8 is client-bound in ttftMs.p50; 4000x1000 C=64 is client-bound in ttftMs.p50, itlMs.p95',
    );
    // A metric with a margin and a limit is named once.
    const twice = policy([rule('ttftMs.p50'), rule('ttftMs.p50', { worseRatio: null, limit: 9e9 })], asked);
    expect(valid(suspect('ttftMs.p50').slice(0, 1), twice)).toContain('C=8 is suspect in ttftMs.p50;');
    expect(judge(suspect('itlMs.p99'), both).verdict).toBe('pass');
    expect(judge(suspect('itlMs.p95'), both).verdict).toBe('fail');
  });

  it('of other levels than the baseline are refused', () => {
    const fewer = side().map((run) => ({ ...run, levels: run.levels.slice(1) }));
    expect(refusal(() => judge(fewer, quiet)).message).toContain('not comparable: shapes');
  });
});
