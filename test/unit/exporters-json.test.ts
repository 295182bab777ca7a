import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Report } from '../../src/core/report.ts';
import { EXPORTERS } from '../../src/exporters/index.ts';
import { reportJson } from '../../src/exporters/json.ts';
import { makeReport } from '../fixtures/report.ts';

describe('reportJson', () => {
  it('is the report, and nothing else', () => {
    expect(JSON.parse(reportJson(makeReport()))).toEqual(makeReport());
  });

  it('says what JSON.stringify says, for any document', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const extraBody = { value };
        const report = makeReport({ spec: { ...makeReport().spec, extraBody } });
        expect(JSON.parse(reportJson(report)).spec.extraBody).toEqual(JSON.parse(JSON.stringify(extraBody)));
      }),
      { numRuns: 50 },
    );
  });

  it('is laid out as JSON.stringify does with 2 spaces, but for arrays of numbers', () => {
    const document = { a: { b: ['x', 'y'], c: {} }, d: [{ e: null }], f: undefined } as unknown as Report;
    expect(reportJson(document)).toBe(`${JSON.stringify(document, null, 2)}\n`);
    expect(reportJson({ n: [1, 2.5, 3] } as unknown as Report)).toBe('{\n  "n": [1,2.5,3]\n}\n');
    expect(reportJson({ n: Number.NaN } as unknown as Report)).toBe('{\n  "n": null\n}\n');
  });
});

describe('EXPORTERS', () => {
  it('has names and files of their own, and renders a report without changing it', () => {
    expect(EXPORTERS.map(({ name, file }) => [name, file])).toEqual([
      ['json', 'report.json'],
      ['csv', 'summary.csv'],
      ['histograms', 'histograms.csv'],
    ]);
    const report = makeReport();
    for (const exporter of EXPORTERS) expect(exporter.render(report)).toMatch(/\n$/);
    expect(report).toEqual(makeReport());
  });
});
