import { type Delta, emptyDelta } from './dialect.ts';

type Read = (data: string, delta: Delta) => void;

/** A longer event is no token's chunk, and not worth learning. */
const MAX_DATA_CHARS = 4_096;
/** Numbers of an event that may change from chunk to chunk; those behind them stay as they are. */
const MAX_NUMBERS = 12;
/** So many digits are an exact integer whatever they are. */
const MAX_DIGITS = 15;
/** The nth number of a probe is this and n. */
const PROBE = 900_000_000;

const QUOTE = 0x22;
const ZERO = 0x30;
const BACKSLASH = 0x5c;

/** What stands in a place of the template. */
const TEXT = 0;
const ANY_NUMBER = 1;
const PROMPT_TOKENS = 2;
const COMPLETION_TOKENS = 3;
const CACHED_TOKENS = 4;
const RESPONSE_ID = 5;

/** A token of JSON that may change: [start, end) of a string's inside or of a whole number. */
interface Place {
  readonly start: number;
  readonly end: number;
}

/**
 * The shape of output chunks: the bytes of an event that was read in full, but for its output text, the response's id
 * and its whole numbers. An event that differs in those alone reads the same, so it is read without making strings.
 *
 * Which text and which numbers matter is not guessed: the dialect reads the event once more with other ones in their
 * places, and what moved is what matters. That holds for each event of the shape, since a dialect hands texts and
 * counts on as they are (`Dialect.read`). Everything that is not of the shape, byte for byte, is declined.
 */
export class ChunkTemplate {
  /** The output text of the matched event, as it stands in JSON: bytes [textStart, textEnd). Never empty. */
  textStart = 0;
  textEnd = 0;
  /** Whether that text has escapes, so that its bytes are not the text itself. */
  escaped = false;
  /** Counts of the matched event, -1 where it told none. */
  promptTokens: number;
  completionTokens: number;
  cachedTokens: number;
  readonly finishReason: string | null;
  readonly #fixedId: string | null;
  /** The id of the matched event; no bytes where `#fixedId` is it. */
  #idStart = 0;
  #idEnd = 0;
  /** Whether the string matched last has escapes. */
  #escapes = false;
  /** All that is fixed, one piece after another, and where each piece ends. */
  readonly #fixed: DataView;
  readonly #ends: Uint32Array;
  /** What stands behind each piece but the last. */
  readonly #kinds: Uint8Array;

  private constructor(fixed: readonly string[], kinds: readonly number[], delta: Delta) {
    const pieces = fixed.map((piece) => Buffer.from(piece));
    this.#fixed = viewOf(Uint8Array.from(Buffer.concat(pieces)));
    this.#ends = new Uint32Array(pieces.length);
    let end = 0;
    for (const [i, piece] of pieces.entries()) {
      end += piece.length;
      this.#ends[i] = end;
    }
    this.#kinds = Uint8Array.from(kinds);
    this.promptTokens = delta.promptTokens;
    this.completionTokens = delta.completionTokens;
    this.cachedTokens = delta.cachedTokens;
    this.#fixedId = kinds.includes(RESPONSE_ID) ? null : delta.responseId;
    this.finishReason = delta.finishReason;
  }

  /** The shape of an event whose `data` gave `delta` when `read`; null where it carries no text or none alone. */
  static learn(data: string, delta: Delta, read: Read): ChunkTemplate | null {
    if (delta.text === '' || delta.error !== null || data.length > MAX_DATA_CHARS) return null;
    // Whether a whole message is output depends on what came before it.
    if (delta.isWhole) return null;
    if (data.includes('\n')) return null;
    const { strings, numbers } = placesOf(data);
    const holding = (text: string | null): Place[] =>
      strings.filter(({ start, end }) => JSON.parse(data.slice(start - 1, end + 1)) === text);
    const ids = [...holding(delta.responseId === '' ? null : delta.responseId), null];
    for (const text of holding(delta.text)) {
      for (const id of ids) {
        if (id === text) continue;
        const places = [text, ...(id === null ? [] : [id]), ...numbers].sort((a, b) => a.start - b.start);
        const kinds = kindsOf(data, delta, read, { places, text, id });
        if (kinds === null) continue;
        const fixed = places.map((place, i) => data.slice(places[i - 1]?.end ?? 0, place.start));
        fixed[0] = `data: ${fixed[0]!}`;
        fixed.push(`${data.slice(places.at(-1)!.end)}\n\n`);
        return new ChunkTemplate(fixed, kinds, delta);
      }
    }
    return null;
  }

  /**
   * Reads the event at `start` of bytes [start, end) when it is of this shape and whole. Returns the index behind it;
   * -1 when it is declined, and the fields then mean nothing.
   */
  match(buffer: Uint8Array, start: number, end: number): number {
    if (buffer !== viewed) {
      viewed = buffer;
      view = viewOf(buffer);
    }
    const bytes = view;
    const fixed = this.#fixed;
    const ends = this.#ends;
    const kinds = this.#kinds;
    const places = kinds.length;
    if (end - start < fixed.byteLength) return -1;
    let at = start;
    let from = 0;
    for (let i = 0; ; i++) {
      const until = ends[i]!;
      if (at + until - from > end) return -1;
      for (; from + 4 <= until; from += 4, at += 4) {
        if (bytes.getInt32(at, true) !== fixed.getInt32(from, true)) return -1;
      }
      for (; from < until; from++, at++) if (bytes.getUint8(at) !== fixed.getUint8(from)) return -1;
      if (i === places) return at;
      const kind = kinds[i]!;
      if (kind === TEXT) {
        this.textStart = at;
        at = this.#matchString(buffer, at, end);
        if (at < 0) return -1;
        this.textEnd = at;
        this.escaped = this.#escapes;
        continue;
      }
      if (kind === RESPONSE_ID) {
        this.#idStart = at;
        at = this.#matchString(buffer, at, end);
        if (at < 0 || this.#escapes) return -1;
        this.#idEnd = at;
        continue;
      }
      const first = at;
      let value = 0;
      for (; at < end && at - first < MAX_DIGITS; at++) {
        const digit = buffer[at]! - ZERO;
        if (digit < 0 || digit > 9) break;
        value = value * 10 + digit;
      }
      // JSON knows no number without a digit and none that starts with a zero too many.
      if (at === first || (buffer[first] === ZERO && at > first + 1)) return -1;
      if (kind === COMPLETION_TOKENS) this.completionTokens = value;
      else if (kind === PROMPT_TOKENS) this.promptTokens = value;
      else if (kind === CACHED_TOKENS) this.cachedTokens = value;
    }
  }

  /** The output text of the matched event. */
  text(buffer: Buffer): string {
    return this.escaped
      ? (JSON.parse(buffer.toString('utf8', this.textStart - 1, this.textEnd + 1)) as string)
      : buffer.toString('utf8', this.textStart, this.textEnd);
  }

  /** The response's id in the matched event, null where it told none. */
  responseId(buffer: Buffer): string | null {
    return this.#idEnd > 0 ? buffer.toString('utf8', this.#idStart, this.#idEnd) : this.#fixedId;
  }

  /** Returns where the string that starts at `start` ends; -1 when it is empty or not certainly a string of JSON. */
  #matchString(buffer: Uint8Array, start: number, end: number): number {
    let at = start;
    let escaped = false;
    while (at < end) {
      const byte = buffer[at]!;
      if (byte === QUOTE) {
        this.#escapes = escaped;
        return at > start ? at : -1;
      }
      let length = 1;
      if (byte === BACKSLASH) {
        length = escapeLength(buffer, at, end);
        escaped = true;
      } else if (byte >= 0x80) length = characterLength(buffer, at, end);
      else if (byte < 0x20) return -1;
      if (length === 0) return -1;
      at += length;
    }
    return -1;
  }
}

/** The buffer matched last, which is nearly always the one that all sockets share, and its bytes as words. */
let viewed: Uint8Array = new Uint8Array();
let view = viewOf(viewed);

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** What stands in each place, by reading the event with all of them filled anew; null when `text` is not the output. */
function kindsOf(
  data: string,
  delta: Delta,
  read: Read,
  at: { places: readonly Place[]; text: Place; id: Place | null },
): number[] | null {
  // Never the same, also where the text is the id: else each could be taken for the other.
  const text = `${delta.text}?`;
  const id = at.id === null ? delta.responseId : `${delta.responseId}!`;
  const filled = at.places.map((place, i) => {
    const filling = place === at.text ? inside(text) : place === at.id ? inside(id!) : String(PROBE + i);
    return data.slice(at.places[i - 1]?.end ?? 0, place.start) + filling;
  });
  const found = emptyDelta();
  try {
    read(filled.join('') + data.slice(at.places.at(-1)!.end), found);
  } catch {
    return null;
  }
  const moved =
    found.text === text &&
    found.responseId === id &&
    found.finishReason === delta.finishReason &&
    found.error === null &&
    !found.isWhole &&
    !found.done;
  if (!moved) return null;
  const kinds: number[] = at.places.map((place) =>
    place === at.text ? TEXT : place === at.id ? RESPONSE_ID : ANY_NUMBER,
  );
  const counts = [
    [PROMPT_TOKENS, delta.promptTokens, found.promptTokens],
    [COMPLETION_TOKENS, delta.completionTokens, found.completionTokens],
    [CACHED_TOKENS, delta.cachedTokens, found.cachedTokens],
  ] as const;
  for (const [kind, was, is] of counts) {
    if (was >= PROBE && was < PROBE + kinds.length) return null;
    if (is === was) continue;
    if (kinds[is - PROBE] !== ANY_NUMBER) return null;
    kinds[is - PROBE] = kind;
  }
  return kinds;
}

/** What stands between the quotes of a text in JSON. */
function inside(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** The strings of a JSON text, keys included, and the first whole numbers without sign, point or exponent. */
function placesOf(json: string): { strings: Place[]; numbers: Place[] } {
  const strings: Place[] = [];
  const numbers: Place[] = [];
  for (const { 0: token, index } of json.matchAll(/"(?:[^"\\]|\\.)*"|[-+.\w]+/g)) {
    if (token.startsWith('"')) strings.push({ start: index + 1, end: index + token.length - 1 });
    else if (numbers.length < MAX_NUMBERS && /^\d{1,15}$/.test(token))
      numbers.push({ start: index, end: index + token.length });
  }
  return { strings, numbers };
}

/** Bytes of the escape at `at`; 0 when it is cut or not JSON's. */
function escapeLength(buffer: Uint8Array, at: number, end: number): number {
  if (at + 1 >= end) return 0;
  switch (buffer[at + 1]) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f: // /
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return 2;
    case 0x75: // u
      break;
    default:
      return 0;
  }
  if (at + 6 > end) return 0;
  for (let i = at + 2; i < at + 6; i++) {
    const byte = buffer[i]!;
    const lower = byte | 0x20;
    if (!((byte >= 0x30 && byte <= 0x39) || (lower >= 0x61 && lower <= 0x66))) return 0;
  }
  return 6;
}

/** Bytes of the UTF-8 character that starts at `at`, a byte of 0x80 or more; 0 when it is cut or ill-formed. */
function characterLength(buffer: Uint8Array, at: number, end: number): number {
  const first = buffer[at]!;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > end) return 0;
  const second = buffer[at + 1]!;
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let i = at + 2; i < at + length; i++) if ((buffer[i]! & 0xc0) !== 0x80) return 0;
  return length;
}
