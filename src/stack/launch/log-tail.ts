import { type FileHandle, open } from 'node:fs/promises';

/** Lines of each file that are kept as evidence. */
const KEPT_LINES = 20;
/** A longer line comes in pieces of this many bytes, so that a file without line breaks cannot fill memory. */
const MOST_LINE_BYTES = 64 * 1024;
const CHUNK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** A whole line of a followed file, without its line break. */
export interface TailedLine {
  readonly file: string;
  readonly line: string;
  /** Where the line begins, in bytes since the file's start. */
  readonly offset: number;
}

/** How far one file has been read. */
interface Followed {
  readonly file: string;
  /** Identity of the file that was read last; a new one under the name is read from its start. */
  identity: string | null;
  /** Kept open so that what was written before a rotation is not lost. */
  handle: FileHandle | null;
  /** Next byte to read. */
  offset: number;
  /** Bytes of a line whose end has not come yet. */
  rest: Buffer;
  bytesSeen: number;
  readonly last: string[];
  trouble: string | null;
}

/**
 * Follows files that grow, by polling: network file systems tell nobody of a change. A file may come late,
 * be truncated, or be replaced by a new one of its name; only whole lines are given, in order, and what has
 * no line break when the tail is stopped is given then. A file that was truncated and has grown past its
 * old length between two looks cannot be told from one that has only grown.
 */
export class LogTail {
  readonly #onLine: (line: TailedLine) => void;
  readonly #pollMs: number;
  readonly #files = new Map<string, Followed>();
  #timer: NodeJS.Timeout | null = null;
  #running = false;
  #round: Promise<void> = Promise.resolve();

  /** `onLine` is called for every line as it is read; `pollMs` is the pause between two looks. */
  constructor(onLine: (line: TailedLine) => void, pollMs = 200) {
    this.#onLine = onLine;
    this.#pollMs = pollMs;
  }

  /** Adds a file, which need not exist yet. A second time is no difference. */
  follow(file: string): void {
    if (this.#files.has(file)) return;
    this.#files.set(file, {
      file,
      identity: null,
      handle: null,
      offset: 0,
      rest: Buffer.alloc(0),
      bytesSeen: 0,
      last: [],
      trouble: null,
    });
  }

  /** Starts to look every `pollMs` until `stop`. */
  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#schedule();
  }

  /** Looks at every file once, after any look that goes on. */
  poll(): Promise<void> {
    const round = this.#round.then(async () => {
      for (const followed of [...this.#files.values()]) await this.#look(followed);
    });
    this.#round = round.catch(() => undefined);
    return round;
  }

  /** Reads what is there, and gives an unfinished last line of the file too: nobody writes to it any more. */
  async finish(file: string): Promise<void> {
    await this.poll();
    const followed = this.#files.get(file);
    if (followed !== undefined) this.#flush(followed);
  }

  /** Reads what is there, gives the unfinished last lines too, and closes the files. */
  async stop(): Promise<void> {
    this.#running = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    await this.poll();
    for (const followed of this.#files.values()) {
      this.#flush(followed);
      await followed.handle?.close();
      followed.handle = null;
    }
  }

  /** Bytes read of the file so far, over all truncations and rotations: no growth is no sign of life. */
  bytesSeen(file: string): number {
    return this.#files.get(file)?.bytesSeen ?? 0;
  }

  /** The last lines of the file, oldest first; at most 20. */
  lastLines(file: string): readonly string[] {
    return [...(this.#files.get(file)?.last ?? [])];
  }

  /** Why the file could not be read at the last look; null when it could, or does not exist. */
  trouble(file: string): string | null {
    return this.#files.get(file)?.trouble ?? null;
  }

  #schedule(): void {
    this.#timer = setTimeout(async () => {
      await this.poll();
      if (this.#running) this.#schedule();
    }, this.#pollMs);
  }

  /** Opening anew at each look is what makes a network file system tell the true size. */
  async #look(followed: Followed): Promise<void> {
    let fresh: FileHandle | null = null;
    try {
      fresh = await open(followed.file, 'r');
      const stat = await fresh.stat();
      const identity = `${stat.dev}:${stat.ino}`;
      if (followed.identity !== null && followed.identity !== identity) await this.#leaveOld(followed);
      followed.identity = identity;
      await followed.handle?.close();
      followed.handle = fresh;
      fresh = null;
      if (stat.size < followed.offset) this.#restart(followed);
      await this.#drain(followed);
      followed.trouble = null;
    } catch (thrown) {
      await fresh?.close();
      // Only the file system's refusals are trouble of the file; anything else is a bug to be seen.
      if (!(thrown instanceof Error) || !('code' in thrown)) throw thrown;
      followed.trouble = thrown.code === 'ENOENT' ? null : thrown.message;
    }
  }

  /** The rest of a file that has been moved away, before the new one of its name is read. */
  async #leaveOld(followed: Followed): Promise<void> {
    if (followed.handle !== null) await this.#drain(followed);
    this.#restart(followed);
  }

  #restart(followed: Followed): void {
    this.#flush(followed);
    followed.offset = 0;
  }

  async #drain(followed: Followed): Promise<void> {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await followed.handle!.read(chunk, 0, CHUNK_BYTES, followed.offset);
      if (bytesRead === 0) return;
      followed.bytesSeen += bytesRead;
      const from = followed.offset - followed.rest.length;
      followed.offset += bytesRead;
      const bytes = Buffer.concat([followed.rest, chunk.subarray(0, bytesRead)]);
      const used = this.#split(followed, bytes, from);
      followed.rest = Buffer.from(bytes.subarray(used));
    }
  }

  /** Gives the lines that are whole; returns how many bytes they took. */
  #split(followed: Followed, bytes: Buffer, from: number): number {
    let begin = 0;
    for (;;) {
      const end = bytes.indexOf(NEWLINE, begin);
      const length = (end < 0 ? bytes.length : end) - begin;
      if (length > MOST_LINE_BYTES) {
        const cut = characterStart(bytes, begin + MOST_LINE_BYTES);
        this.#give(followed, bytes.subarray(begin, cut), from + begin);
        begin = cut;
      } else if (end < 0) {
        return begin;
      } else {
        this.#give(followed, bytes.subarray(begin, end), from + begin);
        begin = end + 1;
      }
    }
  }

  #flush(followed: Followed): void {
    if (followed.rest.length === 0) return;
    this.#give(followed, followed.rest, followed.offset - followed.rest.length);
    followed.rest = Buffer.alloc(0);
  }

  #give(followed: Followed, bytes: Buffer, offset: number): void {
    const line = bytes.toString('utf8');
    followed.last.push(line);
    if (followed.last.length > KEPT_LINES) followed.last.shift();
    this.#onLine({ file: followed.file, line, offset });
  }
}

/** The start of the UTF-8 character that the byte at `at` belongs to. */
function characterStart(bytes: Buffer, at: number): number {
  let start = at;
  while (start > at - 4 && (bytes[start]! & 0xc0) === 0x80) start--;
  return start;
}
