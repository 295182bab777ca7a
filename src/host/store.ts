import fs, {
  appendFileSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  openSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { greatest } from '../core/distribution.ts';
import { errorText, usageError } from '../core/errors.ts';
import { makeFolders } from '../core/folders.ts';
import { type RequestRecord, recordToJson } from '../core/record.ts';
import { NEWLINE, RECORDS_FILE, readRecords } from './records-file.ts';

const DISCARDED_FILE = 'records.discarded.ndjson';
/** Records that are turned into text together when many are written. */
const RECORDS_AT_ONCE = 32;
const GO_ON = 'choose another folder, or go on with it: bench sweep --resume DIR';

/** Writes `text` under a name so that a reader, or a crash, sees the old file or the new one, never a part. */
export function writeAtomic(file: string, text: string | Uint8Array): void {
  const temporary = `${file}.tmp`;
  const handle = openSync(temporary, 'w', 0o644);
  try {
    try {
      writeFileSync(handle, text);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(temporary, file);
  } catch (error) {
    // On a full disk it would take the room of what comes next.
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** The folder of one run. Records are appended as they end; documents are replaced as a whole. */
export class RunStore {
  readonly directory: string;
  #handle: number;
  #unsaved: RequestRecord[] = [];
  /** What else the disk refused: the last state of documents, and parts of the records. */
  readonly #stale = new Set<string>();
  /** First error of the disk, null while all went well. */
  #firstError: string | null = null;
  readonly #refused = new AbortController();
  readonly #documents = new Set<string>();
  #bytes: number;

  private constructor(directory: string, handle: number, bytes: number) {
    this.directory = directory;
    this.#handle = handle;
    this.#bytes = bytes;
  }

  /** Makes a new folder. A folder that holds a run already is not overwritten (exit 2, with `instead` for a hint). */
  static create(directory: string, instead = GO_ON): RunStore {
    if (existsSync(path.join(directory, RECORDS_FILE))) {
      throw usageError(`--out: ${directory} already holds a run`, instead);
    }
    try {
      makeFolders(directory, fs);
      return new RunStore(directory, openSync(path.join(directory, RECORDS_FILE), 'ax'), 0);
    } catch (error) {
      throw usageError(
        `--out: cannot write to ${directory} (${errorText(error)})`,
        'choose a folder that can be written',
      );
    }
  }

  /**
   * Opens the folder of an earlier run to go on with it. Records of points outside `keep` (of levels that
   * are measured again), and a line that a crash cut, move to `records.discarded.ndjson`. `firstId` is the
   * number after the last request.
   */
  static reopen(directory: string, keep: ReadonlySet<number>): { firstId: number; reopen: () => RunStore } {
    const file = path.join(directory, RECORDS_FILE);
    if (!existsSync(file))
      throw usageError(`--resume: ${directory} holds no ${RECORDS_FILE}`, 'name the folder of a run');
    const { records } = readRecords(file);
    const reopen = (): RunStore => {
      const kept = records.filter((record) => keep.has(record.point));
      const discarded = records.filter((record) => !keep.has(record.point));
      try {
        if (discarded.length > 0)
          appendFileSync(path.join(directory, DISCARDED_FILE), encodeRecords(discarded));
        const lines = encodeRecords(kept);
        writeAtomic(file, lines);
        return new RunStore(directory, openSync(file, 'a'), lines.length);
      } catch (error) {
        throw usageError(
          `--resume: cannot write to ${directory} (${errorText(error)})`,
          'make room there, or make the folder one that can be written',
        );
      }
    };
    return { firstId: greatest(records.map((record) => record.id + 1).concat(0)), reopen };
  }

  /**
   * Opens the folder of one of several load generators: a new one, or that of an earlier run, of which the
   * points in `keep` stay.
   */
  static openShare(directory: string, keep: ReadonlySet<number>): RunStore {
    return existsSync(path.join(directory, RECORDS_FILE))
      ? RunStore.reopen(directory, keep).reopen()
      : RunStore.create(directory);
  }

  /** Aborts when the disk first refuses something. */
  get refused(): AbortSignal {
    return this.#refused.signal;
  }

  /** What the disk first refused with, in words; null while all went well. */
  get refusal(): string | null {
    return this.#firstError;
  }

  /** Bytes of the records file, to be given to `amend` later. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Records that the disk has refused so far; they are tried again with each append. */
  get unsaved(): number {
    return this.#unsaved.length;
  }

  /** What of the run is not on disk, in words; null when all is. */
  get missing(): string | null {
    const parts = [...(this.#unsaved.length > 0 ? [`${this.#unsaved.length} records`] : []), ...this.#stale];
    return parts.length === 0 ? null : `${parts.join(', ')} (${this.#firstError})`;
  }

  /** Appends a line per record. Never throws: what a full disk refuses is kept and tried again. */
  append(records: readonly RequestRecord[]): void {
    for (let i = 0; i === 0 || i < records.length; i += RECORDS_AT_ONCE)
      this.#appendSome(records.slice(i, i + RECORDS_AT_ONCE));
  }

  #appendSome(records: readonly RequestRecord[]): void {
    this.#unsaved.push(...records);
    if (this.#unsaved.length === 0) return;
    const bytes = encodeRecords(this.#unsaved);
    const { written, error } = writeSome(this.#handle, bytes);
    const whole = error === null ? written : bytes.subarray(0, written).lastIndexOf(NEWLINE) + 1;
    this.#bytes += whole;
    this.#unsaved.splice(0, countLines(bytes.subarray(0, whole)));
    if (error !== null) {
      this.#refuse(error);
      this.#cutTornLine();
    }
  }

  /** Takes a half-written line off again, so that the next record does not hang on to it. */
  #cutTornLine(): void {
    try {
      truncateSync(path.join(this.directory, RECORDS_FILE), this.#bytes);
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** Replaces all from byte `from` on by `records`: the same requests, now knowing their tokens per chunk. */
  amend(from: number, records: readonly RequestRecord[]): void {
    const file = path.join(this.directory, RECORDS_FILE);
    const temporary = `${file}.tmp`;
    let bytes = from;
    try {
      copyFileSync(file, temporary);
      truncateSync(temporary, from);
      const handle = openSync(temporary, 'a');
      try {
        for (let i = 0; i < records.length; i += RECORDS_AT_ONCE) {
          const lines = encodeRecords(records.slice(i, i + RECORDS_AT_ONCE));
          const { error } = writeSome(handle, lines);
          if (error !== null) throw error;
          bytes += lines.length;
        }
        fsyncSync(handle);
      } catch (error) {
        closeSync(handle);
        throw error;
      }
      renameSync(temporary, file);
      closeSync(this.#handle);
      this.#handle = handle;
      this.#bytes = bytes;
      this.#unsaved = [];
    } catch (error) {
      this.#refuse(error);
      this.#stale.add('tokens per chunk');
      rmSync(temporary, { force: true });
    }
  }

  /** Writes a document atomically; what the disk refused is told by `missing`. */
  document(name: string, text: string): void {
    try {
      writeAtomic(path.join(this.directory, name), text);
      this.#documents.add(name);
      this.#stale.delete(name);
    } catch (error) {
      this.#refuse(error);
      this.#stale.add(name);
    }
  }

  #refuse(error: unknown): void {
    this.#firstError ??= errorText(error);
    this.#refused.abort();
  }

  sync(): void {
    try {
      fsyncSync(this.#handle);
    } catch (error) {
      // Some file systems cannot; others say only now that they are full.
      if ((error as NodeJS.ErrnoException).code === 'EINVAL') return;
      this.#refuse(error);
      this.#stale.add(RECORDS_FILE);
    }
  }

  close(): void {
    closeSync(this.#handle);
  }

  /** Closes a run that failed; a folder in which nothing was recorded is taken away again. */
  closeUnused(): void {
    this.close();
    if (this.#unsaved.length === 0) RunStore.removeUnused(this.directory, this.#documents);
  }

  /** Takes away what a run left that ended before anything was recorded or reported. */
  static removeUnused(directory: string, documents: Iterable<string> = []): void {
    const records = path.join(directory, RECORDS_FILE);
    const bytes = statSync(records, { throwIfNoEntry: false })?.size ?? 0;
    if (bytes > 0 || existsSync(path.join(directory, 'report.json'))) return;
    for (const name of [RECORDS_FILE, 'spec.json', ...documents])
      rmSync(path.join(directory, name), { force: true });
    try {
      rmdirSync(directory);
    } catch {
      // Something else is in there, or it is gone already.
    }
  }
}

function encodeRecords(records: readonly RequestRecord[]): Buffer {
  return Buffer.from(records.map((record) => `${recordToJson(record)}\n`).join(''));
}

/** Writes until all is written or the disk refuses. */
function writeSome(handle: number, bytes: Buffer): { written: number; error: unknown } {
  let written = 0;
  try {
    while (written < bytes.length) written += writeSync(handle, bytes, written);
    return { written, error: null };
  } catch (error) {
    return { written, error };
  }
}

function countLines(bytes: Buffer): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines++;
  return lines;
}
