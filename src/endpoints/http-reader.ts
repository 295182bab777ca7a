import { CUT_BODY } from '../core/record.ts';
import { framingOf, hexDigit, parseHead } from './http-head.ts';
import type { WireFailure } from './wire.ts';

/** What one response turns into. `body` lends its bytes for the call; `last`: they are the last of what was fed. */
export interface ResponseEvents {
  head(status: number, headers: ReadonlyMap<string, string>, atMs: number): void;
  body(buffer: Buffer, start: number, end: number, atMs: number, last: boolean): void;
  end(atMs: number): void;
  fail(failure: WireFailure, atMs: number): void;
}

const MAX_HEAD_BYTES = 64 * 1024;
/** A larger chunk is told as it comes. */
const MAX_WHOLE_BYTES = 0xff_ffff;
const CR = 0x0d;
const LF = 0x0a;

type State =
  | 'head'
  | 'length'
  | 'close'
  | 'chunk-size'
  | 'chunk-extension'
  | 'chunk-size-lf'
  | 'chunk-data'
  | 'chunk-data-cr'
  | 'chunk-data-lf'
  | 'trailer'
  | 'done';

/**
 * A strict reader of HTTP/1.1 responses, one at a time, fed with bytes cut anywhere: status line,
 * headers, 1xx, content-length, chunked with extensions and trailers, and bodies that end with the
 * connection (RFC 9112). Anything else fails the response as `malformed`.
 *
 * A chunk that has come whole is told by itself, where it lies: a server sends an event per chunk. Of chunks that were
 * cut, the data of one read is moved together in the caller's buffer and told once.
 */
export class HttpResponseReader {
  #events: ResponseEvents | null = null;
  #state: State = 'done';
  #head = '';
  #remaining = 0;
  #sizeDigits = 0;
  #trailerBytes = 0;
  #trailerLine = 0;
  #keepAlive = false;

  /** Expects the next response and tells it to `events`. */
  begin(events: ResponseEvents): void {
    this.#events = events;
    this.#state = 'head';
    this.#head = '';
  }

  /** True between a whole response and the next `begin`. */
  get idle(): boolean {
    return this.#state === 'done';
  }

  /** Whether the connection may carry another request, once a response has ended. */
  get keepAlive(): boolean {
    return this.#keepAlive;
  }

  /** Feeds bytes [start, end) of `buffer`, which may be overwritten. Returns false when the response broke. */
  feed(buffer: Buffer, start: number, end: number, atMs: number): boolean {
    let at = start;
    if (this.#state === 'done') return this.#broken('bytes after the end of the response', atMs);
    while (this.#state === 'head') {
      if (at >= end) return true;
      const next = this.#feedHead(buffer, at, end, atMs);
      if (next < 0) return false;
      at = next;
    }
    switch (this.#state as State) {
      case 'done':
        return at === end || this.#broken('bytes after the end of the response', atMs);
      case 'close':
        if (at < end) this.#events?.body(buffer, at, end, atMs, true);
        return true;
      case 'length':
        return this.#feedLength(buffer, at, end, atMs);
      default:
        return this.#feedChunked(buffer, at, end, atMs);
    }
  }

  /** The peer ended the connection. Ends a body that lasts until then; anything else is cut short. */
  finish(atMs: number): void {
    if (this.#state === 'done') return;
    if (this.#state === 'close') {
      this.#finishResponse(atMs);
      return;
    }
    if (this.#state === 'head' && this.#head !== '' && !'HTTP/1.'.startsWith(this.#head.slice(0, 7))) {
      this.#broken(`not HTTP: "${this.#head.slice(0, 40).trim()}"`, atMs);
      return;
    }
    const nothing = this.#state === 'head' && this.#head === '';
    this.#state = 'done';
    this.#keepAlive = false;
    this.#take()?.fail(
      nothing
        ? { class: 'reset', detail: 'connection closed before any response' }
        : { class: 'truncated', detail: CUT_BODY },
      atMs,
    );
  }

  /** Forgets the response under way, telling nobody. */
  abandon(): void {
    this.#take();
    this.#state = 'done';
    this.#keepAlive = false;
  }

  #take(): ResponseEvents | null {
    const events = this.#events;
    this.#events = null;
    return events;
  }

  #broken(detail: string, atMs: number): false {
    const events = this.#take();
    this.#state = 'done';
    this.#keepAlive = false;
    events?.fail({ class: 'malformed', detail: `HTTP: ${detail}` }, atMs);
    return false;
  }

  #finishResponse(atMs: number): void {
    this.#state = 'done';
    this.#take()?.end(atMs);
  }

  /** Returns the index of the first byte behind the head, `end` when more is needed, -1 when broken. */
  #feedHead(buffer: Buffer, start: number, end: number, atMs: number): number {
    const before = this.#head.length;
    this.#head += buffer.toString('latin1', start, end);
    const headEnd = this.#head.indexOf('\r\n\r\n', Math.max(0, before - 3));
    if (headEnd < 0) {
      if (this.#head.length > MAX_HEAD_BYTES) {
        this.#broken(`response head larger than ${MAX_HEAD_BYTES} bytes`, atMs);
        return -1;
      }
      return end;
    }
    const bodyAt = start + (headEnd + 4 - before);
    const text = this.#head.slice(0, headEnd);
    this.#head = '';
    return this.#parseHead(text, atMs) ? bodyAt : -1;
  }

  #parseHead(text: string, atMs: number): boolean {
    const head = parseHead(text);
    if (typeof head === 'string') return this.#broken(head, atMs);
    const { status, headers } = head;
    if (status < 200) {
      return status === 101 ? this.#broken('unasked protocol switch (101)', atMs) : true;
    }
    const framing = framingOf(head);
    if (typeof framing === 'string') return this.#broken(framing, atMs);
    const { body } = framing;
    this.#keepAlive = framing.keepAlive;
    this.#events?.head(status, headers, atMs);
    if (body === 'chunked') {
      this.#state = 'chunk-size';
      this.#remaining = 0;
      this.#sizeDigits = 0;
    } else if (body === 'close') this.#state = 'close';
    else if (body === 0) this.#finishResponse(atMs);
    else {
      this.#remaining = body;
      this.#state = 'length';
    }
    return true;
  }

  #feedLength(buffer: Buffer, start: number, end: number, atMs: number): boolean {
    const take = Math.min(end - start, this.#remaining);
    if (take === 0) return true;
    this.#remaining -= take;
    this.#events?.body(buffer, start, start + take, atMs, start + take === end);
    if (this.#remaining === 0) this.#finishResponse(atMs);
    return start + take === end || this.#broken('more bytes than content-length', atMs);
  }

  #feedChunked(buffer: Buffer, start: number, end: number, atMs: number): boolean {
    const at =
      this.#state === 'chunk-size' && this.#sizeDigits === 0
        ? this.#feedWholeChunks(buffer, start, end, atMs)
        : start;
    if (at === end) return true;
    return this.#events !== null && this.#feedChunkBytes(buffer, at, end, atMs);
  }

  /** Tells chunks that lie whole in [start, end); returns where the first begins that does not, or is not plain. */
  #feedWholeChunks(buffer: Buffer, start: number, end: number, atMs: number): number {
    let at = start;
    while (at < end) {
      let size = 0;
      let data = at;
      while (data < end) {
        const digit = hexDigit(buffer[data]!);
        if (digit < 0) break;
        if (size > MAX_WHOLE_BYTES) return at;
        size = size * 16 + digit;
        data++;
      }
      data += 2;
      const next = data + size + 2;
      const whole =
        size > 0 &&
        next <= end &&
        buffer[data - 2] === CR &&
        buffer[data - 1] === LF &&
        buffer[next - 2] === CR &&
        buffer[next - 1] === LF;
      if (!whole) return at;
      this.#events?.body(buffer, data, next - 2, atMs, next === end);
      at = next;
      // Whoever was told may have given the response up.
      if (this.#events === null) return at;
    }
    return at;
  }

  #feedChunkBytes(buffer: Buffer, start: number, end: number, atMs: number): boolean {
    let at = start;
    let dataStart = start;
    let dataEnd = start;
    /** No byte of a further chunk has come behind the data. */
    let last = false;
    const broken = (detail: string): false => {
      if (dataEnd > dataStart) this.#events?.body(buffer, dataStart, dataEnd, atMs, false);
      return this.#broken(detail, atMs);
    };
    while (at < end) {
      switch (this.#state) {
        case 'chunk-size': {
          last = false;
          const byte = buffer[at]!;
          const digit = hexDigit(byte);
          if (digit >= 0) {
            if (++this.#sizeDigits > 12) return broken('chunk size too large');
            this.#remaining = this.#remaining * 16 + digit;
          } else if (this.#sizeDigits === 0) {
            return broken('chunk without a size');
          } else if (byte === CR) this.#state = 'chunk-size-lf';
          else if (byte === 0x3b || byte === 0x20 || byte === 0x09) this.#state = 'chunk-extension';
          else return broken('bad byte in a chunk size');
          at++;
          break;
        }
        case 'chunk-extension':
          if (buffer[at] === LF) return broken('bare line feed in a chunk extension');
          if (buffer[at] === CR) this.#state = 'chunk-size-lf';
          at++;
          break;
        case 'chunk-size-lf':
          if (buffer[at] !== LF) return broken('chunk size not ended by CRLF');
          this.#state = this.#remaining === 0 ? 'trailer' : 'chunk-data';
          this.#trailerBytes = 0;
          this.#trailerLine = 0;
          at++;
          break;
        case 'chunk-data': {
          const take = Math.min(end - at, this.#remaining);
          if (dataEnd === dataStart) {
            dataStart = at;
            dataEnd = at + take;
          } else {
            buffer.copyWithin(dataEnd, at, at + take);
            dataEnd += take;
          }
          last = true;
          at += take;
          this.#remaining -= take;
          if (this.#remaining === 0) this.#state = 'chunk-data-cr';
          break;
        }
        case 'chunk-data-cr':
          if (buffer[at] !== CR) return broken('chunk longer than its size');
          this.#state = 'chunk-data-lf';
          at++;
          break;
        case 'chunk-data-lf':
          if (buffer[at] !== LF) return broken('chunk longer than its size');
          this.#state = 'chunk-size';
          this.#sizeDigits = 0;
          at++;
          break;
        case 'trailer': {
          const byte = buffer[at]!;
          at++;
          if (++this.#trailerBytes > MAX_HEAD_BYTES) return broken('trailers too large');
          if (byte !== LF) {
            if (byte !== CR) this.#trailerLine++;
            break;
          }
          if (this.#trailerLine > 0) {
            this.#trailerLine = 0;
            break;
          }
          if (dataEnd > dataStart) this.#events?.body(buffer, dataStart, dataEnd, atMs, false);
          this.#finishResponse(atMs);
          return at === end || this.#broken('bytes after the end of the response', atMs);
        }
        default:
          return broken('bytes after the end of the response');
      }
    }
    if (dataEnd > dataStart) this.#events?.body(buffer, dataStart, dataEnd, atMs, last);
    return true;
  }
}
