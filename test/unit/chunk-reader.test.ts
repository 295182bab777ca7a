import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChunkReader, type SharedShape } from '../../src/endpoints/chunk-reader.ts';
import { type Delta, emptyDelta } from '../../src/endpoints/dialect.ts';
import { openaiChat } from '../../src/endpoints/openai-chat.ts';
import { SseReader } from '../../src/endpoints/sse.ts';

interface Seen {
  readonly type: string | null;
  /** null where the event was no chunk. */
  readonly delta: Delta | null;
}

/** Feeds pieces of `bytes`, each in a buffer that holds other bytes around it, as the shared read buffer does. */
function feed(
  bytes: Buffer,
  cuts: readonly number[],
  reader: { feed(b: Buffer, start: number, end: number): void },
): void {
  const edges = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  );
  for (let i = 1; i < edges.length; i++) {
    const piece = bytes.subarray(edges[i - 1]!, edges[i]!);
    if (piece.length === 0) continue;
    const around = Buffer.concat([Buffer.from('data: {"'), piece, Buffer.from('\n\n')]);
    reader.feed(around, 8, 8 + piece.length);
  }
}

function read(data: string, type: string | null): Seen {
  const delta = emptyDelta();
  try {
    openaiChat.read(data, delta);
    return { type, delta };
  } catch {
    return { type, delta: null };
  }
}

/** By the general reader and JSON.parse alone. */
function reference(bytes: Buffer): Seen[] {
  const seen: Seen[] = [];
  const reader = new SseReader((data, type) => seen.push(read(data, type)));
  feed(bytes, [], reader);
  reader.end();
  return seen;
}

/** By the chunk reader, which learns from each event as the client lets it; with how many events a template read. */
function scanned(
  bytes: Buffer,
  cuts: readonly number[],
  shared: SharedShape = { template: null },
): { seen: Seen[]; byTemplate: number } {
  const seen: Seen[] = [];
  let byTemplate = 0;
  const reader: ChunkReader = new ChunkReader(openaiChat, shared, {
    event: (data, type) => {
      const one = read(data, type);
      seen.push(one);
      if (type === null && one.delta !== null && one.delta.error === null && one.delta.text !== '') {
        reader.learn(data, one.delta);
      }
    },
    chunk: (template, buffer) => {
      byTemplate++;
      const { promptTokens, completionTokens, cachedTokens, finishReason } = template;
      seen.push({
        type: null,
        delta: {
          text: template.text(buffer),
          promptTokens,
          completionTokens,
          cachedTokens,
          responseId: template.responseId(buffer),
          finishReason,
          done: false,
          error: null,
          isCertain: false,
          isWhole: false,
          hasChoice: true,
          other: null,
        },
      });
    },
  });
  feed(bytes, cuts, reader);
  reader.end();
  return { seen, byTemplate };
}

const quoted = (text: string): string => JSON.stringify(text);
const shapes: ((text: string, n: number) => string)[] = [
  (text, n) =>
    `{"id":"c","created":${1_700_000_000 + n},"choices":[{"index":0,"delta":{"content":${quoted(text)}},"finish_reason":null}],"usage":{"prompt_tokens":3,"completion_tokens":${n}}}`,
  (text) => `{"id":"c","choices":[{"delta":{"role":"assistant","content":${quoted(text)}}}],"usage":null}`,
  (text, n) => `{"choices":[{"delta":{"reasoning_content":${quoted(text)},"content":null}}],"n":${n}}`,
  (text) => `{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":${quoted(text)}}}]}}]}`,
  (text) => `{"choices":[{"delta":{"content":${quoted(text)},"reasoning":${quoted(text)}}}]}`,
];
const frames: ((data: string) => string)[] = [
  ...Array<(data: string) => string>(40).fill((data) => `data: ${data}\n\n`),
  (data) => `data: ${data}\r\n\r\n`,
  (data) => `data:${data}\n\n`,
  (data) => `: ping\n\ndata: ${data}\n\n`,
  (data) => `event: x\ndata: ${data}\n\n`,
  (data) => `id: 1\ndata: ${data}\n\n`,
  (data) => `data: ${data}\ndata: \n\n`,
  (data) => `data: ${data}\n\n\n`,
  (data) => `data: ${data}\r\r`,
  () => 'data: [DONE]\n\n',
  () => 'data: {"usage":{"completion_tokens":9},"choices":[]}\n\n',
  () => 'data: {"error":{"message":"out"}}\n\n',
  () => 'data: {"choices":[{"delta":{"content":"half\n\n',
  () => 'event: error\n',
  () => 'data: ',
  () => '\n',
];
const stream = fc
  .tuple(
    fc.nat(shapes.length - 1),
    fc.array(
      fc.record({
        text: fc.oneof(
          fc.constantFrom(' word', '', '\n', '日本', '"'),
          fc.string({ unit: 'grapheme', maxLength: 6 }),
        ),
        frame: fc.nat(frames.length - 1),
        shape: fc.oneof({ weight: 8, arbitrary: fc.constant(null) }, fc.nat(shapes.length - 1)),
      }),
      { minLength: 8, maxLength: 30 },
    ),
  )
  .map(([usual, events]) =>
    Buffer.from(
      events.map(({ text, frame, shape }, n) => frames[frame]!(shapes[shape ?? usual]!(text, n))).join(''),
    ),
  );

describe('ChunkReader', () => {
  it('reads a stream as the general reader and JSON.parse do, wherever it is cut', () => {
    let byTemplate = 0;
    fc.assert(
      fc.property(stream, stream, fc.array(fc.nat(), { maxLength: 12 }), (before, bytes, cuts) => {
        const shared = { template: null };
        scanned(before, [], shared);
        const found = scanned(bytes, cuts, shared);
        byTemplate += found.byTemplate;
        expect(found.seen).toEqual(reference(bytes));
      }),
      { numRuns: 800 },
    );
    expect(byTemplate).toBeGreaterThan(500);
  });

  it('tells the text from the id where the first chunk has one for both', () => {
    const events = ['c', 'word', 'c', 'c?', 'c!'].map((text, n) => `data: ${shapes[0]!(text, n)}\n\n`);
    const bytes = Buffer.from(events.join(''));
    const found = scanned(bytes, []);
    expect(found.byTemplate).toBe(4);
    expect(found.seen).toEqual(reference(bytes));
  });

  it('is cut at every byte', () => {
    const events = ['a', '日本', '\\n', 'b'].map((text, n) => `data: ${shapes[0]!(text, n)}\n\n`);
    const bytes = Buffer.from(`${events.join('')}data: [DONE]\n\n`);
    const expected = reference(bytes);
    expect(expected).toHaveLength(5);
    for (let at = 1; at < bytes.length; at++) expect(scanned(bytes, [at]).seen).toEqual(expected);
    expect(scanned(bytes, [...bytes.keys()]).seen).toEqual(expected);
  });

  it('reads all chunks of one shape but the first by its template, and gives up on a shape that never stays', () => {
    const alike = Array.from({ length: 50 }, (_, n) => `data: ${shapes[0]!(`word${n}`, n)}\n\n`);
    expect(scanned(Buffer.from(alike.join('')), []).byTemplate).toBe(49);
    const unlike = alike.map((event, n) => event.replace('"id":"c"', `"id":"c","x${n}":null`));
    expect(scanned(Buffer.from(unlike.join('')), []).byTemplate).toBe(0);
    const settled = scanned(Buffer.from([...unlike.slice(0, 3), ...alike].join('')), []);
    expect(settled.byTemplate).toBe(49);
    const late = scanned(Buffer.from([...alike, ...unlike, ...alike].join('')), []);
    expect(late.byTemplate).toBe(49);
  });

  it('takes the shape of the stream before, from the first byte on, with an id of its own', () => {
    const shared = { template: null };
    const event = (id: string): string =>
      `data: ${shapes[0]!('a', 1).replace('"id":"c"', `"id":"${id}"`)}\n\n`;
    scanned(Buffer.from(event('one')), [], shared);
    const bytes = Buffer.from(`${event('two')}${event('two')}data: [DONE]\n\n`);
    const found = scanned(bytes, [], shared);
    expect(found.byTemplate).toBe(2);
    expect(found.seen).toEqual(reference(bytes));
    expect(found.seen[0]!.delta!.responseId).toBe('two');
  });
});

describe('the end of what was fed', () => {
  /** For each event: the index behind its last byte, as it comes when bytes are fed one by one. */
  function endsOf(bytes: Buffer): number[] {
    const ends: number[] = [];
    let at = 0;
    const reader = new SseReader(() => ends.push(at));
    for (const _ of bytes) {
      at++;
      reader.feed(bytes, at - 1, at);
    }
    return ends;
  }

  /** For each event: whether it was said to end where the fed bytes end, and where these did. */
  function saidOf(
    bytes: Buffer,
    cuts: readonly number[],
    shared: SharedShape = { template: null },
  ): { atEnd: boolean; fedTo: number; byTemplate: boolean }[] {
    const said: { atEnd: boolean; fedTo: number; byTemplate: boolean }[] = [];
    let fedTo = 0;
    const reader: ChunkReader = new ChunkReader(openaiChat, shared, {
      event: (data, type) => {
        said.push({ atEnd: reader.atEnd, fedTo, byTemplate: false });
        const { delta } = read(data, type);
        if (type === null && delta !== null && delta.error === null && delta.text !== '')
          reader.learn(data, delta);
      },
      chunk: () => said.push({ atEnd: reader.atEnd, fedTo, byTemplate: true }),
    });
    feed(bytes, cuts, {
      feed(buffer, start, end) {
        fedTo += end - start;
        reader.feed(buffer, start, end);
      },
    });
    return said;
  }

  it('is never said to be that of an event behind which something came', () => {
    let atEnd = 0;
    fc.assert(
      fc.property(stream, stream, fc.array(fc.nat(), { maxLength: 12 }), (before, bytes, cuts) => {
        const shared = { template: null };
        saidOf(before, [], shared);
        const ends = endsOf(bytes);
        // Every other cut lies where an event ends, or a byte before or behind it.
        const near = cuts.map((cut, i) =>
          i % 2 === 0 ? cut : (ends[cut % ends.length] ?? 0) + (cut % 3) - 1,
        );
        for (const [nth, said] of saidOf(bytes, near, shared).entries()) {
          if (!said.atEnd) continue;
          atEnd++;
          expect(said.fedTo, `event ${nth}`).toBe(ends[nth]);
        }
      }),
      { numRuns: 800 },
    );
    expect(atEnd).toBeGreaterThan(300);
  });

  const event = (n: number): string => `data: ${shapes[0]!(`word${n}`, n)}\n\n`;

  it('is said of the last event of each piece once a shape is known, wherever pieces are cut', () => {
    const shared = { template: null };
    saidOf(Buffer.from(event(0)), [], shared);
    const bytes = Buffer.from([1, 2, 3, 4, 5].map(event).join(''));
    const ends = endsOf(bytes);
    for (let cut = 1; cut < bytes.length; cut++) {
      const said = saidOf(bytes, [cut], shared);
      expect(said.map(({ fedTo }) => fedTo)).toEqual(ends.map((end) => (end <= cut ? cut : bytes.length)));
      expect(said.map(({ atEnd }) => atEnd)).toEqual(ends.map((end) => end === cut || end === bytes.length));
    }
    expect(saidOf(bytes, [], shared).map(({ byTemplate }) => byTemplate)).toEqual(Array(5).fill(true));
  });

  it('is said of the last of events that have no shape in common with those before', () => {
    const done = 'data: [DONE]\n\n';
    const shared = { template: null };
    saidOf(Buffer.from(event(0)), [], shared);
    expect(saidOf(Buffer.from(`${event(1)}${done}`), [], shared).map(({ atEnd }) => atEnd)).toEqual([
      false,
      true,
    ]);
    // Of a first stream no event is known to be the last, for several may be read at once.
    expect(saidOf(Buffer.from(event(1)), []).map(({ atEnd }) => atEnd)).toEqual([false]);
  });

  it.each([
    ['\r\n\r\n', 'line ends of two bytes'],
    ['\r\r', 'carriage returns'],
  ])('is not said of events that end in %j: %s', (end) => {
    const shared = { template: null };
    saidOf(Buffer.from(event(0)), [], shared);
    const bytes = Buffer.from([1, 2, 3].map((n) => event(n).replace('\n\n', end)).join(''));
    expect(saidOf(bytes, [], shared).map(({ atEnd }) => atEnd)).not.toContain(true);
  });
});
