import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { printable, printableLine } from '../../src/core/printable.ts';

/** Written down a second time: what moves a terminal's cursor, or turns the direction of text around. */
function controls(text: string): string[] {
  const bidi = [
    0x61c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069,
  ];
  return [...text].filter((character) => {
    const code = character.codePointAt(0)!;
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || bidi.includes(code);
  });
}

describe('printable', () => {
  it.each([
    ['a\u001b[2Jb', 'a\\x1b[2Jb'],
    ['\u0000\u0007\u0008', '\\x00\\x07\\x08'],
    ['over\rwritten', 'over\\x0dwritten'],
    ['\u007f\u0080\u009b31m\u009f', '\\u007f\\u0080\\u009b31m\\u009f'],
    ['\u202ecod.exe\u2066\u2069\u061c', '\\u202ecod.exe\\u2066\\u2069\\u061c'],
    ['a\u2028b', 'a\\u2028b'],
    ['two\r\nlines\tof text', 'two\nlines\tof text'],
    ['é ─ 漢 🙂 \u00a0', 'é ─ 漢 🙂 \u00a0'],
  ])('%j is %j', (text, shown) => {
    expect(printable(text)).toBe(shown);
  });

  it('leaves no control character in any text but line feeds and tabs', () => {
    const all = String.fromCodePoint(...Array.from({ length: 0x3000 }, (_, code) => code));
    expect(new Set(controls(printable(all)))).toEqual(new Set(['\n', '\t']));
    expect(controls(printableLine(all))).toEqual([]);
    expect(controls(all)).toHaveLength(32 + 33 + 12);
  });

  it('keeps the value of JSON text', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string({ unit: 'binary' }), (value, text) => {
        const json = JSON.stringify({ [text]: [text, value] }, null, 2);
        expect(JSON.parse(printable(json))).toEqual(JSON.parse(json));
      }),
    );
  });

  it('is the same when it is done twice', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(printable(printable(text))).toBe(printable(text));
      }),
    );
  });
});

it('a printable line has no line feed', () => {
  expect(printableLine('one\n\n\ttwo\r\nthree\u001b')).toBe('one two three\\x1b');
});
