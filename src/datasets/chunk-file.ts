/** One response whose chunks are to be counted. */
export interface ChunkedText {
  /** UTF-8 of all output text of the response. */
  readonly text: Uint8Array;
  /** Byte offset behind each chunk, ascending. */
  readonly ends: Uint32Array;
  /** Tokens that the server counted for the whole response; null when it did not count. */
  readonly completionTokens: number | null;
}

/** Stands for a count that the server did not give. */
const UNCOUNTED = 0xff_ff_ff_ff;

const HEAD_BYTES = 12;

/** The responses as one block of bytes, to be read by another process. */
export function encodeChunkedTexts(responses: readonly ChunkedText[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { text, ends, completionTokens } of responses) {
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32LE(text.length, 0);
    head.writeUInt32LE(ends.length, 4);
    head.writeUInt32LE(completionTokens ?? UNCOUNTED, 8);
    parts.push(head, text, encodeNumbers(ends));
  }
  return Buffer.concat(parts);
}

/** Reads `encodeChunkedTexts` back. Throws RangeError on a block that was cut off. */
export function* decodeChunkedTexts(bytes: Uint8Array): Generator<ChunkedText> {
  const source = asBuffer(bytes);
  for (let at = 0; at < source.length; ) {
    const [textLength, endCount, completionTokens] = [0, 4, 8].map((offset) =>
      source.readUInt32LE(at + offset),
    ) as [number, number, number];
    const textAt = at + HEAD_BYTES;
    const endsAt = textAt + textLength;
    yield {
      text: source.subarray(textAt, endsAt),
      ends: decodeNumbers(source, endsAt, endCount),
      completionTokens: completionTokens === UNCOUNTED ? null : completionTokens,
    };
    at = endsAt + 4 * endCount;
  }
}

/** Token counts per response, each with its length before it. */
export function encodeCounts(counts: readonly Uint32Array[]): Uint8Array {
  return Buffer.concat(
    counts.flatMap((list) => [encodeNumbers(Uint32Array.of(list.length)), encodeNumbers(list)]),
  );
}

/** Reads `encodeCounts` back. Throws RangeError on a block that was cut off. */
export function decodeCounts(bytes: Uint8Array): Uint32Array[] {
  const source = asBuffer(bytes);
  const lists: Uint32Array[] = [];
  for (let at = 0; at < source.length; ) {
    const length = source.readUInt32LE(at);
    lists.push(decodeNumbers(source, at + 4, length));
    at += 4 + 4 * length;
  }
  return lists;
}

function encodeNumbers(numbers: Uint32Array): Uint8Array {
  const bytes = Buffer.alloc(4 * numbers.length);
  for (const [i, value] of numbers.entries()) bytes.writeUInt32LE(value, 4 * i);
  return bytes;
}

function decodeNumbers(source: Buffer, at: number, count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => source.readUInt32LE(at + 4 * i));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
