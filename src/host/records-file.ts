import { closeSync, openSync, readSync } from 'node:fs';
import { BenchError, EXIT, errorText } from '../core/errors.ts';
import { type RequestRecord, recordFromJson } from '../core/record.ts';

export const RECORDS_FILE = 'records.ndjson';
export const NEWLINE = 0x0a;
/** The number of bytes of a file that are read at a time. */
const PIECE_BYTES = 1024 * 1024;

/** Whole lines of a file from byte `from` on, each with the byte behind its end. */
function* linesOf(file: string, from: number): Generator<{ readonly text: string; readonly toByte: number }> {
  const handle = openSync(file, 'r');
  try {
    let rest = Buffer.alloc(0);
    let atByte = from;
    for (;;) {
      const piece = Buffer.allocUnsafe(PIECE_BYTES);
      const got = readSync(handle, piece, 0, PIECE_BYTES, atByte + rest.length);
      if (got === 0) return;
      const bytes = Buffer.concat([rest, piece.subarray(0, got)]);
      let start = 0;
      for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
        yield { text: bytes.toString('utf8', start, end), toByte: atByte + end + 1 };
        start = end + 1;
      }
      rest = bytes.subarray(start);
      atByte += start;
    }
  } finally {
    closeSync(handle);
  }
}

/**
 * Reads all whole records of a file from byte `from` on; `wholeBytes` is how far behind it the last of them
 * ends. `keep` is given each record in turn, to be put where it takes no memory.
 */
export function readRecords(
  file: string,
  from = 0,
  keep: (record: RequestRecord) => RequestRecord = (record) => record,
): { records: RequestRecord[]; wholeBytes: number } {
  const records: RequestRecord[] = [];
  let toByte = from;
  for (const line of linesOf(file, from)) {
    try {
      records.push(keep(recordFromJson(line.text)));
    } catch (error) {
      throw new BenchError(
        EXIT.usage,
        `${file}:${records.length + 1}: not a request record (${errorText(error)})`,
        'the file was changed by something else',
      );
    }
    toByte = line.toByte;
  }
  return { records, wholeBytes: toByte - from };
}
