/** An answer that is an OpenAI error body. */
export class ApiError extends Error {
  readonly status: number;
  readonly type: string;
  readonly code: string | number | null;

  constructor(
    status: number,
    message: string,
    type = 'invalid_request_error',
    code: string | number | null = null,
  ) {
    super(message);
    this.status = status;
    this.type = type;
    this.code = code;
  }

  body(): string {
    return JSON.stringify({ error: { message: this.message, type: this.type, code: this.code } });
  }
}

/** What servers say when something inside of them broke. */
export function internalError(): ApiError {
  return new ApiError(500, 'Internal server error', 'internal_server_error', 500);
}
