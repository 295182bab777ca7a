import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { readJsonList } from '../../src/datasets/json-array.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'json-list-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function read(text: string): unknown[] {
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

  it('may be empty', () => {
    expect(read(' [ ] \n')).toEqual([]);
  });
});
