import type { Clock } from '../../core/clock.ts';
import { pairClocks } from '../../core/clock-pair.ts';
import { type NativeReceiver, nativeReceiver } from './native.ts';

/** See receiver.h, which these follow. */
const RING_BYTES = 8 * 1024 * 1024;
const ENTRY_BYTES = 48;
const ALIGN = 16;
const KIND = { pad: 0, open: 1, data: 2, end: 3, fail: 4, sent: 5, accept: 6 } as const;
const STAMPED = 1;
const FULL = 2;
const REORDERED = 4;
const STEPPED = 8;
const LONGEST_DRAIN_MS = 5;
const HEAD = 0;
const TAIL = 16;
const STALLS = 32;

/** One read of a socket. The same object for all reads: lent for the call. Instants are ms of CLOCK_MONOTONIC. */
export interface Read {
  buffer: Buffer;
  start: number;
  end: number;
  /** No byte arrived later. */
  atMs: number;
  /** The last byte arrived no earlier, where it is known in which segment it came. */
  lowerMs: number;
  /** No byte arrived earlier. */
  sinceMs: number;
  readMs: number;
  /** TCP segments, 0 where that is unknown. */
  segments: number;
  stamped: boolean;
  /** The read filled its buffer. */
  full: boolean;
  reordered: boolean;
  /** The system clock was set meanwhile. */
  stepped: boolean;
}

/** What happens to one handle. */
export interface HandleEvents {
  opened?(atMs: number): void;
  sent?(atMs: number): void;
  read(read: Read): void;
  ended(atMs: number): void;
  failed(errno: number, atMs: number): void;
}

/** Counters since the receiver was started. */
export interface ReceiverCounters {
  /** Times that the thread waited for room in the ring. */
  readonly stalls: number;
  readonly stalledMs: number;
  /** Times that the system clock was set. */
  readonly clockSteps: number;
}

/** The process's one receiver, shared by all who hold it. It keeps the process alive until the last has let go. */
export class Receiver {
  static #running: Receiver | null = null;
  readonly native: NativeReceiver;
  /** By the whole handle: the next one in a slot may be there before the end of the last has been reported. */
  readonly #handles = new Map<number, HandleEvents>();
  readonly #listeners = new Map<number, (handle: number) => HandleEvents>();
  readonly #bytes: Buffer;
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  readonly #control: Int32Array;
  readonly #read: Read;
  #tail = 0;
  #holders = 0;

  /** Holds the receiver, starting it where needed; a reason where the system has none. Must be given back by `release`. */
  static hold(): Receiver | string {
    if (Receiver.#running === null) {
      const native = nativeReceiver();
      if (typeof native === 'string') return native;
      try {
        Receiver.#running = new Receiver(native);
      } catch (error) {
        return (error as Error).message;
      }
    }
    Receiver.#running.#holders++;
    return Receiver.#running;
  }

  private constructor(native: NativeReceiver) {
    this.native = native;
    const [ring, control] = native.start(RING_BYTES, () => this.#drain());
    this.#bytes = Buffer.from(ring);
    this.#words = new Int32Array(ring);
    this.#doubles = new Float64Array(ring);
    this.#control = new Int32Array(control);
    this.#read = {
      buffer: this.#bytes,
      start: 0,
      end: 0,
      atMs: 0,
      lowerMs: 0,
      sinceMs: 0,
      readMs: 0,
      segments: 0,
      stamped: false,
      full: false,
      reordered: false,
      stepped: false,
    };
  }

  release(): void {
    if (--this.#holders > 0) return;
    Receiver.#running = null;
    this.native.stop();
  }

  /** What is to be subtracted from a `Read`'s instants for those of `clock`, right to a µs. */
  originMs(clock: Pick<Clock, 'now'>): number {
    const { atMs, other } = pairClocks(
      () => clock.now(),
      () => this.native.now(),
    );
    return other - atMs;
  }

  /** Begins to connect; `events` follow, unless −errno is returned. */
  connect(address: string, port: number, events: HandleEvents): number {
    return this.#watch(this.native.connect(address, port), events);
  }

  /** Listens; `accept` is called for each connection. The handle, or −errno. */
  listen(address: string, port: number, accept: (handle: number) => HandleEvents): number {
    const handle = this.native.listen(address, port);
    if (handle >= 0) this.#listeners.set(handle, accept);
    return handle;
  }

  /** Closes at once; nothing is reported of the handle any more. */
  close(handle: number): void {
    this.#forget(handle);
    if (Receiver.#running === this) this.native.close(handle);
  }

  /** As `close`, and the peer gets a reset. */
  reset(handle: number): void {
    this.#forget(handle);
    if (Receiver.#running === this) this.native.reset(handle);
  }

  counters(): ReceiverCounters {
    const [stalls, stalledUs, , clockSteps] = this.#control.subarray(STALLS, STALLS + 4);
    return { stalls: stalls! >>> 0, stalledMs: (stalledUs! >>> 0) / 1_000, clockSteps: clockSteps! >>> 0 };
  }

  #forget(handle: number): void {
    this.#handles.delete(handle);
    this.#listeners.delete(handle);
  }

  #watch(handle: number, events: HandleEvents): number {
    if (handle >= 0) this.#handles.set(handle, events);
    return handle;
  }

  /** Takes all entries there are. Whoever is called may stop the receiver. */
  #drain(): void {
    // In a flood what comes meanwhile is left for the next call, so that timers and requests have their turn.
    const untilMs = performance.now() + LONGEST_DRAIN_MS;
    while (Receiver.#running === this) {
      const head = Atomics.load(this.#control, HEAD);
      if (head === this.#tail) return;
      this.#takeUntil(head);
      if (performance.now() >= untilMs) return;
    }
  }

  #takeUntil(head: number): void {
    const words = this.#words;
    while (this.#tail !== head && Receiver.#running === this) {
      const at = this.#tail & (RING_BYTES - 1);
      if (RING_BYTES - at < ENTRY_BYTES) {
        this.#tail = (this.#tail + RING_BYTES - at) | 0;
        continue;
      }
      const kind = words[(at >> 2) + 1]! & 0xffff;
      const length = words[(at >> 2) + 2]!;
      if (kind !== KIND.pad) this.#report(kind, at, length);
      const bytes = ENTRY_BYTES + (kind === KIND.pad || kind === KIND.data ? length : 0);
      this.#tail = (this.#tail + ((bytes + ALIGN - 1) & -ALIGN)) | 0;
      if (Receiver.#running === this) Atomics.store(this.#control, TAIL, this.#tail);
    }
  }

  #report(kind: number, at: number, length: number): void {
    const handle = this.#words[at >> 2]! >>> 0;
    const atMs = this.#doubles[(at >> 3) + 2]!;
    if (kind === KIND.accept) {
      const accept = this.#listeners.get(this.#words[(at >> 2) + 3]! >>> 0);
      if (accept === undefined) this.native.close(handle);
      else this.#watch(handle, accept(handle));
      return;
    }
    const events = this.#handles.get(handle);
    if (events === undefined) return;
    if (kind === KIND.data) events.read(this.#readAt(at, length));
    else if (kind === KIND.open) events.opened?.(atMs);
    else if (kind === KIND.sent) events.sent?.(atMs);
    else {
      this.#handles.delete(handle);
      if (kind === KIND.end) events.ended(atMs);
      else events.failed(length, atMs);
    }
  }

  #readAt(at: number, length: number): Read {
    const read = this.#read;
    const flags = this.#words[(at >> 2) + 1]! >>> 16;
    const doubles = at >> 3;
    read.start = at + ENTRY_BYTES;
    read.end = read.start + length;
    read.segments = this.#words[(at >> 2) + 3]!;
    read.atMs = this.#doubles[doubles + 2]!;
    read.lowerMs = this.#doubles[doubles + 3]!;
    read.sinceMs = this.#doubles[doubles + 4]!;
    read.readMs = this.#doubles[doubles + 5]!;
    read.stamped = (flags & STAMPED) !== 0;
    read.full = (flags & FULL) !== 0;
    read.reordered = (flags & REORDERED) !== 0;
    read.stepped = (flags & STEPPED) !== 0;
    return read;
  }
}
