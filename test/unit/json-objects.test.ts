import { describe, expect, it } from 'vitest';
import { readJsonObjects } from '../../src/importers/json-objects.ts';

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
