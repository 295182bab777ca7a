import { describe, expect, it } from 'vitest';
import { COMPARED, type CompareOptions, type Comparison, compareRuns } from '../../src/core/compare.ts';
import { lessIsBetter } from '../../src/core/metric-ids.ts';
import { repeatOf } from '../../src/core/repeat.ts';
import type { LevelReport, Report } from '../../src/core/report.ts';
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

const compareReports = (base: Report[], cand: Report[], options: CompareOptions): Comparison =>
  compareRuns(base.map(repeatOf), cand.map(repeatOf), options);

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
      'fewer than four repeats',
      [run(300, 3_000)],
      repeats(1.5, 1),
      'at least 4 repeats a side are needed, or a baseline of 8 runs made at different times; there are 1 and 5 repeats',
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
  });
});

describe('what is compared', () => {
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
    expect(single).toContain('at least 4 repeats a side are needed, or a baseline of 8 runs');
  });
});
