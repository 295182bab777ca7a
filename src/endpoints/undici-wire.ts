import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { rootCertificates } from 'node:tls';
import { Agent, type Dispatcher, ProxyAgent } from 'undici';
import { CUT_BODY } from '../core/record.ts';
import { socketFailure } from './failures.ts';
import { onRoute, type Route, routeTo } from './proxy.ts';
import { streamPath } from './target.ts';
import {
  broken,
  type ConnectionTally,
  emptyTally,
  type ResponseSink,
  type Target,
  type Wire,
  type WireFailure,
  type WireOptions,
  type WireRequest,
} from './wire.ts';

/** An undici dispatcher for a target, by a route of its own: TLS files and unix sockets included. */
export function undiciDispatcher(
  options: Pick<WireOptions, 'target' | 'tls' | 'connectTimeoutMs'>,
  { proxy }: Route,
): Agent | ProxyAgent {
  const { target, tls } = options;
  const timeout = options.connectTimeoutMs;
  const connect = {
    timeout,
    ...(target.socketPath === null ? {} : { socketPath: target.socketPath }),
    ...(tls?.ca ? { ca: [...rootCertificates, tls.ca] } : {}),
    ...(tls?.cert ? { cert: tls.cert } : {}),
    ...(tls?.key ? { key: tls.key } : {}),
  };
  // The wire owns the time-outs of a response; undici's would end a request a second way.
  const shared = { headersTimeout: 0, bodyTimeout: 0, pipelining: 1 };
  if (proxy === null) return new Agent({ ...shared, connect });
  return new ProxyAgent({
    ...shared,
    uri: proxy.url,
    ...(proxy.authorization === null ? {} : { token: proxy.authorization }),
    // As curl does: a tunnel for https alone, since many proxies refuse one to any other port than 443.
    proxyTunnel: target.tls,
    requestTls: connect,
    clientFactory: tunnelMaker,
    proxyTls: { timeout, ...(connect.ca ? { ca: connect.ca } : {}) },
  });
}

/** What opens tunnels. undici would try again without end where a proxy closes the connection instead of an answer. */
function tunnelMaker(_proxy: URL, options: Agent.Options): Dispatcher {
  const agent = new Agent(options);
  const open = agent.connect.bind(agent) as (options: Dispatcher.ConnectOptions) => Promise<unknown>;
  return Object.assign(agent, {
    connect: (to: Dispatcher.ConnectOptions) =>
      open(to).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'UND_ERR_SOCKET') throw error;
        throw new Error('it closed the connection instead of opening a tunnel', { cause: error });
      }),
  });
}

/** The origin that undici wants for a target; a unix socket is addressed as localhost. */
export function targetOrigin(target: Target): string {
  return target.socketPath !== null
    ? 'http://localhost'
    : `${target.tls ? 'https' : 'http'}://${target.authority}`;
}

/** The documented channel on which undici publishes a request's head and its connection, just before it writes them. */
const SEND_HEADERS = 'undici:client:sendHeaders';

/** Measured streams through undici: for proxies, and as the second opinion on the socket wire in tests. */
export class UndiciWire implements Wire {
  readonly stampedBy = 'process';
  readonly leadMs = 0;
  readonly #options: WireOptions;
  readonly #route: Route;
  readonly #dispatcher: Dispatcher;
  /** Of requests that need a connection of their own, until they have ended. */
  readonly #others = new Set<Dispatcher>();
  /** Connections that have carried a request. */
  readonly #used = new WeakSet<Socket>();
  #tally: ConnectionTally = emptyTally();
  /** Takes the connection of the request that undici is about to write, which it publishes within that call. */
  #writing: ((socket: Socket) => void) | null = null;
  readonly #onHeaders = (message: unknown): void => {
    const writing = this.#writing;
    this.#writing = null;
    writing?.((message as { readonly socket: Socket }).socket);
  };

  /** Exit 2 where the environment names a proxy for the target that cannot be used. */
  constructor(options: WireOptions) {
    this.#options = options;
    this.#route = routeTo(options.target, true);
    this.#dispatcher = undiciDispatcher(options, this.#route);
    subscribe(SEND_HEADERS, this.#onHeaders);
  }

  /** undici opens its connections when requests need them, so none is open before the first send. */
  open(): Promise<ConnectionTally> {
    return Promise.resolve(this.takeTally());
  }

  spare(): void {
    // undici opens its connections as they are needed.
  }

  send(
    request: WireRequest,
    sink: ResponseSink,
    _atMs?: number,
    onNew = false,
  ): (reason: WireFailure) => void {
    const { clock, target, connectionPerRequest, meter } = this.#options;
    const dispatcher = onNew ? this.#otherDispatcher() : this.#dispatcher;
    /** Of the connection that carries it. */
    let reused = false;
    let answered = false;
    const take = (socket: Socket): void => {
      reused = this.#used.has(socket);
      this.#used.add(socket);
      if (!reused) this.#tally.opened++;
      // undici shows no bytes before a whole head; this looks before undici reads them.
      else socket.prependOnceListener('readable', () => (answered = socket.readableLength > 0));
    };
    const over = (): void => {
      ended = true;
      if (onNew) this.#drop(dispatcher);
    };
    let abort: ((reason: Error) => void) | null = null;
    let cancelled: WireFailure | null = null;
    let started = false;
    let ended = false;
    sink.sent(clock.now());
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: (controller) => {
        abort = (reason) => controller.abort(reason);
        if (cancelled !== null) controller.abort(new Error(cancelled.detail));
        else this.#writing = take;
      },
      onResponseStart: (_controller, status, headers) => {
        const atMs = clock.now();
        started = true;
        if (status < 200) return;
        const map = new Map<string, string>();
        for (const [name, value] of Object.entries(headers)) {
          if (value !== undefined)
            map.set(name.toLowerCase(), Array.isArray(value) ? value.join(', ') : value);
        }
        sink.head(status, map, atMs);
      },
      onResponseData: (_controller, chunk) => {
        const atMs = clock.now();
        meter.note(atMs, chunk.length);
        sink.body(
          chunk,
          0,
          chunk.length,
          { atMs, slackMs: Number.POSITIVE_INFINITY, lastSlackMs: Number.POSITIVE_INFINITY },
          true,
        );
      },
      onResponseEnd: () => {
        over();
        sink.end(clock.now());
      },
      onResponseError: (_controller, error) => {
        if (ended) return;
        over();
        const failure = undiciFailure(error, started);
        const detail = started ? failure.detail : onRoute(this.#route, failure.detail);
        sink.fail(cancelled ?? broken({ ...failure, detail }, reused, answered || started), clock.now());
      },
    };
    dispatcher.dispatch(
      {
        origin: targetOrigin(target),
        path: streamPath(target, request.path),
        method: 'POST',
        headers: request.headers.flat(),
        body: request.body,
        ...(connectionPerRequest ? { reset: true } : {}),
      },
      handler,
    );
    return (reason) => {
      if (ended || cancelled !== null) return;
      cancelled = reason;
      if (abort !== null) {
        abort(new Error(reason.detail));
        return;
      }
      over();
      sink.fail(reason, clock.now());
    };
  }

  takeTally(): ConnectionTally {
    const tally = this.#tally;
    this.#tally = emptyTally();
    return tally;
  }

  async close(): Promise<void> {
    unsubscribe(SEND_HEADERS, this.#onHeaders);
    await Promise.all([this.#dispatcher, ...this.#others].map((dispatcher) => dispatcher.destroy()));
  }

  #otherDispatcher(): Dispatcher {
    const dispatcher = undiciDispatcher(this.#options, this.#route);
    this.#others.add(dispatcher);
    return dispatcher;
  }

  #drop(dispatcher: Dispatcher): void {
    void dispatcher.close().finally(() => this.#others.delete(dispatcher));
  }
}

function undiciFailure(error: Error & { code?: string }, started: boolean): WireFailure {
  if (error.name === 'HTTPParserError' || error.code === 'UND_ERR_HEADERS_OVERFLOW') {
    return { class: 'malformed', detail: `HTTP: ${error.message}` };
  }
  if (error.code === 'UND_ERR_CONNECT_TIMEOUT')
    return { class: 'timeout', detail: `connect: ${error.message}` };
  const closed = error.code === 'UND_ERR_SOCKET' || error.message.includes('other side closed');
  if (started && closed && !('cause' in error && error.cause)) {
    return { class: 'truncated', detail: CUT_BODY };
  }
  return socketFailure(error as NodeJS.ErrnoException, closed || started || error.code === 'ECONNRESET');
}
