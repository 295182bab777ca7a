import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeText, decodeUtf8, readLines, type TextLine } from '../../src/core/utf8.ts';
import { refusal } from '../fixtures/refusal.ts';

/** Hands out bytes in pieces of these sizes, again and again. */
function reader(bytes: Uint8Array, sizes: readonly number[]): (block: Uint8Array) => number {
  let at = 0;
  let turn = 0;
  return (block) => {
    const size = Math.min(sizes[turn++ % sizes.length]!, bytes.length - at, block.length);
    block.set(bytes.subarray(at, at + size));
    at += size;
    return size;
  };
}

const linesOf = (bytes: Uint8Array, sizes: readonly number[] = [4_096]): TextLine[] => [
  ...readLines(reader(bytes, sizes), 'f'),
];
const utf8 = (text: string): Buffer => Buffer.from(text, 'utf8');
const MARK = Buffer.from([0xef, 0xbb, 0xbf]);
/** Text that UTF-8 can hold, without NUL. */
const text = fc.string({ unit: 'binary' }).filter((value) => !value.includes('\0'));

describe('the text of a file', () => {
  it('is what its bytes say in UTF-8, for any bytes', () => {
    fc.assert(
      fc.property(text, (value) => {
        fc.pre(!value.startsWith('\ufeff'));
        expect(decodeText(utf8(value), 'f')).toBe(value);
      }),
    );
  });

  it('is without a byte-order mark at its very start, and with any other', () => {
    expect(decodeText(Buffer.concat([MARK, utf8('{"a": 1}')]), 'f')).toBe('{"a": 1}');
    expect(decodeText(MARK, 'f')).toBe('');
    expect(decodeText(Buffer.concat([MARK, MARK, utf8('x')]), 'f')).toBe('\ufeffx');
    expect(decodeText(utf8('a\n\ufeffb'), 'f')).toBe('a\n\ufeffb');
    expect(decodeText(utf8(''), 'f')).toBe('');
  });

  it.each([
    ['UTF-16LE', Buffer.from('\ufeff{"prompt": "Où"}\n', 'utf16le')],
    ['UTF-16LE', Buffer.from('{"prompt": "Où"}\n', 'utf16le')],
    ['UTF-16BE', Buffer.from('\ufeff[{"a": 1}]', 'utf16le').swap16()],
    ['UTF-16BE', Buffer.from('metrics:', 'utf16le').swap16()],
    ['UTF-32LE', Buffer.from([0xff, 0xfe, 0, 0, 0x7b, 0, 0, 0])],
    ['UTF-32LE', Buffer.from([0x7b, 0, 0, 0, 0x22, 0, 0, 0])],
    ['UTF-32BE', Buffer.from([0, 0, 0xfe, 0xff, 0, 0, 0, 0x7b])],
    ['UTF-32BE', Buffer.from([0, 0, 0, 0x7b, 0, 0, 0, 0x22])],
  ])('is refused by name as %s', (encoding, bytes) => {
    const { message, hint } = refusal(() => decodeText(bytes, 'prompts.jsonl'));
    expect(message).toBe(`prompts.jsonl, line 1, byte 1: the file is ${encoding}, not UTF-8`);
    expect(hint).toContain(`iconv -f ${encoding} -t UTF-8`);
    expect(refusal(() => linesOf(bytes)).message).toContain(`the file is ${encoding}`);
  });

  it.each([
    ['ISO 8859-1', Buffer.from('{"a": 1}\n{"a": "Où"}', 'latin1'), 'line 2, byte 9: 0xF9'],
    ['a byte that is never in UTF-8', [0x61, 0xff], 'line 1, byte 2: 0xFF'],
    ['a lone continuation', [0x61, 0x0a, 0x80], 'line 2, byte 1: 0x80'],
    ['a sequence cut off at the end', [0x61, 0xe2, 0x82], 'line 1, byte 2: 0xE2'],
    ['a sequence cut off by another character', [0xf0, 0x9f, 0x99, 0x61], 'line 1, byte 1: 0xF0'],
    ['an overlong sequence', [0x61, 0x62, 0xc0, 0xaf], 'line 1, byte 3: 0xC0'],
    ['a surrogate in three bytes', [0x61, 0xed, 0xa0, 0x80], 'line 1, byte 2: 0xED'],
    ['a character behind the last of Unicode', [0x61, 0xf4, 0x90, 0x80, 0x80], 'line 1, byte 2: 0xF4'],
    ['sound characters before it', [...utf8('é€🙂\n€'), 0xe9], 'line 2, byte 4: 0xE9'],
  ])('is refused with line and byte: %s', (_what, bytes, says) => {
    const { message, hint } = refusal(() => decodeText(Uint8Array.from(bytes), 'f'));
    expect(message).toBe(`f, ${says} is not UTF-8`);
    expect(hint).toContain('UTF-8');
  });

  it('is refused at a NUL, as where UTF-16 was added to it', () => {
    const bytes = Buffer.concat([utf8('{"a": 1}\n'), Buffer.from('{"b": 2}\n', 'utf16le')]);
    expect(refusal(() => decodeText(bytes, 'f')).message).toContain('f, line 2, byte 2: 0x00');
    expect(refusal(() => linesOf(bytes)).message).toContain('f, line 2, byte 2: 0x00');
    // What is left of a log that was cut while it was written.
    const hole = Buffer.concat([Buffer.alloc(64), utf8('{"a": 1}\n')]);
    expect(refusal(() => decodeText(hole, 'f')).message).toContain('f, line 1, byte 1: 0x00');
  });

  it('counts from its place in the file', () => {
    const at = (before: number, bytes: readonly number[]): string =>
      refusal(() => decodeUtf8(Uint8Array.from(bytes), { file: 'f', line: 7, before })).message;
    expect(at(10, [0x61, 0xff])).toContain('line 7, byte 12');
    expect(at(10, [0x61, 0x0a, 0x0a, 0xff])).toContain('line 9, byte 1:');
    expect(
      refusal(() => decodeText(Buffer.concat([MARK, Buffer.from([0x61, 0xff])]), 'f')).message,
    ).toContain('line 1, byte 5');
  });
});

describe('the lines of a file', () => {
  it('are those of its text, however it is read', () => {
    fc.assert(
      fc.property(
        fc.array(text, { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
        (parts, sizes) => {
          const whole = parts.join('\n');
          fc.pre(!whole.startsWith('\ufeff'));
          const lines = whole.split('\n');
          if (lines.at(-1) === '') lines.pop();
          expect(linesOf(utf8(whole), sizes)).toEqual(
            lines.map((line, i) => ({ number: i + 1, text: line })),
          );
        },
      ),
      { numRuns: 500 },
    );
  });

  it('hold across the blocks that a large file is read in', () => {
    // Lines of 8 bytes to 2 MiB, so that a character of three bytes lies across the border of a block.
    const lines = [1, 1_048_575, 1_048_574, 3, 2_097_152].map((length) => `${'x'.repeat(length)}€ü`);
    expect(linesOf(utf8(lines.join('\n')), [1 << 20]).map((line) => line.text)).toEqual(lines);
  });

  it('keep a byte-order mark at the start of a later block', () => {
    expect(linesOf(utf8('ab\n\ufeffcd\n'), [3, 6]).map((line) => line.text)).toEqual(['ab', '\ufeffcd']);
  });

  it('begin behind a byte-order mark', () => {
    expect(linesOf(Buffer.concat([MARK, utf8('a\r\n\nb\n')]))).toEqual([
      { number: 1, text: 'a\r' },
      { number: 2, text: '' },
      { number: 3, text: 'b' },
    ]);
  });

  it('name line and byte of what is not UTF-8, far into the file', () => {
    const lines = Buffer.concat([utf8(`${'abc\n'.repeat(600_000)}déf `), Buffer.from([0xe9, 0x0a])]);
    expect(refusal(() => linesOf(lines, [1 << 20])).message).toBe(
      'f, line 600001, byte 6: 0xE9 is not UTF-8',
    );
  });
});
