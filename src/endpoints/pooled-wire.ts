import { HttpConnection, type OpenTransport } from './http-connection.ts';
import {
  type ConnectionTally,
  emptyTally,
  type ResponseSink,
  type Wire,
  type WireFailure,
  type WireOptions,
  type WireRequest,
} from './wire.ts';

/** A keep-alive connection older than this may be closed by the server any moment, so it is not reused for a level. */
const FRESH_MS = 1_000;
/** A listen queue is often 128 long, so a thousand SYNs at once would be dropped and retried after a second. */
const CONNECTS_AT_ONCE = 64;

/** Keep-alive connections over transports of one kind. */
export abstract class PooledWire implements Wire {
  abstract readonly stampedBy: Wire['stampedBy'];
  abstract readonly leadMs: number;
  protected readonly options: WireOptions;
  readonly #idle: HttpConnection[] = [];
  readonly #all = new Set<HttpConnection>();
  #tally: ConnectionTally = emptyTally();
  /** Connections that `spare` has under way. */
  #opening = 0;

  constructor(options: WireOptions) {
    this.options = options;
  }

  /** Begins to connect. */
  protected abstract readonly connect: OpenTransport;

  async open(count: number): Promise<ConnectionTally> {
    if (this.options.connectionPerRequest) return this.takeTally();
    const now = this.options.clock.now();
    for (const connection of this.#idle.splice(0)) {
      if (!connection.dead && now - connection.idleSinceMs < FRESH_MS) this.#idle.push(connection);
      else connection.destroy();
    }
    const missing = Math.max(0, count - this.#idle.length);
    for (let done = 0; done < missing; done += CONNECTS_AT_ONCE) {
      const batch = Array.from({ length: Math.min(CONNECTS_AT_ONCE, missing - done) }, () =>
        this.#connectIdle(),
      );
      await Promise.all(batch);
      if (this.#tally.failed > 0) break;
    }
    return this.takeTally();
  }

  spare(count: number): void {
    if (this.options.connectionPerRequest) return;
    let ready = this.#opening;
    // Called with each request, when thousands may be idle: no more are looked at than are needed.
    for (let at = this.#idle.length - 1; at >= 0 && ready < count; at--) if (!this.#idle[at]!.dead) ready++;
    for (; ready < count; ready++) {
      this.#opening++;
      void this.#connectIdle().then(() => this.#opening--);
    }
  }

  send(
    request: WireRequest,
    sink: ResponseSink,
    atMs?: number,
    onNew = false,
  ): (reason: WireFailure) => void {
    let used: HttpConnection;
    const start = (): void => {
      let connection = onNew ? undefined : this.#idle.pop();
      while (connection?.dead) connection = this.#idle.pop();
      used = connection ?? this.#connection((connectMs) => sink.connected(connectMs));
      used.exchange(request, sink, atMs, start);
    };
    start();
    return (reason) => used.cancel(reason);
  }

  takeTally(): ConnectionTally {
    const tally = this.#tally;
    this.#tally = emptyTally();
    return tally;
  }

  close(): Promise<void> {
    for (const connection of this.#all) connection.destroy();
    this.#idle.length = 0;
    return Promise.resolve();
  }

  #connectIdle(): Promise<void> {
    return new Promise((resolve) => {
      const connection = this.#connection(
        () => {
          this.#idle.push(connection);
          resolve();
        },
        () => {
          this.#tally.failed++;
          resolve();
        },
      );
    });
  }

  #connection(opened: (connectMs: number) => void, failed = (): void => undefined): HttpConnection {
    const startedAtMs = this.options.clock.now();
    const connection: HttpConnection = new HttpConnection(this.options, this.connect, {
      open: (atMs) => {
        const connectMs = atMs - startedAtMs;
        this.#tally.opened++;
        this.#tally.totalMs += connectMs;
        this.#tally.maxMs = Math.max(this.#tally.maxMs, connectMs);
        opened(connectMs);
      },
      failed,
      idle: () => {
        if (this.options.connectionPerRequest) connection.destroy();
        else this.#idle.push(connection);
      },
      closed: () => this.#all.delete(connection),
    });
    this.#all.add(connection);
    return connection;
  }
}
