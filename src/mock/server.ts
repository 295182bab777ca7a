import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BenchError, EXIT, errorText } from '../core/errors.ts';
import { ApiError } from './api-error.ts';
import type { Api } from './generation-request.ts';
import { Generator } from './generator.ts';
import type { MockOptions } from './options.ts';
import { send, sendError } from './reply.ts';
import { BATCH_EVENTS } from './sse-writer.ts';
import type { ListenStamped } from './stamped-listener.ts';
import { StampedRequest } from './stamped-request.ts';
import { StampedSocket } from './stamped-socket.ts';
import { processClock } from './ticker.ts';
import type { MockTokenizer } from './tokenizer.ts';
import { TruthLog } from './truth-log.ts';

export { MOCK_DEFAULTS, MOCK_FLAGS, type MockOptions, parseMockOptions } from './options.ts';
export type { MockTokenizer } from './tokenizer.ts';

export interface MockServer {
  readonly url: string;
  readonly port: number;
  /** Ends all connections, also those that are in use; a second call waits for the first. */
  close(): Promise<void>;
}

const MOST_BODY_BYTES = 64 * 1024 * 1024;
const KEEP_ALIVE_MS = 600_000;
const BACKLOG = 4_096;

const GENERATIONS: Readonly<Record<string, Api>> = {
  '/v1/chat/completions': 'chat',
  '/v1/completions': 'completions',
};

/**
 * Starts the mock server. Throws a BenchError (exit 2) when it cannot listen where it should. Requests are stamped by
 * `listenStamped` as they arrive; where it gives no listener they are as they are read.
 */
export async function startMock(
  options: MockOptions,
  tokenizer: MockTokenizer,
  listenStamped: ListenStamped | null = null,
): Promise<MockServer> {
  const { truthFile, roleChunk, framing } = options;
  const eventsPerWrite = framing === 'batch' ? BATCH_EVENTS : 1;
  const truth = truthFile === null ? null : new TruthLog(truthFile, { eventsPerWrite, roleChunk });
  const generator = new Generator(options, tokenizer, processClock, truth);
  const server = createServer(
    {
      IncomingMessage: StampedRequest,
      keepAliveTimeout: KEEP_ALIVE_MS,
      requestTimeout: 0,
      noDelay: true,
    },
    (request, response) => route(request, response, options, generator),
  );
  server.headersTimeout = 0;
  const sockets = new Set<StampedSocket>();
  const listener = listenStamped?.(options.host, options.port, (connection) => {
    const socket = new StampedSocket(connection);
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    server.emit('connection', socket);
    return socket;
  });
  // Where the other listener fails, this one fails too and says why.
  const port = listener?.port ?? (await listen(server, options));
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  const closeAll = async (): Promise<void> => {
    generator.stop();
    // First of all: a client that comes back at once is to be refused.
    listener?.stop();
    for (const socket of sockets) socket.destroy();
    await listener?.release();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
    await truth?.close();
  };
  let closed: Promise<void> | null = null;
  return {
    url: `http://${host}:${port}`,
    port,
    close() {
      closed ??= closeAll();
      return closed;
    },
  };
}

function listen(server: Server<typeof StampedRequest>, { host, port }: MockOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new BenchError(
          EXIT.usage,
          `the mock server cannot listen on ${host}:${port} (${errorText(error)})`,
          'choose another --port, or 0 for any free one',
        ),
      );
    });
    server.listen({ host, port, backlog: BACKLOG }, () => resolve((server.address() as AddressInfo).port));
  });
}

function route(
  request: StampedRequest,
  response: ServerResponse,
  options: MockOptions,
  generator: Generator,
): void {
  const path = request.url!.split('?', 1)[0]!;
  const requestId = request.headers['x-request-id'];
  if (typeof requestId === 'string') response.setHeader('x-request-id', requestId);
  const api = GENERATIONS[path];
  const page = PAGES[path];
  if (api !== undefined && request.method === 'POST') {
    receive(request, response, api, generator);
    return;
  }
  // A body that nobody reads would keep the connection from its next request.
  request.resume();
  if (page !== undefined && (request.method === 'GET' || request.method === 'HEAD')) {
    page(response, options, generator);
  } else if (page === undefined && api === undefined) {
    sendError(response, new ApiError(404, `no such path: ${path}`, 'not_found_error'));
  } else {
    response.setHeader('allow', api === undefined ? 'GET, HEAD' : 'POST');
    sendError(response, new ApiError(405, `${request.method} is not allowed on ${path}`));
  }
}

type Page = (response: ServerResponse, options: MockOptions, generator: Generator) => void;

const PAGES: Readonly<Record<string, Page>> = {
  '/health': (response) => send(response, 200, 'application/json', '{"status":"healthy"}'),
  '/live': (response) => send(response, 200, 'application/json', '{"status":"live"}'),
  '/metrics': (response, _options, generator) =>
    send(response, 200, 'text/plain; version=0.0.4; charset=utf-8', generator.metricsText()),
  '/v1/models': (response, options) => {
    const model = { id: options.model, object: 'model', created: 0, owned_by: 'bench-mock' };
    send(response, 200, 'application/json', JSON.stringify({ object: 'list', data: [model] }));
  },
};

function receive(request: StampedRequest, response: ServerResponse, api: Api, generator: Generator): void {
  const parts: Buffer[] = [];
  let bytes = 0;
  request.on('data', (part: Buffer) => {
    bytes += part.length;
    if (bytes <= MOST_BODY_BYTES) parts.push(part);
  });
  request.on('end', () => {
    if (bytes > MOST_BODY_BYTES) {
      sendError(response, new ApiError(413, `the body is larger than ${MOST_BODY_BYTES} bytes`));
      return;
    }
    const fault = request.headers['x-mock-fault'];
    const requestId = request.headers['x-request-id'];
    generator.take({
      api,
      body: Buffer.concat(parts).toString('utf8'),
      fault: typeof fault === 'string' ? fault : null,
      arrivedAtMs: request.arrivedAtMs,
      requestId: typeof requestId === 'string' ? requestId : null,
      response,
    });
  });
}
