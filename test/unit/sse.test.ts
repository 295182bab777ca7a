import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SseReader } from '../../src/endpoints/sse.ts';

function events(bytes: Buffer, cuts: readonly number[] = [], end = true): [string, string | null][] {
  const seen: [string, string | null][] = [];
  const reader = new SseReader((data, type) => seen.push([data, type]));
  const edges = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  );
  for (let i = 1; i < edges.length; i++) {
    if (edges[i]! > edges[i - 1]!) reader.feed(bytes, edges[i - 1]!, edges[i]!);
  }
  if (end) reader.end();
  return seen;
}

describe('SseReader', () => {
  it('reads what servers send: CRLF, comments, ids, no space, several lines of data', () => {
    const stream =
      ': ping\r\ndata: {"a":1}\r\n\r\nid: 7\r\ndata:{"b":2}\r\n\r\nevent: error\ndata: first\ndata: second\n\ndata: [DONE]\n\n';
    expect(events(Buffer.from(stream))).toEqual([
      ['{"a":1}', null],
      ['{"b":2}', null],
      ['first\nsecond', 'error'],
      ['[DONE]', null],
    ]);
  });

  it('passes over a byte order mark before the first event, cut anywhere', () => {
    const bytes = Buffer.from('\ufeffdata: 1\n\n\ufeffdata: 2\n\ndata: \ufeff\n\n');
    for (let cut = 0; cut < bytes.length; cut++) {
      // Further on it is a part of the text.
      expect(events(bytes, [cut])).toEqual([
        ['1', null],
        ['\ufeff', null],
      ]);
    }
  });

  it('tells an event that lacks its blank line only when the response ended as it should', () => {
    expect(events(Buffer.from('data: [DONE]'), [], true)).toEqual([['[DONE]', null]]);
    expect(events(Buffer.from('data: {"half'), [], false)).toEqual([]);
  });

  it('gives the same events wherever the bytes are cut, also inside a character', () => {
    const word = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => !/[\r\n]/.test(text));
    fc.assert(
      fc.property(
        fc.array(word, { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(), { maxLength: 40 }),
        (words, cuts) => {
          const sent = words.map((text) => JSON.stringify({ text }));
          const bytes = Buffer.from(sent.map((data) => `data: ${data}\n\n`).join(''));
          expect(events(bytes, cuts).map(([data]) => data)).toEqual(sent);
        },
      ),
    );
  });
});
