import type { Clock } from '../core/clock.ts';
import type { FailureClass } from '../core/record.ts';
import type { ReadMeter } from './read-meter.ts';

/** One request as it goes out. `headers` holds everything but Host, Content-Length and Connection. */
export interface WireRequest {
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array;
}

/** What broke below the level of the API: the class it is counted under, and words for it. */
export interface WireFailure {
  readonly class: FailureClass;
  readonly detail: string;
}

/**
 * What a wire tells of one exchange, in this order: `sent`, `head`, `body`…, then `end` or `fail` once.
 * `atMs` is read from the clock before any byte of the event is looked at.
 */
export interface ResponseSink {
  /** `connectMs`: time spent opening a connection for this request alone, null when one was open. */
  sent(atMs: number): void;
  connected(connectMs: number): void;
  head(status: number, headers: ReadonlyMap<string, string>, atMs: number): void;
  /** Bytes [start, end) of `buffer` are lent for the call; copy what must stay. */
  body(buffer: Buffer, start: number, end: number, atMs: number): void;
  end(atMs: number): void;
  fail(failure: WireFailure, atMs: number): void;
}

/** Connections opened since the last look; the reuse of a connection is not counted. */
export interface ConnectionTally {
  opened: number;
  totalMs: number;
  maxMs: number;
  failed: number;
}

export function emptyTally(): ConnectionTally {
  return { opened: 0, totalMs: 0, maxMs: 0, failed: 0 };
}

/**
 * The one place where requests meet a socket and bytes get their time. Two make it: lean sockets
 * (default) and undici (proxies, and the oracle in tests).
 */
export interface Wire {
  /** Opens connections until `count` fresh ones are idle. Failures are in the tally, never thrown. */
  open(count: number): Promise<ConnectionTally>;
  /** Opens connections in the background until `count` are idle or about to be; what fails is in the next tally. */
  spare(count: number): void;
  /** Sends one request; the returned function cancels it (the sink then fails with `cancelled`). */
  send(request: WireRequest, sink: ResponseSink): (reason: WireFailure) => void;
  /** Connections opened since the last call. */
  takeTally(): ConnectionTally;
  close(): Promise<void>;
}

/** Where a server listens, and how to speak TLS with it. */
export interface Target {
  /** The URL as the user wrote it, without trailing slash; user info removed. */
  readonly url: string;
  readonly tls: boolean;
  readonly host: string;
  readonly port: number;
  /** Path of a unix socket, null for TCP. */
  readonly socketPath: string | null;
  /** Prefix of every request path, without trailing slash (`''` for most). */
  readonly basePath: string;
  /** Value of the Host header. */
  readonly authority: string;
}

/** Key material of TLS, as read from the files of `--cacert`, `--cert` and `--key`. */
export interface TlsMaterial {
  readonly ca: Buffer | null;
  readonly cert: Buffer | null;
  readonly key: Buffer | null;
}

/** What a wire is made with. */
export interface WireOptions {
  readonly target: Target;
  readonly clock: Clock;
  readonly tls: TlsMaterial | null;
  /** 0 for none. */
  readonly connectTimeoutMs: number;
  /** Each request on a connection of its own, opened after `sent` (as sglang.bench_serving does). */
  readonly connectionPerRequest: boolean;
  /** Is told of each read, right after the clock was read. */
  readonly meter: ReadMeter;
}
