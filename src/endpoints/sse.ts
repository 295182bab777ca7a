import { StringDecoder } from 'node:string_decoder';
import { createParser, type EventSourceMessage } from 'eventsource-parser';

const LF = 0x0a;
const BYTE_ORDER_MARK = 0xfeff;

/**
 * Bytes of a server-sent-event stream, cut anywhere, in; whole events out, in order. Framing is
 * eventsource-parser's (the WHATWG algorithm: CRLF, comments, multi-line data, no space after the
 * colon); this class keeps characters that a cut split in two together.
 */
export class SseReader {
  readonly #parser: ReturnType<typeof createParser>;
  readonly #decoder = new StringDecoder('utf8');
  /** The last read ended inside a character, or at least might have. */
  #split = false;
  #between = false;
  #begun = false;

  /** `onEvent` gets the event's data and its type (null when the server named none), `onComment` is called for each comment. */
  constructor(onEvent: (data: string, type: string | null) => void, onComment?: () => void) {
    this.#parser = createParser({
      onEvent: (message: EventSourceMessage) => onEvent(message.data, message.event ?? null),
      ...(onComment === undefined ? {} : { onComment }),
    });
  }

  /** Whether the next byte is certainly the first of an event. */
  get between(): boolean {
    return this.#between;
  }

  /** Events were read elsewhere before the first bytes are fed here, so that these do not begin the stream. */
  pass(): void {
    this.#parse('');
    this.#between = true;
  }

  /** Feeds bytes [start, end), start < end. */
  feed(buffer: Buffer, start: number, end: number): void {
    // Two line feeds end a line and then an empty one, whatever came before them.
    this.#between = end - start > 1 && buffer[end - 1] === LF && buffer[end - 2] === LF;
    const endsWhole = buffer[end - 1]! < 0x80;
    if (endsWhole && !this.#split) {
      this.#parse(buffer.toString('utf8', start, end));
      return;
    }
    this.#split = !endsWhole;
    const text = this.#decoder.write(buffer.subarray(start, end));
    if (text !== '') this.#parse(text);
  }

  /** A byte order mark may stand before the first event. */
  #parse(text: string): void {
    const isMarked = !this.#begun && text.charCodeAt(0) === BYTE_ORDER_MARK;
    this.#begun = true;
    this.#parser.feed(isMarked ? text.slice(1) : text);
  }

  /** The response ended as it should: an event that lacks its blank line is told all the same. */
  end(): void {
    this.#parse(`${this.#decoder.end()}\n\n`);
  }
}
