import type { ServerResponse } from 'node:http';
import type { ApiError } from './api-error.ts';

/** Answers with a whole body. */
export function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

/** Answers with an OpenAI error body. */
export function sendError(response: ServerResponse, error: ApiError): void {
  send(response, error.status, 'application/json', error.body());
}
