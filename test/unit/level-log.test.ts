import { describe, expect, it } from 'vitest';
import { LevelLog } from '../../src/commands/level-log.ts';
import { SILENT } from '../../src/commands/progress.ts';
import type { RequestRecord } from '../../src/core/record.ts';
import type { FinishedRequest } from '../../src/core/record-builder.ts';
import { ShelvedRecord } from '../../src/core/shelved-record.ts';
import type { ChunkedText } from '../../src/datasets/chunk-file.ts';
import { ChunkShelf } from '../../src/host/chunk-shelf.ts';
import type { RunStore } from '../../src/host/store.ts';
import { makeRecord } from '../fixtures/records.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A request of two chunks, `text` the text of both, whose tokens the server counted or did not. */
function ended(id: number, text: string, counted: number | null): FinishedRequest {
  const record = makeRecord({ id, gapsMs: [10, 5], tokens: null, osl: { asked: 9, counted, by: 'usage' } });
  return { record, text: { bytes: encode(text), ends: Uint32Array.of(1, text.length) }, uncounted: true };
}

const counted = (id: number): FinishedRequest => ({
  record: makeRecord({ id, gapsMs: [10, 5] }),
  text: { bytes: encode('kept'), ends: Uint32Array.of(2, 4) },
  uncounted: false,
});

function makeLog(hooks: { ended(request: FinishedRequest): void } | null = null) {
  const written: RequestRecord[] = [];
  const store = { append: (records: readonly RequestRecord[]) => written.push(...records) };
  const log = new LevelLog(
    { store: store as unknown as RunStore, progress: SILENT, hooks, withoutSecrets: (request) => request },
    new ChunkShelf(null),
  );
  return { log, written };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the log of a level', () => {
  it('writes what has ended in its order, some records at a time, and keeps rows of them', async () => {
    const { log, written } = makeLog();
    const requests = Array.from({ length: 10 }, (_, id) => counted(id));
    for (const request of requests) log.add(request);
    expect(written).toEqual([]);
    await turn();
    expect(written.length).toBeGreaterThan(0);
    expect(written.length).toBeLessThan(10);
    // All are there, written or not.
    expect(log.records.map(({ id }) => id)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    log.flush();
    expect(written).toEqual(requests.map(({ record }) => record));
    expect(log.records.every((record) => record instanceof ShelvedRecord)).toBe(true);
    expect(log.records.map((record) => ({ ...record }))).toEqual(written);
    expect(log.ofPhase('hold')).toEqual([]);
  });

  it('catches up where more ends than a few records a turn', async () => {
    const { log, written } = makeLog();
    for (let id = 0; id < 10_000; id++) log.add(counted(id));
    for (let n = 0; n < 100; n++) await turn();
    // Four a turn would be 400.
    expect(written.length).toBeGreaterThan(8_000);
    log.flush();
    expect(written.map(({ id }) => id)).toEqual(Array.from({ length: 10_000 }, (_, id) => id));
  });

  it('has tokens counted of texts whose servers told none, whatever was told of the others', async () => {
    const { log } = makeLog();
    log.add(ended(0, 'abc', null));
    log.add(counted(1));
    log.add(ended(2, 'defgh', 7));
    log.flush();
    expect(log.hasUncounted).toBe(true);
    const asked: ChunkedText[] = [];
    await log.countTokens(async (texts) => {
      asked.push(...texts);
      return texts.map(({ text }) => Uint32Array.of(1, text.length));
    });
    expect(asked).toEqual([
      { text: encode('abc'), ends: Uint32Array.of(1, 3), completionTokens: null },
      { text: encode('defgh'), ends: Uint32Array.of(1, 5), completionTokens: 7 },
    ]);
    expect(log.records.map(({ chunkTokens }) => [...chunkTokens!])).toEqual([
      [1, 3],
      [1, 1],
      [1, 5],
    ]);
    expect(log.records.map(({ chunkTokensBy }) => chunkTokensBy)).toEqual([
      'tokenizer',
      'continuous-usage',
      'tokenizer',
    ]);
    expect(log.records.map(({ osl }) => osl)).toEqual([
      { asked: 9, counted: 4, by: 'tokenizer' },
      { asked: 2, counted: 2, by: 'usage' },
      { asked: 9, counted: 7, by: 'usage' },
    ]);
  });

  it('knows how many tokens no chunk showed where the tokenizer is the model’s, else only that there were some', async () => {
    const unseenBy = async (estimates: boolean): Promise<unknown[]> => {
      const { log } = makeLog();
      log.add(ended(0, 'abcdefgh', 8));
      log.add(ended(1, 'ab', 8));
      log.add(ended(2, 'abc', null));
      const suspected = ended(3, 'abcdefgh', 8);
      log.add({ ...suspected, record: { ...suspected.record, unseenTokens: null } });
      log.flush();
      await log.countTokens(
        async (texts) => texts.map(({ text }) => Uint32Array.of(1, text.length - 1)),
        estimates,
      );
      return log.records.map(({ unseenTokens }) => unseenTokens);
    };
    expect(await unseenBy(false)).toEqual([undefined, 6, undefined, 0]);
    expect(await unseenBy(true)).toEqual([undefined, null, undefined, null]);
  });

  it('counts many texts in parts, and none where one part fails', async () => {
    const { log } = makeLog();
    for (let id = 0; id < 9_000; id++) log.add(ended(id, 'xy', null));
    log.flush();
    const sizes: number[] = [];
    const count = async (texts: readonly ChunkedText[]): Promise<Uint32Array[]> => {
      sizes.push(texts.length);
      if (sizes.length === 2) throw new Error('no tokenizer');
      return texts.map(() => Uint32Array.of(1, 1));
    };
    await expect(log.countTokens(count)).rejects.toThrow('no tokenizer');
    expect(log.records.every(({ chunkTokens }) => chunkTokens === null)).toBe(true);
    sizes.length = 0;
    sizes.push(0, 0);
    await log.countTokens(count);
    expect(sizes.slice(2).reduce((sum, size) => sum + size, 0)).toBe(9_000);
    expect(Math.max(...sizes)).toBeLessThan(9_000);
    expect(log.records.every(({ chunkTokens }) => chunkTokens!.length === 2)).toBe(true);
  });

  it('keeps the texts of all requests for hooks, and of no counted one without', () => {
    const told: number[] = [];
    const { log } = makeLog({ ended: ({ record }) => told.push(record.id) });
    const plain = makeLog();
    for (const one of [log, plain.log]) {
      one.add(counted(0));
      one.add(ended(1, 'ab', null));
      one.flush();
    }
    expect(told).toEqual([0, 1]);
    const texts = (one: LevelLog) =>
      one
        .finished()
        .map(({ text, uncounted }) => [
          text === null ? null : new TextDecoder().decode(text.bytes),
          uncounted,
        ]);
    expect(texts(log)).toEqual([
      ['kept', false],
      ['ab', true],
    ]);
    expect(texts(plain.log)).toEqual([
      [null, false],
      ['ab', true],
    ]);
  });
});
