import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SlosMs } from '../../src/core/slo.ts';
import { sglangConsole } from '../../src/exporters/sglang/console.ts';
import { sglangGoodput } from '../../src/exporters/sglang/goodput.ts';
import type { Layout, SglangRun } from '../../src/exporters/sglang/layouts.ts';
import { sglangLine } from '../../src/exporters/sglang/line.ts';
import { sglangMetrics } from '../../src/exporters/sglang/metrics.ts';
import { centred, fixed, floatRepr, general } from '../../src/exporters/sglang/python-format.ts';
import { jsonFloat, jsonText, jsonValue } from '../../src/exporters/sglang/python-json.ts';
import type { SglangRow } from '../../src/exporters/sglang/rows.ts';
import { goldenVector, readJson } from '../fixtures/sglang.ts';

/** 2025-11 is compared with the original itself, in the suite of real components. */
const GOLDEN_LAYOUTS = ['2025-08', '2026-01', '2026-06'] as const;

interface Case {
  readonly run: Omit<SglangRun, 'requestRate' | 'rows' | 'metrics' | 'goodput'> & {
    requestRate: number | null;
  };
  readonly slosMs: SlosMs | null;
  readonly rows: readonly SglangRow[];
  readonly console: string;
  readonly line: string;
  readonly detailed: string;
  readonly older: Readonly<Record<string, string>>;
}

const cases = Object.entries((readJson('sglang-lines.json') as { cases: Record<string, Case> }).cases);
const python = readJson('python-numbers.json') as {
  numbers: Record<'bits' | 'repr' | 'f2' | 'f1' | 'g' | 'json', string>[];
  texts: { text: string; json: string }[];
};

function runOf({ run, slosMs, rows }: Case): SglangRun {
  const tokenItl = (run.acceptLength ?? 0) > 0;
  return {
    ...run,
    requestRate: run.requestRate ?? Number.POSITIVE_INFINITY,
    rows,
    metrics: sglangMetrics(rows, run.durationS, { tokenItl })!,
    goodput: slosMs === null ? null : sglangGoodput(rows, slosMs, run.durationS),
  };
}

function doubleOf(bits: string): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(`0x${bits}`));
  return view.getFloat64(0);
}

/** A long decimal as the golden lines have it: six decimals, zeros at the end dropped but for one. */
function roundedTo6(text: string): string {
  return Number(text).toFixed(6).replace(/0+$/, '').replace(/\.$/, '.0');
}

describe('numbers as Python writes them', () => {
  it.each(python.numbers)('$repr', ({ bits, repr, f2, f1, g, json }) => {
    const value = doubleOf(bits);
    expect(floatRepr(value)).toBe(repr);
    expect(jsonFloat(value)).toBe(json);
    expect(fixed(value, 2)).toBe(f2);
    expect(fixed(value, 1)).toBe(f1);
    expect(general(value)).toBe(g);
  });

  it('are those of the golden vectors, ties to even', () => {
    const two = goldenVector('V10')['two_decimals'] as { x: number; python: string }[];
    for (const { x, python: text } of two) expect(fixed(x, 2)).toBe(text);
    expect(two).toHaveLength(12);
    expect([fixed(0.5, 0), fixed(1.5, 0), fixed(Number.NaN, 2)]).toEqual(['0', '2', 'nan']);
    expect([floatRepr(Number.NaN), jsonFloat(Number.NaN), jsonFloat(null)]).toEqual(['nan', 'NaN', 'null']);
  });

  it('read back as the same double, and carry a point or an exponent', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(Object.is(Number(floatRepr(value)), value)).toBe(true);
        expect(floatRepr(value)).toMatch(/[.e]/);
      }),
    );
  });

  it('have the digits of toFixed, which is exact, wherever there is no tie', () => {
    const noTie = fc.double({ min: -1e15, max: 1e15, noNaN: true }).filter((x) => (x * 8) % 1 !== 0);
    fc.assert(
      fc.property(noTie, (value) => {
        expect(fixed(value, 2)).toBe(value.toFixed(2));
      }),
    );
  });
});

describe('text as json.dumps of Python writes it', () => {
  it.each(python.texts)('$json', ({ text, json }) => {
    expect(jsonText(text)).toBe(json);
  });

  it('reads back as the same value, in printable ASCII', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = jsonValue(value);
        expect(text).toMatch(/^[ -~]*$/);
        expect(JSON.parse(text)).toEqual(value);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(JSON.parse(jsonText(text))).toBe(text);
      }),
    );
  });

  it('keeps whole numbers whole', () => {
    expect(jsonValue({ a: [1, 1.5, 2 ** 53, -0, true, null] })).toBe(
      '{"a": [1, 1.5, 9007199254740992.0, -0.0, true, null]}',
    );
  });
});

describe('the output of sglang.bench_serving', () => {
  const first = runOf(cases[0]![1]);
  const golden = goldenVector('V11') as unknown as Record<
    Layout,
    { console_lines: string[]; jsonl_key_order: string[]; jsonl_line_values_rounded_6: string }
  >;

  it.each(GOLDEN_LAYOUTS)('on the console is the golden block, %s', (layout) => {
    expect(sglangConsole(first, layout)).toBe(`${golden[layout].console_lines.join('\n')}\n`);
  });

  it.each(GOLDEN_LAYOUTS)('in the file is the golden line, %s', (layout) => {
    const line = sglangLine(first, layout, false);
    expect(line.replace(/\d+\.\d{7,}/g, roundedTo6)).toBe(golden[layout].jsonl_line_values_rounded_6);
    expect(Object.keys(JSON.parse(line.replace('Infinity', 'null')))).toEqual(golden[layout].jsonl_key_order);
  });

  it.each(cases)('is that of the original to the last byte: %s', (_name, one) => {
    const run = runOf(one);
    expect(sglangConsole(run, '2026-06')).toBe(one.console);
    expect(sglangLine(run, '2026-06', false)).toBe(one.line);
    expect(sglangLine(run, '2026-06', true)).toBe(one.detailed);
    const plain = { ...run, goodput: null, cacheReport: false };
    expect(sglangLine(plain, '2025-08', false)).toBe(one.older['2025-08']);
    expect(sglangLine(plain, '2026-01', false)).toBe(one.older['2026-01']);
  });

  it('lists the asked prompt lengths in the older layouts, the server counts in the youngest', () => {
    const run = runOf(cases[1]![1]);
    const lengths = (layout: Layout): number[] =>
      JSON.parse(sglangLine(run, layout, true)).input_lens as number[];
    expect(new Set(lengths('2026-01'))).toEqual(new Set([64]));
    expect(new Set(lengths('2026-06'))).toEqual(new Set([77, 64]));
  });

  it('has golden headings and generic values', () => {
    const { headings, generic } = goldenVector('V10') as unknown as {
      headings: string[];
      generic: { x: number | string | null; line: string }[];
    };
    for (const text of headings) {
      const fill = text[0]!;
      const inner = text.replace(new RegExp(`^${fill}+|${fill}+$`, 'g'), '');
      expect(centred(inner, fill, 50)).toBe(text);
    }
    const shown = [
      ...sglangConsole({ ...first, maxConcurrency: null }, '2026-06').split('\n'),
      ...sglangConsole({ ...first, requestRate: 20 }, '2026-06').split('\n'),
    ];
    for (const { line } of generic) expect(shown).toContain(line);
    expect(generic).toHaveLength(4);
  });

  it('tells of an accept length only where there is one', () => {
    const at = (acceptLength: number | null): string => sglangConsole({ ...first, acceptLength }, '2025-08');
    expect(at(0)).toBe(at(null));
    expect(at(2.5)).toContain(
      `\nConcurrency:                             1.56      \nAccept length:                           2.50      \n---`,
    );
  });
});
