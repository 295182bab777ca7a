import type { Phase, RequestRecord } from '../core/record.ts';
import type { FinishedRequest } from '../core/record-builder.ts';
import { RecordTable } from '../core/record-table.ts';
import type { ChunkedText } from '../datasets/chunk-file.ts';
import type { ChunkShelf } from '../host/chunk-shelf.ts';
import type { RunStore } from '../host/store.ts';
import { TextShelf } from '../host/text-shelf.ts';
import type { Progress } from './progress.ts';

/** Records that are written between two looks at the network. */
const RECORDS_PER_TURN = 4;
/** Where more wait than that, so much is written that the rest of them would be gone within so many turns. */
const MOST_WAITING = 1_024;
const CATCH_UP_TURNS = 32;
/** Texts that are counted together: enough that loading the tokenizer is little of the time, and few enough for the memory. */
const MOST_TEXTS = 4_096;
const MOST_BYTES = 8 * 1024 * 1024;

/** Who is told of what has ended. */
interface LogHost {
  readonly store: RunStore;
  readonly progress: Progress;
  readonly hooks: { ended(request: FinishedRequest): void } | null;
  /** The request without credentials in its words. */
  withoutSecrets(request: FinishedRequest): FinishedRequest;
}

/** The requests of a level that have ended, on their way to the disk and into a table. */
export class LevelLog {
  /** In the order of their ends. */
  readonly records: RequestRecord[] = [];
  readonly #host: LogHost;
  readonly #shelf: ChunkShelf;
  readonly #table: RecordTable;
  /** The last of `records`, which are not on disk yet. */
  readonly #waiting: FinishedRequest[] = [];
  /** Texts whose tokens per chunk are to be counted, and others that hooks are given. */
  readonly #uncounted: TextShelf;
  readonly #otherTexts: TextShelf;
  #flushing: NodeJS.Immediate | null = null;

  /** `shelf` takes what is long of all that is written. */
  constructor(host: LogHost, shelf: ChunkShelf) {
    this.#host = host;
    this.#shelf = shelf;
    this.#table = new RecordTable(shelf);
    this.#uncounted = new TextShelf(shelf);
    this.#otherTexts = new TextShelf(shelf);
  }

  add(ended: FinishedRequest): void {
    const request = this.#host.withoutSecrets(ended);
    this.records.push(request.record);
    this.#waiting.push(request);
    this.#host.progress.ended(request.record);
    this.#host.hooks?.ended(request);
    // Written between two turns of the loop, so that neither a send nor a time stamp waits for the disk.
    this.#flushing ??= setImmediate(this.#flushSome);
  }

  /** Writes all that has ended. */
  flush(): void {
    if (this.#flushing !== null) clearImmediate(this.#flushing);
    this.#flushing = null;
    this.#write(this.#waiting.length);
  }

  readonly #flushSome = (): void => {
    const tooMany = this.#waiting.length - MOST_WAITING;
    this.#write(Math.max(RECORDS_PER_TURN, Math.ceil(tooMany / CATCH_UP_TURNS)));
    this.#flushing = this.#waiting.length > 0 ? setImmediate(this.#flushSome) : null;
  };

  #write(most: number): void {
    const start = this.records.length - this.#waiting.length;
    const some = this.#waiting.splice(0, most);
    this.#host.store.append(some.map(({ record }) => record));
    for (const [nth, { record, text, uncounted }] of some.entries()) {
      this.records[start + nth] = this.#table.add(record);
      if (text === null) continue;
      if (uncounted) this.#uncounted.put(start + nth, text);
      else if (this.#host.hooks !== null) this.#otherTexts.put(start + nth, text);
    }
  }

  ofPhase(phase: Phase): RequestRecord[] {
    return this.records.filter((record) => record.phase === phase);
  }

  /** Whether tokens per chunk of some requests are to be counted. */
  get hasUncounted(): boolean {
    return this.#uncounted.count > 0;
  }

  /**
   * Has the tokens per chunk counted that servers did not tell, of some texts at a time. The records have them once all are
   * counted, and none has where `countSome` rejects. `estimates`: the tokenizer is not the model's.
   */
  async countTokens(
    countSome: (texts: readonly ChunkedText[]) => Promise<Uint32Array[]>,
    estimates = false,
  ): Promise<void> {
    const { count: texts } = this.#uncounted;
    const countsAt: number[] = [];
    while (countsAt.length < texts) {
      const counts = await countSome(this.#someTexts(countsAt.length));
      for (const count of counts) countsAt.push(this.#shelf.put([count]));
    }
    for (let nth = 0; nth < texts; nth++) {
      const { request } = this.#uncounted.take(nth);
      const record = this.records[request]!;
      const { buffer, byteOffset } = this.#shelf.read(countsAt[nth]!, 4 * record.chunkUs.length);
      const tokens = new Uint32Array(buffer, byteOffset, record.chunkUs.length);
      this.records[request] = this.#table.replace(record, countedBy(record, tokens, estimates));
    }
  }

  /** Uncounted texts from number `from` on: as many as are counted together. */
  #someTexts(from: number): ChunkedText[] {
    const { count } = this.#uncounted;
    const texts: ChunkedText[] = [];
    let bytes = 0;
    for (let nth = from; nth < count && texts.length < MOST_TEXTS && bytes < MOST_BYTES; nth++) {
      const { request, text: chunked } = this.#uncounted.take(nth);
      const { bytes: text, ends } = chunked;
      texts.push({ text, ends, completionTokens: this.records[request]!.osl.counted });
      bytes += text.byteLength + ends.byteLength;
    }
    return texts;
  }

  /** All requests, with their texts where hooks keep them. */
  finished(): FinishedRequest[] {
    const finished = this.records.map(
      (record): FinishedRequest => ({ record, text: null, uncounted: false }),
    );
    for (const shelf of [this.#uncounted, this.#otherTexts]) {
      for (let nth = 0; nth < shelf.count; nth++) {
        const { request, text } = shelf.take(nth);
        finished[request] = { ...finished[request]!, text, uncounted: shelf === this.#uncounted };
      }
    }
    return finished;
  }
}

/** What changes in a record whose tokens per chunk the local tokenizer counted. */
function countedBy(
  { osl, unseenTokens = 0 }: RequestRecord,
  tokens: Uint32Array,
  estimates: boolean,
): Partial<RequestRecord> {
  const counted = tokens.reduce((total, n) => total + n, 0);
  const missing = Math.max(0, (osl.counted ?? counted) - counted);
  // An estimate shows that there were some, never how many.
  const unseen = !estimates ? missing : missing > 0 ? null : unseenTokens;
  return {
    chunkTokens: tokens,
    chunkTokensBy: 'tokenizer',
    ...(unseen === 0 && unseenTokens === 0 ? {} : { unseenTokens: unseen }),
    ...(osl.counted === null ? { osl: { ...osl, counted, by: 'tokenizer' } } : {}),
  };
}
