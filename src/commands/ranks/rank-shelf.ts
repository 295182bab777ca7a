import { existsSync } from 'node:fs';
import path from 'node:path';
import { errorText } from '../../core/errors.ts';
import type { RequestRecord } from '../../core/record.ts';
import { RECORDS_FILE, readRecords } from '../../host/records-file.ts';
import type { RankLevel } from './protocol.ts';
import { rankDirectory } from './rank-files.ts';

/** A shared file system may show what another host wrote a little later. */
const LATE_MS = 5_000;
const LOOK_EVERY_MS = 50;

/** What a rank left of a level. */
export interface Shelved {
  readonly records: readonly RequestRecord[];
  /** Why these are not all that it sent; null when they are, as far as it could tell. */
  readonly lacking: string | null;
}

/** The files of records of all ranks, read level by level. */
export class RankShelf {
  readonly #files: readonly string[];
  /** Where the next level begins, by rank. */
  #atBytes: number[];

  constructor(directory: string, ranks: number) {
    this.#files = Array.from({ length: ranks }, (_, rank) =>
      path.join(rankDirectory(directory, rank), RECORDS_FILE),
    );
    this.#atBytes = this.#files.map(() => 0);
  }

  /** Where the first level of this run begins, by rank. */
  begin(atBytes: readonly number[]): void {
    this.#atBytes = [...atBytes];
  }

  /**
   * The records that a rank wrote since the last call, each as `keep` gives it back. `end` is what it said of
   * them; without it, all that is whole is taken.
   */
  async take(
    rank: number,
    point: number,
    end: RankLevel | null,
    keep: (record: RequestRecord) => RequestRecord,
  ): Promise<Shelved> {
    const file = this.#files[rank]!;
    const from = this.#atBytes[rank]!;
    const giveUpMs = performance.now() + LATE_MS;
    for (;;) {
      const { records, wholeBytes, error } = readSome(file, from, keep);
      const expected = end === null ? null : end.toByte - from;
      const late = expected !== null && wholeBytes < expected;
      if (late && performance.now() < giveUpMs) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
        continue;
      }
      this.#atBytes[rank] = from + wholeBytes;
      return {
        records: records.filter((record) => record.point === point),
        lacking: lack(end, records, error),
      };
    }
  }
}

function readSome(
  file: string,
  from: number,
  keep: (record: RequestRecord) => RequestRecord,
): { records: readonly RequestRecord[]; wholeBytes: number; error: string | null } {
  if (!existsSync(file)) return { records: [], wholeBytes: 0, error: `${file} is not there` };
  try {
    return { ...readRecords(file, from, keep), error: null };
  } catch (error) {
    return { records: [], wholeBytes: 0, error: errorText(error) };
  }
}

function lack(end: RankLevel | null, records: readonly RequestRecord[], error: string | null): string | null {
  if (end === null) return null;
  if (end.missing !== null) return `not on disk: ${end.missing}`;
  if (error !== null) return error;
  return records.length === end.records
    ? null
    : `it sent ${end.records} requests, and ${records.length} records of them can be read`;
}
