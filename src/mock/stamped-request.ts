import { IncomingMessage } from 'node:http';
import { StampedSocket } from './stamped-socket.ts';
import { processClock } from './ticker.ts';

/** A request that knows when it had arrived. */
export class StampedRequest extends IncomingMessage {
  #arrivedAtMs = Number.NaN;

  /** When its last byte arrived: by the stamp of the connection where it has some, else when it was read. NaN before. */
  get arrivedAtMs(): number {
    return this.#arrivedAtMs;
  }

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    // The parser says by null that the message is complete, in the same call that gave it the last byte.
    if (chunk === null) {
      const socket: unknown = this.socket;
      this.#arrivedAtMs = socket instanceof StampedSocket ? socket.arrivedAtMs : processClock.now();
    }
    return super.push(chunk, encoding);
  }
}
