import type { RequestRecord } from './record.ts';

/** Where numbers lie that are not in memory. */
export interface NumberSource {
  /** So many numbers from byte `at` on. */
  read(at: number, count: number): Uint32Array;
}

/** Where the chunks of one record lie: their times, and behind them their tokens where they are known. */
export interface ChunkPlace {
  readonly source: NumberSource;
  readonly at: number;
  readonly chunks: number;
  readonly withTokens: boolean;
}

type Rest = Omit<RequestRecord, 'chunkUs' | 'chunkTokens'>;

/**
 * A record whose chunks are read whenever they are looked at, so that it takes little memory. They are no
 * properties of its own: copy it with `changeRecord`, a spread would lose them.
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
  declare readonly chunkTokensBy: RequestRecord['chunkTokensBy'];
  declare readonly isl: RequestRecord['isl'];
  declare readonly osl: RequestRecord['osl'];
  declare readonly promptTokens: RequestRecord['promptTokens'];
  declare readonly cachedTokens: RequestRecord['cachedTokens'];
  readonly #place: ChunkPlace;

  constructor(rest: Rest, place: ChunkPlace) {
    Object.assign(this, rest);
    this.#place = place;
  }

  get chunkUs(): Uint32Array {
    const { source, at, chunks } = this.#place;
    return source.read(at, chunks);
  }

  get chunkTokens(): Uint32Array | null {
    const { source, at, chunks, withTokens } = this.#place;
    return withTokens ? source.read(at + 4 * chunks, chunks) : null;
  }

  /** A copy with fields changed; the chunks stay where they are, but for those that `changes` holds. */
  with(changes: Partial<RequestRecord>): RequestRecord {
    if (!('chunkUs' in changes) && !('chunkTokens' in changes))
      return new ShelvedRecord({ ...this, ...changes }, this.#place);
    return { ...this, chunkUs: this.chunkUs, chunkTokens: this.chunkTokens, ...changes };
  }
}

/** A copy of the record with some fields changed. */
export function changeRecord(record: RequestRecord, changes: Partial<RequestRecord>): RequestRecord {
  return record instanceof ShelvedRecord ? record.with(changes) : { ...record, ...changes };
}
