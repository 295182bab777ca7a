import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { mergeRecords } from '../../src/core/rank-merge.ts';
import { type RequestRecord, recordToJson } from '../../src/core/record.ts';
import { changeRecord } from '../../src/core/shelved-record.ts';
import { summarizeLevel } from '../../src/core/summary.ts';
import { ChunkShelf } from '../../src/host/chunk-shelf.ts';
import { makeRecord } from '../fixtures/records.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'chunk-shelf-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const RECORDS: RequestRecord[] = Array.from({ length: 40 }, (_, i) =>
  makeRecord({
    id: i,
    sentAtMs: 100 * i,
    gapsMs: [50 + i, ...Array.from({ length: 20 + i }, (_, k) => 10 + 0.037 * k + i)],
    ...(i % 3 === 0 ? { tokens: null } : {}),
  }),
);

const reportOf = (records: readonly RequestRecord[]) =>
  summarizeLevel({
    point: 0,
    concurrency: 2,
    isl: 10,
    osl: 21,
    status: 'complete',
    records,
    gpus: 2,
    connections: { opened: 2, meanMs: null, maxMs: null },
    witness: null,
    audit: null,
    validity: { verdict: 'valid', reasons: [] },
  });

describe('chunks of requests that have ended', () => {
  it('are on disk what they were in memory, for every reader', () => {
    const shelf = new ChunkShelf(folder, 0);
    const shelved = RECORDS.map((record) => shelf.record(record));
    const bytes = RECORDS.reduce(
      (sum, { chunkUs, chunkTokens }) => sum + chunkUs.byteLength + (chunkTokens?.byteLength ?? 0),
      0,
    );
    expect(shelf.bytes).toBe(bytes);
    expect(shelved.map(recordToJson)).toEqual(RECORDS.map(recordToJson));
    expect(reportOf(shelved)).toEqual(reportOf(RECORDS));
    const merged = (records: readonly RequestRecord[]) => mergeRecords([{ records, shiftMs: 3 }], 4, 7);
    expect(merged(shelved).map(recordToJson)).toEqual(merged(RECORDS).map(recordToJson));
    shelf.close();
  });

  it('stay on disk in a changed copy', () => {
    const shelf = new ChunkShelf(folder, 0);
    const changed = changeRecord(shelf.record(RECORDS[1]!), { concurrency: 9 });
    expect(changed.concurrency).toBe(9);
    expect(Object.hasOwn(changed, 'chunkUs')).toBe(false);
    expect(changed.chunkUs).toEqual(RECORDS[1]!.chunkUs);
    const counted = changeRecord(shelf.record(RECORDS[0]!), { chunkTokens: RECORDS[0]!.chunkUs });
    expect([counted.chunkUs, counted.chunkTokens]).toEqual([RECORDS[0]!.chunkUs, RECORDS[0]!.chunkUs]);
    shelf.close();
    // What is not in memory can be told from what is.
    expect(() => changed.chunkUs).toThrow();
    expect(recordToJson(counted)).toContain(`"id":${RECORDS[0]!.id},`);
  });

  it('stay in memory up to a bound', () => {
    const { chunkUs, chunkTokens } = RECORDS[1]!;
    const shelf = new ChunkShelf(folder, chunkUs.byteLength + chunkTokens!.byteLength);
    expect(shelf.record(RECORDS[1]!)).toBe(RECORDS[1]);
    expect(shelf.bytes).toBe(0);
    expect(shelf.record(RECORDS[2]!)).not.toBe(RECORDS[2]);
    shelf.close();
  });

  it('with their text, whose bytes come back whole', () => {
    const shelf = new ChunkShelf(folder, 0);
    const text = { bytes: new TextEncoder().encode('zwölf 🙂'), ends: Uint32Array.of(3, 11) };
    const shelved = shelf.text({ ...text });
    expect([shelved.bytes, shelved.ends]).toEqual([text.bytes, text.ends]);
    expect(shelf.bytes).toBe(text.bytes.length + 8);
    shelf.close();
  });

  it('leave nothing in the folder, and stay in memory where it takes no file', () => {
    const shelf = new ChunkShelf(folder, 0);
    shelf.record(RECORDS[0]!);
    expect(readdirSync(folder)).toEqual([]);
    shelf.close();
    const nowhere = new ChunkShelf(path.join(folder, 'missing'), 0);
    expect(nowhere.record(RECORDS[0]!)).toBe(RECORDS[0]);
    nowhere.close();
  });
});
