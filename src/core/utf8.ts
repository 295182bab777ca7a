import { type BenchError, usageError } from './errors.ts';

/** Where the first of some bytes stands in a file. */
export interface BytePlace {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** Bytes of the line before it. */
  readonly before: number;
}

/** A line of a file, without the line feed at its end. */
export interface TextLine {
  /** From 1. */
  readonly number: number;
  readonly text: string;
}

const READ_BYTES = 1 << 20;
const LINE_FEED = 0x0a;
const MARK = [0xef, 0xbb, 0xbf];
// A mark anywhere but at the start of the file is a character of its text.
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A byte of a signature that may be anything but 0. */
const ANY = -1;
/** How a file in another encoding of Unicode begins: with its byte-order mark, or with an ASCII character. */
const SIGNATURES: readonly (readonly [encoding: string, bytes: readonly number[]])[] = [
  ['UTF-32LE', [0xff, 0xfe, 0, 0]],
  ['UTF-32BE', [0, 0, 0xfe, 0xff]],
  ['UTF-16LE', [0xff, 0xfe]],
  ['UTF-16BE', [0xfe, 0xff]],
  ['UTF-32LE', [ANY, 0, 0, 0]],
  ['UTF-32BE', [0, 0, 0, ANY]],
  ['UTF-16LE', [ANY, 0]],
  ['UTF-16BE', [0, ANY]],
];

/**
 * The text of a whole file in UTF-8, without a byte-order mark at its start. Exit 2 with line and byte for a file in
 * another encoding: no character is ever replaced.
 */
export function decodeText(bytes: Uint8Array, file: string): string {
  const before = textStart(bytes, file);
  return decodeUtf8(bytes.subarray(before), { file, line: 1, before });
}

/** Where the text of a file begins, from its first bytes: behind a byte-order mark of UTF-8. Exit 2 where it is UTF-16 or UTF-32. */
export function textStart(bytes: Uint8Array, file: string): number {
  const begins = (signature: readonly number[]): boolean =>
    bytes.length >= signature.length &&
    signature.every((byte, i) => (byte === ANY ? bytes[i] !== 0 : bytes[i] === byte));
  const found = SIGNATURES.find(([, signature]) => begins(signature));
  if (found !== undefined)
    throw usageError(
      `${file}, line 1, byte 1: the file is ${found[0]}, not UTF-8`,
      `convert it: iconv -f ${found[0]} -t UTF-8 FILE > NEW`,
    );
  return begins(MARK) ? MARK.length : 0;
}

/** The text of a part of a file. Exit 2 with the place of the first byte that is not UTF-8, or is NUL. */
export function decodeUtf8(bytes: Uint8Array, place: BytePlace): string {
  let text: string;
  try {
    text = UTF8.decode(bytes);
  } catch (error) {
    const at = firstInvalid(bytes);
    if (at === null) throw error;
    throw badByte(
      bytes,
      at,
      place,
      'is not UTF-8',
      'save the file as UTF-8; if it is ISO 8859-1, for example: iconv -f ISO-8859-1 -t UTF-8 FILE > NEW',
    );
  }
  if (!text.includes('\0')) return text;
  const hint = 'save all of the file as UTF-8: a part of it is UTF-16, or no text';
  throw badByte(bytes, bytes.indexOf(0), place, 'is no character of a text', hint);
}

/**
 * The lines of a file in UTF-8, a byte-order mark at its start left out. `read` fills the block from its start and gives
 * the number of bytes, 0 at the end of the file. Exit 2 with line and byte for a file in another encoding.
 */
export function* readLines(read: (block: Uint8Array) => number, file: string): Generator<TextLine> {
  const block = new Uint8Array(READ_BYTES);
  let held: Uint8Array[] = [];
  let line = 1;
  for (;;) {
    const size = read(block);
    const end = size === 0 ? 0 : block.lastIndexOf(LINE_FEED, size - 1) + 1;
    if (size > 0 && end === 0) {
      held.push(block.slice(0, size));
      continue;
    }
    const bytes = joined([...held, block.subarray(0, end)]);
    held = [block.slice(end, size)];
    if (bytes.length > 0) {
      const before = line === 1 ? textStart(bytes, file) : 0;
      const texts = decodeUtf8(bytes.subarray(before), { file, line, before }).split('\n');
      // Behind the last line feed there is no line.
      if (bytes.at(-1) === LINE_FEED) texts.pop();
      for (const text of texts) yield { number: line++, text };
    }
    if (size === 0) return;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function badByte(
  bytes: Uint8Array,
  at: number,
  { file, line, before }: BytePlace,
  what: string,
  hint: string,
): BenchError {
  const lines = bytes.subarray(0, at).reduce((count, byte) => count + (byte === LINE_FEED ? 1 : 0), 0);
  const column = lines === 0 ? before + at : at - 1 - bytes.lastIndexOf(LINE_FEED, at);
  const hex = bytes[at]!.toString(16).toUpperCase().padStart(2, '0');
  return usageError(`${file}, line ${line + lines}, byte ${column + 1}: 0x${hex} ${what}`, hint);
}

/** Where the first sequence begins that is not UTF-8; null where all of it is. */
function firstInvalid(bytes: Uint8Array): number | null {
  for (let at = 0; at < bytes.length; ) {
    const lead = bytes[at]!;
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length > 1 && !isUtf8(bytes.subarray(at, at + length))) return at;
    at += length;
  }
  return null;
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    UTF8.decode(bytes);
    return true;
  } catch {
    return false;
  }
}
