import { rootCertificates } from 'node:tls';
import { Agent, type Dispatcher, EnvHttpProxyAgent } from 'undici';
import { CUT_BODY } from '../core/record.ts';
import { socketFailure } from './failures.ts';
import { streamPath } from './target.ts';
import {
  type ConnectionTally,
  emptyTally,
  type ResponseSink,
  type Target,
  type Wire,
  type WireFailure,
  type WireOptions,
  type WireRequest,
} from './wire.ts';

/** An undici dispatcher for a target: proxies of the environment, TLS files and unix sockets included. */
export function undiciDispatcher(
  options: Pick<WireOptions, 'target' | 'tls' | 'connectTimeoutMs'>,
): Agent | EnvHttpProxyAgent {
  const { target, tls } = options;
  const connect = {
    timeout: options.connectTimeoutMs,
    ...(target.socketPath === null ? {} : { socketPath: target.socketPath }),
    ...(tls?.ca ? { ca: [...rootCertificates, tls.ca] } : {}),
    ...(tls?.cert ? { cert: tls.cert } : {}),
    ...(tls?.key ? { key: tls.key } : {}),
  };
  // The wire owns the time-outs of a response; undici's would end a request a second way.
  const shared = { connect, headersTimeout: 0, bodyTimeout: 0, pipelining: 1 };
  const proxied = ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'].some(
    (name) => process.env[name],
  );
  return proxied && target.socketPath === null ? new EnvHttpProxyAgent(shared) : new Agent(shared);
}

/** The origin that undici wants for a target; a unix socket is addressed as localhost. */
export function targetOrigin(target: Target): string {
  return target.socketPath !== null
    ? 'http://localhost'
    : `${target.tls ? 'https' : 'http'}://${target.authority}`;
}

/** Measured streams through undici: for proxies, and as the second opinion on the socket wire in tests. */
export class UndiciWire implements Wire {
  readonly stampedBy = 'process';
  readonly leadMs = 0;
  readonly #options: WireOptions;
  readonly #dispatcher: Agent | EnvHttpProxyAgent;
  #tally: ConnectionTally = emptyTally();

  constructor(options: WireOptions) {
    this.#options = options;
    this.#dispatcher = undiciDispatcher(options);
    this.#dispatcher.on('connect', () => {
      this.#tally.opened++;
    });
  }

  /** undici opens its connections when requests need them, so none is open before the first send. */
  open(): Promise<ConnectionTally> {
    return Promise.resolve(this.takeTally());
  }

  spare(): void {
    // undici opens its connections as they are needed.
  }

  send(request: WireRequest, sink: ResponseSink): (reason: WireFailure) => void {
    const { clock, target, connectionPerRequest, meter } = this.#options;
    let abort: ((reason: Error) => void) | null = null;
    let cancelled: WireFailure | null = null;
    let started = false;
    let ended = false;
    sink.sent(clock.now());
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: (controller) => {
        abort = (reason) => controller.abort(reason);
        if (cancelled !== null) controller.abort(new Error(cancelled.detail));
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
        ended = true;
        sink.end(clock.now());
      },
      onResponseError: (_controller, error) => {
        if (ended) return;
        ended = true;
        sink.fail(cancelled ?? undiciFailure(error, started), clock.now());
      },
    };
    this.#dispatcher.dispatch(
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
      ended = true;
      sink.fail(reason, clock.now());
    };
  }

  takeTally(): ConnectionTally {
    const tally = this.#tally;
    this.#tally = emptyTally();
    return tally;
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
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
