import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFINITIONS } from '../../src/core/definitions.ts';
import { METRIC_IDS, metricValue } from '../../src/core/metric-ids.ts';
import { COUNTERS, GAUGES, SPANS } from '../../src/core/server-look.ts';
import type { LayerSide, ServerGauge, ServerSide } from '../../src/core/server-side.ts';
import type { ServerSpan } from '../../src/core/server-spans.ts';
import { WATERFALL_PARTS } from '../../src/core/waterfall.ts';
import { csvLine } from '../../src/exporters/csv.ts';
import { summaryCsv } from '../../src/exporters/summary-csv.ts';
import {
  makeAudit,
  makeFailingLevel,
  makePartialLevel,
  makeReport,
  makeSkippedLevel,
  makeThinLevel,
} from '../fixtures/report.ts';
import { makeServerSide } from '../fixtures/server-side.ts';

/** A server that tells everything. */
function allOfServer(): ServerSide {
  const gauge: ServerGauge = { metric: 'm', mean: 1, max: 1, perS: [1] };
  const span: ServerSpan = { metric: 'm', count: 1, meanMs: 1, p50: null, p90: null, p99: null };
  const layer: LayerSide = Object.fromEntries([
    ...GAUGES.map((name) => [name, gauge]),
    ...COUNTERS.map((name) => [name, { metric: 'm', count: 1 }]),
    ...SPANS.map((name) => [name, span]),
  ]);
  const partsMs = Object.fromEntries(WATERFALL_PARTS.map((part) => [part, 1]));
  const side = makeServerSide();
  return {
    ...side,
    frontend: layer,
    prefill: layer,
    engine: layer,
    waterfall: { ...side.waterfall, partsMs },
  };
}

/** A reader of RFC 4180, character by character. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = '';
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (quoted) {
      if (character !== '"') cell += character;
      else if (text[i + 1] === '"') cell += text[++i]!;
      else quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === ',') {
      row.push(cell);
      cell = '';
    } else if (character === '\n') {
      rows.push([...row, cell]);
      row = [];
      cell = '';
    } else cell += character;
  }
  return rows;
}

function table(): Record<string, string>[] {
  const [header, ...rows] = parseCsv(summaryCsv(makeReport()));
  return rows.map((row) => Object.fromEntries(header!.map((name, i) => [name, row[i]!])));
}

describe('csvLine', () => {
  it('quotes what RFC 4180 asks to quote, and nothing else', () => {
    expect(csvLine(['a', 1.5, null, 'b c'])).toBe('a,1.5,,b c\n');
    expect(csvLine(['a,b', 'say "x"', 'two\nlines'])).toBe('"a,b","say ""x""","two\nlines"\n');
  });

  it('gives any text back through a reader', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1 }), (cells) => {
        expect(parseCsv(csvLine(cells))).toEqual([cells]);
      }),
    );
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: fc.constantFrom('"', ',', '\n', '\r', ' ', 'a') }), { minLength: 1 }),
        (cells) => {
          expect(parseCsv(csvLine(cells))).toEqual([cells]);
        },
      ),
    );
  });
});

describe('summaryCsv', () => {
  it('has a row per level, each as wide as the header, skipped ones too', () => {
    const rows = parseCsv(summaryCsv(makeReport()));
    expect(rows).toHaveLength(5);
    for (const row of rows) expect(row).toHaveLength(METRIC_IDS.length + 2);
    expect(rows.map((row) => row[1])).toEqual(['concurrency', '1', '16', '64', '128']);
  });

  it('holds the values of the report, unrounded', () => {
    const rows = table();
    expect(rows[1]).toMatchObject({
      point: '1',
      isl: '4000',
      osl: '1000',
      status: 'complete',
      'requests.sent': '512',
      'requests.good': '500',
      'requests.failed': '12',
      failureRatio: '0.0234375',
      'ttftMs.mean': '402.2',
      'ttftMs.p99': '1322.8',
      'itlMs.p999': '121.9',
      'tokenItlMs.count': '499495',
      'tpotMs.p50': '14.49',
      'e2eMs.max': '17260',
      outputTokensPerS: '1028.8',
      outputTokensPerSPerGpu: '514.4',
      'tokensPerSPerUser.p50': '69',
      'steady.outputTokensPerS': '1051.6',
      'steady.shareRatio': '0.9638',
      'failures.error-event': '12',
      'failures.http': '0',
      'oslProof.deviations': '3',
      'oslProof.counted.min': '998',
      wastedOutputTokens: '4214',
      'connections.opened': '28',
      'audit.sendLagMs.p99': '0.42',
      'validity.verdict': 'valid',
    });
    expect(rows[2]).toMatchObject({
      'failures.timeout': '8',
      'failures.http': '2',
      'validity.verdict': 'client-bound',
    });
  });

  it('leaves cells empty for what a level has not, and never writes null or NaN', () => {
    const [, , partial, skipped] = table();
    expect(partial).toMatchObject({ 'steady.outputTokensPerS': '', 'steady.shareRatio': '' });
    expect(skipped).toMatchObject({
      'ttftMs.p50': '',
      cachedTokens: '',
      'audit.cpuRatio': '',
      'audit.reads.waitMs.p99': '',
      'ttftMs.count': '0',
    });
    expect(summaryCsv(makeReport())).not.toMatch(/null|NaN|undefined|object/);
  });

  it('ends with the tags, whatever they hold', () => {
    const row = table()[0]!;
    expect(Object.keys(row).slice(-2)).toEqual(['tag.gpu', 'tag.note']);
    expect(row['tag.gpu']).toBe('H100 SXM, 80 GB');
    expect(row['tag.note']).toBe('the "new" kernel\nwith graphs');
  });
});

describe('metricValue', () => {
  it('knows each id once, and finds a value for each in a level that has all', () => {
    expect(new Set(METRIC_IDS).size).toBe(METRIC_IDS.length);
    const level = makeFailingLevel({
      audit: makeAudit(),
      ratePerS: 4,
      open: {
        ...{ dueRatePerS: 4.1, ttftFromDueMs: makeThinLevel().ttftMs, e2eFromDueMs: makeThinLevel().e2eMs },
        ...{ maxInFlight: 5, slots: 9, held: { count: 1, maxMs: 3 } },
        lag: { ratio: 0.01, low: -0.02, high: 0.04, verdict: 'kept-up' },
      },
      server: allOfServer(),
      goodput: { met: 3, attainmentRatio: 0.5, requestsPerS: 1, attainmentBy: {} },
      unseenTokens: { count: 4, requests: 2, unknown: 1 },
      bursts: { events: 8, everyMs: 40 },
      estimated: ['tpotMs', 'outputTokens'],
      islProof: { ...makeFailingLevel().islProof, estimated: 2 },
      oslProof: { ...makeFailingLevel().oslProof, estimated: 3 },
      requests: { ...makeThinLevel().requests, resent: 2 },
    });
    expect(metricValue(level, 'estimated')).toBe('tpotMs outputTokens');
    for (const id of METRIC_IDS) expect(metricValue(level, id), id).not.toBeNull();
  });

  it('walks the path, and counts classes without failures as 0', () => {
    expect(metricValue(makeThinLevel(), 'e2eMs.p50')).toBe(11_471);
    expect(metricValue(makePartialLevel(), 'failures.timeout')).toBe(8);
    expect(metricValue(makePartialLevel(), 'failures.tls')).toBe(0);
    expect(metricValue(makePartialLevel(), 'steady.outputTokensPerS')).toBeNull();
    expect(metricValue(makeSkippedLevel(), 'audit.sendLagMs.p99')).toBeNull();
  });

  it('refuses an unknown metric with the name that was given', () => {
    expect(() => metricValue(makeThinLevel(), 'ttft.p99')).toThrow(/"ttft\.p99" is not a metric/);
    expect(() => metricValue(makeThinLevel(), 'constructor')).toThrow(/not a metric/);
  });
});

describe('DEFINITIONS', () => {
  it('defines each distribution and each rate of a level', () => {
    const level = makeThinLevel();
    const names = Object.entries(level)
      .filter(
        ([name, value]) =>
          (value !== null && typeof value === 'object' && 'p99' in value) || /PerS/.test(name),
      )
      .map(([name]) => name);
    expect(names).toContain('ttftMs');
    expect(names).toContain('outputTokensPerSPerGpu');
    for (const name of [...names, 'isl', 'osl', 'steady', 'good', 'percentiles', 'audit.sendLagMs']) {
      expect(DEFINITIONS[name], name).toMatch(/^\w.{30,}\.$/);
    }
  });
});
