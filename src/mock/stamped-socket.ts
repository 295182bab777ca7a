import { Duplex } from 'node:stream';
import type { ConnectionEvents, StampedConnection } from './stamped-listener.ts';

/** A client may leave so much unread, or send so much that waits for its turn, before it is reset. */
const MOST_WAITING_BYTES = 64 * 1024 * 1024;
/** After so many bytes of output it is looked at whether the system took them. */
const LOOK_BYTES = 64 * 1024;
/** What the system did not take is looked at again after this. */
const LOOK_AGAIN_MS = 5;

type Done = (error?: Error | null) => void;

/** A connection with stamps as Node's HTTP server wants one: a stream, with what it uses of a `net.Socket`. */
export class StampedSocket extends Duplex implements ConnectionEvents {
  readonly #connection: StampedConnection;
  /** Of the chunks that the HTTP server has not taken yet, in their order. */
  readonly #arrivals: number[] = [];
  #arrivedAtMs = 0;
  #sinceLook = 0;
  #reset = false;
  #look: NodeJS.Timeout | null = null;
  #idle: NodeJS.Timeout | null = null;

  constructor(connection: StampedConnection) {
    super();
    this.#connection = connection;
    // Before the HTTP server's own listener, which parses the chunk.
    this.on('data', () => {
      this.#arrivedAtMs = this.#arrivals.shift()!;
    });
  }

  /** When the last byte of the chunk that is being parsed, or was last, arrived. */
  get arrivedAtMs(): number {
    return this.#arrivedAtMs;
  }

  arrived(bytes: Buffer, atMs: number): void {
    this.#arrivals.push(atMs);
    this.push(bytes);
    if (this.readableLength > MOST_WAITING_BYTES) this.resetAndDestroy();
  }

  ended(): void {
    this.push(null);
  }

  failed(error: Error): void {
    this.destroy(error);
  }

  /** Emits `timeout` after so long without another call; never for 0. */
  setTimeout(ms: number): this {
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = ms > 0 ? setTimeout(() => this.emit('timeout'), ms).unref() : null;
    return this;
  }

  /** Closes once all is sent. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  resetAndDestroy(): this {
    this.#reset = true;
    return this.destroy();
  }

  override _read(): void {
    // Chunks are pushed as they come.
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send(bytes, done);
  }

  override _writev(parts: { readonly chunk: Buffer }[], done: Done): void {
    this.#send(Buffer.concat(parts.map(({ chunk }) => chunk)), done);
  }

  override _final(done: Done): void {
    this.#connection.end();
    this.#whenTaken(0, done);
  }

  override _destroy(error: Error | null, done: Done): void {
    if (this.#look !== null) clearTimeout(this.#look);
    if (this.#idle !== null) clearTimeout(this.#idle);
    if (this.#reset) this.#connection.reset();
    else this.#connection.close();
    done(error);
  }

  #send(bytes: Buffer, done: Done): void {
    this.#connection.send(bytes);
    this.#sinceLook += bytes.length;
    if (this.#sinceLook < LOOK_BYTES) {
      done();
      return;
    }
    this.#sinceLook = 0;
    this.#whenTaken(LOOK_BYTES, done);
  }

  /** Calls `done` when at most that number of bytes waits for the system; until then further output waits in the stream. */
  #whenTaken(mostBytes: number, done: Done): void {
    if (this.#connection.unsent() <= mostBytes) done();
    else if (this.writableLength > MOST_WAITING_BYTES) this.resetAndDestroy();
    else this.#look = setTimeout(() => this.#whenTaken(mostBytes, done), LOOK_AGAIN_MS);
  }
}
