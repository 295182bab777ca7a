import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HttpResponseReader } from '../../src/endpoints/http-reader.ts';

interface Seen {
  status: number | null;
  headers: Record<string, string>;
  body: string;
  outcome: string;
  keepAlive: boolean;
}

/** Feeds `bytes` cut at `cuts` and says what came out. `fin` ends the connection afterwards. */
function read(bytes: Buffer, cuts: readonly number[] = [], fin = false): Seen {
  const seen: Seen = { status: null, headers: {}, body: '', outcome: 'open', keepAlive: false };
  const parts: Buffer[] = [];
  const reader = new HttpResponseReader();
  reader.begin({
    head: (status, headers) => {
      seen.status = status;
      seen.headers = Object.fromEntries(headers);
    },
    body: (buffer, start, end) => parts.push(Buffer.from(buffer.subarray(start, end))),
    end: () => {
      seen.outcome = 'end';
    },
    fail: (failure) => {
      seen.outcome = `${failure.class}: ${failure.detail}`;
    },
  });
  const edges = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  );
  for (let i = 1; i < edges.length; i++) {
    // The reader may overwrite what it is lent, as the shared read buffer is.
    const piece = Buffer.from(bytes.subarray(edges[i - 1]!, edges[i]!));
    if (piece.length > 0 && !reader.feed(piece, 0, piece.length, 0)) break;
  }
  if (fin) reader.finish(0);
  seen.body = Buffer.concat(parts).toString('latin1');
  seen.keepAlive = reader.keepAlive;
  return seen;
}

const text = (value: string): Buffer => Buffer.from(value, 'latin1');

describe('HttpResponseReader', () => {
  it('reads a chunked response with extensions and trailers', () => {
    const seen = read(
      text(
        'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\nWiki\r\nA\r\npedia in c\r\n0\r\nX-Sum: 1\r\n\r\n',
      ),
    );
    expect(seen).toMatchObject({ status: 200, body: 'Wikipedia in c', outcome: 'end', keepAlive: true });
    expect(seen.headers['content-type']).toBe('text/event-stream');
  });

  it('reads content-length, and nothing at all', () => {
    expect(read(text('HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc'))).toMatchObject({
      status: 404,
      body: 'abc',
      outcome: 'end',
    });
    expect(read(text('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'))).toMatchObject({
      body: '',
      outcome: 'end',
    });
    expect(read(text('HTTP/1.1 204 No Content\r\n\r\n'))).toMatchObject({ status: 204, outcome: 'end' });
  });

  it('skips 1xx answers', () => {
    const seen = read(
      text(
        'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
      ),
    );
    expect(seen).toMatchObject({ status: 200, body: 'ok', outcome: 'end' });
  });

  it('ends a body without length with the connection, which cannot be used again', () => {
    const bytes = text('HTTP/1.1 200 OK\r\n\r\nsome text');
    expect(read(bytes)).toMatchObject({ outcome: 'open', body: 'some text' });
    expect(read(bytes, [], true)).toMatchObject({ outcome: 'end', body: 'some text', keepAlive: false });
  });

  it('honours connection: close and HTTP/1.0', () => {
    expect(read(text('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')).keepAlive).toBe(
      false,
    );
    expect(read(text('HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n')).keepAlive).toBe(false);
    expect(
      read(text('HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n')).keepAlive,
    ).toBe(true);
  });

  it.each([
    ['HTTP/2 200 OK\r\n\r\n', 'bad status line'],
    ['HTTP/1.1 99 Low\r\n\r\n', 'bad status line'],
    ['HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n', 'bad status line'],
    ['HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n', 'bad header line'],
    ['HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n', 'bad header line'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n', 'content-length'],
    ['HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n', 'content-length'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', 'both'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 'transfer-encoding'],
    ['HTTP/1.1 101 Switching Protocols\r\n\r\n', 'protocol switch'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', 'without a size'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n', 'without a size'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3x\r\n', 'bad byte in a chunk size'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n', 'longer than its size'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffff\r\n', 'too large'],
  ])('refuses %j', (raw, reason) => {
    const { outcome } = read(text(raw));
    expect(outcome).toMatch(/^malformed/);
    expect(outcome).toContain(reason);
  });

  it.each([
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nb',
  ])('does not trust a connection that says more than its response: %j', (raw) => {
    expect(read(text(raw))).toMatchObject({ body: 'a', outcome: 'end', keepAlive: false });
  });

  it('tells a connection that closed before an answer from one cut in the middle', () => {
    expect(read(text(''), [], true).outcome).toMatch(/^reset/);
    expect(read(text('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'), [], true).outcome).toMatch(
      /^truncated/,
    );
    expect(
      read(text('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'), [], true).outcome,
    ).toMatch(/^truncated/);
  });

  it('tells a whole chunk by itself, where it lies', () => {
    const told: string[] = [];
    const reader = new HttpResponseReader();
    reader.begin({
      head: () => undefined,
      body: (buffer, start, end) => told.push(`${start}: ${buffer.toString('latin1', start, end)}`),
      end: () => told.push('end'),
      fail: (failure) => told.push(failure.detail),
    });
    const head = text('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    expect(reader.feed(head, 0, head.length, 0)).toBe(true);
    const chunks = text('1\r\na\r\n3\r\nbcd\r\n2;x\r\nef\r\n0\r\n\r\n');
    expect(reader.feed(chunks, 0, chunks.length, 0)).toBe(true);
    expect(told).toEqual(['3: a', '9: bcd', '19: ef', 'end']);
  });

  /** The body of each call, with ` last` where it is told to be the last of what was fed. */
  const toldOf = (head: string, ...pieces: string[]): string[] => {
    const told: string[] = [];
    const reader = new HttpResponseReader();
    reader.begin({
      head: () => undefined,
      body: (buffer, start, end, _atMs, last) =>
        told.push(`${buffer.toString('latin1', start, end)}${last ? ' last' : ''}`),
      end: () => told.push('end'),
      fail: () => told.push('fail'),
    });
    for (const piece of [head, ...pieces]) {
      told.push('|');
      reader.feed(text(piece), 0, piece.length, 0);
    }
    return told.slice(1);
  };
  const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

  it.each([
    ['a whole chunk, and what comes before it is not', ['1\r\na\r\n2\r\nbc\r\n'], 'a,bc last'],
    ['a chunk whose end has not come', ['5\r\nab'], 'ab last'],
    ['a chunk of which nothing but the line end has not come', ['2\r\nab'], 'ab last'],
    ['a chunk of which nothing but a line feed has not come', ['2\r\nab\r'], 'ab last'],
    ['a chunk in several reads', ['5\r\nab', 'cd', 'e\r\n'], 'ab last,|,cd last,|,e last'],
    ['cut chunks that are told at once', ['3\r\nab', 'c\r\n2\r\nde\r\n'], 'ab last,|,cde last'],
    ['a chunk with an extension', ['2;x\r\nab\r\n'], 'ab last'],
    ['data before the next size, which came later', ['2\r\nab\r\n3'], 'ab'],
    ['data before the next extension', ['2\r\nab\r\n3;'], 'ab'],
    ['data before the line end of the next size', ['2\r\nab\r\n3\r'], 'ab'],
    ['data before the next chunk, of which only the head came', ['2\r\nab\r\n3\r\n'], 'ab'],
    ['cut data before the next chunk, of which only the head came', ['3\r\na', 'bc\r\n3\r\n'], 'a last,|,bc'],
    ['cut data before the end of the response', ['3\r\na', 'bc\r\n0\r\n\r\n'], 'a last,|,bc,end'],
    ['cut data before a part of that end', ['3\r\na', 'bc\r\n0\r\n', '\r\n'], 'a last,|,bc,|,end'],
    ['data before a trailer', ['2;x\r\nbc\r\n0\r\nA: b\r\n', '\r\n'], 'bc,|,end'],
    ['a whole chunk before the end of the response', ['2\r\nab\r\n0\r\n\r\n'], 'ab,end'],
    ['data before what is broken', ['2;x\r\nab\r\nz'], 'ab,fail'],
  ])('says what is the last of a read, and what is not: %s', (_what, pieces, told) => {
    expect(toldOf(CHUNKED, ...pieces).join()).toBe(`|,${told}`);
    // The same behind the head in one read.
    const [first, ...others] = pieces;
    expect(toldOf(`${CHUNKED}${first}`, ...others).join()).toBe(told);
  });

  it('says that a body of known length is the last of a read unless more came', () => {
    const sized = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n';
    expect(toldOf(sized, 'ab', 'c').join()).toBe('|,ab last,|,c last,end');
    expect(toldOf(sized, 'abcd').join()).toBe('|,abc,end');
    expect(toldOf('HTTP/1.1 200 OK\r\n\r\n', 'ab', 'c').join()).toBe('|,ab last,|,c last');
    expect(toldOf('HTTP/1.1 200 OK\r\n\r\nab').join()).toBe('ab last');
  });

  it('tells nothing more once it was given up in the middle of a read', () => {
    let told = 0;
    const reader = new HttpResponseReader();
    reader.begin({
      head: () => undefined,
      body: () => {
        told++;
        reader.abandon();
      },
      end: () => told++,
      fail: () => told++,
    });
    const bytes = text('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n');
    expect(reader.feed(bytes, 0, bytes.length, 0)).toBe(false);
    expect(told).toBe(1);
    expect(reader.idle).toBe(true);
  });

  it('gives the same response however the bytes are cut', () => {
    const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 12 });
    fc.assert(
      fc.property(chunks, fc.array(fc.nat()), fc.boolean(), (bodies, cuts, upper) => {
        const whole = Buffer.concat(bodies).toString('latin1');
        const size = (n: number): string => (upper ? n.toString(16).toUpperCase() : n.toString(16));
        const framed = bodies
          .map((body) => `${size(body.length)}\r\n${Buffer.from(body).toString('latin1')}\r\n`)
          .join('');
        const bytes = text(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${framed}0\r\n\r\n`);
        expect(read(bytes, cuts)).toMatchObject({
          status: 200,
          body: whole,
          outcome: 'end',
          keepAlive: true,
        });
      }),
    );
  });

  it('survives any bytes: it ends, fails or waits, and never throws', () => {
    const near = fc.constantFrom(
      'HTTP/1.1 200 OK\r\n',
      'Transfer-Encoding: chunked\r\n',
      '\r\n',
      '5\r\nhello\r\n',
      '0\r\n\r\n',
      '\n',
      'x',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(near, fc.string())), fc.array(fc.nat()), (pieces, cuts) => {
        const bytes = text(pieces.join(''));
        expect(read(bytes, cuts, true).outcome).toMatch(/^(end|malformed|truncated|reset)/);
      }),
      { numRuns: 500 },
    );
  });
});
