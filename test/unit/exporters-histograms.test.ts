import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rebin } from '../../src/exporters/histogram-bins.ts';
import { decimalBuckets, decodeCells } from '../../src/exporters/histogram-cells.ts';
import { histogramsCsv } from '../../src/exporters/histograms-csv.ts';
import { renderHistograms } from '../../src/exporters/text-histogram.ts';
import { throughputChart } from '../../src/exporters/throughput-chart.ts';
import {
  makeCalmReport,
  makeFailingLevel,
  makeHistogram,
  makeReport,
  makeShapesReport,
  makeSkippedLevel,
  makeThinLevel,
} from '../fixtures/report.ts';

const PLAIN = { colour: false, width: 120 };

function count(cells: readonly { count: number }[]): number {
  return cells.reduce((sum, cell) => sum + cell.count, 0);
}

describe('decodeCells', () => {
  it('keeps values below 2,048 exactly, with their counts', () => {
    const cells = decodeCells(
      makeHistogram([
        [0, 7],
        [1, 2],
        [2_047, 5],
      ]),
    );
    expect(cells).toEqual([
      { from: 0, to: 1, count: 7 },
      { from: 1, to: 2, count: 2 },
      { from: 2_047, to: 2_048, count: 5 },
    ]);
  });

  it('keeps larger values within 0.1 %', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3_600_000_000 }),
        fc.integer({ min: 1, max: 1_000_000 }),
        (value, times) => {
          const cells = decodeCells(makeHistogram([[value, times]]));
          expect(cells).toHaveLength(1);
          const [{ from, to, count: found }] = cells as [(typeof cells)[0]];
          expect(found).toBe(times);
          expect(from).toBeLessThanOrEqual(value);
          expect(to).toBeGreaterThan(value);
          expect(to - from).toBeLessThanOrEqual(Math.max(1, value / 1_000));
        },
      ),
      { numRuns: 50 },
    );
  });

  it('gives nothing for an empty histogram', () => {
    expect(decodeCells(makeHistogram([]))).toEqual([]);
  });

  it('says in one line that a damaged histogram cannot be read', () => {
    const whole = makeHistogram([[1_000, 3]]);
    expect(() => decodeCells('bm8gaGlzdG9ncmFt')).toThrow(/histogram of the report cannot be read/);
    expect(() => decodeCells(whole.slice(0, 24))).toThrow(/histogram of the report cannot be read/);
  });
});

describe('decimalBuckets', () => {
  it('has two significant digits per bucket, in shown units', () => {
    const cells = decodeCells(
      makeHistogram([
        [5, 1],
        [47, 2],
        [12_340, 3],
        [12_900, 2],
        [13_100, 4],
        [2_345_000, 1],
      ]),
    );
    expect(decimalBuckets(cells)).toEqual([
      { from: 0.005, to: 0.006, count: 1 },
      { from: 0.047, to: 0.048, count: 2 },
      { from: 12, to: 13, count: 5 },
      { from: 13, to: 14, count: 4 },
      { from: 2_300, to: 2_400, count: 1 },
    ]);
  });
});

describe('histogramsCsv', () => {
  const rows = histogramsCsv(makeReport({ levels: [makeThinLevel(), makeSkippedLevel()] }))
    .trimEnd()
    .split('\n')
    .map((line) => line.split(','));

  it('has the buckets of each metric with a running share that ends at 1', () => {
    expect(rows[0]!.join(',')).toBe(
      'point,concurrency,ratePerS,isl,osl,metric,from,to,count,cumulativeRatio',
    );
    const ttft = rows.filter((row) => row[5] === 'ttftMs').map((row) => row.slice(6));
    expect(ttft).toEqual([
      ['170', '180', '6', '0.375'],
      ['180', '190', '8', '0.875'],
      ['190', '200', '2', '1'],
    ]);
    const rates = rows.filter((row) => row[5] === 'requestTokensPerS').map((row) => row.slice(6, 9));
    expect(rates).toEqual([
      ['86', '87', '4'],
      ['87', '88', '12'],
    ]);
  });

  it('has a row per second of the timeline, the last one shorter', () => {
    const seconds = rows.filter((row) => row[5] === 'timeline.outputTokens');
    expect(seconds).toHaveLength(184);
    expect(seconds[0]).toEqual([
      '0',
      '1',
      '',
      '4000',
      '1000',
      'timeline.outputTokens',
      '0',
      '1',
      '86',
      '0.005378',
    ]);
    expect(seconds[183]!.slice(6)).toEqual(['183', '183.8405', '70', '1']);
  });

  it('has no row for a level that was not run', () => {
    expect(rows.filter((row) => row[1] === '128')).toEqual([]);
  });
});

describe('rebin', () => {
  it('keeps each count in at most twelve ascending bins that hold all values', () => {
    const value = fc.oneof(fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 0, max: 900_000_000 }));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(value, fc.integer({ min: 1, max: 5_000 })), { minLength: 1 }),
        (values) => {
          const cells = decodeCells(makeHistogram(values));
          const bins = rebin(cells);
          expect(count(bins)).toBe(values.reduce((sum, [, times]) => sum + times, 0));
          expect(bins.length).toBeLessThanOrEqual(12);
          for (const [i, bin] of bins.entries()) {
            expect(bin.to).toBeGreaterThan(bin.from);
            if (i > 0) expect(bin.from).toBe(bins[i - 1]!.to);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('takes round linear bins for a narrow body', () => {
    const values = Array.from({ length: 80 }, (_, i): [number, number] => [100_500 + i * 1_000, 10]);
    expect(rebin(decodeCells(makeHistogram(values))).map(({ from, count: n }) => [from, n])).toEqual(
      Array.from({ length: 8 }, (_, i) => [100_000 + i * 10_000, 100]),
    );
  });

  it('gives equal values one bin that holds them', () => {
    expect(rebin(decodeCells(makeHistogram([[50_000, 9]])))).toEqual([
      { from: 50_000, to: 50_100, count: 9 },
    ]);
    expect(rebin(decodeCells(makeHistogram([[0, 9]])))).toEqual([{ from: 0, to: 1, count: 9 }]);
  });

  it('takes logarithmic bins for a body over decades', () => {
    const values = Array.from({ length: 31 }, (_, i): [number, number] => [
      Math.round(1_000 * 10 ** (i / 10)),
      10,
    ]);
    const bins = rebin(decodeCells(makeHistogram(values)));
    expect(bins.map(({ from }) => from)).toEqual(
      [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000].map((ms) => ms * 1_000),
    );
  });

  it('puts a far tail into one last bin', () => {
    const values: [number, number][] = [
      [100_000, 500],
      [150_000, 495],
      [9_000_000, 5],
    ];
    const last = rebin(decodeCells(makeHistogram(values))).at(-1)!;
    expect(last.count).toBe(5);
    expect(last.to).toBeGreaterThan(9_000_000);
    expect(last.from).toBeLessThanOrEqual(200_000);
  });
});

describe('renderHistograms', () => {
  it('draws bars in proportion, with shares and a title that tells unit and count', () => {
    const page = renderHistograms(makeReport({ levels: [makeThinLevel()] }), { colour: false, width: 80 });
    expect(page).toContain('  TTFT, ms (16 requests)\n');
    const row = (edges: string): string => page.split('\n').find((line) => line.includes(edges))!;
    const blocks = (line: string): number => line.replace(/[^█]/g, '').length;
    expect(row('180 – 185')).toMatch(/31 %$/);
    expect(row('175 – 180')).toMatch(/25 %$/);
    expect(blocks(row('175 – 180')) / blocks(row('180 – 185'))).toBeCloseTo(4 / 5, 1);
  });

  it('stays within the width, alone or side by side', () => {
    for (const width of [60, 80, 100, 120, 200]) {
      for (const line of renderHistograms(makeReport(), { colour: false, width }).split('\n')) {
        expect(line.length).toBeLessThanOrEqual(width);
      }
    }
  });

  it('draws only the levels asked for, and none that did not run', () => {
    const all = renderHistograms(makeReport(), PLAIN);
    expect(all).toContain('concurrency 1\n');
    expect(all).toContain('concurrency 64\n');
    expect(all).not.toContain('concurrency 128');
    const one = renderHistograms(makeReport(), PLAIN, [1]);
    expect(one).toContain('concurrency 16\n');
    expect(one).not.toContain('concurrency 64');
    expect(renderHistograms(makeReport({ levels: [makeSkippedLevel()] }), PLAIN)).toBe('');
  });

  it('shows ITL per token once chunks carry several', () => {
    expect(renderHistograms(makeCalmReport(), PLAIN)).toContain(' ITL, ms (');
    expect(renderHistograms(makeCalmReport(), PLAIN)).not.toContain('token ITL');
    expect(renderHistograms(makeShapesReport(), PLAIN)).toContain('token ITL, ms (');
  });

  it('needs nothing but ASCII when told so', () => {
    const page = renderHistograms(makeReport(), { ...PLAIN, ascii: true });
    expect(page).toMatch(/####/);
    expect([...page].every((character) => character.charCodeAt(0) < 128)).toBe(true);
  });
});

describe('throughputChart', () => {
  function heights(tokens: number[], durationS: number): number[] {
    const level = makeFailingLevel({ durationS, timeline: { bucketS: 1, outputTokens: tokens } });
    const rows = throughputChart(level, { colour: false, width: 80 }).slice(1, 7);
    const start = rows[0]!.indexOf('┤') + 1;
    const each = Math.min(4, Math.floor((80 - start - 2) / tokens.length));
    return tokens.map((_, i) => rows.filter((row) => row[start + i * each] === '█').length);
  }

  it('is as high as the rate of each second', () => {
    expect(heights([0, 50, 100, 100], 4)).toEqual([0, 3, 6, 6]);
  });

  it('reads a short last second as a rate, not as a drop', () => {
    expect(heights([100, 100, 50], 2.5)).toEqual([6, 6, 6]);
  });

  it('has nothing to draw without tokens', () => {
    expect(throughputChart(makeSkippedLevel(), PLAIN)).toEqual([]);
  });
});
