import { describe, expect, it } from 'vitest';
import { type TraceRow, type TraceUnit, traceRows } from '../../src/core/trace.ts';
import { BlockSize, type TraceBlocks } from '../../src/core/trace-blocks.ts';
import { unitQuestion } from '../../src/core/trace-question.ts';
import { refusal } from '../fixtures/refusal.ts';

const good = '{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]}';

function parse(text: string, unit?: TraceUnit): TraceRow[] {
  const lines = text.split('\n').map((line, i) => ({ number: i + 1, text: line }));
  return [...traceRows(lines, 'day.jsonl', unit)];
}

const idsOf = (ids: string): TraceRow['hashIds'] => parse(good.replace('46, 47', ids))[0]!.hashIds;

describe('a trace in the format of Mooncake', () => {
  it('is read row by row, with empty lines, other keys and rows without blocks', () => {
    const text = `${good}\n\n{"timestamp":27482.5,"input_length":1,"output_length":1,"session":"x"}\r\n`;
    expect(parse(text)).toEqual([
      { line: 1, timestampMs: 27_482, isl: 6_955, osl: 52, hashIds: [46, 47] },
      { line: 3, timestampMs: 27_482.5, isl: 1, osl: 1, hashIds: [] },
    ]);
  });

  it('may have its timestamps in seconds', () => {
    const text = [0, 0.25, 3].map((seconds) => good.replace('27482', String(seconds))).join('\n');
    expect(parse(text, 's').map(({ timestampMs }) => timestampMs)).toEqual([0, 250, 3_000]);
    expect(parse(text, 'ms').map(({ timestampMs }) => timestampMs)).toEqual([0, 0.25, 3]);
  });

  it('takes ids of 64 bits digit by digit, and texts', () => {
    expect(idsOf('9223372036854775808, 9223372036854775809,-9223372036854775808')).toEqual([
      '9223372036854775808',
      '9223372036854775809',
      '-9223372036854775808',
    ]);
    expect(idsOf('"a1b2", "9223372036854775809"')).toEqual(['a1b2', '9223372036854775809']);
    // 2^53 and its neighbours.
    expect(idsOf('9007199254740991, 9007199254740992, 9007199254740993')).toEqual([
      9_007_199_254_740_991,
      '9007199254740992',
      '9007199254740993',
    ]);
  });

  it('gives an id one form, however it is written', () => {
    expect(idsOf('46, "46", 46.0, "046"')).toEqual([46, 46, 46, '046']);
    expect(idsOf('1234567890123456, "1234567890123456"')).toEqual([
      1_234_567_890_123_456, 1_234_567_890_123_456,
    ]);
  });

  it('leaves long digits alone that are no ids', () => {
    const row = good
      .replace('27482', '1700000000000000000')
      .replace('{', '{"session": "\\"hash_ids\\": [1234567890123456789]", "n": 1234567890123456789, ');
    expect(parse(row)).toEqual([
      { line: 1, timestampMs: 1_700_000_000_000_000_000, isl: 6_955, osl: 52, hashIds: [46, 47] },
    ]);
  });

  it.each([
    ['no JSON', '{"timestamp": 1,', ['not JSON']],
    ['no JSON by an invisible character', `\ufeff${good}`, ['not JSON', '\\ufeff']],
    ['no object', '[1]', ['[1] is no JSON object']],
    ['no timestamp', '{"input_length":1,"output_length":1}', ['timestamp (missing) is no number']],
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
    ['a block of nothing', good.replace('47', '""'), ['hash_ids "" is no whole number']],
    ['a block that is a fraction', good.replace('47', '1.5'), ['hash_ids 1.5 is no whole number']],
    ['a block that is null', good.replace('47', 'null'), ['hash_ids null is no whole number']],
    [
      'ids that a float has rounded',
      good.replace('47', '9223372036854775808.0'),
      ['hash_ids 9223372036854776000 is no whole number', 'it was rounded to a float'],
    ],
  ])('refuses %s with file, line and value', (_what, line, says) => {
    const { message, hint } = refusal(() => parse(`${good}\n\n${line}\n`));
    expect(hint).not.toBeNull();
    for (const said of ['day.jsonl, line 3: ', ...says]) expect(message).toContain(said);
    expect(message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });

  it('refuses a file without rows', () => {
    expect(() => parse('\n')).toThrow('day.jsonl has no rows');
  });
});

describe('the size of a trace’s blocks', () => {
  /** Rows of an input length and a number of ids each. */
  function sizeOf(rows: readonly (readonly [isl: number, ids: number])[], given?: number): TraceBlocks {
    const size = new BlockSize('day.jsonl', given);
    for (const [i, [isl, ids]] of rows.entries())
      size.add({ line: i + 1, isl, hashIds: Array.from({ length: ids }, (_, id) => id) });
    return size.found();
  }

  it('is 512 where the rows agree, whether or not the last block counts', () => {
    const rows = [
      [513, 2],
      [513, 1],
      [1_024, 2],
      [60, 1],
      [300, 0],
      [9_999, 0],
    ] as const;
    expect(sizeOf(rows)).toEqual({ tokens: 512, warning: null });
    expect(sizeOf([[3_000, 0]])).toEqual({ tokens: 512, warning: null });
  });

  it.each([8, 16, 64, 128, 256, 1_024, 2_048])('is seen from the rows where it is %i, and said', (tokens) => {
    const lengths = [5_000, 4_096, 2_500, 7_777];
    const counted = [Math.ceil, Math.floor].map((round) =>
      sizeOf(lengths.map((isl) => [isl, round(isl / tokens)] as const)),
    );
    for (const { tokens: found, warning } of counted) {
      expect(found).toBe(tokens);
      expect(warning).toContain(`blocks of ${tokens} tokens`);
      expect(warning).toContain('--trace-block');
    }
    expect(counted[0]!.warning).toContain(`line 1 has ${Math.ceil(5_000 / tokens)} hash_ids for 5000 tokens`);
  });

  it('stays 512 with a warning where rows have fewer ids and no one size fits', () => {
    const { tokens, warning } = sizeOf([
      [1_024, 2],
      [4_096, 3],
      [8_000, 3],
    ]);
    expect(tokens).toBe(512);
    expect(warning).toContain('2 of 3 rows of day.jsonl have fewer hash_ids than blocks of 512 tokens');
    expect(warning).toContain('line 2 has 3 hash_ids for 4096 tokens');
    expect(warning).toContain('--trace-block');
    // Several sizes would do: none is taken.
    const several = sizeOf([[3_000, 2]]);
    expect(several.tokens).toBe(512);
    expect(several.warning).toContain('blocks of 1024 or 2048 tokens would fit all rows');
  });

  it('is what the user says, without a word on rows that have fewer ids', () => {
    const rows = [[2_048, 2]] as const;
    expect(sizeOf(rows).tokens).toBe(1_024);
    expect(sizeOf(rows, 512)).toEqual({ tokens: 512, warning: null });
    expect(sizeOf(rows, 1_000)).toEqual({ tokens: 1_000, warning: null });
  });

  it.each([
    [
      undefined,
      [
        [512, 2],
        [600, 2],
        [513, 1],
      ] as const,
      'line 1: 2 hash_ids for an input_length of 512, which has 1 block',
    ],
    [
      2_000,
      [
        [2_048, 2],
        [2_000, 2],
      ] as const,
      'line 2: 2 hash_ids for an input_length of 2000, which has 1 blocks of 2000',
    ],
    [
      undefined,
      [[9, 9]] as const,
      'line 1: 9 hash_ids for an input_length of 9, which has 1 blocks of 512 tokens',
    ],
    [
      undefined,
      [
        [4_096, 1],
        [512, 2],
      ] as const,
      'line 2: 2 hash_ids for an input_length of 512, which has 1 blocks of 512 tokens',
    ],
  ])('of %s is refused where a row has more ids than blocks', (given, rows, says) => {
    const { message, hint } = refusal(() => sizeOf(rows, given));
    expect(message).toContain(`day.jsonl, ${says}`);
    expect(hint).toContain('--trace-block');
  });
});

describe('the unit of a trace’s timestamps', () => {
  const question = (traceRows: number, traceSpanMs: number, osl = 6, more = {}): string | null =>
    unitQuestion({
      arrivalShape: { tracePath: 'day.jsonl', slowdown: 1, traceRows, traceSpanMs, ...more },
      points: [{ index: 0, concurrency: 1, isl: 60, osl, requests: traceRows, durationMs: null, warmup: 0 }],
    });

  it('is questioned where all rows come within the time of one request', () => {
    const asked = question(6, 1);
    expect(asked).toContain('all 6 rows of day.jsonl come within 1 ms, 5000 a second');
    expect(asked).toContain('--trace-unit s ');
    expect(asked).toContain('--trace-unit ms ');
    // 20 ms and 5 ms of each of 6 tokens.
    expect(question(2, 49.9)).not.toBeNull();
    expect(question(2, 50)).toBeNull();
    expect(question(3, 1_000, 500)).not.toBeNull();
  });

  it('is questioned where more come than any recorded load has', () => {
    // An hour of seconds, one request in 2 s.
    expect(question(1_800, 3_598)).toContain('500 a second');
    expect(question(1_001, 10_000)).toBeNull();
    expect(question(1_002, 10_000)).not.toBeNull();
  });

  it('is not where it was given, nor without a trace, nor where all rows come at once', () => {
    expect(question(6, 1, 6, { traceUnit: 'ms' })).toBeNull();
    expect(question(6, 1, 6, { traceUnit: 's' })).toBeNull();
    expect(question(6, 0)).toBeNull();
    expect(unitQuestion({ points: [] })).toBeNull();
  });
});
