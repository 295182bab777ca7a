import type { Clock } from '../core/clock.ts';
import type { TimeoutSpec } from '../core/spec.ts';
import type { Dialect } from './dialect.ts';
import type { ResponseHead } from './failures.ts';
import type { ReadMeter } from './read-meter.ts';

/** What all requests of a client share. */
export interface ExchangeOptions {
  readonly clock: Clock;
  readonly dialect: Dialect;
  readonly timeouts: TimeoutSpec;
  /** Tokens of the chat template, taken off the server's prompt count where ISL means the bare text. */
  readonly templateShare: number;
  /** Keep each request's output text, whoever counts its tokens. */
  readonly keepText?: boolean;
  /** Called for each output chunk with the tokens it carried (1 where the server does not say), for live progress. Must be cheap. */
  readonly onTokens?: (tokens: number) => void;
  /** Called for each output chunk with its text. */
  readonly onText?: (text: string) => void;
  /** Called for each chunk that is read in full and may have output, with the text that was found in it. */
  readonly onChunk?: (data: string, text: string) => void;
  /** An output may end before it is as long as requested. */
  readonly naturalEnd?: boolean;
  /** Called with the body of an answer that is no stream, as far as it is kept. */
  readonly onErrorBody?: (body: string, head: ResponseHead) => void;
  /** Who stamps the reads. */
  readonly stampedBy: 'kernel' | 'process';
  /** Counts the events that come out of the bytes. */
  readonly meter: ReadMeter;
}
