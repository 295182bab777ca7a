import { closeSync, openSync, readSync } from 'node:fs';
import { type BytePlace, decodeUtf8, textStart } from '../core/utf8.ts';

const READ_BYTES = 1 << 20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN = new Set([0x5b, 0x7b]);
const CLOSE = new Set([0x5d, 0x7d]);
const LIST_OPEN = 0x5b;
const LINE_FEED = 0x0a;
const SPACES = new Set([0x20, 0x09, LINE_FEED, 0x0d]);

/**
 * The elements of a JSON file that is one list, one at a time: such files are larger than the longest string that
 * JavaScript holds. A byte-order mark at the start is left out. Throws SyntaxError on what is no list or has a broken
 * element, a usage error (exit 2) with line and byte on what is not UTF-8, and what the file system throws.
 */
export function* readJsonList(file: string): Generator<unknown> {
  const handle = openSync(file, 'r');
  try {
    const element: Buffer[] = [];
    const block = Buffer.allocUnsafe(READ_BYTES);
    let depth = 0;
    let inString = false;
    let escaped = false;
    let ended = false;
    let isFirst = true;
    let line = 1;
    /** Where the line begins, and where the block does. */
    let lineAt = 0;
    let blockAt = 0;
    let place: BytePlace = { file, line, before: 0 };
    for (;;) {
      const size = readSync(handle, block, 0, READ_BYTES, null);
      if (size === 0) break;
      let from = 0;
      for (let i = blockAt === 0 ? textStart(block.subarray(0, size), file) : 0; i < size; i++) {
        const byte = block[i]!;
        if (byte === LINE_FEED) {
          line++;
          lineAt = blockAt + i + 1;
        }
        if (inString) {
          if (escaped) escaped = false;
          else if (byte === BACKSLASH) escaped = true;
          else if (byte === QUOTE) inString = false;
          continue;
        }
        if (depth === 0) {
          if (SPACES.has(byte)) continue;
          if (ended || byte !== LIST_OPEN) throw new SyntaxError('it is no JSON list');
          depth = 1;
          from = i + 1;
          place = { file, line, before: blockAt + from - lineAt };
        } else if (byte === QUOTE) inString = true;
        else if (OPEN.has(byte)) depth++;
        else if (CLOSE.has(byte)) depth--;
        const last: boolean = depth === 0 && !ended && byte !== LIST_OPEN;
        if (last || (depth === 1 && byte === COMMA)) {
          element.push(Buffer.from(block.subarray(from, i)));
          const text = decodeUtf8(Buffer.concat(element.splice(0)), place);
          // Only an empty list has nothing before its end.
          if (!last || !isFirst || text.trim() !== '') yield JSON.parse(text) as unknown;
          isFirst = false;
          from = i + 1;
          place = { file, line, before: blockAt + from - lineAt };
          ended = last;
        }
      }
      if (depth > 0) element.push(Buffer.from(block.subarray(from, size)));
      blockAt += size;
    }
    if (!ended) throw new SyntaxError('it ends before its list does');
  } finally {
    closeSync(handle);
  }
}
