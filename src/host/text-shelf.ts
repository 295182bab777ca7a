import type { ChunkText } from '../core/record-builder.ts';
import type { ByteStore } from '../core/record-table.ts';

/** The number of the request, how many chunks and how many bytes: before the text. */
const HEAD_BYTES = 12;

/** Texts of some requests in a store; in memory only where each lies. */
export class TextShelf {
  readonly #store: ByteStore;
  readonly #at: number[] = [];

  constructor(store: ByteStore) {
    this.#store = store;
  }

  get count(): number {
    return this.#at.length;
  }

  put(request: number, { ends, bytes }: ChunkText): void {
    this.#at.push(this.#store.put([Uint32Array.of(request, ends.length, bytes.length), ends, bytes]));
  }

  /** Text number `nth` in the order of putting, read from where it lies whenever it is looked at, and whose it is. */
  take(nth: number): { readonly request: number; readonly text: ChunkText } {
    const at = this.#at[nth]!;
    const store = this.#store;
    const numbers = (from: number, count: number): Uint32Array => {
      const bytes = store.read(from, 4 * count);
      return new Uint32Array(bytes.buffer, bytes.byteOffset, count);
    };
    const [request, chunks, size] = numbers(at, 3) as unknown as [number, number, number];
    const endsAt = at + HEAD_BYTES;
    const text = {
      get ends() {
        return numbers(endsAt, chunks);
      },
      get bytes() {
        return store.read(endsAt + 4 * chunks, size);
      },
    };
    return { request, text };
  }
}
