import { HttpResponseReader } from './http-reader.ts';
import { streamPath } from './target.ts';
import {
  type Arrival,
  broken,
  type ResponseSink,
  type WireFailure,
  type WireOptions,
  type WireRequest,
} from './wire.ts';

/** A byte stream to the server and back. Nothing is reported before the call that opened it has returned. */
export interface Transport {
  /** Sends, and returns the instant just before. */
  write(bytes: Buffer): number;
  /** Has the bytes sent at an instant that lies ahead; `sent` follows. Left out where that cannot be done. */
  writeAt?(bytes: Buffer, atMs: number): void;
  /** Closes at once; nothing is reported any more. */
  destroy(): void;
}

export interface TransportEvents {
  opened(atMs: number): void;
  sent(atMs: number): void;
  /** Bytes [start, end) of `buffer` are lent for the call and may be overwritten. */
  read(buffer: Buffer, start: number, end: number, arrival: Arrival): void;
  /** The peer ended its side. */
  ended(atMs: number): void;
  failed(failure: WireFailure, atMs: number): void;
}

export type OpenTransport = (events: TransportEvents) => Transport;

export interface ConnectionEvents {
  open(atMs: number): void;
  /** The connection broke before it was open while no request was on it. */
  failed(): void;
  /** A whole response has come and the connection may carry another. */
  idle(): void;
  closed(): void;
}

/** HTTP/1.1 on one transport: a request and the response to it at a time. */
export class HttpConnection implements TransportEvents {
  idleSinceMs: number;
  dead = false;
  readonly #options: WireOptions;
  readonly #events: ConnectionEvents;
  readonly #transport: Transport;
  readonly #reader = new HttpResponseReader();
  #connected = false;
  #connectTimer: NodeJS.Timeout | null = null;
  #waiting: { readonly request: WireRequest; readonly atMs: number } | null = null;
  #sink: ResponseSink | null = null;
  /** It has carried a request before the one under way. */
  #reused = false;
  /** A byte of the answer to the one under way has come. */
  #answered = false;
  /** The request that waits for its instant may still go out over another connection. */
  #elsewhere: (() => void) | null = null;
  #arrival: Arrival = { atMs: 0, slackMs: 0, lastSlackMs: 0 };

  constructor(options: WireOptions, open: OpenTransport, events: ConnectionEvents) {
    this.#options = options;
    this.#events = events;
    this.idleSinceMs = options.clock.now();
    this.#transport = open(this);
    const { connectTimeoutMs } = options;
    if (connectTimeoutMs > 0) {
      this.#connectTimer = setTimeout(() => {
        this.cancel({ class: 'timeout', detail: `connect: no connection within ${connectTimeoutMs} ms` });
      }, connectTimeoutMs);
    }
  }

  /**
   * Sends a request, at once or as soon as the connection is open, or at `atMs` when that lies ahead. `elsewhere` is called
   * instead of a failure when an open connection breaks before that instant: nothing has been sent then.
   */
  exchange(request: WireRequest, sink: ResponseSink, atMs = 0, elsewhere: (() => void) | null = null): void {
    this.#sink = sink;
    this.#answered = false;
    if (this.#connected) {
      this.#elsewhere = elsewhere;
      this.#send(request, sink, atMs, true);
    } else {
      sink.sent(Math.max(atMs, this.#options.clock.now()));
      this.#waiting = { request, atMs };
    }
  }

  /** Ends what is under way with `failure`; a connection that is already done stays so. */
  cancel(failure: WireFailure): void {
    this.#elsewhere = null;
    this.failed(failure, this.#options.clock.now());
  }

  destroy(): void {
    if (this.dead) return;
    this.dead = true;
    this.#sink = null;
    this.#reader.abandon();
    this.#stopTimer();
    this.#transport.destroy();
    this.#events.closed();
  }

  opened(atMs: number): void {
    if (this.dead) return;
    this.#connected = true;
    this.#stopTimer();
    this.idleSinceMs = atMs;
    this.#events.open(atMs);
    const waiting = this.#waiting;
    if (waiting === null || this.#sink === null) return;
    this.#waiting = null;
    // Opening the connection is part of the request's latency.
    this.#send(waiting.request, this.#sink, waiting.atMs, false);
  }

  #send(request: WireRequest, sink: ResponseSink, atMs: number, wasOpen: boolean): void {
    this.#expectResponse(sink);
    const bytes = encodeRequest(request, this.#options);
    if (this.#transport.writeAt !== undefined && atMs > this.#options.clock.now()) {
      sink.sent(atMs);
      this.#transport.writeAt(bytes, atMs);
      return;
    }
    this.#elsewhere = null;
    const sentAtMs = this.#transport.write(bytes);
    if (wasOpen) sink.sent(sentAtMs);
  }

  sent(atMs: number): void {
    this.#elsewhere = null;
    this.#sink?.sent(atMs);
  }

  read(buffer: Buffer, start: number, end: number, arrival: Arrival): void {
    if (this.dead) return;
    if (this.#reader.idle) {
      // Bytes of no request: the connection cannot be trusted with another request.
      this.destroy();
      return;
    }
    this.#arrival = arrival;
    this.#answered = true;
    if (!this.#reader.feed(buffer, start, end, arrival.atMs))
      this.failed({ class: 'malformed', detail: 'HTTP: bytes that belong to no response' }, arrival.atMs);
  }

  ended(atMs: number): void {
    if (this.dead) return;
    if (this.#reader.idle || this.#elsewhere !== null) {
      this.failed({ class: 'reset', detail: 'connection closed by the server' }, atMs);
      return;
    }
    this.#reader.finish(atMs);
    this.destroy();
  }

  failed(failure: WireFailure, atMs: number): void {
    if (this.dead) return;
    const sink = this.#sink;
    const connected = this.#connected;
    const elsewhere = this.#elsewhere;
    this.destroy();
    if (elsewhere !== null) elsewhere();
    else if (sink !== null) sink.fail(broken(failure, this.#reused, this.#answered), atMs);
    else if (!connected) this.#events.failed();
  }

  #expectResponse(sink: ResponseSink): void {
    this.#reader.begin({
      head: (status, headers, atMs) => sink.head(status, headers, atMs),
      body: (buffer, start, end, _atMs, last) => sink.body(buffer, start, end, this.#arrival, last),
      end: (atMs) => {
        this.#sink = null;
        this.#reused = true;
        if (this.#reader.keepAlive) {
          this.idleSinceMs = atMs;
          this.#events.idle();
        } else {
          this.destroy();
        }
        sink.end(atMs);
      },
      fail: (failure, atMs) => {
        this.destroy();
        sink.fail(broken(failure, this.#reused, this.#answered), atMs);
      },
    });
  }

  #stopTimer(): void {
    if (this.#connectTimer !== null) clearTimeout(this.#connectTimer);
    this.#connectTimer = null;
  }
}

function encodeRequest(request: WireRequest, options: WireOptions): Buffer {
  const { target, connectionPerRequest } = options;
  let head = `POST ${streamPath(target, request.path)} HTTP/1.1\r\nHost: ${target.authority}\r\nContent-Length: ${request.body.length}\r\n`;
  for (const [name, value] of request.headers) head += `${name}: ${value}\r\n`;
  head += connectionPerRequest ? 'Connection: close\r\n\r\n' : 'Connection: keep-alive\r\n\r\n';
  const bytes = Buffer.allocUnsafe(head.length + request.body.length);
  bytes.write(head, 0, 'latin1');
  bytes.set(request.body, head.length);
  return bytes;
}
