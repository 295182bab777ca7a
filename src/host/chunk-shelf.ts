import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import type { RequestRecord } from '../core/record.ts';
import type { ChunkText } from '../core/record-builder.ts';
import { type NumberSource, ShelvedRecord } from '../core/shelved-record.ts';

/** Chunks of a level that stay in memory: all of a usual one. */
const KEPT_BYTES = 24 * 1024 * 1024;

/**
 * Puts the long parts of requests that have ended (the times and tokens of their chunks, their text) on disk
 * and gives back records that read them from there whenever they are looked at, so that memory does not
 * grow with the number of requests. The file has no name: nothing is left of it, however the process ends.
 */
export class ChunkShelf {
  readonly #keptBytes: number;
  readonly #source: NumberSource = {
    read: (at, count) => new Uint32Array(this.#read({ at, length: 4 * count }).buffer),
  };
  #handle: number | null = null;
  #takenBytes = 0;
  #atByte = 0;
  #full = false;

  /** The file lies in `directory`; the first `keptBytes` are not put on it. A folder that takes no file keeps all in memory. */
  constructor(directory: string, keptBytes = KEPT_BYTES) {
    this.#keptBytes = keptBytes;
    const file = path.join(directory, `.chunks-${process.pid}`);
    try {
      this.#handle = openSync(file, 'w+');
      rmSync(file);
    } catch {
      this.#full = true;
    }
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.#atByte;
  }

  /** The same record, its chunks on disk once enough of others are in memory. */
  record(record: RequestRecord): RequestRecord {
    const { chunkUs, chunkTokens } = record;
    const bytes = chunkUs.byteLength + (chunkTokens?.byteLength ?? 0);
    if (!this.#wants(bytes)) return record;
    const chunks = chunkUs.length;
    const place = this.#put(chunkUs);
    if (place === null || (chunkTokens !== null && this.#put(chunkTokens) === null)) return record;
    const { chunkUs: _, chunkTokens: __, ...rest } = record;
    return new ShelvedRecord(rest, {
      source: this.#source,
      at: place.at,
      chunks,
      withTokens: chunkTokens !== null,
    });
  }

  /** The same text, likewise. */
  text(text: ChunkText): ChunkText {
    if (!this.#wants(text.bytes.byteLength + text.ends.byteLength)) return text;
    const bytes = this.#put(text.bytes);
    const ends = this.#put(text.ends);
    if (bytes === null || ends === null) return text;
    const read = (): Uint8Array => this.#read(bytes);
    const numbers = (): Uint32Array => new Uint32Array(this.#read(ends).buffer);
    return {
      get bytes() {
        return read();
      },
      get ends() {
        return numbers();
      },
    };
  }

  close(): void {
    if (this.#handle !== null) closeSync(this.#handle);
    this.#handle = null;
  }

  #wants(bytes: number): boolean {
    this.#takenBytes += bytes;
    return this.#takenBytes > this.#keptBytes && !this.#full;
  }

  /** Where the bytes lie now; null when the disk took no more, after which nothing is put there any more. */
  #put(part: Uint8Array | Uint32Array): { readonly at: number; readonly length: number } | null {
    const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
    const place = { at: this.#atByte, length: bytes.length };
    try {
      for (let done = 0; done < bytes.length; )
        done += writeSync(this.#handle!, bytes, done, bytes.length - done, place.at + done);
    } catch {
      this.#full = true;
      return null;
    }
    this.#atByte += bytes.length;
    return place;
  }

  #read({ at, length }: { readonly at: number; readonly length: number }): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const got = readSync(this.#handle!, bytes, done, length - done, at + done);
      if (got === 0) throw new Error(`the file of chunks ends at byte ${at + done}`);
      done += got;
    }
    return bytes;
  }
}
