import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { FAILURE_CLASSES, type RequestRecord, recordToJson } from '../../src/core/record.ts';
import { RecordBuilder } from '../../src/core/record-builder.ts';
import { RecordTable } from '../../src/core/record-table.ts';
import { changeRecord, ShelvedRecord } from '../../src/core/shelved-record.ts';
import { ChunkShelf } from '../../src/host/chunk-shelf.ts';
import { makeRecord } from '../fixtures/records.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'record-table-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const count = fc.oneof(fc.nat(20_000), fc.constantFrom(0, 2 ** 31 - 1, 2 ** 31, 1e12, 2.5, -7, -(2 ** 31)));
const atMs = fc.double({ min: -1e9, max: 1e12, noNaN: true });
const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 60 }), fc.constantFrom('', '\ud800', '\ufeffx'));
const counted = fc.record(
  {
    asked: count,
    counted: fc.option(count),
    by: fc.constantFrom('usage' as const, 'tokenizer' as const, 'none' as const),
  },
  { noNullPrototype: true },
);

/** Chunks of a request: its arrays are of one length. */
const chunks = fc.nat(12).chain((length) => {
  const numbers = fc.uint32Array({ minLength: length, maxLength: length });
  return fc.record(
    {
      chunkUs: numbers,
      chunkSlackUs: fc.option(numbers),
      chunkTokens: fc.oneof(fc.constant(null), numbers, fc.constant(new Uint32Array(length).fill(1))),
    },
    { requiredKeys: ['chunkUs', 'chunkTokens'] },
  );
});

const fields = fc.record(
  {
    id: count,
    point: count,
    concurrency: count,
    phase: fc.constantFrom('warmup' as const, 'measured' as const, 'hold' as const),
    requestId: fc.oneof(
      fc.tuple(fc.constantFrom('a', 'b-0', '-', 'run-1-r7'), fc.nat()).map(([start, n]) => `${start}-${n}`),
      fc.constantFrom('a-007', 'a-', '12', 'a-1e3', 'a-9999999999'),
      text,
    ),
    conversation: fc.nat(),
    turn: fc.nat(),
    responseId: fc.option(text),
    outcome: fc.constantFrom('good' as const, ...FAILURE_CLASSES),
    detail: fc.option(text),
    status: fc.option(count),
    finishReason: fc.option(fc.oneof(fc.constantFrom('stop', 'length', ''), text)),
    dueAtMs: atMs,
    heldMs: atMs,
    sentAtMs: atMs,
    firstAtMs: fc.option(atMs),
    lastAtMs: fc.option(atMs),
    lastEventAtMs: fc.option(atMs),
    endAtMs: atMs,
    connectMs: fc.option(atMs),
    resent: fc.constant(true as const),
    stampedBy: fc.constantFrom('kernel' as const, 'process' as const),
    chunkTokensBy: fc.constantFrom(
      null,
      'continuous-usage' as const,
      'one-per-chunk' as const,
      'tokenizer' as const,
    ),
    unseenTokens: fc.option(count),
    isl: fc.oneof(counted, fc.constant({ asked: null, counted: 3, by: 'usage' as const })),
    osl: counted,
    promptTokens: fc.option(count),
    cachedTokens: fc.option(count),
  },
  {
    requiredKeys: [
      'id',
      'point',
      'concurrency',
      'phase',
      'requestId',
      'responseId',
      'outcome',
      'detail',
      'status',
      'finishReason',
      'dueAtMs',
      'sentAtMs',
      'firstAtMs',
      'lastAtMs',
      'lastEventAtMs',
      'endAtMs',
      'connectMs',
      'chunkTokensBy',
      'isl',
      'osl',
      'promptTokens',
      'cachedTokens',
    ],
  },
);

const anyRecord = fc.tuple(fields, chunks).map(([some, arrays]): RequestRecord => ({ ...some, ...arrays }));
/** Some fields of a record, its arrays all or none. */
const anyChanges = anyRecord.chain((record) => {
  const { chunkUs, chunkTokens, chunkSlackUs, ...rest } = record;
  const arrays = { chunkUs, chunkTokens, ...(chunkSlackUs === undefined ? {} : { chunkSlackUs }) };
  return fc.tuple(fc.subarray(Object.keys(rest)), fc.boolean()).map(
    ([names, withArrays]): Partial<RequestRecord> => ({
      ...Object.fromEntries(names.map((name) => [name, rest[name as keyof typeof rest]])),
      ...(withArrays ? arrays : {}),
    }),
  );
});

/** Tables whose long parts lie in memory, on disk, and some here and some there. */
const STORES = [
  ['memory', () => new ChunkShelf(null)],
  ['a file', () => new ChunkShelf(folder, 0)],
  ['both', () => new ChunkShelf(folder, 200)],
] as const;

describe.each(STORES)('a table of records whose long parts lie in %s', (_name, makeShelf) => {
  const withTable = (use: (table: RecordTable) => void): void => {
    const shelf = makeShelf();
    try {
      use(new RecordTable(shelf));
    } finally {
      shelf.close();
    }
  };

  it('gives back any record as it was, in any order', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 12 }), fc.infiniteStream(fc.nat()), (records, order) =>
        withTable((table) => {
          const shelved = records.map((record) => table.add(record));
          const ranks = records.map(() => order.next().value);
          const places = records.map((_, i) => i).sort((a, b) => ranks[a]! - ranks[b]!);
          for (const i of places) expect({ ...shelved[i]! }).toStrictEqual(records[i]);
        }),
      ),
    );
  });

  it('changes any fields of a copy, and leaves the record alone', () => {
    fc.assert(
      fc.property(anyRecord, anyChanges, (record, changes) =>
        withTable((table) => {
          const shelved = table.add(record);
          const changed = changeRecord(shelved, changes);
          expect({ ...changed }).toStrictEqual({ ...record, ...changes });
          expect({ ...shelved }).toStrictEqual(record);
        }),
      ),
    );
  });

  it('changes any fields of a record in its row', () => {
    fc.assert(
      fc.property(anyRecord, anyRecord, anyChanges, (first, second, changes) =>
        withTable((table) => {
          const [shelved, other] = [table.add(first), table.add(second)];
          expect({ ...table.replace(shelved, changes) }).toStrictEqual({ ...first, ...changes });
          expect({ ...other }).toStrictEqual(second);
        }),
      ),
    );
  });
});

describe('a table of records', () => {
  const table = new RecordTable(new ChunkShelf(null));

  it('holds what a request made as a row, and tells it in the same order', () => {
    const builder = new RecordBuilder(
      {
        id: 3,
        point: 1,
        concurrency: 8,
        phase: 'measured',
        requestId: 'run-3',
        conversation: 1,
        turn: 2,
        dueAtMs: 10,
        heldMs: 0.5,
        isl: 9,
        osl: 2,
        promptTokens: null,
      },
      false,
      'kernel',
    );
    builder.addChunk(20, 'a', 1, 0.25);
    builder.addChunk(30, 'b', 2, 0);
    const { record } = builder.finish(31, 0);
    const shelved = table.add(record);
    expect(shelved).toBeInstanceOf(ShelvedRecord);
    expect(Object.keys(shelved)).toEqual(Object.keys(record));
    expect(recordToJson(shelved)).toBe(recordToJson(record));
  });

  it('leaves a record alone that it cannot hold', () => {
    const record = makeRecord({ promptTokens: 1e12 });
    expect(table.add(record)).toBe(record);
    expect({ ...table.add(makeRecord({ id: 8 })) }).toStrictEqual(makeRecord({ id: 8 }));
  });

  it('goes on over many pages and many different words', () => {
    const records = Array.from({ length: 10_000 }, (_, id) =>
      makeRecord({ id, requestId: `r-${id}`, finishReason: `end ${id}`, responseId: `chatcmpl-${id}` }),
    );
    const shelved = records.map((record) => table.add(record));
    expect(shelved.filter((record) => !(record instanceof ShelvedRecord))).toEqual([]);
    for (const [i, record] of shelved.entries()) {
      const { id, requestId, finishReason, responseId } = record;
      expect([id, requestId, finishReason, responseId]).toEqual([i, `r-${i}`, `end ${i}`, `chatcmpl-${i}`]);
    }
  });
});
