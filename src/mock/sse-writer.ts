import type { ServerResponse } from 'node:http';
import type { Random } from '../core/random.ts';
import type { Framing } from './options.ts';
import type { TruthStream } from './truth-log.ts';

/** Events of a write in the framing `batch`. */
export const BATCH_EVENTS = 4;

/**
 * Writes events as the body of a response whose head is out. It frames HTTP chunks by itself and writes
 * them to the socket, past Node's ServerResponse, which costs several times as much per event.
 */
export class SseWriter {
  readonly #response: ServerResponse;
  readonly #framing: Framing;
  readonly #isAscii: boolean;
  readonly #random: Random;
  readonly #raw: boolean;
  readonly #truth: TruthStream | null;
  #pending = '';
  #events = 0;
  /** Tokens of the events that are pending, and of those whose second part is; events without any left out. */
  #tokens: number[] = [];
  #tailTokens: number[] = [];
  /** The second part of a write that was cut. */
  #tail: Buffer | null = null;

  /** `random` says where `split` cuts; `isAscii` whether all text is. The head must have been flushed. */
  constructor(
    response: ServerResponse,
    framing: Framing,
    isAscii: boolean,
    random: Random,
    truth: TruthStream | null = null,
  ) {
    this.#response = response;
    this.#framing = framing;
    this.#isAscii = isAscii;
    this.#random = random;
    this.#truth = truth;
    // A pipelined response has no socket yet, and HTTP/1.0 has no chunks: Node then does the work.
    this.#raw = response.socket !== null && response.chunkedEncoding;
  }

  /** Adds an event with so many output tokens to what `flush` writes. */
  event(data: string, tokens = 0): void {
    if (tokens > 0) this.#tokens.push(tokens);
    const line = this.#framing === 'crlf' ? '\r\n' : '\n';
    if (this.#framing === 'comments') this.#pending += `: ping${line}${line}`;
    this.#pending += `data: ${data}${line}${line}`;
    this.#events++;
  }

  /** Writes what was added, in one piece where the framing allows. */
  flush(): void {
    if (this.#framing === 'batch' && this.#events < BATCH_EVENTS) return;
    this.#writePending();
  }

  /** Writes all, then ends the body properly. */
  end(): void {
    const { socket } = this.#response;
    socket?.cork();
    this.drain();
    this.#response.end();
    socket?.uncork();
  }

  /** Writes all and leaves the body open. */
  drain(): void {
    this.#writePending();
    this.#writeTail();
  }

  #writePending(): void {
    this.#writeTail();
    const text = this.#pending;
    if (text === '') return;
    const tokens = this.#tokens;
    this.#pending = '';
    this.#events = 0;
    this.#tokens = [];
    if (this.#framing === 'split') this.#tailTokens = tokens;
    else this.#tell(tokens);
    if (this.#framing === 'split') this.#writeSplit(Buffer.from(text));
    else if (!this.#raw) this.#response.write(text);
    else if (this.#isAscii)
      this.#response.socket?.write(`${text.length.toString(16)}\r\n${text}\r\n`, 'latin1');
    else this.#response.socket?.write(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`, 'utf8');
  }

  /** The first part goes out now, the rest in a later turn of the loop, so that a reader sees them apart. */
  #writeSplit(bytes: Buffer): void {
    const at = this.#random.integer(1, Math.max(1, bytes.length - 1));
    this.#writeBytes(bytes.subarray(0, at));
    this.#tail = bytes.subarray(at);
    setImmediate(() => this.#writeTail());
  }

  #writeTail(): void {
    const tail = this.#tail;
    this.#tail = null;
    if (tail === null || this.#response.destroyed) return;
    this.#tell(this.#tailTokens);
    this.#tailTokens = [];
    this.#writeBytes(tail);
  }

  #tell(tokens: readonly number[]): void {
    if (tokens.length > 0) this.#truth?.wrote(tokens);
  }

  #writeBytes(bytes: Buffer): void {
    if (bytes.length === 0) return;
    if (!this.#raw) this.#response.write(bytes);
    else
      this.#response.socket?.write(
        Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]),
      );
  }
}
