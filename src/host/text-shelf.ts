import type { ChunkText } from '../core/record-builder.ts';
import type { ByteStore } from '../core/record-table.ts';

/** How many chunks and how many bytes a text has, before both. */
const HEAD_BYTES = 8;

/** Texts of some requests in a store; in memory only where they lie: 16 bytes each. */
export class TextShelf {
  readonly #store: ByteStore;
  readonly #requests: number[] = [];
  readonly #at: number[] = [];

  constructor(store: ByteStore) {
    this.#store = store;
  }

  /** Numbers of the requests, in the order in which their texts were put here. */
  get requests(): readonly number[] {
    return this.#requests;
  }

  put(request: number, { ends, bytes }: ChunkText): void {
    this.#requests.push(request);
    this.#at.push(this.#store.put([Uint32Array.of(ends.length, bytes.length), ends, bytes]));
  }

  /** Text number `nth`, read from where it lies whenever it is looked at. */
  text(nth: number): ChunkText {
    const at = this.#at[nth]!;
    const numbers = (from: number, count: number): Uint32Array => {
      const bytes = this.#store.read(from, 4 * count);
      return new Uint32Array(bytes.buffer, bytes.byteOffset, count);
    };
    const [chunks, size] = numbers(at, 2) as unknown as [number, number];
    const store = this.#store;
    return {
      get ends() {
        return numbers(at + HEAD_BYTES, chunks);
      },
      get bytes() {
        return store.read(at + HEAD_BYTES + 4 * chunks, size);
      },
    };
  }
}
