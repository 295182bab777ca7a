import type { RequestRecord } from './record.ts';
import { COLUMNS, type RecordPage } from './record-columns.ts';

type FieldName = keyof RequestRecord;
type Reader = (page: RecordPage, slot: number) => unknown;

/** Fields that a record may leave out. */
const OPTIONAL = [
  'conversation',
  'turn',
  'heldMs',
  'resent',
  'stampedBy',
  'chunkSlackUs',
  'unseenTokens',
] as const;

/** How each field is read, in the order of `RequestRecord`. */
const READERS: Readonly<Record<FieldName, Reader>> = {
  id: COLUMNS.id.get,
  point: COLUMNS.point.get,
  concurrency: COLUMNS.concurrency.get,
  phase: COLUMNS.phase.get,
  requestId(page, slot) {
    const start = page.home.shared[page.nameStart[slot]!];
    return start === undefined
      ? page.home.parts(page, slot).words.requestId!
      : `${start}${page.nameNumber[slot]!}`;
  },
  conversation: COLUMNS.conversation.get,
  turn: COLUMNS.turn.get,
  responseId: (page, slot) => word(page, slot, 'responseId'),
  outcome: COLUMNS.outcome.get,
  detail: (page, slot) => word(page, slot, 'detail'),
  status: COLUMNS.status.get,
  finishReason: (page, slot) =>
    page.home.shared[page.finishReason[slot]!] ?? word(page, slot, 'finishReason'),
  dueAtMs: COLUMNS.dueAtMs.get,
  heldMs: COLUMNS.heldMs.get,
  sentAtMs: COLUMNS.sentAtMs.get,
  firstAtMs: COLUMNS.firstAtMs.get,
  lastAtMs: COLUMNS.lastAtMs.get,
  lastEventAtMs: COLUMNS.lastEventAtMs.get,
  endAtMs: COLUMNS.endAtMs.get,
  connectMs: COLUMNS.connectMs.get,
  resent: COLUMNS.resent.get,
  stampedBy: COLUMNS.stampedBy.get,
  chunkUs: (page, slot) => page.home.parts(page, slot).chunkUs,
  chunkSlackUs: (page, slot) => page.home.parts(page, slot).chunkSlackUs,
  chunkTokens: (page, slot) => page.home.parts(page, slot).chunkTokens,
  chunkTokensBy: COLUMNS.chunkTokensBy.get,
  unseenTokens: COLUMNS.unseenTokens.get,
  isl: COLUMNS.isl.get,
  osl: COLUMNS.osl.get,
  promptTokens: COLUMNS.promptTokens.get,
  cachedTokens: COLUMNS.cachedTokens.get,
};

/** A string that no other record shares; null where there is none, which needs no look at where it lies. */
function word(page: RecordPage, slot: number, name: 'responseId' | 'detail' | 'finishReason'): string | null {
  return page.wordBytes[slot] === 0 ? null : (page.home.parts(page, slot).words[name] ?? null);
}

/**
 * A record whose fields are read from the row of a table whenever they are looked at: about 40 bytes. A spread makes a
 * plain record of it, all in memory; `changeRecord` leaves in the table what does not change.
 */
export class ShelvedRecord implements RequestRecord {
  declare readonly id: RequestRecord['id'];
  declare readonly point: RequestRecord['point'];
  declare readonly concurrency: RequestRecord['concurrency'];
  declare readonly phase: RequestRecord['phase'];
  declare readonly requestId: RequestRecord['requestId'];
  declare readonly conversation?: number;
  declare readonly turn?: number;
  declare readonly responseId: RequestRecord['responseId'];
  declare readonly outcome: RequestRecord['outcome'];
  declare readonly detail: RequestRecord['detail'];
  declare readonly status: RequestRecord['status'];
  declare readonly finishReason: RequestRecord['finishReason'];
  declare readonly dueAtMs: RequestRecord['dueAtMs'];
  declare readonly heldMs?: number;
  declare readonly sentAtMs: RequestRecord['sentAtMs'];
  declare readonly firstAtMs: RequestRecord['firstAtMs'];
  declare readonly lastAtMs: RequestRecord['lastAtMs'];
  declare readonly lastEventAtMs: RequestRecord['lastEventAtMs'];
  declare readonly endAtMs: RequestRecord['endAtMs'];
  declare readonly connectMs: RequestRecord['connectMs'];
  declare readonly resent?: true;
  declare readonly stampedBy?: 'kernel' | 'process';
  declare readonly chunkUs: RequestRecord['chunkUs'];
  declare readonly chunkSlackUs?: Uint32Array | null;
  declare readonly chunkTokens: RequestRecord['chunkTokens'];
  declare readonly chunkTokensBy: RequestRecord['chunkTokensBy'];
  declare readonly unseenTokens?: number | null;
  declare readonly isl: RequestRecord['isl'];
  declare readonly osl: RequestRecord['osl'];
  declare readonly promptTokens: RequestRecord['promptTokens'];
  declare readonly cachedTokens: RequestRecord['cachedTokens'];
  readonly #page: RecordPage;
  readonly #slot: number;

  /** `like` has the optional fields that this record is to have. */
  constructor(page: RecordPage, slot: number, like: Partial<RequestRecord>) {
    this.#page = page;
    this.#slot = slot;
    Object.defineProperties(this, shapeOf(like));
  }

  /** Where the record lies; null for one that lies in no table. */
  static rowOf(record: RequestRecord): { readonly page: RecordPage; readonly slot: number } | null {
    return record instanceof ShelvedRecord ? { page: record.#page, slot: record.#slot } : null;
  }

  static property(read: Reader): PropertyDescriptor {
    return {
      enumerable: true,
      get(this: ShelvedRecord) {
        return read(this.#page, this.#slot);
      },
    };
  }
}

const PROPERTIES = Object.entries(READERS).map(
  ([field, read]) => [field, ShelvedRecord.property(read)] as const,
);
/** Properties of records by the optional fields that they have: all of a kind share them, and so take no memory of their own. */
const SHAPES = new Map<number, PropertyDescriptorMap>();

function shapeOf(like: Partial<RequestRecord>): PropertyDescriptorMap {
  const kind = OPTIONAL.reduce((bits, field, nth) => bits | (like[field] === undefined ? 0 : 1 << nth), 0);
  let shape = SHAPES.get(kind);
  if (shape === undefined) {
    const left: readonly string[] = OPTIONAL.filter((_, nth) => (kind & (1 << nth)) === 0);
    shape = Object.fromEntries(PROPERTIES.filter(([field]) => !left.includes(field)));
    SHAPES.set(kind, shape);
  }
  return shape;
}

/** A copy of the record with some fields changed. */
export function changeRecord(record: RequestRecord, changes: Partial<RequestRecord>): RequestRecord {
  const row = ShelvedRecord.rowOf(record);
  return row === null ? { ...record, ...changes } : row.page.home.change(record, changes);
}
