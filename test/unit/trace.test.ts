import { describe, expect, it } from 'vitest';
import { BenchError, EXIT } from '../../src/core/errors.ts';
import { parseTrace } from '../../src/core/trace.ts';

const good = '{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]}';

describe('a trace in the format of Mooncake', () => {
  it('is read row by row, with empty lines, other keys and rows without blocks', () => {
    const text = `${good}\n\n{"timestamp":27482.5,"input_length":1,"output_length":1,"session":"x"}\r\n`;
    expect(parseTrace(text, 'f')).toEqual([
      { timestampMs: 27_482, isl: 6_955, osl: 52, hashIds: [46, 47] },
      { timestampMs: 27_482.5, isl: 1, osl: 1, hashIds: [] },
    ]);
  });

  it('takes the block that the input only begins', () => {
    const row = '{"timestamp":0,"input_length":513,"output_length":1,"hash_ids":[1,2]}';
    expect(parseTrace(row, 'f')[0]!.hashIds).toEqual([1, 2]);
  });

  it.each([
    ['no JSON', '{"timestamp": 1,', ['not JSON']],
    ['no object', '[1]', ['[1] is no JSON object']],
    [
      'no timestamp',
      '{"input_length":1,"output_length":1}',
      ['timestamp (missing) is no number of milliseconds'],
    ],
    ['a timestamp that is a text', good.replace('27482', '"soon"'), ['timestamp "soon"']],
    ['a timestamp below 0', good.replace('27482', '-1'), ['timestamp -1']],
    [
      'a fall of the timestamps',
      good.replace('27482', '20000'),
      ['timestamp 20000 is before that of the row above, 27482'],
    ],
    ['an input of nothing', good.replace('6955', '0'), ['input_length 0 is no whole number of tokens']],
    ['an output of nothing', good.replace('52', '0'), ['output_length 0 is no whole number of tokens']],
    ['a broken length', good.replace('6955', '1.5'), ['input_length 1.5']],
    ['a length that is no length', good.replace('6955', '1e9'), ['input_length 1000000000']],
    ['blocks that are no list', good.replace('[46, 47]', '"a"'), ['hash_ids "a" is no list']],
    ['a block that is no number', good.replace('47', '"a"'), ['hash_ids "a" is no whole number']],
    [
      'more blocks than the input has',
      good.replace('6955', '512'),
      ['2 hash_ids for an input_length of 512, which has 1 block'],
    ],
  ])('refuses %s with file, line and value', (_what, line, says) => {
    const thrown = ((): unknown => {
      try {
        parseTrace(`${good}\n\n${line}\n`, 'day.jsonl');
        return null;
      } catch (error) {
        return error;
      }
    })();
    expect(thrown).toBeInstanceOf(BenchError);
    const { message, exitCode, hint } = thrown as BenchError;
    expect(exitCode).toBe(EXIT.usage);
    expect(hint).not.toBeNull();
    for (const said of ['day.jsonl, line 3: ', ...says]) expect(message).toContain(said);
  });

  it('refuses a file without rows', () => {
    expect(() => parseTrace('\n', 'day.jsonl')).toThrow('day.jsonl has no rows');
  });
});
