import { describe, expect, it } from 'vitest';
import { recordFromJson, recordToJson } from '../../src/core/record.ts';
import { RecordBuilder, type RequestPlan } from '../../src/core/record-builder.ts';

const PLAN: RequestPlan = {
  id: 7,
  point: 2,
  concurrency: 8,
  phase: 'measured',
  requestId: 'r-7',
  dueAtMs: 99,
  isl: 4_000,
  osl: 4,
  promptTokens: 4_003,
};

function builder(change: Partial<RequestPlan> = {}): RecordBuilder {
  const made = new RecordBuilder({ ...PLAN, ...change });
  made.sentAtMs = 100;
  return made;
}

describe('RecordBuilder', () => {
  it('keeps send to first chunk, then gap by gap, in microseconds that add up', () => {
    const b = builder();
    b.addChunk(300.0004, 'a', -1);
    b.addChunk(310.0008, 'b', -1);
    b.addChunk(320.0016, 'c', -1);
    b.finishReason = 'length';
    b.completionTokens = 3;
    const { record, text } = b.finish(321, 0);
    expect([...record.chunkUs]).toEqual([200_000, 10_001, 10_001]);
    expect(record).toMatchObject({ outcome: 'good', firstAtMs: 300.0004, lastAtMs: 320.0016, endAtMs: 321 });
    expect([...record.chunkTokens!]).toEqual([1, 1, 1]);
    expect(record.chunkTokensBy).toBe('one-per-chunk');
    expect(text).toBeNull();
  });

  it('takes tokens per chunk from continuous usage', () => {
    const b = builder({ osl: 9 });
    b.addChunk(110, 'x', 2);
    b.addChunk(120, 'yz', 5);
    b.addChunk(130, 'w', 9);
    b.completionTokens = 9;
    b.done = true;
    const { record, text } = b.finish(131, 0);
    expect([...record.chunkTokens!]).toEqual([2, 3, 4]);
    expect(record.chunkTokensBy).toBe('continuous-usage');
    expect(text).toBeNull();
  });

  it('hands the text over when chunks and tokens do not agree', () => {
    const b = builder({ osl: 5 });
    b.addChunk(110, 'héllo', -1);
    b.addChunk(120, ' world', -1);
    b.completionTokens = 5;
    b.finishReason = 'length';
    const { record, text } = b.finish(121, 0);
    expect(record.chunkTokens).toBeNull();
    expect(Buffer.from(text!.bytes).toString()).toBe('héllo world');
    expect([...text!.ends]).toEqual([6, 12]);
  });

  it('grows beyond the asked length', () => {
    const b = builder({ osl: 1 });
    for (let i = 0; i < 500; i++) b.addChunk(101 + i, 'word ', -1);
    b.done = true;
    const { record, text } = b.finish(700, 0);
    expect(record.chunkUs).toHaveLength(500);
    expect(text!.bytes).toHaveLength(2_500);
    expect(record.osl).toEqual({ asked: 1, counted: null, by: 'none' });
  });

  it('asks for a proper end and at least one token', () => {
    const cut = builder();
    cut.addChunk(110, 'a', -1);
    expect(cut.finish(111, 0).record).toMatchObject({ outcome: 'truncated' });

    expect(builder().finish(111, 0).record.outcome).toBe('empty');

    const hollow = builder();
    hollow.done = true;
    expect(hollow.finish(111, 0).record.outcome).toBe('empty');

    const zero = builder();
    zero.addChunk(110, 'a', -1);
    zero.done = true;
    zero.completionTokens = 0;
    expect(zero.finish(111, 0).record).toMatchObject({
      outcome: 'empty',
      detail: "text came in 1 chunks, but the server's usage says 0 output tokens",
    });
  });

  it('takes running counts of nothing but 0 for none, and keeps the text', () => {
    for (const [count, by] of [
      [3, 'one-per-chunk'],
      [7, null],
    ] as const) {
      const b = builder({ osl: count });
      for (const at of [110, 120, 130]) b.addChunk(at, 'a', 0);
      b.completionTokens = count;
      b.done = true;
      const { record, text, uncounted } = b.finish(131, 0);
      expect(record).toMatchObject({ outcome: 'good', chunkTokensBy: by, osl: { counted: count } });
      expect([uncounted, text?.bytes.length]).toEqual(by === null ? [true, 3] : [false, undefined]);
    }
    // Counts that lag are counts all the same.
    const lags = builder();
    for (const [i, at] of [110, 120, 130].entries()) lags.addChunk(at, 'a', i);
    lags.completionTokens = 3;
    lags.done = true;
    expect([...lags.finish(131, 0).record.chunkTokens!]).toEqual([0, 1, 1]);
  });

  it('shows the longest event in which no output was found where there was none at all', () => {
    const b = builder();
    b.noteUnread('{"a":1}', false);
    b.noteUnread(`{"b":"${'x'.repeat(400)}"}`, false);
    b.noteUnread('{"c":1}', true);
    b.finishReason = 'length';
    const { detail } = b.finish(111, 0).record;
    expect(detail).toContain('no output was found in {"b":"xxx');
    expect(detail!.length).toBeLessThan(400);
    const odd = builder();
    odd.addChunk(110, 'a', -1);
    odd.noteUnread('{"first":1}', true);
    odd.noteUnread('{"second, which is longer":1}', true);
    odd.done = true;
    expect(odd.finish(111, 0).record).toMatchObject({ outcome: 'error-event', detail: '{"first":1}' });
  });

  it('fails what the server gave up, but keeps the failure that came before', () => {
    const b = builder();
    b.addChunk(110, 'a', -1);
    b.finishReason = 'abort';
    b.completionTokens = 1;
    b.done = true;
    expect(b.finish(111, 0).record).toMatchObject({
      outcome: 'aborted',
      detail: 'finish reason "abort" after 1 output tokens',
      finishReason: 'abort',
      osl: { counted: 1 },
    });
    const broken = builder();
    broken.fail('malformed', 'no JSON');
    broken.finishReason = 'abort';
    expect(broken.finish(111, 0).record).toMatchObject({ outcome: 'malformed', detail: 'no JSON' });
  });

  it('asks for the whole output behind an unknown reason, but not of a model that may stop', () => {
    for (const [naturalEnd, outcome] of [
      [false, 'aborted'],
      [true, 'good'],
    ] as const) {
      const b = new RecordBuilder(PLAN, false, 'process', naturalEnd);
      b.addChunk(110, 'a', -1);
      b.finishReason = 'because';
      b.completionTokens = PLAN.osl - 1;
      expect(b.finish(111, 0).record.outcome).toBe(outcome);
    }
  });

  it('calls a request good that showed no text but was counted; its first token is unknown', () => {
    const b = builder({ osl: 1 });
    b.completionTokens = 1;
    b.finishReason = 'length';
    expect(b.finish(111, 0).record).toMatchObject({ outcome: 'good', firstAtMs: null, lastAtMs: null });
  });

  it('lets an error event win over [DONE], and over what it led to', () => {
    const b = builder();
    b.addChunk(110, 'a', -1);
    b.fail('reset', 'ECONNRESET');
    b.fail('error-event', 'Internal server error');
    b.done = true;
    expect(b.finish(111, 0).record).toMatchObject({
      outcome: 'error-event',
      detail: 'Internal server error',
    });
  });

  it('counts input by the server, else by the tokenizer, less the template where the text alone counts', () => {
    const byServer = builder();
    byServer.promptTokens = 4_003;
    expect(byServer.finish(111, 3).record).toMatchObject({
      isl: { asked: 4_000, counted: 4_000, by: 'usage' },
      promptTokens: 4_003,
    });
    expect(builder().finish(111, 0).record.isl).toEqual({ asked: 4_000, counted: 4_003, by: 'tokenizer' });
    expect(builder({ promptTokens: null }).finish(111, 0).record.isl).toEqual({
      asked: 4_000,
      counted: null,
      by: 'none',
    });
  });

  it('takes text as bytes as it takes it as a string, whoever counts', () => {
    const parts = ['a', ' wörd', '日本語', 'x'.repeat(700), '😀'];
    for (const counts of [[], [1, 2, 3, 4, 5], [-1, -1, -1, 4, 5]]) {
      for (const keepText of [false, true]) {
        const [byString, byBytes] = [new RecordBuilder(PLAN, keepText), new RecordBuilder(PLAN, keepText)];
        for (const [i, part] of parts.entries()) {
          byString.addChunk(110 + i, part, counts[i] ?? -1);
          const bytes = Buffer.from(`<${part}>`);
          byBytes.addChunkBytes(110 + i, bytes, 1, bytes.length - 1, counts[i] ?? -1);
        }
        byString.done = true;
        byBytes.done = true;
        expect(byBytes.finish(131, 0)).toEqual(byString.finish(131, 0));
      }
    }
  });

  it('survives the way to disk and back', () => {
    const b = builder();
    b.addChunk(110.12345, 'a', 1);
    b.addChunk(120, 'b', 2);
    b.completionTokens = 2;
    b.done = true;
    const { record } = b.finish(121.5, 0);
    const line = recordToJson(record);
    expect(JSON.parse(line)).toMatchObject({
      id: 7,
      firstAtMs: 110.123,
      chunkUs: [10_123, 9_877],
      chunkTokens: [1, 1],
    });
    expect(recordFromJson(line)).toEqual({ ...record, firstAtMs: 110.123 });
    expect(() => recordFromJson('{"id":1}')).toThrow(SyntaxError);
  });
});

describe('arrival intervals', () => {
  const stamped = (by: 'kernel' | 'process', osl = 4): RecordBuilder => {
    const made = new RecordBuilder({ ...PLAN, osl }, false, by);
    made.sentAtMs = 100;
    made.done = true;
    return made;
  };

  it('are kept in whole µs, rounded up, once one of them is not exact', () => {
    const b = stamped('kernel');
    b.addChunk(110, 'a', -1);
    b.addChunkBytes(120, Buffer.from('b'), 0, 1, -1);
    b.addChunk(130, 'c', -1, 2.000_1);
    b.addChunkBytes(140, Buffer.from('d'), 0, 1, -1, 0.01);
    b.addChunk(150, 'e', -1, 3);
    b.addChunk(160, 'f', -1);
    const { record } = b.finish(161, 0);
    expect(record.stampedBy).toBe('kernel');
    expect([...record.chunkSlackUs!]).toEqual([0, 0, 2_001, 10, 3_000, 0]);
  });

  it('of half the unit of instants or more count', () => {
    const slackOf = (slackMs: number): readonly number[] | null => {
      const b = stamped('kernel');
      b.addChunk(110, 'a', -1, slackMs);
      const { chunkSlackUs } = b.finish(111, 0).record;
      return chunkSlackUs ? [...chunkSlackUs] : null;
    };
    expect(slackOf(0)).toBeNull();
    expect(slackOf(0.000_499)).toBeNull();
    expect(slackOf(0.000_5)).toEqual([1]);
    expect(slackOf(0.001)).toEqual([1]);
  });

  it('are left out while all are exact, and where the process stamps', () => {
    const exact = stamped('kernel');
    exact.addChunk(110, 'a', -1, 0.000_2);
    expect(exact.finish(111, 0).record).not.toHaveProperty('chunkSlackUs');
    const own = stamped('process');
    own.addChunk(110, 'a', -1, Number.POSITIVE_INFINITY);
    own.addChunk(120, 'a', -1, 5);
    const { record } = own.finish(121, 0);
    expect(record).not.toHaveProperty('chunkSlackUs');
    expect(record.stampedBy).toBe('process');
    expect(new RecordBuilder(PLAN).finish(111, 0).record.stampedBy).toBe('process');
  });

  it('without a lower end, or of more than 71 minutes, are the largest number there is', () => {
    const b = stamped('kernel');
    b.addChunk(110, 'a', -1, Number.POSITIVE_INFINITY);
    b.addChunk(120, 'b', -1, 4_294_967.294);
    b.addChunk(130, 'c', -1, 4_294_967.3);
    expect([...b.finish(131, 0).record.chunkSlackUs!]).toEqual([2 ** 32 - 1, 2 ** 32 - 2, 2 ** 32 - 1]);
  });

  it('grow with the chunks', () => {
    const b = stamped('kernel', 1);
    for (let i = 0; i < 100; i++) b.addChunk(101 + i, 'x', -1, i === 2 || i > 90 ? i : 0);
    const expected = Array.from({ length: 100 }, (_, i) => (i === 2 || i > 90 ? i * 1_000 : 0));
    expect([...b.finish(300, 0).record.chunkSlackUs!]).toEqual(expected);
  });

  it('survive the way to disk and back, and so does their absence', () => {
    const b = stamped('kernel');
    b.addChunk(110, 'a', 1, 0.25);
    b.addChunk(120, 'b', 2, Number.POSITIVE_INFINITY);
    b.completionTokens = 2;
    const { record } = b.finish(121, 0);
    const line = recordToJson(record);
    expect(JSON.parse(line)).toMatchObject({ stampedBy: 'kernel', chunkSlackUs: [250, 2 ** 32 - 1] });
    expect(recordFromJson(line)).toEqual(record);
    expect(recordFromJson(line).chunkSlackUs).toBeInstanceOf(Uint32Array);

    for (const by of ['kernel', 'process'] as const) {
      const exact = stamped(by);
      exact.addChunk(110, 'a', 1);
      const without = exact.finish(111, 0).record;
      expect(recordToJson(without)).not.toContain('chunkSlackUs');
      expect(recordFromJson(recordToJson(without))).toEqual(without);
      expect(recordFromJson(recordToJson({ ...without, chunkSlackUs: null }))).toEqual(without);
    }
    // A line of an older version names no clock.
    const { stampedBy: _, ...older } = record;
    expect(recordFromJson(recordToJson(older))).not.toHaveProperty('stampedBy');
  });
});
