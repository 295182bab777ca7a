import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { mergeRecords } from '../../src/core/rank-merge.ts';
import { type RequestRecord, recordToJson } from '../../src/core/record.ts';
import { RecordTable } from '../../src/core/record-table.ts';
import { summarizeLevel } from '../../src/core/summary.ts';
import { ChunkShelf } from '../../src/host/chunk-shelf.ts';
import { TextShelf } from '../../src/host/text-shelf.ts';
import { makeRecord } from '../fixtures/records.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'chunk-shelf-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const RECORDS: RequestRecord[] = Array.from({ length: 40 }, (_, i) =>
  makeRecord({
    id: i,
    sentAtMs: 100 * i,
    gapsMs: [50 + i, ...Array.from({ length: 20 + i }, (_, k) => 10 + 0.037 * k + i)],
    responseId: null,
    requestId: `r-${i}`,
    ...(i % 3 === 0
      ? { tokens: null }
      : i % 3 === 1
        ? { tokens: Array.from({ length: 21 + i }, (_, k) => k % 4) }
        : {}),
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

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

describe('records of requests that have ended', () => {
  it('are with their chunks on disk what they were in memory, for every reader', () => {
    const shelf = new ChunkShelf(folder, 0);
    const table = new RecordTable(shelf);
    const shelved = RECORDS.map((record) => table.add(record));
    expect(shelf.bytes).toBe(
      // A token for each chunk takes no room.
      RECORDS.reduce((sum, { chunkUs }, i) => sum + chunkUs.byteLength * (i % 3 === 1 ? 2 : 1), 0),
    );
    expect(shelved.map(recordToJson)).toEqual(RECORDS.map(recordToJson));
    expect(reportOf(shelved)).toEqual(reportOf(RECORDS));
    const merged = (records: readonly RequestRecord[]) => mergeRecords([{ records, shiftMs: 3 }], 4, 7);
    const onDisk = shelf.bytes;
    expect(merged(shelved).map(recordToJson)).toEqual(merged(RECORDS).map(recordToJson));
    // What does not change stays where it is.
    expect(shelf.bytes).toBe(onDisk);
    shelf.close();
    expect(() => shelved[0]!.chunkUs).toThrow();
    expect(shelved[39]!.sentAtMs).toBe(3_900);
  });
});

describe('bytes on a shelf', () => {
  it('stay in memory up to a bound, and lie on disk behind it', () => {
    const shelf = new ChunkShelf(folder, 12);
    const first = shelf.put([bytes(1, 2, 3), bytes(4, 5)]);
    expect(shelf.bytes).toBe(0);
    const second = shelf.put([Uint32Array.of(6, 7)]);
    // 8 bytes of 12 are taken by the first.
    expect(shelf.bytes).toBe(8);
    const third = shelf.put([bytes(8)]);
    expect([first % 4, second % 4, third % 4]).toEqual([0, 0, 0]);
    expect([...shelf.read(first, 5)]).toEqual([1, 2, 3, 4, 5]);
    expect([...shelf.read(second, 8)]).toEqual([6, 0, 0, 0, 7, 0, 0, 0]);
    expect([...shelf.read(third, 1)]).toEqual([8]);
    shelf.close();
    expect([...shelf.read(first, 5)]).toEqual([1, 2, 3, 4, 5]);
    expect(() => shelf.read(second, 8)).toThrow();
  });

  it('may be many, and longer than a page of memory', () => {
    for (const directory of [null, folder]) {
      const shelf = new ChunkShelf(directory, 0);
      const pieces = Array.from({ length: 60 }, (_, i) =>
        new Uint8Array(i === 30 ? 700_001 : 20_000 + i).fill(i),
      );
      const places = pieces.map((piece) => shelf.put([piece]));
      const same = places.map((place, i) =>
        Buffer.from(pieces[i]!).equals(shelf.read(place, pieces[i]!.length)),
      );
      expect(same.indexOf(false)).toBe(-1);
      shelf.close();
    }
  });

  it('are what they were whoever reads which of them in which order, and while more come', () => {
    const shelf = new ChunkShelf(folder, 0);
    const pieces: Uint8Array[] = [];
    const places: number[] = [];
    const more = (count: number): void => {
      for (let i = 0; i < count; i++) {
        pieces.push(
          Uint8Array.from({ length: 1 + ((37 * pieces.length) % 300) }, (_, k) => pieces.length + k),
        );
        places.push(shelf.put([pieces.at(-1)!]));
      }
    };
    const wrong = (order: readonly number[]): number[] =>
      order.filter((i) => !Buffer.from(pieces[i]!).equals(shelf.read(places[i]!, pieces[i]!.length)));
    more(900);
    const all = pieces.map((_, i) => i);
    expect(wrong(all)).toEqual([]);
    expect(wrong([...all].reverse())).toEqual([]);
    expect(wrong(all.map((i) => (i * 401) % 900))).toEqual([]);
    // The end of what is read on, and what was put behind it meanwhile.
    expect(wrong([898, 899])).toEqual([]);
    const held = shelf.read(places[899]!, pieces[899]!.length);
    more(900);
    expect(wrong([899, 900, 901, 1_799])).toEqual([]);
    expect(Buffer.from(pieces[899]!).equals(held)).toBe(true);
    shelf.close();
  });

  it('leave nothing in the folder, and stay in memory where it takes no file', () => {
    const shelf = new ChunkShelf(folder, 0);
    shelf.put([bytes(1)]);
    expect(readdirSync(folder)).toEqual([]);
    shelf.close();
    const nowhere = new ChunkShelf(path.join(folder, 'missing'), 0);
    expect([...nowhere.read(nowhere.put([bytes(9)]), 1)]).toEqual([9]);
    expect(nowhere.bytes).toBe(0);
    nowhere.close();
  });

  it('may be texts, which come back whole', () => {
    for (const keptBytes of [0, 1_000]) {
      const shelf = new ChunkShelf(folder, keptBytes);
      const texts = new TextShelf(shelf);
      const text = { bytes: new TextEncoder().encode('zwölf 🙂'), ends: Uint32Array.of(3, 11) };
      texts.put(4, { bytes: bytes(), ends: new Uint32Array() });
      texts.put(9, text);
      expect(texts.count).toBe(2);
      const took = [1, 0].map((nth) => texts.take(nth)).map((one) => ({ ...one.text, request: one.request }));
      expect(took).toEqual([
        { ...text, request: 9 },
        { bytes: bytes(), ends: new Uint32Array(), request: 4 },
      ]);
      shelf.close();
    }
  });
});
