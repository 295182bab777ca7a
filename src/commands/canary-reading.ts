import type { RequestRecord } from '../core/record.ts';

/** Less than this share of the chunks that the tokens make likely is worth a look at the others. */
const FEW_CHUNKS_RATIO = 0.5;
/** Of the tokens: the number of chunks without text that may hold what is missing. */
const SILENT_RATIO = 0.25;
/** Servers put some tokens into a chunk, but seldom this many. */
const MANY_TOKENS_PER_CHUNK = 8;
const EXCERPT_CHARS = 240;

/** What was read of a test request's stream, compared with what the server counted. */
export class CanaryReading {
  text = '';
  #silentChunks = 0;
  /** The longest chunk without text, which is the likeliest to hold some that is not read. */
  #silent = '';
  #first = '';

  /** A chunk that was read in full, and the text found in it. */
  noteChunk(data: string, text: string): void {
    if (text !== '') this.#first ||= data;
    else {
      this.#silentChunks++;
      if (data.length > this.#silent.length) this.#silent = data;
    }
  }

  /** What of the output was not seen, with a chunk to show it; null where all is well or the server does not count. */
  warning({ osl, chunkUs }: RequestRecord): string | null {
    const tokens = osl.by === 'usage' ? (osl.counted ?? 0) : 0;
    const chunks = chunkUs.length;
    if (tokens === 0) return null;
    const silent = `no text was found in ${this.#silentChunks} chunks such as ${excerpt(this.#silent)}`;
    if (chunks === 0)
      return `the test request's ${tokens} output tokens showed no text, so nothing can be timed: ${silent}`;
    if (chunks <= FEW_CHUNKS_RATIO * tokens && this.#silentChunks >= SILENT_RATIO * tokens)
      return `the test request's ${tokens} output tokens showed text in ${chunks} chunks; ${silent}`;
    if (chunks * MANY_TOKENS_PER_CHUNK <= tokens)
      return `the test request's ${tokens} output tokens came in ${chunks} chunks such as ${excerpt(this.#first)}`;
    return null;
  }
}

function excerpt(data: string): string {
  return data.length > EXCERPT_CHARS ? `${data.slice(0, EXCERPT_CHARS)}…` : data;
}
