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
    expect(zero.finish(111, 0).record.outcome).toBe('empty');
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
