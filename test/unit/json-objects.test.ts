import { describe, expect, it } from 'vitest';
import { type PlacedObject, readJsonObjects as readBytes } from '../../src/importers/json-objects.ts';

const readJsonObjects = (text: string, file: string): PlacedObject[] => readBytes(Buffer.from(text), file);

describe('readJsonObjects', () => {
  it('takes objects out of lines of text, with the numbers of Python', () => {
    const text = [
      '#Input tokens: 64000',
      '{"a": Infinity, "b": [-Infinity, NaN, 1.5], "c": "NaN, \\"Infinity\\" {"}',
      '',
      '  starting benchmark {run 2}',
      '{"a": 2}\r',
    ].join('\n');
    expect(readJsonObjects(text, 'f')).toEqual([
      {
        line: 2,
        value: {
          a: Number.POSITIVE_INFINITY,
          b: [Number.NEGATIVE_INFINITY, null, 1.5],
          c: 'NaN, "Infinity" {',
        },
      },
      { line: 5, value: { a: 2 } },
    ]);
  });

  it('takes an object over many lines, after a mark of UTF-8 or text', () => {
    expect(readJsonObjects('\uFEFF{\n  "a": {\n    "b": [{}, NaN]\n  }\n}\n', 'f')).toEqual([
      { line: 1, value: { a: { b: [{}, null] } } },
    ]);
    expect(readJsonObjects('done\n{\n"a": 1}', 'f')).toEqual([{ line: 2, value: { a: 1 } }]);
    expect(readJsonObjects('', 'f')).toEqual([]);
    expect(readJsonObjects('no JSON at all', 'f')).toEqual([]);
  });

  it('is strict on the encoding of objects, and on nothing between them', () => {
    const noise = Buffer.from('Où 100%|\u00e9| done\n', 'latin1');
    const object = Buffer.from('{"model": "Qwen é"}\n');
    const bytes = Buffer.concat([noise, object, noise, object]);
    expect(readBytes(bytes, 'f').map(({ line, value }) => [line, value['model']])).toEqual([
      [2, 'Qwen é'],
      [4, 'Qwen é'],
    ]);
    const latin1 = Buffer.concat([noise, Buffer.from('{"model": "Qwen é"}\n', 'latin1')]);
    expect(() => readBytes(latin1, 'f')).toThrow('f, line 2, byte 17: 0xE9 is not UTF-8');
    const marked = Buffer.concat([Buffer.from('\ufeff'), Buffer.from('{"model": "é"}', 'latin1')]);
    expect(() => readBytes(marked, 'f')).toThrow('f, line 1, byte 15: 0xE9 is not UTF-8');
    const long = Buffer.concat([noise, Buffer.from('{\n"model": "é"\n}', 'latin1')]);
    expect(() => readBytes(long, 'f')).toThrow('f, line 3, byte 11: 0xE9 is not UTF-8');
    const wide = Buffer.from('\ufeff{"a": 1}', 'utf16le');
    expect(() => readBytes(wide, 'f')).toThrow('the file is UTF-16LE');
  });

  it('names the line that is broken', () => {
    expect(() => readJsonObjects('text\n{"a": 1}\n{"a": 1,\n{"a": 3}', 'run.jsonl')).toThrow(
      /^run\.jsonl:3: not JSON/,
    );
    expect(() => readJsonObjects('{"a": 1', 'r')).toThrow(/^r:1: not JSON/);
    expect(() => readJsonObjects('text\n{\n  "a": 1\n  "b": 2\n}\n', 'r')).toThrow(/^r:4: not JSON/);
    // Here JSON.parse shows the place, and does not name it.
    expect(() => readJsonObjects('{\n  "a": 1,\n  "b": oops\n}\n', 'r')).toThrow(/^r:1: .*"b": oops/);
    expect(() => readJsonObjects('{\n  "a": 1,\n  "b": 2\n', 'r')).toThrow(/^r:3: not JSON/);
  });
});
