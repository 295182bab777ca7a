import { describe, expect, it } from 'vitest';
import type { ReadAudit } from '../../src/core/audit-facts.ts';
import { burstsOf, isBent, isBuffered } from '../../src/core/bursts.ts';
import type { RequestRecord } from '../../src/core/record.ts';
import { summarizeLevel } from '../../src/core/summary.ts';
import { makeRecord } from '../fixtures/records.ts';
import { makeAudit } from '../fixtures/report.ts';

const KERNEL = { stampedBy: 'kernel' } as const;

/** Groups of these sizes, `everyMs` apart; within a group `withinMs` between two chunks. */
function inGroups(
  sizes: readonly number[],
  everyMs: number,
  change: Partial<RequestRecord> & { withinMs?: number; firstMs?: number } = {},
): RequestRecord {
  const { withinMs = 0, firstMs = everyMs, ...rest } = change;
  const gapsMs = sizes.flatMap((size, i) =>
    Array.from({ length: size }, (_, k) => (k > 0 ? withinMs : i === 0 ? firstMs : everyMs)),
  );
  return makeRecord({ ...KERNEL, gapsMs, ...rest });
}

const reads = (p50: number | null): ReadAudit => ({
  ...makeAudit().reads!,
  waitMs: p50 === null ? null : { p50, p99: p50, max: p50 },
});

describe('groups of events', () => {
  it.each([
    ['of a proxy that holds 40', [40, 40, 40], 40],
    ['of one that holds 8', [8, 8, 8, 8, 8], 8],
    ['with a smaller rest', [8, 4], 8],
    ['with a first token of its own', [1, 10, 10, 10], 10],
    ['of speculative decoding', [1, 3, 1, 4, 2, 3], 3],
    ['of four in a write', [4, 4, 4, 4], 4],
  ])('%s have the size that the median chunk came in', (_, sizes, events) => {
    const every = 50;
    expect(burstsOf([inGroups(sizes, every)], undefined)).toEqual({ events, everyMs: every });
  });

  it('are none where most chunks come alone', () => {
    expect(burstsOf([inGroups([1, 1, 1, 1], 10)], undefined)).toBeNull();
    // A stall of the server, with all that waited at once.
    expect(burstsOf([inGroups([...Array<number>(30).fill(1), 20], 10)], undefined)).toBeNull();
    // Half of the chunks and no more.
    expect(burstsOf([inGroups([8], 500), inGroups(Array<number>(8).fill(1), 10)], undefined)).toBeNull();
    expect(burstsOf([inGroups([9], 500), inGroups(Array<number>(8).fill(1), 10)], undefined)).not.toBeNull();
    expect(burstsOf([], undefined)).toBeNull();
    expect(burstsOf([inGroups([1], 500)], undefined)).toBeNull();
  });

  it('are chunks at most a tenth of the mean gap apart, or 0.1 ms', () => {
    // Three groups of four, in the mean a chunk each (9·w + 2·60) ÷ 11 ms.
    const of = (withinMs: number) => burstsOf([inGroups([4, 4, 4], 60, { withinMs })], undefined)?.events;
    expect(of(1)).toBe(4);
    expect(of(1.188)).toBe(4);
    expect(of(1.189)).toBeUndefined();
    const fast = (withinMs: number) => burstsOf([inGroups([12], 200, { withinMs })], undefined)?.events;
    expect(fast(0.1)).toBe(12);
    expect(fast(0.102)).toBeUndefined();
  });

  it('need a pause between them that no fast server makes', () => {
    expect(burstsOf([inGroups([8, 8, 8], 10)], undefined)).toEqual({ events: 8, everyMs: 10 });
    expect(burstsOf([inGroups([8, 8, 8], 9.9)], undefined)).toBeNull();
  });

  it('are whole outputs where nothing came before and all at once', () => {
    expect(burstsOf([inGroups([120], 600), inGroups([120], 600)], undefined)).toEqual({
      events: 120,
      everyMs: null,
    });
    expect(burstsOf([inGroups([120], 100)], undefined)).not.toBeNull();
    expect(burstsOf([inGroups([120], 99)], undefined)).toBeNull();
  });

  it('are not made of chunks that may have come earlier than their stamp says', () => {
    const groups = inGroups([8, 8, 8], 40);
    const slack = (us: number) => Uint32Array.from(groups.chunkUs, (_, i) => (i % 8 === 7 ? 0 : us));
    // A tenth of the mean gap is 348 µs.
    expect(burstsOf([{ ...groups, chunkSlackUs: slack(300) }], undefined)).not.toBeNull();
    expect(burstsOf([{ ...groups, chunkSlackUs: slack(400) }], undefined)).toBeNull();
    // Of a group of merged segments the last chunk alone is exact.
    expect(burstsOf([{ ...groups, chunkSlackUs: slack(40_000) }], undefined)).toBeNull();
  });

  it('are not reported of a reader that stamps itself and was late, or may have been', () => {
    const own = inGroups([8, 8, 8], 40, { stampedBy: 'process' });
    expect(burstsOf([own], reads(4))).not.toBeNull();
    expect(burstsOf([own], reads(4.1))).toBeNull();
    expect(burstsOf([own], reads(null))).toBeNull();
    expect(burstsOf([own], undefined)).toBeNull();
    const { stampedBy: _, ...older } = own;
    expect(burstsOf([older], reads(30))).toBeNull();
    // One of several that stamps itself.
    expect(burstsOf([inGroups([8, 8, 8], 40), own], reads(30))).toBeNull();
    expect(burstsOf([inGroups([8, 8, 8], 40)], reads(30))).not.toBeNull();
  });

  it('bend what is made of gaps from six on', () => {
    expect([2, 5, 6, 40].map((events) => isBuffered({ events, everyMs: 20 }))).toEqual([
      ...[false, false, true, true],
    ]);
    expect(isBuffered(undefined)).toBe(false);
    const bursts = { events: 6, everyMs: 20 };
    const bent = ['itlMs.p50', 'tokenItlMs.p99', 'tpotMs.p50', 'tokensPerSPerUser.p50'];
    for (const id of bent) {
      expect(isBent({ bursts }, id), id).toBe(true);
      expect(isBent({ bursts: { ...bursts, events: 5 } }, id), id).toBe(false);
      expect(isBent({}, id), id).toBe(false);
    }
    for (const id of ['ttftMs.p50', 'e2eMs.p50', 'outputTokensPerS'])
      expect(isBent({ bursts }, id)).toBe(false);
  });

  it('stand in the report of the level, and nothing where there are none', () => {
    const summarize = (record: RequestRecord, waitMs: number) =>
      summarizeLevel({
        ...{ point: 0, concurrency: 1, isl: 10, osl: 24, status: 'complete', records: [record], gpus: null },
        ...{ connections: { opened: 0, meanMs: null, maxMs: null }, witness: null },
        audit: makeAudit({ reads: reads(waitMs) }),
        validity: { verdict: 'valid', reasons: [] },
      });
    const own = inGroups([8, 8, 8], 40, { stampedBy: 'process' });
    expect(summarize(own, 0.1).bursts).toEqual({ events: 8, everyMs: 40 });
    expect(summarize(own, 30)).not.toHaveProperty('bursts');
    expect(summarize(inGroups([1, 1], 10), 0)).not.toHaveProperty('bursts');
  });
});
