import { errorText, usageError } from '../core/errors.ts';
import { decodeUtf8, textStart } from '../core/utf8.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** An object of a file and the line it starts at, from 1. */
export interface PlacedObject {
  readonly line: number;
  readonly value: JsonObject;
}

/** A line that an object starts on. */
interface Start {
  /** From 1. */
  readonly line: number;
  /** Offsets of its bytes in the file, its line feed left out. */
  readonly from: number;
  readonly to: number;
}

const BRACE = 0x7b;
const LINE_FEED = 0x0a;

/**
 * All JSON objects of a file that start at the beginning of a line: one per line with any text between, or a single
 * one over many lines. Python's bare `Infinity` and `-Infinity` are read as such and `NaN` as null. None
 * for a text without any. `file` names it in the error (exit 2) for an object that is broken or not UTF-8; what
 * stands between the objects may be anything.
 */
export function readJsonObjects(bytes: Uint8Array, file: string): PlacedObject[] {
  const starts = startsIn(bytes, file);
  return starts.map(({ line, from, to }) => {
    const place = { file, line, before: line === 1 ? from : 0 };
    const text = decodeUtf8(bytes.subarray(from, to), place);
    try {
      return { line, value: parse(text) };
    } catch (error) {
      if (starts.length > 1) throw notJson(file, line, error);
      return { line, value: parseLong(decodeUtf8(bytes.subarray(from), place).trimEnd(), line, file) };
    }
  });
}

function startsIn(bytes: Uint8Array, file: string): Start[] {
  const starts: Start[] = [];
  let line = 1;
  for (let from = textStart(bytes, file); from < bytes.length; line++) {
    const feed = bytes.indexOf(LINE_FEED, from);
    const to = feed < 0 ? bytes.length : feed;
    if (bytes[from] === BRACE) starts.push({ line, from, to });
    from = to + 1;
  }
  return starts;
}

/** An object over several lines, which starts at line `first` of the file. */
function parseLong(text: string, first: number, file: string): JsonObject {
  try {
    return parse(text);
  } catch (error) {
    throw notJson(file, first + linesBefore(text, errorText(error)), error);
  }
}

/** Lines before the place that JSON.parse complains of; 0 where it shows the place instead of naming it. */
function linesBefore(text: string, complaint: string): number {
  const position = / at position (\d+)/.exec(complaint)?.[1];
  const sound = complaint.includes('Unexpected end') ? text : text.slice(0, Number(position ?? 0));
  return sound.split('\n').length - 1;
}

function notJson(file: string, line: number, error: unknown): Error {
  return usageError(
    `${file}:${line}: not JSON (${errorText(error)})`,
    'the file was cut or changed; take the broken line out of it',
  );
}

function parse(text: string): JsonObject {
  try {
    return JSON.parse(text) as JsonObject;
  } catch (error) {
    const plain = withoutPythonNumbers(text);
    if (plain === text) throw error;
    return JSON.parse(plain) as JsonObject;
  }
}

/** The three numbers that Python writes and JSON lacks, outside of strings; 1e999 is parsed to Infinity. */
function withoutPythonNumbers(text: string): string {
  return text.replace(/"[^"\\]*(?:\\.[^"\\]*)*"|Infinity|NaN/g, (token) => {
    if (token === 'Infinity') return '1e999';
    return token === 'NaN' ? 'null' : token;
  });
}
