import { describe, expect, it } from 'vitest';
import { type CompareOptions, type Comparison, compareRuns } from '../../src/core/compare.ts';
import { COMPARED } from '../../src/core/compared.ts';
import { geometricMean } from '../../src/core/distribution.ts';
import { lessIsBetter } from '../../src/core/metric-ids.ts';
import { type Repeat, repeatOf } from '../../src/core/repeat.ts';
import type { LevelReport, Report } from '../../src/core/report.ts';
import { welchChange } from '../../src/core/welch.ts';
import { renderComparison } from '../../src/exporters/comparison-table.ts';
import { refusal } from '../fixtures/refusal.ts';
import { makeCalmReport } from '../fixtures/report.ts';

const OPTIONS: CompareOptions = {
  metrics: ['ttftMs.p50', 'outputTokensPerS'],
  marginRatio: 0.02,
  anyway: false,
};
const STYLE = { colour: false, width: 160 };
const BEFORE = [300, 303, 298, 301, 299];

/** A run with this TTFT p50 and rate at its first level; at its second both are 2 times that. */
function run(
  ttftMs: number,
  perS: number,
  patch: Partial<Report> = {},
  level: Partial<LevelReport> = {},
): Report {
  const report = makeCalmReport();
  return {
    ...report,
    levels: report.levels.slice(0, 2).map((one, nth) => ({
      ...one,
      concurrency: 16 * (nth + 1),
      ttftMs: { ...one.ttftMs, p50: ttftMs * (nth + 1) },
      outputTokensPerS: perS * (nth + 1),
      ...level,
    })),
    ...patch,
  };
}

const repeats = (ttftFactor: number, rateFactor: number, patch: Partial<Report> = {}): Report[] =>
  BEFORE.map((value, nth) => run(value * ttftFactor, BEFORE[(nth + 2) % 5]! * 10 * rateFactor, patch));

/** Each side made in one go, a minute after another. */
const madeAtOnce = (reports: readonly Report[]): Repeat[] =>
  reports.map((report, nth) => ({ ...repeatOf(report), utc: `2026-06-01T00:${10 + nth}:00.000Z` }));

const compareReports = (base: Report[], cand: Report[], options: CompareOptions): Comparison =>
  compareRuns(madeAtOnce(base), madeAtOnce(cand), options);

const overall = (base: Report[], cand: Report[], options = OPTIONS) =>
  Object.fromEntries(
    compareReports(base, cand, options)
      .changes.filter(({ level }) => level === null)
      .map((change) => [change.metric, change]),
  );

describe('the verdict', () => {
  it.each([
    [1.1, 1, 'worse', 'same'],
    [0.9, 1.05, 'better', 'better'],
    [1, 0.9, 'same', 'worse'],
    // Sure to be there, and of no interest.
    [1.01, 0.99, 'same', 'same'],
  ])('of TTFT × %s and rate × %s is %s and %s', (ttft, rate, first, second) => {
    const found = overall(repeats(1, 1), repeats(ttft, rate));
    expect(found['ttftMs.p50']).toMatchObject({ verdict: first, reason: null });
    expect(found['outputTokensPerS']).toMatchObject({ verdict: second, reason: null });
    expect(found['ttftMs.p50']!.changeRatio).toBeCloseTo(ttft - 1, 10);
    expect(found['outputTokensPerS']!.changeRatio).toBeCloseTo(rate - 1, 10);
    // A fall of 1 − 1/x where times rise by x − 1: the same repeats stand behind both.
    const [rise, fall] = [found['ttftMs.p50']!.smallestRatio!, found['outputTokensPerS']!.smallestRatio!];
    expect(1 / (1 - fall)).toBeCloseTo(1 + rise, 10);
  });

  it('is not told where the bounds lie on both sides of it', () => {
    const noisy = [300, 340, 270, 320, 285].map((value) => run(value, value));
    const found = overall(
      noisy,
      [...noisy].map((_, nth) => run([310, 350, 280, 330, 300][nth]!, 300)),
    );
    expect(found['ttftMs.p50']).toMatchObject({ verdict: 'cannot tell', reason: null });
    expect(found['ttftMs.p50']!.lowRatio).toBeLessThan(0);
    expect(found['ttftMs.p50']!.smallestRatio).toBeGreaterThan(0.1);
  });

  it('of a gross change is found though the runs of one side differ wildly', () => {
    const wild = (values: readonly number[]): Report[] => values.map((value) => run(value, 90_000 / value));
    const base = [300, 303, 298];
    // No bound of 460, 900 and 2,400 ms says that their mean is above 300 ms.
    const found = overall(wild(base), wild([460, 900, 2_400]));
    expect(found['ttftMs.p50']).toMatchObject({ gross: 'worse', verdict: 'worse' });
    expect(found['ttftMs.p50']!.lowRatio).toBeLessThan(0);
    expect(found['outputTokensPerS']).toMatchObject({ gross: 'worse', verdict: 'worse' });
    const back = overall(wild([460, 900, 2_400]), wild(base));
    expect(back['ttftMs.p50']).toMatchObject({ gross: 'better', verdict: 'better' });
    expect(back['outputTokensPerS']).toMatchObject({ gross: 'better', verdict: 'better' });
    // 454 ms is not quite half again as much as the slowest of the others.
    const near = overall(wild(base), wild([454, 900, 2_400]));
    expect(near['ttftMs.p50']).toMatchObject({ gross: null, verdict: 'cannot tell' });
    expect(near['outputTokensPerS']).toMatchObject({ gross: null, verdict: 'cannot tell' });
    const wide = overall(wild(base), wild([460, 900, 2_400]), { ...OPTIONS, marginRatio: 0.99 });
    expect(wide['outputTokensPerS']).toMatchObject({ gross: 'worse', verdict: 'same' });
  });

  it('of a rate that fell to 0 in every run is worse, and of one that did in some is not found', () => {
    const rates = (values: readonly number[]): Report[] => values.map((value) => run(300, value));
    const rate = (cand: readonly number[]) => overall(rates([50, 51, 49]), rates(cand))['outputTokensPerS'];
    expect(rate([0, 0, 0])).toMatchObject({
      gross: 'worse',
      verdict: 'worse',
      changeRatio: -1,
      lowRatio: null,
      reason: null,
    });
    expect(rate([0, 50, 50])).toMatchObject({
      gross: null,
      verdict: 'cannot tell',
      changeRatio: null,
      reason: 'a value is not positive',
    });
    expect(overall(rates([0, 0, 0]), rates([50, 51, 49]))['outputTokensPerS']).toMatchObject({
      verdict: 'cannot tell',
      changeRatio: null,
    });
  });

  it('is over the geometric mean of all levels, then for each', () => {
    const cand = repeats(1, 1).map((report) => ({
      ...report,
      levels: report.levels.map((level, nth) =>
        nth === 0 ? level : { ...level, ttftMs: { ...level.ttftMs, p50: level.ttftMs.p50! * 1.21 } },
      ),
    }));
    const { changes } = compareReports(repeats(1, 1), cand, { ...OPTIONS, metrics: ['ttftMs.p50'] });
    expect(changes.map(({ level, verdict }) => [level?.concurrency ?? null, verdict])).toEqual([
      [null, 'worse'],
      [16, 'same'],
      [32, 'worse'],
    ]);
    expect(changes.map(({ changeRatio }) => changeRatio)).toEqual([
      expect.closeTo(0.1, 10),
      expect.closeTo(0, 10),
      expect.closeTo(0.21, 10),
    ]);
  });

  it.each([
    [
      'fewer than three repeats',
      [run(300, 3_000)],
      repeats(1.5, 1),
      'at least 3 repeats a side are needed, or a baseline made at 3 different times; there are 1 and 5 repeats',
    ],
    [
      'a partial level',
      repeats(1, 1),
      [...repeats(1.5, 1), run(450, 3_000, {}, { status: 'partial' })],
      '1 of 6 repeats of the candidate are partial or had failures',
    ],
    [
      'failures',
      repeats(1, 1).map((one) => ({
        ...one,
        levels: one.levels.map((level) => ({ ...level, requests: { ...level.requests, failed: 1 } })),
      })),
      repeats(1.5, 1),
      '5 of 5 repeats of the baseline are partial or had failures',
    ],
  ])('is not told with %s, though the change is', (_, base, cand, reason) => {
    const found = overall(base, cand)['ttftMs.p50']!;
    expect(found).toMatchObject({ verdict: 'cannot tell', reason });
    expect(found.changeRatio).toBeGreaterThan(0.4);
  });

  it('of a percentile stands on enough requests', () => {
    const few = (report: Report): Report => ({
      ...report,
      levels: report.levels.map((level) => ({ ...level, requests: { ...level.requests, good: 100 } })),
    });
    const options = { ...OPTIONS, metrics: ['ttftMs.p99'] };
    expect(overall(repeats(1, 1).map(few), repeats(1, 1), options)['ttftMs.p99']).toMatchObject({
      verdict: 'cannot tell',
      reason: 'p99 needs 662 good requests a side, there are 500',
    });
    expect(overall(repeats(1, 1), repeats(1, 1), options)['ttftMs.p99']!.verdict).toBe('same');
    // Of several levels those with enough.
    const first = (report: Report): Report => ({
      ...report,
      levels: report.levels.map((level, nth) =>
        nth === 0 ? { ...level, requests: { ...level.requests, good: 100 } } : level,
      ),
    });
    expect(overall(repeats(1, 1).map(first), repeats(1, 1), options)['ttftMs.p99']).toMatchObject({
      verdict: 'same',
      thinLevels: 1,
    });
  });
});

describe('what the bounds stand on', () => {
  /** Runs of so many days, so many a day, all with this TTFT but for a little noise. */
  const days = (count: number, each: number, ttftMs: number): Repeat[] =>
    Array.from({ length: count * each }, (_, nth) => {
      const [day, time] = [Math.floor(nth / each), nth % each];
      const value = ttftMs * (1 + 0.01 * ((day * 7) % 5)) * (1 + 0.002 * time);
      return {
        ...repeatOf(run(value, 1_000)),
        set: `${day}`,
        utc: `2026-06-${10 + day}T00:0${time}:00.000Z`,
      };
    });
  const ttft = (base: Repeat[], cand: Repeat[]) =>
    compareRuns(base, cand, { ...OPTIONS, metrics: ['ttftMs.p50'] }).changes[0]!;

  it('are the repeats of one go on each side', () => {
    expect(ttft(days(1, 5, 300), days(1, 5, 400))).toMatchObject({ grounds: 'repeats', verdict: 'worse' });
  });

  it('are the means of days where both sides have enough of them, however many runs a day has', () => {
    const change = ttft(days(4, 3, 300), days(5, 3, 400));
    expect(change).toMatchObject({ grounds: 'sets', verdict: 'worse' });
    const means = (runs: Repeat[], each: number): number[] =>
      Array.from({ length: runs.length / each }, (_, day) =>
        geometricMean(
          runs
            .slice(day * each, (day + 1) * each)
            .map(({ levels }) => geometricMean(levels.map(({ values }) => values['ttftMs.p50']!))),
        ),
      );
    const expected = welchChange(means(days(4, 3, 300), 3), means(days(5, 3, 400), 3))!;
    expect(change.lowRatio).toBeCloseTo(Math.expm1(expected.low), 12);
  });

  it('are never repeats of one go held against runs of several', () => {
    for (const [base, cand] of [
      [days(2, 5, 300), days(1, 5, 400)],
      [days(2, 1, 300), days(2, 5, 400)],
      [days(1, 5, 300), days(3, 5, 400)],
    ] as const)
      expect(ttft(base, cand)).toMatchObject({
        verdict: 'cannot tell',
        reason: expect.stringMatching(
          /^a baseline made at 3 different times or more is needed, .* of \d and of \d times$/,
        ),
      });
  });

  it('are a history whose days have no more runs than the candidate', () => {
    expect(ttft(days(8, 1, 300), days(1, 1, 400))).toMatchObject({ grounds: 'history', verdict: 'worse' });
    expect(ttft(days(8, 5, 300), days(1, 1, 400))).toMatchObject({
      verdict: 'cannot tell',
      reason: 'each time of the baseline has up to 5 runs, so the candidate needs 5 and has 1',
    });
    expect(ttft(days(8, 5, 300), days(1, 5, 400)).grounds).toBe('history');
    // Of three days a great change shows, a small one does not, and two days tell nothing.
    expect(ttft(days(3, 1, 300), days(1, 1, 750))).toMatchObject({ grounds: 'history', verdict: 'worse' });
    expect(ttft(days(3, 1, 300), days(2, 1, 750)).grounds).toBe('history');
    expect(ttft(days(3, 1, 300), days(3, 1, 750)).grounds).toBe('sets');
    expect(ttft(days(3, 1, 300), days(1, 1, 306)).verdict).toBe('cannot tell');
    expect(ttft(days(2, 1, 300), days(1, 1, 750)).grounds).toBeNull();
  });

  it('take runs that followed each other within an hour for one go, whatever command made them', () => {
    const loop = days(1, 8, 300).map((one, nth) => ({ ...one, set: `command ${nth}` }));
    expect(ttft(loop, days(1, 1, 400)).verdict).toBe('cannot tell');
    expect(ttft(loop, days(1, 5, 400)).grounds).toBe('repeats');
  });
});

describe('what is compared', () => {
  it('is each run once', () => {
    const [one] = madeAtOnce(repeats(1, 1));
    expect(refusal(() => compareRuns([one!, one!], madeAtOnce(repeats(1, 1)), OPTIONS)).message).toBe(
      'the run of 2026-06-01T00:10:00.000Z is twice in the baseline',
    );
  });

  it('has the levels that a cut run was to measure', () => {
    const cut = repeats(1, 1).map((report) => ({
      ...report,
      status: 'interrupted' as const,
      spec: {
        ...report.spec,
        skip: 0,
        points: report.levels.map(({ isl, osl, concurrency }, index) => ({
          ...report.spec.points[0]!,
          ...{ isl, osl, concurrency, index },
        })),
      },
      levels: report.levels.slice(0, 1),
    }));
    const found = overall(repeats(1, 1), cut);
    expect(found['ttftMs.p50']).toMatchObject({
      verdict: 'cannot tell',
      reason: '5 of 5 repeats of the candidate are partial or had failures',
    });
  });

  it('differs where a fact is told by some of a side alone', () => {
    const some = madeAtOnce(repeats(1, 1)).map((one, nth) =>
      nth === 0 ? { ...one, facts: [...one.facts, ['tag mtp', 'on'] as const] } : one,
    );
    expect(compareRuns(some, madeAtOnce(repeats(1, 1)), OPTIONS).differences).toContainEqual({
      fact: 'tag mtp',
      base: ['on', '-'],
      cand: ['-'],
      incidental: false,
    });
  });

  it('has a direction', () => {
    for (const metric of COMPARED) expect(lessIsBetter(metric)).toBe(/Ms\./.test(metric));
    expect(lessIsBetter('tokensPerSPerUser.p50')).toBe(false);
    for (const metric of ['requests.sent', 'ttftMs.count', 'validity.verdict', 'nonsense'])
      expect(refusal(() => lessIsBetter(metric)).message).toContain(metric);
  });

  it('means the same on both sides, or is compared by order alone', () => {
    const corpus = repeats(1, 1).map((report) => ({
      ...report,
      prompts: { ...report.prompts, text: 'corpus' as const },
    }));
    expect(refusal(() => compareReports(repeats(1, 1), corpus, OPTIONS))).toMatchObject({
      message: 'not comparable: prompt text: words and corpus',
      exitCode: 2,
    });
    expect(compareReports(repeats(1, 1), corpus, { ...OPTIONS, anyway: true }).overruled).toEqual([
      'prompt text: words and corpus',
    ]);
    const fewer = repeats(1, 1).map((report) => ({ ...report, levels: report.levels.slice(1) }));
    expect(refusal(() => compareReports(repeats(1, 1), fewer, OPTIONS)).message).toContain('shapes: ');
    const { changes } = compareReports(repeats(1, 1), fewer, { ...OPTIONS, anyway: true });
    expect(new Set(changes.map(({ level }) => level?.concurrency))).toEqual(new Set([undefined, 32]));
    const others = repeats(1, 1).map((report) => ({
      ...report,
      levels: report.levels.map((level) => ({ ...level, osl: 7 })),
    }));
    expect(refusal(() => compareReports(repeats(1, 1), others, { ...OPTIONS, anyway: true })).message).toBe(
      'no level is on both sides',
    );
  });

  it('is one variable when one thing differs, wherever and whenever it ran', () => {
    const target = makeCalmReport().target;
    const elsewhere = { target: { ...target, urls: ['http://10.9.9.9:8000'] }, tags: { mtp: 'on' } };
    const plain = compareReports(repeats(1, 1, { tags: { mtp: 'off' } }), repeats(1, 1, elsewhere), OPTIONS);
    expect(plain.differences).toEqual([
      { fact: 'tag mtp', base: ['off'], cand: ['on'], incidental: false },
      { fact: 'address', base: target.urls, cand: ['http://10.9.9.9:8000'], incidental: true },
    ]);
    expect(plain.singleVariable).toBe(true);
    const two = compareReports(
      repeats(1, 1, { tags: { mtp: 'off' } }),
      repeats(1, 1, { ...elsewhere, target: { ...target, model: 'other' } }),
      OPTIONS,
    );
    expect([two.singleVariable, two.differences.map(({ fact }) => fact)]).toEqual([
      false,
      ['model', 'tag mtp'],
    ]);
  });
});

describe('the page', () => {
  it('tells changes with their bounds, why nothing can be told, and what differs', () => {
    const page = renderComparison(
      compareReports(
        repeats(1, 1, { tags: { mtp: 'off' } }),
        repeats(1.1, 1, { tags: { mtp: 'on' } }),
        OPTIONS,
      ),
      STYLE,
    );
    expect(page).toContain('compare  baseline of 5 runs, candidate of 5 runs, margin 2.0 %');
    expect(page).toMatch(
      /all levels +ttftMs\.p50 +425 +467 +\+10\.0 % +\+\d\.\d % … \+1\d\.\d % +\d\.\d % +worse/,
    );
    // Of the levels those that changed.
    expect(page).toMatch(/4,000×1,000 C=32 +ttftMs\.p50 .* worse/);
    expect(page).not.toMatch(/C=32 +outputTokensPerS/);
    expect(page).toContain('levels        2 of 4 single changes');
    expect(page).toContain('differs       tag mtp: off → on');
    expect(page).toContain('one variable  yes');
    const single = renderComparison(compareReports([run(300, 3_000)], [run(330, 3_000)], OPTIONS), STYLE);
    expect(single).toMatch(/all levels +ttftMs\.p50 +424 +467 +\+10\.0 % +– +– +cannot tell/);
    expect(single).toContain('at least 3 repeats a side are needed, or a baseline');
  });
});
