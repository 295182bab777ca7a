import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { readJsonList } from '../../src/datasets/json-array.ts';
import { refusal } from '../fixtures/refusal.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'json-list-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function read(text: string | Uint8Array): unknown[] {
  const file = path.join(folder, 'list.json');
  writeFileSync(file, text);
  return [...readJsonList(file)];
}

describe('a JSON list, element by element', () => {
  it('is what JSON.parse reads, however it is spaced', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.constantFrom(undefined, 1, '\t'), (list, space) => {
        expect(read(JSON.stringify(list, null, space))).toEqual(JSON.parse(JSON.stringify(list)));
      }),
      { numRuns: 200 },
    );
  });

  it('holds across the borders of reads, inside of strings, escapes and characters', () => {
    const element = { a: 'ü"\\,[{]}'.repeat(9), b: ['x', { c: null }] };
    // Seven bytes more in front each time: the border falls on each of the eleven bytes that the text repeats.
    const length = Buffer.byteLength(JSON.stringify(element));
    for (let shift = 0; shift <= length; shift += 7) {
      const list = [' '.repeat(1_048_576 - length + shift - 4), element, 1];
      expect(read(JSON.stringify(list)).slice(1)).toEqual([element, 1]);
    }
  });

  it.each([
    ['an object', '{"a": 1}'],
    ['a lone number', '7'],
    ['nothing', ''],
    ['a list cut off', '[1, {"a": [2'],
    ['a hole', '[1,,2]'],
    ['a comma behind the last element', '[1, ]'],
    ['more behind its end', '[1] [2]'],
    ['a broken element', '[{"a" 1}]'],
  ])('is refused: %s', (_name, text) => {
    expect(() => read(text)).toThrow(SyntaxError);
  });

  it('may begin with a byte-order mark', () => {
    expect(read('\ufeff [{"a": "\ufeffx"}]')).toEqual([{ a: '\ufeffx' }]);
  });

  it('names line and byte of what is not UTF-8, wherever its element began', () => {
    const bad = Buffer.from('Où', 'latin1');
    const refused = (before: string, after = '"}]'): string =>
      refusal(() => read(Buffer.concat([Buffer.from(before), bad, Buffer.from(after)]))).message;
    const file = path.join(folder, 'list.json');
    expect(refused('["')).toBe(`${file}, line 1, byte 4: 0xF9 is not UTF-8`);
    expect(refused('\ufeff["')).toBe(`${file}, line 1, byte 7: 0xF9 is not UTF-8`);
    expect(refused('[\n 1,\n {"a": "é"}, {"b": "')).toContain(', line 3, byte 23:');
    expect(refused('[{"a": 1,\n\n "b": "')).toContain(', line 3, byte 9:');
    // The element and its line begin in an earlier block.
    const long = 'x'.repeat(3_000_000);
    expect(refused(`[1,\n {"a": "${long}", "b": "`)).toContain(`, line 2, byte ${long.length + 19}:`);
    expect(refused(`["${long}", 2, {"b": "`)).toContain(`, line 1, byte ${long.length + 17}:`);
    expect(refused(`["${long}",\n 2, {"b": "`)).toContain(', line 2, byte 13:');
  });

  it.each(['utf16le', 'utf-16le with its mark'])('in %s is refused by name', (name) => {
    const bytes = Buffer.from(`${name === 'utf16le' ? '' : '\ufeff'}[1]`, 'utf16le');
    expect(refusal(() => read(bytes)).message).toContain('the file is UTF-16LE');
  });

  it('may be empty', () => {
    expect(read(' [ ] \n')).toEqual([]);
  });
});
