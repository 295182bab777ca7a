import { closeSync, fstatSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { BenchError, EXIT, errorText } from '../core/errors.ts';
import { Random } from '../core/random.ts';
import type { Phase } from '../core/record.ts';
import type { Prompt, PromptSource, Salting } from '../core/spec.ts';

/**
 * Layout of a spool: the contents one behind the other, then one fixed-width record per prompt, then the
 * salting as JSON, then a footer that says where the parts start.
 */
const MAGIC = 0x42_53_50_31;
const FOOTER_BYTES = 32;
const RECORD_BYTES = 40;
/** Records that are read together. */
const RECORDS_AT_ONCE = 1_024;
const BUFFER_BYTES = 4 * 1024 * 1024;
const PHASES: readonly Phase[] = ['warmup', 'measured', 'hold'];
/** Stands for a length that is unknown. */
const UNKNOWN = 0xff_ff_ff_ff;

/**
 * Writes prompts to a file, so that neither the process that makes them nor the one that sends them
 * holds them in memory. Throws a BenchError when the disk is full or the file cannot be written.
 */
export class SpoolWriter {
  readonly #path: string;
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #buffered = 0;
  #offset = 0;
  /** All records, with room for more. */
  #records = Buffer.alloc(RECORD_BYTES * RECORDS_AT_ONCE);
  #count = 0;
  readonly #next = new Map<string, number>();
  #lastKey = '';

  constructor(path: string) {
    this.#path = path;
    this.#fd = guarded(path, () => openSync(path, 'w', 0o600));
  }

  /** Appends a prompt. Each phase of a point takes its indices in order from 0, in one run. */
  add(point: number, phase: Phase, index: number, prompt: Prompt): void {
    const key = `${point} ${phase}`;
    const next = this.#next.get(key) ?? 0;
    if (index !== next || (next > 0 && key !== this.#lastKey)) {
      throw new BenchError(EXIT.bug, `prompt ${index} of ${phase} at point ${point} came out of order`);
    }
    this.#next.set(key, index + 1);
    this.#lastKey = key;
    const at = RECORD_BYTES * this.#count++;
    if (at === this.#records.length) this.#records = Buffer.concat([this.#records], 2 * at);
    const record = this.#records.subarray(at, at + RECORD_BYTES);
    record.writeDoubleLE(this.#offset, 0);
    record.writeUInt32LE(prompt.content.length, 8);
    record.writeUInt32LE(prompt.isl ?? UNKNOWN, 12);
    record.writeUInt32LE(prompt.osl, 16);
    record.writeUInt32LE(prompt.promptTokens ?? UNKNOWN, 20);
    record.writeUInt32LE(point, 24);
    record.writeUInt32LE(PHASES.indexOf(phase), 28);
    record.writeUInt32LE(index, 32);
    record.writeUInt32LE(prompt.keepBytes ?? 0, 36);
    this.#append(prompt.content);
  }

  /** Finishes the file. The writer is of no use after. */
  close(salting: Salting): void {
    const recordsAt = this.#offset;
    this.#append(this.#records.subarray(0, RECORD_BYTES * this.#count));
    const saltingAt = this.#offset;
    this.#append(Buffer.from(JSON.stringify(salting), 'utf8'));
    const footer = Buffer.alloc(FOOTER_BYTES);
    footer.writeDoubleLE(recordsAt, 0);
    footer.writeDoubleLE(saltingAt, 8);
    footer.writeDoubleLE(this.#offset, 16);
    footer.writeUInt32LE(this.#count, 24);
    footer.writeUInt32LE(MAGIC, 28);
    this.#append(footer);
    this.#flush();
    closeSync(this.#fd);
  }

  /** Gives up: removes what was written. */
  discard(): void {
    const isFile = fstatSync(this.#fd).isFile();
    closeSync(this.#fd);
    // What was opened may be a device, which is not ours to remove.
    if (isFile) unlinkSync(this.#path);
  }

  #append(bytes: Uint8Array): void {
    this.#offset += bytes.length;
    if (this.#buffered + bytes.length > BUFFER_BYTES) this.#flush();
    if (bytes.length > BUFFER_BYTES) this.#writeAll(bytes);
    else {
      this.#buffer.set(bytes, this.#buffered);
      this.#buffered += bytes.length;
    }
  }

  #flush(): void {
    this.#writeAll(this.#buffer.subarray(0, this.#buffered));
    this.#buffered = 0;
  }

  #writeAll(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      done += guarded(this.#path, () => writeSync(this.#fd, bytes, done));
    }
  }
}

/** Where a prompt lies in the file and what it is. */
interface SpoolEntry extends Required<Omit<Prompt, 'content'>> {
  readonly offset: number;
  readonly length: number;
}

/** The prompts of a phase of a point: so many records from number `first` on. */
interface Run {
  readonly first: number;
  count: number;
}

/**
 * Reads prompts back, one at a time; none of them is in memory. Beyond the prompts that were made it uses them again with other
 * words at the start, or behind what they share with others on purpose: the same length, another text and another
 * prefix. Prompts without words of salt are used again as they are.
 */
export class SpoolReader implements PromptSource {
  readonly #path: string;
  readonly #fd: number;
  readonly #runs = new Map<string, Run>();
  readonly #salting: Salting;
  readonly #recordsAt: number;
  readonly #count: number;
  /** The records that were read last, and the number of the first of them. */
  #records: Buffer = Buffer.alloc(0);
  #from = 0;

  /** Opens a finished spool. Throws a BenchError when it is none. */
  constructor(path: string) {
    this.#path = path;
    this.#fd = guarded(path, () => openSync(path, 'r'));
    const size = guarded(path, () => fstatSync(this.#fd).size);
    const footer =
      size < FOOTER_BYTES ? Buffer.alloc(FOOTER_BYTES) : this.#read(size - FOOTER_BYTES, FOOTER_BYTES);
    if (footer.readUInt32LE(28) !== MAGIC) {
      throw new BenchError(EXIT.bug, `${path} is no finished file of prompts`);
    }
    const [recordsAt, saltingAt, end] = [0, 8, 16].map((at) => footer.readDoubleLE(at)) as [
      number,
      number,
      number,
    ];
    this.#salting = JSON.parse(this.#read(saltingAt, end - saltingAt).toString('utf8')) as Salting;
    this.#recordsAt = recordsAt;
    this.#count = footer.readUInt32LE(24);
    for (let nth = 0; nth < this.#count; nth++) {
      const record = this.#record(nth);
      const key = `${record.readUInt32LE(24)} ${PHASES[record.readUInt32LE(28)]!}`;
      const run = this.#runs.get(key);
      if (run === undefined) this.#runs.set(key, { first: nth, count: 1 });
      else run.count++;
    }
  }

  /** How many prompts were made for a phase of a point. */
  available(point: number, phase: Phase): number {
    return this.#runs.get(`${point} ${phase}`)?.count ?? 0;
  }

  /** Prompt `index` of a phase. A phase without prompts of its own borrows from the point's others. */
  take(point: number, phase: Phase, index: number): Prompt {
    const own = this.#runs.get(`${point} ${phase}`);
    if (own !== undefined && index < own.count) {
      const entry = this.#entry(own.first + index);
      return this.#prompt(entry, this.#content(entry));
    }
    const lenders: readonly Phase[] = [phase, 'measured', 'warmup', 'hold'];
    const run = lenders
      .map((name) => this.#runs.get(`${point} ${name}`))
      .find((found) => found !== undefined);
    if (run === undefined) throw new BenchError(EXIT.bug, `no prompt was made for point ${point}`);
    const used = this.#entry(run.first + (index % run.count));
    const { seed, salt } = this.#salting;
    const random = new Random(seed, salt, 'again', point, phase, index);
    return this.#prompt(used, resalt(this.#content(used), used.keepBytes, this.#salting, random));
  }

  /** Closes the file. */
  close(): void {
    closeSync(this.#fd);
  }

  #record(nth: number): Buffer {
    if (nth < this.#from || nth >= this.#from + this.#records.length / RECORD_BYTES) {
      const count = Math.min(RECORDS_AT_ONCE, this.#count - nth);
      this.#records = this.#read(this.#recordsAt + RECORD_BYTES * nth, RECORD_BYTES * count);
      this.#from = nth;
    }
    const at = RECORD_BYTES * (nth - this.#from);
    return this.#records.subarray(at, at + RECORD_BYTES);
  }

  #entry(nth: number): SpoolEntry {
    const record = this.#record(nth);
    const known = (offset: number): number | null => {
      const value = record.readUInt32LE(offset);
      return value === UNKNOWN ? null : value;
    };
    return {
      offset: record.readDoubleLE(0),
      length: record.readUInt32LE(8),
      isl: known(12),
      osl: record.readUInt32LE(16),
      promptTokens: known(20),
      keepBytes: record.readUInt32LE(36),
    };
  }

  #prompt({ isl, osl, promptTokens }: SpoolEntry, content: Uint8Array): Prompt {
    return { content, isl, osl, promptTokens };
  }

  #content(entry: SpoolEntry): Buffer {
    return this.#read(entry.offset, entry.length);
  }

  #read(offset: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let done = 0; done < length; ) {
      const read = guarded(this.#path, () => readSync(this.#fd, bytes, done, length - done, offset + done));
      if (read === 0) throw new BenchError(EXIT.bug, `${this.#path} ended before its time`);
      done += read;
    }
    return bytes;
  }
}

const SPACE = 0x20;

/** The content with as many fresh words behind its first `keepBytes` as it has salt words. */
function resalt(content: Buffer, keepBytes: number, salting: Salting, random: Random): Buffer {
  if (salting.saltWords === 0) return content;
  let count = 0;
  let end = keepBytes - 1;
  while (count < salting.saltWords && end < content.length) {
    const space = content.indexOf(SPACE, end + 1);
    end = space < 0 ? content.length : space;
    count++;
  }
  const { firstWords, words } = salting;
  const first = keepBytes === 0 ? firstWords : words;
  const drawn = [first[random.integer(0, first.length - 1)]!];
  while (drawn.length < count) drawn.push(words[random.integer(0, words.length - 1)]!);
  return Buffer.concat([
    content.subarray(0, keepBytes),
    Buffer.from(drawn.join(' '), 'utf8'),
    content.subarray(end),
  ]);
}

/** Runs a file operation; its failure becomes one line that says what to do. */
function guarded<T>(path: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw new BenchError(
        EXIT.usage,
        `the disk is full: the prompts do not fit into ${path}`,
        'free some space or write the results to another disk',
      );
    }
    throw new BenchError(EXIT.usage, `cannot use ${path} for the prompts (${code ?? errorText(error)})`);
  }
}
