import type { Phase, RequestRecord } from '../core/record.ts';
import type { FinishedRequest } from '../core/record-builder.ts';
import type { ChunkShelf } from '../host/chunk-shelf.ts';
import type { RunStore } from '../host/store.ts';
import type { Progress } from './progress.ts';

/** Records that are written between two looks at the network. */
const RECORDS_PER_TURN = 4;

/** Who is told of what has ended. */
interface LogHost {
  readonly store: RunStore;
  readonly progress: Progress;
  readonly hooks: { ended(request: FinishedRequest): void } | null;
  /** The request without credentials in its words. */
  withoutSecrets(request: FinishedRequest): FinishedRequest;
}

/** The requests of a level that have ended, on their way to the disk. */
export class LevelLog {
  readonly finished: FinishedRequest[] = [];
  readonly #host: LogHost;
  /** Takes the chunks of what is written; null keeps them in memory. */
  readonly #shelf: ChunkShelf | null;
  /** Of `finished`, how many are on disk. */
  #written = 0;
  #flushing: NodeJS.Immediate | null = null;

  constructor(host: LogHost, shelf: ChunkShelf | null) {
    this.#host = host;
    this.#shelf = shelf;
  }

  add(ended: FinishedRequest): void {
    const request = this.#host.withoutSecrets(ended);
    this.finished.push(request);
    this.#host.progress.ended(request.record);
    this.#host.hooks?.ended(request);
    // Written between two turns of the loop, so that neither a send nor a time stamp waits for the disk.
    this.#flushing ??= setImmediate(this.#flushSome);
  }

  /** Writes all that has ended. */
  flush(): void {
    if (this.#flushing !== null) clearImmediate(this.#flushing);
    this.#flushing = null;
    this.#write(this.finished.length);
  }

  readonly #flushSome = (): void => {
    this.#write(Math.min(this.#written + RECORDS_PER_TURN, this.finished.length));
    this.#flushing = this.#written < this.finished.length ? setImmediate(this.#flushSome) : null;
  };

  #write(end: number): void {
    const shelf = this.#shelf;
    const start = this.#written;
    this.#host.store.append(this.finished.slice(start, end).map(({ record }) => record));
    this.#written = end;
    for (let i = start; shelf !== null && i < end; i++) {
      const { record, text, uncounted } = this.finished[i]!;
      this.finished[i] = {
        record: shelf.record(record),
        text: text === null ? null : shelf.text(text),
        uncounted,
      };
    }
  }

  records(phase: Phase): RequestRecord[] {
    return this.finished.flatMap(({ record }) => (record.phase === phase ? [record] : []));
  }
}
