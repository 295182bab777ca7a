import net from 'node:net';
import tls from 'node:tls';
import { socketFailure } from './failures.ts';
import { HttpResponseReader } from './http-reader.ts';
import { READ_BUFFER_BYTES } from './read-meter.ts';
import {
  type ConnectionTally,
  emptyTally,
  type ResponseSink,
  type Wire,
  type WireFailure,
  type WireOptions,
  type WireRequest,
} from './wire.ts';

/** One read's bytes; shared by all sockets, since each read is used up before the next. */
const READ_BUFFER = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);

/** A keep-alive connection older than this may be closed by the server any moment, so it is not reused for a level. */
const FRESH_MS = 1_000;

/** Keep-alive sockets read through `onread`: the clock is read on entry to the callback, before any byte is looked at. */
export class SocketWire implements Wire {
  readonly #options: WireOptions;
  readonly #idle: Connection[] = [];
  readonly #all = new Set<Connection>();
  #tally: ConnectionTally = emptyTally();
  #tlsSession: Buffer | undefined;
  /** Connections that `spare` has under way. */
  #opening = 0;

  constructor(options: WireOptions) {
    this.#options = options;
  }

  async open(count: number): Promise<ConnectionTally> {
    if (this.#options.connectionPerRequest) return this.takeTally();
    const now = this.#options.clock.now();
    for (const connection of this.#idle.splice(0)) {
      if (!connection.dead && now - connection.idleSinceMs < FRESH_MS) this.#idle.push(connection);
      else connection.destroy();
    }
    // A listen queue is often 128 long, so a thousand SYNs at once would be dropped and retried after a second.
    const missing = Math.max(0, count - this.#idle.length);
    for (let done = 0; done < missing; done += 64) {
      const batch = Array.from({ length: Math.min(64, missing - done) }, () => this.#connectIdle());
      await Promise.all(batch);
      if (this.#tally.failed > 0) break;
    }
    return this.takeTally();
  }

  spare(count: number): void {
    if (this.#options.connectionPerRequest) return;
    let ready = this.#opening;
    // Called with each request, when thousands may be idle: no more are looked at than are needed.
    for (let at = this.#idle.length - 1; at >= 0 && ready < count; at--) if (!this.#idle[at]!.dead) ready++;
    for (; ready < count; ready++) {
      this.#opening++;
      void this.#connectIdle().then(() => this.#opening--);
    }
  }

  send(request: WireRequest, sink: ResponseSink): (reason: WireFailure) => void {
    let connection = this.#idle.pop();
    while (connection?.dead) connection = this.#idle.pop();
    const { clock } = this.#options;
    if (connection !== undefined) {
      sink.sent(clock.now());
      connection.exchange(request, sink);
      const used = connection;
      return (reason) => used.cancel(reason);
    }
    const startedAtMs = clock.now();
    sink.sent(startedAtMs);
    const fresh = new Connection(this.#options, this.#tlsSession, {
      open: () => {
        const connectMs = clock.now() - startedAtMs;
        this.#countOpen(connectMs);
        sink.connected(connectMs);
      },
      failed: () => undefined,
      idle: () => this.#release(fresh),
      closed: () => this.#all.delete(fresh),
      session: (session) => {
        this.#tlsSession = session;
      },
    });
    this.#all.add(fresh);
    fresh.exchange(request, sink);
    return (reason) => fresh.cancel(reason);
  }

  takeTally(): ConnectionTally {
    const tally = this.#tally;
    this.#tally = emptyTally();
    return tally;
  }

  close(): Promise<void> {
    for (const connection of this.#all) connection.destroy();
    this.#all.clear();
    this.#idle.length = 0;
    return Promise.resolve();
  }

  #countOpen(connectMs: number): void {
    this.#tally.opened++;
    this.#tally.totalMs += connectMs;
    this.#tally.maxMs = Math.max(this.#tally.maxMs, connectMs);
  }

  #release(connection: Connection): void {
    if (this.#options.connectionPerRequest) connection.destroy();
    else this.#idle.push(connection);
  }

  #connectIdle(): Promise<void> {
    const { clock } = this.#options;
    const startedAtMs = clock.now();
    return new Promise((resolve) => {
      const connection = new Connection(this.#options, this.#tlsSession, {
        open: () => {
          this.#countOpen(clock.now() - startedAtMs);
          this.#idle.push(connection);
          resolve();
        },
        failed: () => {
          this.#tally.failed++;
          resolve();
        },
        idle: () => this.#release(connection),
        closed: () => this.#all.delete(connection),
        session: (session) => {
          this.#tlsSession = session;
        },
      });
      this.#all.add(connection);
    });
  }
}

interface ConnectionEvents {
  open(): void;
  /** The connection broke while no request was on it. */
  failed(): void;
  /** A whole response has come and the connection may carry another. */
  idle(): void;
  closed(): void;
  session(session: Buffer): void;
}

/** One socket and the response on it. */
class Connection {
  idleSinceMs: number;
  dead = false;
  readonly #socket: net.Socket;
  readonly #reader = new HttpResponseReader();
  readonly #options: WireOptions;
  readonly #events: ConnectionEvents;
  #connected = false;
  #connectTimer: NodeJS.Timeout | null = null;
  #waiting: WireRequest | null = null;
  #sink: ResponseSink | null = null;

  constructor(options: WireOptions, session: Buffer | undefined, events: ConnectionEvents) {
    this.#options = options;
    this.#events = events;
    this.idleSinceMs = options.clock.now();
    this.#socket = this.#connect(session);
    this.#socket.setNoDelay(true);
    this.#socket.on('error', (error) => this.#fail(socketFailure(error, this.#connected)));
    this.#socket.on('end', () => this.#peerEnded());
    this.#socket.on('close', () => {
      this.#fail({ class: 'reset', detail: 'connection closed' });
      this.#events.closed();
    });
    if (options.connectTimeoutMs > 0) {
      this.#connectTimer = setTimeout(() => {
        this.#fail({
          class: 'timeout',
          detail: `connect: no connection within ${options.connectTimeoutMs} ms`,
        });
      }, options.connectTimeoutMs);
    }
  }

  /** Sends a request on this connection, at once or as soon as it is open. */
  exchange(request: WireRequest, sink: ResponseSink): void {
    this.#sink = sink;
    if (this.#connected) this.#write(request);
    else this.#waiting = request;
  }

  cancel(reason: WireFailure): void {
    this.#fail(reason);
  }

  destroy(): void {
    this.dead = true;
    this.#sink = null;
    this.#reader.abandon();
    this.#stopTimer();
    this.#socket.destroy();
  }

  #connect(session: Buffer | undefined): net.Socket {
    const { target, tls: material } = this.#options;
    const onread: net.OnReadOpts = {
      buffer: READ_BUFFER,
      callback: (bytes, buffer) => {
        const atMs = this.#options.clock.now();
        this.#options.meter.note(atMs, bytes);
        this.#read(buffer as Buffer, bytes, atMs);
        return true;
      },
    };
    const place: { path: string } | { host: string; port: number } =
      target.socketPath === null ? { host: target.host, port: target.port } : { path: target.socketPath };
    if (!target.tls) return net.connect({ ...place, onread } as net.NetConnectOpts, () => this.#opened());
    const options: tls.ConnectionOptions & { onread: net.OnReadOpts } = {
      ...place,
      ...(net.isIP(target.host) ? {} : { servername: target.host }),
      ...(material?.ca ? { ca: [...tls.rootCertificates, material.ca] } : {}),
      ...(material?.cert ? { cert: material.cert } : {}),
      ...(material?.key ? { key: material.key } : {}),
      ...(session ? { session } : {}),
      ALPNProtocols: ['http/1.1'],
      onread,
    };
    const secure = tls.connect(options, () => this.#opened());
    secure.on('session', (fresh) => this.#events.session(fresh));
    return secure;
  }

  #opened(): void {
    if (this.dead) return;
    this.#connected = true;
    this.#stopTimer();
    this.idleSinceMs = this.#options.clock.now();
    this.#events.open();
    if (this.#waiting !== null) this.#write(this.#waiting);
  }

  #write(request: WireRequest): void {
    const sink = this.#sink;
    if (sink === null) return;
    this.#waiting = null;
    this.#reader.begin({
      head: (status, headers, atMs) => sink.head(status, headers, atMs),
      body: (buffer, start, end, atMs) => sink.body(buffer, start, end, atMs),
      end: (atMs) => {
        this.#sink = null;
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
        sink.fail(failure, atMs);
      },
    });
    this.#socket.write(encodeRequest(request, this.#options));
  }

  #read(buffer: Buffer, bytes: number, atMs: number): void {
    if (this.dead) return;
    if (this.#reader.idle) {
      // Bytes that nobody asked for: the connection cannot be trusted with another request.
      this.destroy();
      return;
    }
    if (!this.#reader.feed(buffer, 0, bytes, atMs)) {
      this.#fail({ class: 'malformed', detail: 'HTTP: bytes that belong to no response' });
    }
  }

  #peerEnded(): void {
    const atMs = this.#options.clock.now();
    if (!this.#reader.idle) {
      this.#reader.finish(atMs);
      this.destroy();
    } else {
      this.#fail({ class: 'reset', detail: 'connection closed by the server' });
    }
  }

  /** Ends whatever is under way with `failure`; a connection that is already done stays so. */
  #fail(failure: WireFailure): void {
    if (this.dead) return;
    const sink = this.#sink;
    const connected = this.#connected;
    this.destroy();
    if (sink !== null) sink.fail(failure, this.#options.clock.now());
    else if (!connected) this.#events.failed();
  }

  #stopTimer(): void {
    if (this.#connectTimer !== null) clearTimeout(this.#connectTimer);
    this.#connectTimer = null;
  }
}

function encodeRequest(request: WireRequest, options: WireOptions): Buffer {
  const { target, connectionPerRequest } = options;
  let head = `POST ${target.basePath}${request.path} HTTP/1.1\r\nHost: ${target.authority}\r\nContent-Length: ${request.body.length}\r\n`;
  for (const [name, value] of request.headers) head += `${name}: ${value}\r\n`;
  head += connectionPerRequest ? 'Connection: close\r\n\r\n' : 'Connection: keep-alive\r\n\r\n';
  const bytes = Buffer.allocUnsafe(head.length + request.body.length);
  bytes.write(head, 0, 'latin1');
  bytes.set(request.body, head.length);
  return bytes;
}
