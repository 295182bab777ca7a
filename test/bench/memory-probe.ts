import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { LevelLog } from '../../src/commands/level-log.ts';
import { SILENT } from '../../src/commands/progress.ts';
import { type FinishedRequest, RecordBuilder } from '../../src/core/record-builder.ts';
import { newRequestIds } from '../../src/core/request-ids.ts';
import { ChunkShelf } from '../../src/host/chunk-shelf.ts';
import type { RunStore } from '../../src/host/store.ts';

/** Requests whose memory is measured. */
export interface Kind {
  readonly name: string;
  readonly chunks: number;
  /** By the server's usage; otherwise the text waits for the tokenizer. */
  readonly isCounted: boolean;
  readonly isFailed: boolean;
  /** An open loop of conversations, whose records have more fields. */
  readonly hasTurns: boolean;
}

const USUAL: Kind = { name: '', chunks: 10, isCounted: true, isFailed: false, hasTurns: false };

export const KINDS: readonly Kind[] = [
  { ...USUAL, name: '10 chunks' },
  { ...USUAL, name: '300 chunks', chunks: 300 },
  { ...USUAL, name: '10 chunks, open loop, conversations', hasTurns: true },
  { ...USUAL, name: '10 chunks, tokens counted later', isCounted: false },
  { ...USUAL, name: 'failed after 3 chunks, each with words of its own', chunks: 3, isFailed: true },
];

const FEW = 10_000;
const MANY = 60_000;
/** Ends between two turns of the loop. */
const AT_ONCE = 8;

/** Bytes of heap and of buffers that a request takes once it has ended: in a table, and as an object. */
export async function bytesPerRequest(
  kind: Kind,
  collect: () => void,
): Promise<{ table: number; objects: number }> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'bench-memory-'));
  const shelf = new ChunkShelf(folder);
  try {
    const store = { append: () => undefined } as unknown as RunStore;
    const host = { store, progress: SILENT, hooks: null, withoutSecrets: (one: FinishedRequest) => one };
    const log = new LevelLog(host, shelf);
    const table = await grownBy(
      kind,
      (request) => log.add(request),
      () => {
        log.flush();
        collect();
      },
    );
    const kept: FinishedRequest[] = [];
    const objects = await grownBy(kind, (request) => kept.push(request), collect);
    // Both are alive up to here.
    if (log.records.length !== MANY || kept.length !== MANY) throw new Error('requests are missing');
    return { table, objects };
  } finally {
    shelf.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Between the memory of few and of many requests, per request. */
async function grownBy(
  kind: Kind,
  keep: (request: FinishedRequest) => unknown,
  settle: () => void,
): Promise<number> {
  const ids = newRequestIds('bench-6f1c2a9e');
  const until = async (count: number, from: number): Promise<number> => {
    for (let i = from; i < count; i++) {
      keep(oneRequest(kind, ids.next()));
      if (i % AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    settle();
    // Memory of buffers is told of a moment after they were collected.
    await new Promise((resolve) => setTimeout(resolve, 100));
    settle();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const few = await until(FEW, 0);
  return ((await until(MANY, FEW)) - few) / (MANY - FEW);
}

function oneRequest(kind: Kind, { id, requestId }: { id: number; requestId: string }): FinishedRequest {
  const sentAtMs = 1_000 + id * 0.731;
  const builder = new RecordBuilder(
    {
      id,
      point: 0,
      concurrency: 1_024,
      phase: 'measured',
      requestId,
      dueAtMs: sentAtMs - 0.021,
      ...(kind.hasTurns ? { conversation: id >> 2, turn: 1 + (id & 3), heldMs: 0.01 } : {}),
      isl: 1_000,
      osl: kind.chunks,
      promptTokens: null,
    },
    false,
    'kernel',
  );
  builder.sentAtMs = sentAtMs;
  builder.status = 200;
  builder.responseId = `chatcmpl-${(id * 2_654_435_761).toString(16).padStart(32, '0')}`;
  for (let i = 0; i < kind.chunks; i++) builder.addChunk(sentAtMs + 100.3 + 12.817 * i, ' word', -1);
  builder.lastEventAtMs = sentAtMs + 100.4 + 12.817 * kind.chunks;
  if (kind.isCounted) {
    builder.promptTokens = 1_000;
    builder.completionTokens = kind.chunks;
  }
  if (kind.isFailed) builder.fail('reset', `read ECONNRESET on connection ${id}`);
  else builder.finishReason = 'length';
  return builder.finish(sentAtMs + 100.5 + 12.817 * kind.chunks, 0);
}
