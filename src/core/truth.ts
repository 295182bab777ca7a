import { errorText, usageError } from './errors.ts';

export const TRUTH_SCHEMA = 'bench-serving.truth/1';

/** First line of a truth log. */
export interface TruthHead {
  readonly schema: typeof TRUTH_SCHEMA;
  /** CLOCK_MONOTONIC of the host at the log's instant 0. */
  readonly monotonicNs: string;
  /** The server waits for so many events before it writes them as one. */
  readonly eventsPerWrite: number;
  /** Whether a chunk with the role alone goes out at arrival. */
  readonly roleChunk: boolean;
}

/** A further line of a truth log: one request as the server answered it. Instants are ms since the log's 0, to the µs. */
export interface TruthLine {
  readonly requestId: string | null;
  /** Empty where the answer had none. */
  readonly responseId: string;
  /** `good`, the fault that the server played, or `client-gone`. */
  readonly outcome: string;
  /** 0 where the prompt was not looked at. */
  readonly promptTokens: number;
  /**
   * When the last byte of the request arrived, from which its schedule counts: the kernel's stamp where the server
   * listens on a TCP address in digits on Linux, else when the server read it.
   */
  readonly arrivedAtMs: number;
  /** Each event with output tokens: just before the write that carried the last of its bytes. */
  readonly eventAtMs: readonly number[];
  /** When the schedule wanted each of them; shorter or longer where a fault came between. */
  readonly dueAtMs: readonly number[];
  /** Tokens of each of them. */
  readonly tokens: readonly number[];
}

export interface Truth {
  readonly head: TruthHead;
  /** In the order of arrival. */
  readonly lines: readonly TruthLine[];
}

/** Reads a truth log. Exit 2 when the text is none; `file` names it in the error. A torn last line is left out. */
export function readTruth(text: string, file: string): Truth {
  const [first = '', ...rest] = text.split('\n');
  const head = parseLine(first, file, 1) as TruthHead | null;
  if (head?.schema !== TRUTH_SCHEMA)
    throw usageError(`${file} is no log of bench mock --truth`, 'name the file that --truth was given');
  const lines = rest.slice(0, -1).map((line, i) => parseLine(line, file, i + 2) as TruthLine);
  return { head, lines: lines.toSorted((a, b) => a.arrivedAtMs - b.arrivedAtMs) };
}

function parseLine(line: string, file: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw usageError(
      `${file}:${number}: not JSON (${errorText(error)})`,
      'name the file that bench mock --truth was given',
    );
  }
}
