import { decodeFromCompressedBase64 } from 'hdr-histogram-js';
import { describe, expect, it } from 'vitest';
import { DEFAULT_POLICY } from '../../src/core/policy.ts';
import { keyText, repeatOf } from '../../src/core/repeat.ts';
import type { LevelReport, Report } from '../../src/core/report.ts';
import { type Baseline, baselineText, isBaseline, makeBaseline, runsOf } from '../../src/gate/baseline.ts';
import { refusal } from '../fixtures/refusal.ts';
import { makeCalmReport } from '../fixtures/report.ts';

const MADE = { utc: '2026-06-02T00:00:00.000Z', bench: '1.2.3' };

function run(nth: number, patch: Partial<Report> = {}, level: Partial<LevelReport> = {}): Report {
  const report = makeCalmReport();
  return {
    ...report,
    origin: { ...report.origin, utc: `2026-06-0${nth}T00:00:00.000Z` },
    levels: report.levels.map((one) => ({
      ...one,
      status: 'complete' as const,
      requests: { ...one.requests, failed: 0 },
      validity: { verdict: 'valid' as const, reasons: [] },
      ...level,
    })),
    ...patch,
  };
}

const make = (reports: Report[], earlier: Baseline | null = null, policy = DEFAULT_POLICY): Baseline =>
  makeBaseline(reports, policy, earlier, MADE);

describe('a baseline', () => {
  it('of an earlier version that runs of today join has the version that all share', () => {
    const earlier = make([run(1, { definitions: { tpotMs: 'x' }, definitionVersions: { tpotMs: 1 } })]);
    const later = run(2, { definitions: { tpotMs: 'x' }, definitionVersions: { tpotMs: 2 } });
    expect(make([later], earlier).definitionVersions).toEqual({ tpotMs: 1 });
    expect(make([later]).definitionVersions).toEqual({ tpotMs: 2 });
  });

  it('gives back what a comparison needs of its runs', () => {
    const definitionVersions = { ttftMs: 1, e2eMs: 4 };
    const reports = [run(1, { definitionVersions }), run(2, { definitionVersions })];
    const document: unknown = JSON.parse(baselineText(make(reports)));
    expect(isBaseline(document)).toBe(true);
    const runs = runsOf(document, 'base.json');
    expect(runs.map(({ utc }) => utc)).toEqual(reports.map(({ origin }) => origin.utc));
    for (const [nth, repeat] of runs.entries()) {
      const whole = repeatOf(reports[nth]!);
      // Which earlier versions a run agrees with is not kept: a baseline has the version that all of its runs share.
      const kept = { ...JSON.parse(JSON.stringify(whole)), sameByVersions: undefined };
      expect({ ...repeat, levels: [] }).toEqual({ ...kept, levels: [] });
      for (const [at, level] of repeat.levels.entries()) {
        const { values } = whole.levels[at]!;
        expect(Object.keys(level.values)).toEqual(Object.keys(values));
        for (const [id, value] of Object.entries(level.values))
          expect(Math.abs(value - values[id]!)).toBeLessThanOrEqual(Math.abs(values[id]!) * 1e-6);
      }
    }
  });

  it('holds the histograms of all runs, and no records', () => {
    const reports = [run(1), run(2), run(3)];
    const baseline = make(reports);
    const one = decodeFromCompressedBase64(reports[0]!.levels[0]!.histograms.ttftMs);
    const all = decodeFromCompressedBase64(baseline.histograms[0]!.ttftMs);
    expect(all.totalCount).toBe(3 * one.totalCount);
    expect(all.getValueAtPercentile(50)).toBe(one.getValueAtPercentile(50));
    expect(baselineText(baseline)).not.toContain('chunkUs');
  });

  it('takes further runs, once each, that are of its kind', () => {
    const first = make([run(1)]);
    const both = make([run(2)], first);
    expect(both.runs.map(({ utc }) => utc)).toEqual([run(1).origin.utc, run(2).origin.utc]);
    const count = (baseline: Baseline): number =>
      decodeFromCompressedBase64(baseline.histograms[0]!.e2eMs).totalCount;
    expect(count(both)).toBe(2 * count(first));
    expect(refusal(() => make([run(1)], first)).message).toContain('is twice in the baseline');
    const corpus = run(2, { prompts: { ...run(2).prompts, text: 'corpus' } });
    expect(refusal(() => make([corpus], first)).message).toContain(
      'must be alike: prompt text: words and corpus',
    );
  });

  it.each([
    ['interrupted', run(1, { status: 'interrupted' }), 'it is interrupted'],
    ['partial', run(1, {}, { status: 'partial' }), 'is partial'],
    [
      'failing',
      run(1, {}, { requests: { ...run(1).levels[0]!.requests, sent: 10, failed: 1 } }),
      '1 of 10 requests failed',
    ],
    ['suspect', run(1, {}, { validity: { verdict: 'suspect', reasons: ['late'] } }), 'is suspect'],
  ])('is not made of a run that is %s', (_, report, message) => {
    expect(refusal(() => make([run(2), report]))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining(message),
    });
  });

  it('is made of a suspect run where the policy allows that', () => {
    const suspect = run(1, {}, { validity: { verdict: 'suspect', reasons: [] } });
    expect(make([suspect], null, { ...DEFAULT_POLICY, requireValid: false }).runs).toHaveLength(1);
  });

  it('is made of a suspect run where the metrics of the policy are valid, and keeps which are not', () => {
    const suspect = (...doubtful: string[]): Report =>
      run(1, {}, { validity: { verdict: 'suspect', reasons: ['late'], doubtful } });
    const key = keyText(run(1).levels[0]!);
    const baseline = make([suspect('itlMs.p99', 'ttftMs.p99')]);
    const [repeat] = runsOf(JSON.parse(baselineText(baseline)), 'base.json');
    expect(repeat!.levels[0]).toMatchObject({ verdict: 'suspect', doubtful: ['itlMs.p99', 'ttftMs.p99'] });
    expect(refusal(() => make([suspect('itlMs.p99', 'tpotMs.p50')])).message).toContain(
      `is no baseline: ${key} is suspect in tpotMs.p50`,
    );
    const bound = run(1, {}, { validity: { verdict: 'client-bound', reasons: ['busy'], doubtful: [] } });
    expect(refusal(() => make([bound])).message).toContain(
      `${key} is client-bound in ttftMs.p50, tpotMs.p50`,
    );
    const level = { ...baseline.runs[0]!.levels[0]!, doubtful: 'itlMs.p99' };
    const torn = { ...baseline, runs: [{ ...baseline.runs[0]!, levels: [level] }] };
    expect(refusal(() => runsOf(torn, 'b.json')).message).toContain(
      'b.json is a broken baseline: runs.0.levels.0.doubtful',
    );
  });

  it('of another version is refused', () => {
    const other = { ...make([run(1)]), schema: 2 };
    expect(refusal(() => runsOf(other, 'b.json')).message).toContain('b.json is a baseline of version 2');
  });

  it.each([
    ['no runs', { runs: [] }],
    ['a run that is none', { runs: [null] }],
    ['a run without facts', { runs: [{ ...make([run(1)]).runs[0]!, facts: undefined }] }],
    ['a fact that is none', { runs: [{ ...make([run(1)]).runs[0]!, facts: [1] }] }],
    ['a level that is none', { runs: [{ ...make([run(1)]).runs[0]!, levels: [null] }] }],
    ['no histograms', { histograms: undefined }],
  ])('with %s is refused', (_, patch) => {
    expect(refusal(() => runsOf({ ...make([run(1)]), ...patch }, 'b.json'))).toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/^b\.json is a broken baseline: (runs|histograms)/),
    });
  });

  it('with a histogram that is none takes no further run', () => {
    const first = make([run(1)]);
    const torn = { ...first, histograms: first.histograms.map((one) => ({ ...one, ttftMs: 'zz' })) };
    expect(refusal(() => make([run(2)], torn))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('a histogram cannot be read'),
    });
  });
});
