import { ChunkTemplate } from './chunk-template.ts';
import type { Delta, Dialect } from './dialect.ts';
import { SseReader } from './sse.ts';

/** What a stream turns into, in order. */
export interface ChunkEvents {
  /** An event to be read: its data and its type (null when the server named none). */
  event(data: string, type: string | null): void;
  /** A comment, as servers send them to keep a connection alive. */
  comment?(): void;
  /** An output chunk that `template` has read; both are lent for the call. */
  chunk(template: ChunkTemplate, buffer: Buffer): void;
}

/** The shape that a stream of the same server had last, which the next one is likely to have. */
export interface SharedShape {
  template: ChunkTemplate | null;
}

const LF = 0x0a;
const CR = 0x0d;
/** A stream whose chunks keep changing their shape is not learned again and again: so often, */
const LESSONS = 4;
/** and once more for so many chunks that were of a learned shape. */
const MATCHES_PER_LESSON = 16;

/**
 * Bytes of a stream of chunks, cut anywhere, in; its events out. Chunks of a shape that was seen before are read
 * where they lie in the buffer; the rest goes through the general reader of server-sent events.
 */
export class ChunkReader {
  readonly #dialect: Dialect;
  readonly #events: ChunkEvents;
  readonly #sse: SseReader;
  readonly #shared: SharedShape;
  #template: ChunkTemplate | null;
  /** Whether the event that is being reported ends where the fed bytes end. */
  atEnd = false;
  #started = false;
  #lessons = LESSONS;
  #matches = 0;

  constructor(dialect: Dialect, shared: SharedShape, events: ChunkEvents) {
    this.#shared = shared;
    this.#template = shared.template;
    this.#dialect = dialect;
    this.#events = events;
    this.#sse = new SseReader(
      (data, type) => events.event(data, type),
      () => events.comment?.(),
    );
  }

  /** Feeds bytes [start, end), start < end. */
  feed(buffer: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      const template = this.#template;
      if (template !== null && (this.#sse.between || !this.#started)) {
        const next = template.match(buffer, at, end);
        if (next >= 0) {
          if (!this.#started) this.#sse.pass();
          this.#started = true;
          this.#matches++;
          this.atEnd = next === end;
          this.#events.chunk(template, buffer);
          at = next;
          continue;
        }
      }
      const stop = template === null && this.#lessons === 0 ? end : endOfEvent(buffer, at, end);
      this.#started = true;
      // All that is left may hold several events, none of which is known to be the last; so may what has carriage returns.
      this.atEnd = stop === end && template !== null && !buffer.subarray(at, stop).includes(CR);
      this.#sse.feed(buffer, at, stop);
      at = stop;
    }
  }

  /** The response ended as it should. */
  end(): void {
    this.#sse.end();
  }

  /** Learns the shape of an event that gave `delta`. */
  learn(data: string, delta: Delta): void {
    if (this.#matches >= MATCHES_PER_LESSON) this.#lessons = LESSONS;
    if (this.#lessons === 0) {
      this.#template = null;
      return;
    }
    this.#lessons--;
    this.#matches = 0;
    this.#template = ChunkTemplate.learn(data, delta, this.#dialect.read);
    if (this.#template !== null) this.#shared.template = this.#template;
  }
}

/** The index behind the first empty line of line feeds, `end` without one. */
function endOfEvent(buffer: Uint8Array, start: number, end: number): number {
  // The line feed before it may have been fed before.
  if (buffer[start] === LF) return start + 1;
  for (let at = start + 1; at < end; at++) {
    if (buffer[at] === LF && buffer[at - 1] === LF) return at + 1;
  }
  return end;
}
