import { closeSync, openSync, readSync } from 'node:fs';

const READ_BYTES = 1 << 20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN = new Set([0x5b, 0x7b]);
const CLOSE = new Set([0x5d, 0x7d]);
const LIST_OPEN = 0x5b;
const SPACES = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * The elements of a JSON file that is one list, one at a time: such files are larger than the longest string that
 * JavaScript holds. Throws SyntaxError on what is no list or has a broken element, and what the file system throws.
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
    for (;;) {
      const size = readSync(handle, block, 0, READ_BYTES, null);
      if (size === 0) break;
      let from = 0;
      for (let i = 0; i < size; i++) {
        const byte = block[i]!;
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
        } else if (byte === QUOTE) inString = true;
        else if (OPEN.has(byte)) depth++;
        else if (CLOSE.has(byte)) depth--;
        const last: boolean = depth === 0 && !ended && byte !== LIST_OPEN;
        if (last || (depth === 1 && byte === COMMA)) {
          element.push(Buffer.from(block.subarray(from, i)));
          const text = Buffer.concat(element.splice(0)).toString('utf8');
          // Only an empty list has nothing before its end.
          if (!last || !isFirst || text.trim() !== '') yield JSON.parse(text) as unknown;
          isFirst = false;
          from = i + 1;
          ended = last;
        }
      }
      if (depth > 0) element.push(Buffer.from(block.subarray(from, size)));
    }
    if (!ended) throw new SyntaxError('it ends before its list does');
  } finally {
    closeSync(handle);
  }
}
