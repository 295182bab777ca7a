import { describe, expect, it } from 'vitest';
import { compareRuns } from '../../src/core/compare.ts';
import { repeatOf } from '../../src/core/repeat.ts';
import type { Report } from '../../src/core/report.ts';
import { paretoFront } from '../../src/exporters/html/latency-charts.ts';
import { renderHtml, renderHtmlComparison } from '../../src/exporters/html/page.ts';
import { makeReport } from '../fixtures/report.ts';

const HOSTILE = '<script>alert(1)</script>"\'&';

describe('the page of a run', () => {
  it('has each part of the report', () => {
    const page = renderHtml(makeReport());
    for (const heading of [
      'Levels',
      'What to know',
      'Throughput against latency',
      'Distributions',
      'Prefill against decode',
      'Timeline',
      'Histograms',
      'Lengths asked and proven',
      'Failures',
      'Was the harness the bottleneck?',
      'Provenance',
      'Definitions',
    ])
      expect(page).toContain(`<h2>${heading}</h2>`);
    expect(page).toContain('@media (prefers-color-scheme:dark)');
    expect(page).toContain('@media print');
    // What stood for the page's own colours.
    expect(page).not.toMatch(/#01020[3-6]/);
    expect(page).toContain('var(--text)');
  });

  it('asks for nothing over the network, and runs nothing', () => {
    const page = renderHtml(makeReport());
    expect(page).not.toMatch(/<(script|link rel="stylesheet"|img|iframe)/);
    expect(
      [...page.matchAll(/(?:src|href|url)\s*[=(]\s*["']?([^"')>\s]+)/g)].map(([, target]) => target),
    ).toEqual(expect.not.arrayContaining([expect.stringMatching(/^(?!#|data:,)/)]));
  });

  it('shows text from outside as text', () => {
    const report = makeReport();
    const hostile: Report = {
      ...report,
      name: HOSTILE,
      tags: { [HOSTILE]: HOSTILE },
      warnings: [HOSTILE],
      target: { ...report.target, model: HOSTILE },
      levels: report.levels.map((level) => ({
        ...level,
        statusReason: HOSTILE,
        failures: { reset: { count: 1, first: HOSTILE } },
        validity: { verdict: 'suspect', reasons: [HOSTILE] },
        steady: { reason: HOSTILE },
      })),
    };
    const page = renderHtml(hostile);
    expect(page).not.toContain('<script');
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;');
  });

  it('is there for a run without a single request', () => {
    const page = renderHtml({ ...makeReport(), levels: [] });
    expect(page).toContain('<h2>Provenance</h2>');
    expect(page).not.toContain('<svg');
  });
});

describe('the Pareto front', () => {
  const points = [
    { x: 1, y: 1 },
    { x: 2, y: 5 },
    { x: 3, y: 4 },
    { x: 4, y: 9 },
  ];

  it('leaves out what another point beats in both numbers', () => {
    expect(paretoFront(points, 'smaller')).toEqual([points[0], points[1], points[3]]);
    expect(paretoFront(points, 'larger')).toEqual([points[3]]);
    expect(paretoFront([], 'larger')).toEqual([]);
  });
});

it('of two sides has their changes with bounds', () => {
  const side = (factor: number): Report[] =>
    Array.from({ length: 4 }, (_, nth) => {
      const report = makeReport();
      return {
        ...report,
        origin: { ...report.origin, utc: `2026-06-01T00:0${nth}:00.000Z` },
        levels: report.levels.slice(0, 1).map((level) => ({
          ...level,
          status: 'complete' as const,
          requests: { ...level.requests, failed: 0 },
          ttftMs: { ...level.ttftMs, p50: 300 * factor * (1 + nth / 100) },
        })),
      };
    });
  const [base, cand] = [side(1), side(1.3)];
  const comparison = compareRuns(base.map(repeatOf), cand.map(repeatOf), {
    metrics: ['ttftMs.p50'],
    marginRatio: 0.02,
    anyway: false,
  });
  const page = renderHtmlComparison(
    [
      { name: 'before', reports: base },
      { name: HOSTILE, reports: cand },
    ],
    comparison,
  );
  expect(page).toMatch(
    /<td>\+30\.0 %<\/td><td>\+2\d\.\d % … \+3\d\.\d %<\/td><td class="left"><span class="bad">worse<\/span>/,
  );
  expect(page).not.toContain('<script');
});
