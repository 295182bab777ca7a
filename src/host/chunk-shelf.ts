import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import type { ByteStore } from '../core/record-table.ts';

/** Bytes of a level that stay in memory: those of some hundred short answers. */
const KEPT_BYTES = 1024 * 1024;
/** Memory is taken in pages of this size. */
const PAGE_BYTES = 256 * 1024;
/** So much is read at once by who reads on. */
const AHEAD_BYTES = 16 * 1024;
/** Addresses of a page of memory, of which each has its own; what lies on disk has addresses behind them all. */
const PAGE_SPAN = 2 ** 32;
const ON_DISK = 2 ** 52;

/**
 * Puts the long parts of requests that have ended (the times and tokens of their chunks, their words, their text) on
 * disk, where they are read from when they are looked at, so that memory does not grow with the number of requests. The
 * file has no name: nothing is left of it, however the process ends.
 */
export class ChunkShelf implements ByteStore {
  readonly #keptBytes: number;
  readonly #pages: Uint8Array[] = [];
  /** Taken of the last page, and of all. */
  #pageBytes = 0;
  #memoryBytes = 0;
  #handle: number | null = null;
  #diskBytes = 0;
  /** Why nothing more is put on disk. */
  #full = false;
  /** What was read last, where it lies on disk, and where who reads on would go on. */
  #found = new Uint8Array();
  #foundAt = 0;
  #nextAt = -1;
  /** What is being written: in one piece, for one call of the system. */
  #piece = new Uint8Array(4_096);

  /**
   * The file lies in `directory`; the first `keptBytes` are not put on it. Without a folder, or with one that takes no file, all stays
   * in memory.
   */
  constructor(directory: string | null, keptBytes = KEPT_BYTES) {
    this.#keptBytes = keptBytes;
    try {
      if (directory === null) throw new Error('no folder');
      const file = path.join(directory, `.chunks-${process.pid}`);
      this.#handle = openSync(file, 'w+');
      rmSync(file);
    } catch {
      this.#full = true;
    }
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.#diskBytes;
  }

  put(parts: readonly (Uint8Array | Uint32Array)[]): number {
    const bytes = parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const room = roomFor(bytes);
    if (this.#full || this.#memoryBytes + room <= this.#keptBytes) return this.#keep(parts, room);
    if (this.#piece.length < room) this.#piece = new Uint8Array(2 * room);
    copyInto(this.#piece, parts, 0);
    try {
      for (let done = 0; done < room; )
        done += writeSync(this.#handle!, this.#piece, done, room - done, this.#diskBytes + done);
    } catch {
      this.#full = true;
      return this.#keep(parts, room);
    }
    const at = ON_DISK + this.#diskBytes;
    this.#diskBytes += room;
    return at;
  }

  /** What lies in memory is not copied. */
  read(at: number, bytes: number): Uint8Array {
    if (at < ON_DISK) {
      const start = at % PAGE_SPAN;
      return this.#pages[Math.floor(at / PAGE_SPAN)]!.subarray(start, start + bytes);
    }
    const from = at - ON_DISK;
    if (from < this.#foundAt || from + bytes > this.#foundAt + this.#found.length) {
      // Who reads one record after the other is given them from one piece.
      const ahead = from === this.#nextAt ? Math.min(AHEAD_BYTES, this.#diskBytes - from) : 0;
      this.#found = this.#readDisk(from, Math.max(bytes, ahead));
      this.#foundAt = from;
    }
    this.#nextAt = from + roomFor(bytes);
    return this.#found.subarray(from - this.#foundAt, from - this.#foundAt + bytes);
  }

  close(): void {
    if (this.#handle !== null) closeSync(this.#handle);
    this.#handle = null;
    this.#full = true;
    this.#found = new Uint8Array();
  }

  #readDisk(from: number, bytes: number): Uint8Array<ArrayBuffer> {
    const found = new Uint8Array(bytes);
    for (let done = 0; done < bytes; ) {
      const got = readSync(this.#handle!, found, done, bytes - done, from + done);
      if (got === 0) throw new Error(`the file of chunks ends at byte ${from + done}`);
      done += got;
    }
    return found;
  }

  #keep(parts: readonly (Uint8Array | Uint32Array)[], room: number): number {
    if (this.#pages.length === 0 || this.#pageBytes + room > this.#pages.at(-1)!.length) {
      this.#pages.push(new Uint8Array(Math.max(PAGE_BYTES, room)));
      this.#pageBytes = 0;
    }
    const at = this.#pageBytes;
    copyInto(this.#pages.at(-1)!, parts, at);
    this.#pageBytes += room;
    this.#memoryBytes += room;
    return PAGE_SPAN * (this.#pages.length - 1) + at;
  }
}

/** So much is taken for these, so that the next begins at a multiple of 4 again. */
function roomFor(bytes: number): number {
  return 4 * Math.ceil(bytes / 4);
}

function copyInto(to: Uint8Array, parts: readonly (Uint8Array | Uint32Array)[], from: number): void {
  let at = from;
  for (const { buffer, byteOffset, byteLength } of parts) {
    to.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
}
