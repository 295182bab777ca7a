import { errorText, usageError } from '../core/errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** An object of a file and the line it starts at, from 1. */
export interface PlacedObject {
  readonly line: number;
  readonly value: JsonObject;
}

/**
 * All JSON objects that start at the beginning of a line: one per line with any text between, or a single
 * one over many lines. Python's bare `Infinity` and `-Infinity` are read as such and `NaN` as null. None
 * for a text without any. `file` names the text in the error (exit 2) for an object that is broken.
 */
export function readJsonObjects(text: string, file: string): PlacedObject[] {
  const lines = text.replace(/^\uFEFF/, '').split('\n');
  const starts = lines.flatMap((line, i) => (line.startsWith('{') ? [i] : []));
  return starts.map((start) => {
    try {
      return { line: start + 1, value: parse(lines[start]!) };
    } catch (error) {
      const last = lines.findLastIndex((line) => line.trim() !== '');
      if (starts.length > 1 || last === start) throw notJson(file, start + 1, error);
      return { line: start + 1, value: parseLong(lines.slice(start), start + 1, file) };
    }
  });
}

/** An object over several lines, which starts at line `first` of the file. */
function parseLong(lines: readonly string[], first: number, file: string): JsonObject {
  const text = lines.join('\n').trimEnd();
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
