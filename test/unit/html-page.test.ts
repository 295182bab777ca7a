import { describe, expect, it } from 'vitest';
import { compareMany, type ManyComparison } from '../../src/core/compare-many.ts';
import { repeatOf } from '../../src/core/repeat.ts';
import type { Report } from '../../src/core/report.ts';
import { type ComparedSide, renderHtmlComparison } from '../../src/exporters/html/comparison-page.ts';
import { paretoFront } from '../../src/exporters/html/latency-charts.ts';
import { renderHtml } from '../../src/exporters/html/page.ts';
import { makeJudged } from '../fixtures/judged.ts';
import { makeAudit, makeFailingLevel, makeReport, makeThinLevel } from '../fixtures/report.ts';
import { makeServerSide } from '../fixtures/server-side.ts';

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

  it('marks estimates, and what groups of events bent', () => {
    const level = makeThinLevel({
      estimated: ['tpotMs', 'tokensPerSPerUser', 'outputTokensPerS', 'oslProof'],
      bursts: { events: 8, everyMs: 40 },
    });
    const page = renderHtml(makeReport({ levels: [level] }));
    for (const cell of [
      '<td>*11.2</td>',
      '<td>*≈11.3</td>',
      '<td>≈87.0</td>',
      '<td>*≈88.5</td>',
      '<td>≈1,000</td>',
    ])
      expect(page).toContain(cell);
    expect(page).toContain('<b>≈87.0</b>');
    expect(page).toMatch(/<figcaption>\*≈TPOT, ms/);
    expect(renderHtml(makeReport())).not.toMatch(/<td>[*≈]/);
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

  /** The cells of a table of the section, a row for each line, by the words in the first column. */
  const rowsOf = (report: Report, nth: number): string[][] => {
    const section = renderHtml(report).split('<section id="validity">')[1]!.split('</section>')[0]!;
    const tables = section.split('<table').slice(1);
    return [...(tables[nth] ?? '').matchAll(/<tr>(.*?)<\/tr>/gs)].map(([, row]) =>
      [...row!.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/gs)].map(([, cell]) => cell!.replaceAll(/<[^>]+>/g, '')),
    );
  };
  /** Cells by the head of their column. */
  const byHead = ([heads, ...rows]: string[][]): Record<string, string>[] =>
    rows.map((cells) => Object.fromEntries(cells.map((cell, i) => [heads![i]!, cell])));

  it('says by whom each level was stamped, how late, and what else ran', () => {
    const audit = makeAudit({
      otherCpuRatio: 0.25,
      reads: { ...makeAudit().reads!, waitMs: { p50: 0, p99: 1.25, max: 3 } },
    });
    const [kernel, own] = byHead(
      rowsOf(
        makeReport({
          levels: [
            makeThinLevel({ audit }),
            makeFailingLevel({
              audit: makeAudit({ stampedBy: 'process', stampErrorMs: null, otherCpuRatio: null }),
            }),
          ],
        }),
        0,
      ),
    );
    expect(kernel).toMatchObject({
      verdict: 'valid',
      'stamped by': 'kernel',
      'stamp error p99, ms': '0.300',
      'read late p99, ms': '1.25',
      'sends late p99, ms': '0.420',
      'other processes': '25 %',
    });
    expect(own).toMatchObject({
      'stamped by': 'process',
      'stamp error p99, ms': '–',
      'other processes': '–',
    });
    const [older] = byHead(rowsOf(makeReport({ levels: [makeThinLevel()] }), 0));
    expect(older).toMatchObject({ 'stamped by': '–', 'stamp error p99, ms': '–', 'read late p99, ms': '–' });
  });

  it('has by how much each metric may be off, at its farther end', () => {
    const judged = makeJudged();
    const ttftMs = {
      ...judged.bounds!.ttftMs!,
      p99: { lower: 190, upper: 200 },
      p50: { lower: 199, upper: 202.5 },
    };
    const bounds = { ...judged.bounds!, ttftMs, outputTokensPerS: { lower: 200, upper: 206 }, tpotMs: null };
    const measured = makeThinLevel({ ...judged, concurrency: 1, bounds });
    const rows = byHead(rowsOf(makeReport({ levels: [measured, makeFailingLevel()] }), 1));
    // A level without bounds has no row.
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      'TTFT mean, ± ms': '0',
      'TTFT p50, ± ms': '2.50',
      'TTFT p99, ± ms': '10.0',
      'ITL p99, ± ms': '0',
      'TPOT mean, ± ms': '–',
      'E2E p50, ± ms': '0',
      'output tok/s, ±': '6.00',
    });
    expect(Object.keys(rows[0]!)).toHaveLength(14);
    expect(rowsOf(makeReport(), 1)).toEqual([]);
    expect(rowsOf(makeReport({ levels: [makeThinLevel({ bounds: null })] }), 1)).toEqual([]);
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

describe('the page of several sides', () => {
  /** Runs of one level, whose TTFT p50 is so many times 300 ms. */
  const side = (name: string, factor: number, runs: number, patch: Partial<Report> = {}): ComparedSide => ({
    name,
    place: `results/${name}`,
    reports: Array.from({ length: runs }, (_, nth) => {
      const report = makeReport();
      return {
        ...report,
        ...patch,
        status: 'complete',
        origin: { ...report.origin, utc: `2026-06-01T00:0${nth}:00.000Z` },
        spec: { ...report.spec, repeat: { set: name, number: nth + 1, of: runs } },
        levels: report.levels.slice(0, 1).map((level) => ({
          ...level,
          status: 'complete' as const,
          requests: { ...level.requests, failed: 0 },
          ttftMs: { ...level.ttftMs, p50: 300 * factor * (1 + nth / 100) },
        })),
      };
    }),
  });

  const compared = (sides: readonly ComparedSide[]): ManyComparison => {
    const [base, ...candidates] = sides.map(({ name, reports }) => ({ name, runs: reports.map(repeatOf) }));
    return compareMany(base!, candidates, { metrics: ['ttftMs.p50'], marginRatio: 0.02, anyway: false });
  };

  const pageOf = (sides: readonly ComparedSide[]): string => renderHtmlComparison(sides, compared(sides));
  /** A part of a page, so that a failure is short. */
  const part = (page: string, id: string): string =>
    page.split(`<section id="${id}">`)[1]!.split('</section>')[0]!;

  it('has their changes with bounds, and says what single runs cannot tell', () => {
    const page = pageOf([
      side('before', 1, 4, { tags: { mtp: 'off' } }),
      side('after', 1.3, 4, { tags: { mtp: 'on' } }),
      side('once', 0.9, 1),
    ]);
    expect(part(page, 'changes')).toMatch(
      /<td>304<\/td><td>396<br><span class="bad">\+30\.0 % worse<\/span><br><span class="dim">\+2\d\.\d % … \+3\d\.\d %<\/span><\/td><td>270<br><span class="dim">−11\.3 % cannot tell<\/span><\/td>/,
    );
    expect(part(page, 'reading')).toContain('each bound holds 97.5 times in 100 (Bonferroni)');
    expect(part(page, 'reading')).toContain(
      'A single run (once) says nothing of how runs differ among themselves',
    );
    expect(part(page, 'differs')).toMatch(
      /tag mtp<\/td><td class="left text">off<\/td><td class="left text">on<\/td>/,
    );
    for (const name of ['before', 'after', 'once'])
      expect(part(page, 'levels')).toContain(`</span>${name}</span></th>`);
  });

  it('marks a metric of a level that is not valid in one of the runs, and no other', () => {
    /** How many values are marked where the last run of the candidate has these doubtful metrics. */
    const marked = (...doubtful: string[]): number => {
      const after = side('after', 1.3, 4);
      const reports = after.reports.map((report, nth) => ({
        ...report,
        levels: report.levels.map((level) => ({
          ...level,
          validity: nth < 3 ? level.validity : { verdict: 'suspect' as const, reasons: ['late'], doubtful },
        })),
      }));
      const page = pageOf([side('before', 1, 4), { ...after, reports }]);
      return part(page, 'levels').split('<span class="warn">⚠</span>').length - 1;
    };
    expect([marked(), marked('itlMs.p99'), marked('itlMs.p99', 'ttftMs.p50')]).toEqual([0, 0, 1]);
  });

  it('draws the means of several runs, and single runs as they are', () => {
    const page = pageOf([side('before', 1, 4), side('after', 1.3, 4)]);
    expect(part(page, 'trade')).toContain('the mean of its runs, which are the faint ones');
    expect(part(pageOf([side('before', 1, 1), side('after', 1.3, 1)]), 'trade')).not.toContain('faint ones');
  });

  it('shows text from outside as text', () => {
    const page = pageOf([
      side('before', 1, 4),
      {
        ...side(HOSTILE, 1.3, 4, {
          name: HOSTILE,
          tags: { [HOSTILE]: HOSTILE },
          target: { ...makeReport().target, model: HOSTILE, server: HOSTILE },
        }),
        place: HOSTILE,
      },
    ]);
    expect(page).not.toContain('<script');
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
  });
});

describe('the server’s side on the page', () => {
  it('is a section with the TTFT taken apart, percentiles as intervals, and text from outside as text', () => {
    const [first, ...others] = makeReport().levels;
    const side = makeServerSide({
      frontend: { ttftMs: { ...makeServerSide().frontend!.ttftMs!, metric: HOSTILE } },
    });
    const page = renderHtml(makeReport({ levels: [{ ...first!, server: side }, ...others] }));
    expect(page).toContain("<h2>The server's side</h2>");
    expect(page).toContain('aria-label="where the time to the first token went"');
    for (const words of [
      '100 … 220',
      'above 470',
      'prefix cache hits 25 %',
      'the server counted 30, this level sent 32',
    ])
      expect(page).toContain(words);
    expect(page).not.toContain(HOSTILE);
    expect(renderHtml(makeReport())).not.toContain("The server's side");
  });
});
