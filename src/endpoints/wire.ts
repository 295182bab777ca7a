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
  /** Of a connection that broke after it had carried an earlier request: whether a byte of this answer had come. */
  readonly reused?: 'before-answer' | 'in-answer';
}

/** The failure with what its connection was, where that broke. */
export function broken(failure: WireFailure, reused: boolean, answered: boolean): WireFailure {
  if (!reused || (failure.class !== 'reset' && failure.class !== 'truncated')) return failure;
  return { ...failure, reused: answered ? 'in-answer' : 'before-answer' };
}

/** When the bytes of one read arrived, in ms since the run's origin. Lent for the call. */
export interface Arrival {
  /** No byte arrived later; without the kernel's stamp, when they were read. */
  readonly atMs: number;
  /** No byte arrived more than this before `atMs`; Infinity where that is unknown. */
  readonly slackMs: number;
  /** The same for the last byte alone. */
  readonly lastSlackMs: number;
}

/**
 * The events of one exchange, in this order: `sent`, `head`, `body`…, then `end` or `fail` once. A request that is sent at an
 * instant has a second `sent` with the true one.
 */
export interface ResponseSink {
  sent(atMs: number): void;
  /** `connectMs`: time spent opening a connection for this request alone. */
  connected(connectMs: number): void;
  head(status: number, headers: ReadonlyMap<string, string>, atMs: number): void;
  /** Bytes [start, end) of `buffer` are lent for the call; copy what must stay. `last`: they are the last of the read. */
  body(buffer: Buffer, start: number, end: number, arrival: Arrival, last: boolean): void;
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
 * The one place where requests meet a socket and bytes get their time. Three make it: the kernel's stamps (default on Linux),
 * Node's sockets (where those cannot be had), and undici (proxies, and the oracle in tests).
 */
export interface Wire {
  /** Who stamps the bytes: see `Arrival`. */
  readonly stampedBy: 'kernel' | 'process';
  /** The number of ms before it is due that a request may be handed over; 0: it is sent at once. */
  readonly leadMs: number;
  /** Opens connections until `count` fresh ones are idle. Failures are in the tally, never thrown. */
  open(count: number): Promise<ConnectionTally>;
  /** Opens connections in the background until `count` are idle or about to be; what fails is in the next tally. */
  spare(count: number): void;
  /**
   * Sends one request, at `atMs` where that lies ahead (by at most `leadMs`), else at once; `onNew`: over a connection that is
   * opened for it. The returned function cancels it (the sink then fails with the reason).
   */
  send(
    request: WireRequest,
    sink: ResponseSink,
    atMs?: number,
    onNew?: boolean,
  ): (reason: WireFailure) => void;
  /** Connections opened since the last call. */
  takeTally(): ConnectionTally;
  close(): Promise<void>;
}

/** Where a server listens, and how to speak TLS with it. */
export interface Target {
  /** The URL as the user wrote it, without trailing slash; secrets in its query masked. */
  readonly url: string;
  readonly tls: boolean;
  readonly host: string;
  readonly port: number;
  /** Path of a unix socket, null for TCP. */
  readonly socketPath: string | null;
  /** Prefix of the server's paths, without trailing slash (`''` for most); null where the route does not show it. */
  readonly basePath: string | null;
  /** Path that streams are requested from, where that is not the API's own below `basePath`. */
  readonly route: string | null;
  /** Query of every request, without `?`; `''` for most. May hold secrets. */
  readonly query: string;
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
  /** Counts reads, and how late they were. */
  readonly meter: ReadMeter;
}
