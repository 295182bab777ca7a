import { describe, expect, it } from 'vitest';
import { type StreamEnd, wrongEnd } from '../../src/core/stream-end.ts';

const GOOD: StreamEnd = {
  done: true,
  finishReason: 'length',
  completionTokens: 12,
  chunks: 12,
  leastTokens: 12,
  unread: null,
  unknownEvent: null,
};
const of = (change: Partial<StreamEnd>) => wrongEnd({ ...GOOD, ...change });

describe('the end of a stream', () => {
  it('is good with an end mark or a finish reason, and output', () => {
    for (const change of [
      {},
      { done: false },
      { finishReason: null },
      { finishReason: null, completionTokens: -1 },
      { completionTokens: -1, chunks: 1 },
      { completionTokens: 1, chunks: 0 },
      // A model that stops early is a deviation of its length, and no failure.
      { finishReason: 'stop', completionTokens: 3 },
    ])
      expect(of(change), JSON.stringify(change)).toBeNull();
  });

  it.each([
    ['aborted', 'abort'],
    ['aborted', 'error: engine dead'],
    ['filtered', 'content_filter'],
  ])('is %s by the finish reason %s, beside anything else', (name, finishReason) => {
    const detail = (after: string) => ({
      class: name,
      detail: `finish reason "${finishReason}" after ${after}`,
    });
    expect(of({ finishReason })).toEqual(detail('12 output tokens'));
    expect(of({ finishReason, completionTokens: 6 })).toEqual(detail('6 output tokens'));
    expect(of({ finishReason, completionTokens: 0, chunks: 0 })).toEqual(detail('0 output tokens'));
    expect(of({ finishReason, completionTokens: -1, chunks: 5 })).toEqual(detail('5 chunks'));
    expect(of({ finishReason, done: false, leastTokens: null })).toEqual(detail('12 output tokens'));
  });

  it('with a reason that is not known is good where the output is not known to be shorter than requested', () => {
    const finishReason = 'because';
    expect(of({ finishReason, completionTokens: 11 })).toEqual({
      class: 'aborted',
      detail: 'unknown finish reason "because" after 11 output tokens of 12 requested',
    });
    for (const change of [{}, { completionTokens: 13 }, { completionTokens: -1, chunks: 3 }])
      expect(of({ finishReason, ...change })).toBeNull();
    // The model may end it when it likes.
    expect(of({ finishReason, completionTokens: 3, leastTokens: null })).toBeNull();
  });

  it('without output is empty, and shows what was not read', () => {
    const nothing = { chunks: 0, completionTokens: -1 };
    expect(of({ ...nothing })).toEqual({
      class: 'empty',
      detail: 'proper end without a single output token',
    });
    expect(of({ ...nothing, unread: '{"a":1}' })!.detail).toBe(
      'proper end without a single output token; no output was found in {"a":1}',
    );
    expect(of({ ...nothing, done: false, finishReason: null, unread: '{"a":1}' })).toEqual({
      class: 'empty',
      detail: 'the response ended without any output; no output was found in {"a":1}',
    });
    expect(of({ chunks: 0, completionTokens: 0 })!.class).toBe('empty');
  });

  it('with text and a count of 0 says both', () => {
    expect(of({ chunks: 3, completionTokens: 0 })).toEqual({
      class: 'empty',
      detail: "text came in 3 chunks, but the server's usage says 0 output tokens",
    });
  });

  it('without end mark and reason is truncated', () => {
    const cut = { done: false, finishReason: null };
    expect(of(cut)).toEqual({
      class: 'truncated',
      detail: 'the response ended after 12 chunks without [DONE] or a finish reason',
    });
  });

  it('takes an event of no known kind for an error unless a finish reason says that all is well', () => {
    const unknownEvent = '{"state":"broken"}';
    expect(of({ unknownEvent })).toBeNull();
    expect(of({ unknownEvent, finishReason: null })).toEqual({ class: 'error-event', detail: unknownEvent });
    expect(of({ unknownEvent, finishReason: null, done: false })!.class).toBe('error-event');
    expect(of({ unknownEvent, finishReason: 'abort' })!.class).toBe('aborted');
  });
});
