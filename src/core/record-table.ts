import type { RequestRecord } from './record.ts';
import {
  COLUMN_FIELDS,
  PAGE_ROWS,
  RecordPage,
  type RowHome,
  type RowParts,
  setColumns,
  type Words,
} from './record-columns.ts';
import { ShelvedRecord } from './shelved-record.ts';

/** Takes bytes and gives them back. */
export interface ByteStore {
  /** Puts all parts one behind the other. Where they begin: a multiple of 4, so that they can be looked at as numbers. */
  put(parts: readonly (Uint8Array | Uint32Array)[]): number;
  /** That number of bytes from `at` on, not to be changed. */
  read(at: number, bytes: number): Uint8Array;
}

/** Most strings that rows share: a server that names each end differently must not fill the memory. */
const MOST_SHARED = 256;
/** A name with a number at its end that reads back as it was written. */
const NAME = /^(.*-)(0|[1-9]\d{0,8})$/s;

/** Which arrays a row has beside `chunkUs`. */
const HAS_TOKENS = 1;
const HAS_SLACK = 2;
/** It has tokens, one per chunk, which need no place. */
const HAS_ONES = 4;

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();
const NO_BYTES = new Uint8Array();
const IN_COLUMNS: ReadonlySet<string> = new Set(COLUMN_FIELDS);
/** Columns that say where a row has what is no number. */
const PLACES = [
  'nameStart',
  'nameNumber',
  'finishReason',
  'partsAt',
  'chunks',
  'arrays',
  'wordBytes',
] as const;

/**
 * Records as rows of columns: some 180 bytes of memory each, the handle included. Their chunks, and the strings that few
 * records share, go to `store`. A page is freed once none of its records is in use.
 */
export class RecordTable implements RowHome {
  readonly shared: (string | undefined)[] = [undefined];
  readonly #sharedAt = new Map<string, number>();
  readonly #store: ByteStore;
  #page: RecordPage | null = null;
  #rows = 0;
  /** The parts that were read last: a reader mostly looks at several fields of a record. */
  #last: { readonly at: number; readonly parts: RowParts } | null = null;

  constructor(store: ByteStore) {
    this.#store = store;
  }

  /** The same record, in a row of this table. One with a number that no column holds is given back as it is. */
  add(record: RequestRecord): RequestRecord {
    return this.#append(record, (page, slot) => this.#set(page, slot, record)) ?? record;
  }

  /** As `changeRecord`, in the record's own row: a handle of the old record reads the changed fields as well. */
  replace(record: RequestRecord, changes: Partial<RequestRecord>): RequestRecord {
    const changed = { ...record, ...changes };
    const row = ShelvedRecord.rowOf(record);
    if (row === null || !this.#set(row.page, row.slot, changed)) return changed;
    return new ShelvedRecord(row.page, row.slot, changed);
  }

  change(record: RequestRecord, changes: Partial<RequestRecord>): RequestRecord {
    if (!Object.keys(changes).every((field) => IN_COLUMNS.has(field)))
      return this.add({ ...record, ...changes });
    const { page: from, slot: nth } = ShelvedRecord.rowOf(record)!;
    const fields: Partial<RequestRecord> = {
      ...Object.fromEntries(COLUMN_FIELDS.map((field) => [field, record[field]])),
      // Whether there is one: the arrays stay where they are.
      ...('chunkSlackUs' in record ? { chunkSlackUs: null } : {}),
      ...changes,
    };
    const copy = (page: RecordPage, slot: number): boolean => {
      for (const column of PLACES) page[column][slot] = from[column][nth]!;
      return setColumns(page, slot, fields);
    };
    return this.#append(fields, copy) ?? { ...record, ...changes };
  }

  parts(page: RecordPage, slot: number): RowParts {
    const at = page.partsAt[slot]!;
    if (at === this.#last?.at) return this.#last.parts;
    const chunks = page.chunks[slot]!;
    const arrays = page.arrays[slot]!;
    let count = 1;
    const tokensAt = arrays & HAS_TOKENS ? count++ : null;
    const slackAt = arrays & HAS_SLACK ? count++ : null;
    const wordsAt = 4 * chunks * count;
    const size = wordsAt + page.wordBytes[slot]!;
    const bytes = size === 0 ? NO_BYTES : this.#store.read(at, size);
    const numbers = (nth: number): Uint32Array =>
      new Uint32Array(bytes.buffer, bytes.byteOffset + 4 * chunks * nth, chunks);
    const parts: RowParts = {
      chunkUs: numbers(0),
      chunkTokens:
        tokensAt !== null ? numbers(tokensAt) : arrays & HAS_ONES ? new Uint32Array(chunks).fill(1) : null,
      chunkSlackUs: slackAt === null ? null : numbers(slackAt),
      get words() {
        return (size === wordsAt ? {} : JSON.parse(DECODER.decode(bytes.subarray(wordsAt)))) as Words;
      },
    };
    this.#last = { at, parts };
    return parts;
  }

  /** Writes a row that `set` fills; null where it cannot. */
  #append(
    like: Partial<RequestRecord>,
    set: (page: RecordPage, slot: number) => boolean,
  ): RequestRecord | null {
    if (this.#page === null || this.#rows === PAGE_ROWS) {
      this.#page = new RecordPage(this);
      this.#rows = 0;
    }
    if (!set(this.#page, this.#rows)) return null;
    return new ShelvedRecord(this.#page, this.#rows++, like);
  }

  #set(page: RecordPage, slot: number, record: RequestRecord): boolean {
    const { chunkUs, chunkTokens, chunkSlackUs = null, requestId, responseId, detail, finishReason } = record;
    const isFit = [chunkTokens, chunkSlackUs].every(
      (array) => array === null || array.length === chunkUs.length,
    );
    if (!isFit || !setColumns(page, slot, record)) return false;
    const isOnes = chunkTokens?.every((tokens) => tokens === 1) ?? false;
    const arrays = [
      chunkUs,
      ...(chunkTokens === null || isOnes ? [] : [chunkTokens]),
      ...(chunkSlackUs === null ? [] : [chunkSlackUs]),
    ];
    const [, nameStart = null, nameNumber = 0] = NAME.exec(requestId) ?? [];
    page.nameStart[slot] = this.#share(nameStart);
    page.nameNumber[slot] = Number(nameNumber);
    page.finishReason[slot] = this.#share(finishReason);
    const words: Words = {
      ...(page.nameStart[slot] === 0 ? { requestId } : {}),
      ...(responseId === null ? {} : { responseId }),
      ...(detail === null ? {} : { detail }),
      ...(page.finishReason[slot] === 0 && finishReason !== null ? { finishReason } : {}),
    };
    const wordBytes = Object.keys(words).length === 0 ? NO_BYTES : ENCODER.encode(JSON.stringify(words));
    page.chunks[slot] = chunkUs.length;
    page.arrays[slot] =
      (chunkTokens === null ? 0 : isOnes ? HAS_ONES : HAS_TOKENS) | (chunkSlackUs === null ? 0 : HAS_SLACK);
    page.wordBytes[slot] = wordBytes.length;
    const isEmpty = chunkUs.length === 0 && wordBytes.length === 0;
    page.partsAt[slot] = isEmpty ? Number.NaN : this.#store.put([...arrays, wordBytes]);
    return true;
  }

  /** The number that stands for a string; 0 for none, and for one more than are shared. */
  #share(text: string | null): number {
    if (text === null) return 0;
    const known = this.#sharedAt.get(text);
    if (known !== undefined) return known;
    if (this.shared.length > MOST_SHARED) return 0;
    this.#sharedAt.set(text, this.shared.length);
    return this.shared.push(text) - 1;
  }
}
