import { createWriteStream, openSync, type WriteStream } from 'node:fs';
import { pairClocks } from '../core/clock-pair.ts';
import { errorText, usageError } from '../core/errors.ts';
import { TRUTH_SCHEMA, type TruthHead, type TruthLine } from '../core/truth.ts';

/** What is known of a request when its answer begins. A log tells all of them, those refused at once too. */
export interface TruthRequest {
  /** The header x-request-id; null where the client sent none. */
  readonly requestId: string | null;
  /** Empty where the answer has none. */
  readonly responseId: string;
  /** When the last byte of it arrived, as in a `TruthLine`. */
  readonly arrivedAtMs: number;
  readonly promptTokens: number;
}

/**
 * Logs when each request arrived and when each piece of its output was written to its socket, on CLOCK_MONOTONIC,
 * which all processes of a host share: what a client says of the same answers is compared with it.
 */
export class TruthLog {
  readonly #file: WriteStream;
  readonly #originMs: number;

  /** Replaces `file`; `facts` are those of the head. Exit 2 when it cannot be written. */
  constructor(file: string, facts: Pick<TruthHead, 'eventsPerWrite' | 'roleChunk'>) {
    try {
      this.#file = createWriteStream(file, { fd: openSync(file, 'w') });
    } catch (error) {
      throw usageError(
        `--truth: cannot write ${file} (${errorText(error)})`,
        'name a file in a folder that exists',
      );
    }
    const { atMs, other } = pairClocks(() => performance.now(), process.hrtime.bigint);
    this.#originMs = atMs;
    const head: TruthHead = { schema: TRUTH_SCHEMA, monotonicNs: other.toString(), ...facts };
    this.#file.write(`${JSON.stringify(head)}\n`);
  }

  begin(request: TruthRequest): TruthStream {
    return new TruthStream(request, this.#originMs, (line) => {
      this.#file.write(`${JSON.stringify(line)}\n`);
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#file.end(resolve));
  }
}

/** The answer of one request as it went out. */
export class TruthStream {
  readonly #request: TruthRequest;
  readonly #originMs: number;
  readonly #write: (line: TruthLine) => void;
  readonly #eventAtMs: number[] = [];
  readonly #dueAtMs: number[] = [];
  readonly #tokens: number[] = [];
  #ended = false;

  constructor(request: TruthRequest, originMs: number, write: (line: TruthLine) => void) {
    this.#request = request;
    this.#originMs = originMs;
    this.#write = write;
  }

  /** The schedule wanted the next event at this instant. */
  due(atMs: number): void {
    this.#dueAtMs.push(this.#toMs(atMs));
  }

  /** Events with so many tokens each are about to be handed to the socket, or the last of their bytes are. */
  wrote(tokens: readonly number[]): void {
    const atMs = this.#toMs(performance.now());
    for (const count of tokens) {
      this.#eventAtMs.push(atMs);
      this.#tokens.push(count);
    }
  }

  /** The answer is over; a second call changes nothing. `outcome` is `good` or what went wrong on purpose. */
  end(outcome: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const { requestId, responseId, arrivedAtMs, promptTokens } = this.#request;
    this.#write({
      requestId,
      responseId,
      outcome,
      promptTokens,
      arrivedAtMs: this.#toMs(arrivedAtMs),
      eventAtMs: this.#eventAtMs,
      dueAtMs: this.#dueAtMs,
      tokens: this.#tokens,
    });
  }

  #toMs(atMs: number): number {
    return Math.round((atMs - this.#originMs) * 1_000) / 1_000;
  }
}
