import { FAILURE_CLASSES, type RequestRecord, type TokenCount } from './record.ts';

/** Rows of a page. A table grows by pages, so that nothing is copied. */
export const PAGE_ROWS = 4_096;

/** What holds pages: where their rows have what is no number. */
export interface RowHome {
  /** Strings that many rows share, by the number that stands for each; 0 stands for none. */
  readonly shared: readonly (string | undefined)[];
  /** The parts of a row that lie elsewhere. */
  parts(page: RecordPage, slot: number): RowParts;
  /** A copy of a record of its own, in a row of its own, with some fields changed. */
  change(record: RequestRecord, changes: Partial<RequestRecord>): RequestRecord;
}

/** What of a record is longer than a number. */
export interface RowParts extends Pick<RequestRecord, 'chunkUs' | 'chunkTokens'> {
  readonly chunkSlackUs: Uint32Array | null;
  readonly words: Words;
}

type WordField = 'requestId' | 'responseId' | 'detail' | 'finishReason';
/** Strings that few records share; what a record has not, or shares, is left out. */
export type Words = { readonly [F in WordField]?: string };

/** A number per field of `PAGE_ROWS` records: about 125 bytes each. */
export class RecordPage {
  readonly home: RowHome;
  readonly id = new Int32Array(PAGE_ROWS);
  readonly point = new Int16Array(PAGE_ROWS);
  readonly concurrency = new Int32Array(PAGE_ROWS);
  readonly phase = new Uint8Array(PAGE_ROWS);
  /** The request's name is a shared string and a number behind it. */
  readonly nameStart = new Uint16Array(PAGE_ROWS);
  readonly nameNumber = new Int32Array(PAGE_ROWS);
  readonly outcome = new Uint8Array(PAGE_ROWS);
  readonly status = new Int16Array(PAGE_ROWS);
  readonly finishReason = new Uint16Array(PAGE_ROWS);
  readonly dueAtMs = new Float64Array(PAGE_ROWS);
  readonly sentAtMs = new Float64Array(PAGE_ROWS);
  readonly firstAtMs = new Float64Array(PAGE_ROWS);
  readonly lastAtMs = new Float64Array(PAGE_ROWS);
  readonly lastEventAtMs = new Float64Array(PAGE_ROWS);
  readonly endAtMs = new Float64Array(PAGE_ROWS);
  readonly connectMs = new Float64Array(PAGE_ROWS);
  readonly chunkTokensBy = new Uint8Array(PAGE_ROWS);
  readonly islAsked = new Int32Array(PAGE_ROWS);
  readonly islCounted = new Int32Array(PAGE_ROWS);
  readonly islBy = new Uint8Array(PAGE_ROWS);
  readonly oslAsked = new Int32Array(PAGE_ROWS);
  readonly oslCounted = new Int32Array(PAGE_ROWS);
  readonly oslBy = new Uint8Array(PAGE_ROWS);
  readonly promptTokens = new Int32Array(PAGE_ROWS);
  readonly cachedTokens = new Int32Array(PAGE_ROWS);
  /** Where the parts begin, how many chunks there are, which arrays of them, and the length of the words. */
  readonly partsAt = new Float64Array(PAGE_ROWS);
  readonly chunks = new Int32Array(PAGE_ROWS);
  readonly arrays = new Uint8Array(PAGE_ROWS);
  readonly wordBytes = new Int32Array(PAGE_ROWS);
  // Of fields that most records leave out, made when one does not.
  #conversation: Int32Array | null = null;
  #turn: Int32Array | null = null;
  #heldMs: Float64Array | null = null;
  #stampedBy: Uint8Array | null = null;
  #unseenTokens: Int32Array | null = null;
  #resent: Uint8Array | null = null;

  constructor(home: RowHome) {
    this.home = home;
  }

  get conversation(): Int32Array {
    this.#conversation ??= new Int32Array(PAGE_ROWS);
    return this.#conversation;
  }

  get turn(): Int32Array {
    this.#turn ??= new Int32Array(PAGE_ROWS);
    return this.#turn;
  }

  get heldMs(): Float64Array {
    this.#heldMs ??= new Float64Array(PAGE_ROWS);
    return this.#heldMs;
  }

  get stampedBy(): Uint8Array {
    this.#stampedBy ??= new Uint8Array(PAGE_ROWS);
    return this.#stampedBy;
  }

  get unseenTokens(): Int32Array {
    this.#unseenTokens ??= new Int32Array(PAGE_ROWS);
    return this.#unseenTokens;
  }

  get resent(): Uint8Array {
    this.#resent ??= new Uint8Array(PAGE_ROWS);
    return this.#resent;
  }
}

/** How a field lies in the columns of a page. */
interface Field<T> {
  get(page: RecordPage, slot: number): T;
  /** False where the columns cannot hold the value. */
  set(page: RecordPage, slot: number, value: T): boolean;
}

function whole<T extends number | null>(column: (page: RecordPage) => Int32Array | Int16Array): Field<T> {
  return {
    get(page, slot) {
      const numbers = column(page);
      const value = numbers[slot]!;
      return (value === nullOf(numbers) ? null : value) as T;
    },
    set(page, slot, value) {
      const numbers = column(page);
      numbers[slot] = value ?? nullOf(numbers);
      return value === null || (numbers[slot] === value && value !== nullOf(numbers));
    },
  };
}

/** The number that stands for null: the lowest of its kind. In a column of instants NaN does. */
function nullOf({ BYTES_PER_ELEMENT }: Int32Array | Int16Array): number {
  return BYTES_PER_ELEMENT === 2 ? -(2 ** 15) : -(2 ** 31);
}

function instant<T extends number | null>(column: (page: RecordPage) => Float64Array): Field<T> {
  return {
    get(page, slot) {
      const value = column(page)[slot]!;
      return (Number.isNaN(value) ? null : value) as T;
    },
    set(page, slot, value) {
      column(page)[slot] = value ?? Number.NaN;
      return true;
    },
  };
}

/** One of a few values, as its place among them. */
function oneOf<T>(column: (page: RecordPage) => Uint8Array, values: readonly T[]): Field<T> {
  return {
    get: (page, slot) => values[column(page)[slot]!]!,
    set(page, slot, value) {
      const place = values.indexOf(value);
      column(page)[slot] = place;
      return place >= 0;
    },
  };
}

function tokens<A extends number | null>(
  asked: Field<A>,
  counted: Field<number | null>,
  by: (page: RecordPage) => Uint8Array,
): Field<TokenCount<A>> {
  const counter = oneOf<TokenCount['by']>(by, ['usage', 'tokenizer', 'none']);
  return {
    get: (page, slot) => ({
      asked: asked.get(page, slot),
      counted: counted.get(page, slot),
      by: counter.get(page, slot),
    }),
    set: (page, slot, value) =>
      asked.set(page, slot, value.asked) &&
      counted.set(page, slot, value.counted) &&
      counter.set(page, slot, value.by),
  };
}

/** A field that is nothing but numbers. */
export type ColumnField = Exclude<keyof RequestRecord, keyof RowParts | WordField>;

export const COLUMNS: { readonly [F in ColumnField]-?: Field<Exclude<RequestRecord[F], undefined>> } = {
  id: whole((page) => page.id),
  point: whole((page) => page.point),
  concurrency: whole((page) => page.concurrency),
  phase: oneOf((page) => page.phase, ['warmup', 'measured', 'hold']),
  conversation: whole((page) => page.conversation),
  turn: whole((page) => page.turn),
  outcome: oneOf((page) => page.outcome, ['good', ...FAILURE_CLASSES]),
  status: whole((page) => page.status),
  dueAtMs: instant((page) => page.dueAtMs),
  heldMs: instant((page) => page.heldMs),
  sentAtMs: instant((page) => page.sentAtMs),
  firstAtMs: instant((page) => page.firstAtMs),
  lastAtMs: instant((page) => page.lastAtMs),
  lastEventAtMs: instant((page) => page.lastEventAtMs),
  endAtMs: instant((page) => page.endAtMs),
  connectMs: instant((page) => page.connectMs),
  resent: oneOf((page) => page.resent, [true]),
  stampedBy: oneOf((page) => page.stampedBy, ['process', 'kernel']),
  chunkTokensBy: oneOf(
    (page) => page.chunkTokensBy,
    [null, 'continuous-usage', 'one-per-chunk', 'tokenizer'],
  ),
  unseenTokens: whole((page) => page.unseenTokens),
  isl: tokens(
    whole((page) => page.islAsked),
    whole((page) => page.islCounted),
    (page) => page.islBy,
  ),
  osl: tokens(
    whole((page) => page.oslAsked),
    whole((page) => page.oslCounted),
    (page) => page.oslBy,
  ),
  promptTokens: whole((page) => page.promptTokens),
  cachedTokens: whole((page) => page.cachedTokens),
};

export const COLUMN_FIELDS = Object.keys(COLUMNS) as ColumnField[];

/** Writes the fields of `record` that are there and nothing but numbers. False where a column cannot hold one. */
export function setColumns(page: RecordPage, slot: number, record: Partial<RequestRecord>): boolean {
  return COLUMN_FIELDS.every((field) => {
    const value = record[field];
    return value === undefined || (COLUMNS[field] as Field<unknown>).set(page, slot, value);
  });
}
