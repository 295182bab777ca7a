import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judgeLevel } from '../../src/core/audit.ts';
import { decodedTokens, tokensByE2e, tpotMs } from '../../src/core/latencies.ts';
import type { RequestRecord } from '../../src/core/record.ts';
import { recordFromJson, recordToJson } from '../../src/core/record.ts';
import { RecordBuilder } from '../../src/core/record-builder.ts';
import type { LevelReport } from '../../src/core/report.ts';
import type { SlosMs } from '../../src/core/slo.ts';
import { summarizeLevel } from '../../src/core/summary.ts';
import { steadyWindow } from '../../src/core/window.ts';
import { metAll, samplesOf, tpotByOslMs } from '../../src/exporters/samples.ts';
import { makeRecord } from '../fixtures/records.ts';
import { makeAudit } from '../fixtures/report.ts';

/** An event of a stream, 10 ms behind the one before: its text, and the server's count with it. */
type Event = readonly [text: string, count?: number];

function built(events: readonly Event[], total: number, osl = 40): RequestRecord {
  const builder = new RecordBuilder({
    ...{ id: 0, point: 0, concurrency: 1, phase: 'measured', requestId: 'r', dueAtMs: 0 },
    ...{ isl: 10, osl, promptTokens: 10 },
  });
  for (const [i, [text, count = -1]] of events.entries()) {
    if (count >= 0) builder.completionTokens = count;
    if (text === '') builder.addSilentEvent();
    else builder.addChunk(10 * (i + 1), text, count);
  }
  builder.completionTokens = total;
  builder.finishReason = 'length';
  return builder.finish(10 * events.length, 0).record;
}

const counts = (from: number, to: number, text: string): Event[] =>
  Array.from({ length: to - from }, (_, i): Event => [text, from + i + 1]);
const plain = (length: number, text: string): Event[] => Array.from({ length }, (): Event => [text]);

function summarize(records: readonly RequestRecord[], slosMs?: SlosMs): LevelReport {
  return summarizeLevel({
    ...{ point: 0, concurrency: 1, isl: 10, osl: 40, status: 'complete', records, gpus: null },
    ...{ connections: { opened: 0, meanMs: null, maxMs: null }, witness: null, audit: null },
    validity: { verdict: 'valid', reasons: [] },
    ...(slosMs === undefined ? {} : { slosMs }),
  });
}

describe('tokens that came in no chunk of their own', () => {
  it.each<[string, Event[], number | null | undefined]>([
    ['counted by events before the first chunk', [...counts(0, 30, ''), ...counts(30, 40, ' word')], 30],
    [
      'few of them, by events',
      [...counts(0, 3, ''), [' a longer word', 4], ...counts(4, 40, ' w'), ['', 40]],
      3,
    ],
    ['that the first chunk’s text has no room for', [[' w9', 4], ...counts(4, 40, ' w')], 3],
    ['far more than other chunks have', [[' a longer word', 6], ...counts(6, 40, ' word')], 5],
    [
      'no more than its text may stand for, as of deltas that came as one,',
      [[' the first six words of it', 6], ...counts(6, 40, ' word')],
      undefined,
    ],
    ['counted behind the last chunk', counts(0, 10, ' word'), 30],
    ['before and behind', [...counts(0, 5, ''), ...counts(5, 15, ' word')], 30],
    ['of one for each event, whose number is unknown', [...plain(33, ''), ...plain(10, ' word')], null],
    ['of nearly one for each event', [...plain(25, ''), ...plain(10, ' word')], null],
  ])('%s are known', (_, events, unseen) => {
    expect(built(events, 40).unseenTokens).toBe(unseen);
  });

  it.each<[string, Event[]]>([
    ['a token each', counts(0, 40, ' w')],
    ['four tokens each', [4, 8, 12, 36, 40].map((n): Event => [' four words in it', n])],
    ['a first chunk of as many as a few others', [[' a few words', 5], ...counts(5, 40, ' w')]],
    ['a first chunk with a byte for each token', [['12345', 5], ...counts(5, 40, ' w')]],
    ['a role that counts nothing', [['', 0], ...counts(0, 40, ' w')]],
    ['a role that counts the first token', [['', 1], [' w', 1], ...counts(1, 40, ' w')]],
    [
      'a role that counts the first four',
      [
        ['', 4],
        [' w w w w', 4],
        [' w w w w', 8],
        [' w', 40],
      ],
    ],
    ['usage at the end alone', [['', 0], ...plain(40, ' w'), [''], ['']]],
    ['chunks of several tokens and the usual other events', [[''], ...plain(10, ' w w w w'), [''], ['']]],
    ['all but a few tokens in chunks of their own', [[''], ...plain(36, ' w'), [''], ['']]],
    ['all but a few tokens, and no other event', plain(36, ' w')],
    ['more chunks than tokens', [...plain(50, ' w'), ...plain(10, '')]],
    ['chunks of several tokens and some heartbeats', [...plain(10, ''), ...plain(10, ' w w w w')]],
  ])('do not exist with %s', (_, events) => {
    expect(built(events, 40)).not.toHaveProperty('unseenTokens');
  });

  it('survive the way to disk', () => {
    for (const unseenTokens of [7, null]) {
      const record = makeRecord({ unseenTokens });
      expect(recordFromJson(recordToJson(record))).toEqual(record);
    }
  });
});

/** 30 of 40 tokens are held back: the first chunk comes with 31, then nine with one each, 10 ms apart. */
const before = makeRecord({
  gapsMs: [310, ...Array<number>(9).fill(10)],
  tokens: [31, ...Array<number>(9).fill(1)],
  unseenTokens: 30,
});
/** Ten are shown, 30 come behind them. */
const behind = makeRecord({
  gapsMs: Array<number>(10).fill(10),
  endAtMs: 400,
  osl: { asked: 40, counted: 40, by: 'usage' },
  unseenTokens: 30,
});

describe('speeds', () => {
  it('are of the tokens behind the first chunk, up to the last', () => {
    for (const record of [before, behind]) {
      expect(decodedTokens(record)).toBe(9);
      expect(tpotMs(record)).toBeCloseTo(10, 9);
      const level = summarize([record]);
      expect(level.tpotMs.p50).toBeCloseTo(10, 9);
      expect(level.tokensPerSPerUser.p50).toBeCloseTo(100, 9);
      expect(level.tokenItlMs.p50).toBeCloseTo(10, 9);
      expect(level.tokensPerChunk.mean).toBe(1);
      expect(level.unseenTokens).toEqual({ count: 30, requests: 1, unknown: 0 });
      expect(level.outputTokens).toBe(40);
    }
  });

  it('of a whole request leave out what came behind its last chunk alone', () => {
    expect(tokensByE2e(before)).toBe(40);
    expect(tokensByE2e(behind)).toBe(10);
    expect(summarize([before]).requestTokensPerS.p50).toBeCloseTo(100, 9);
    expect(summarize([behind]).requestTokensPerS.p50).toBeCloseTo(100, 9);
  });

  it('are as ever where the number is unknown, and the level says so', () => {
    const level = summarize([makeRecord({ gapsMs: [100, 10, 20], unseenTokens: null }), before]);
    expect(level.tpotMs.max).toBe(15);
    expect(level.unseenTokens).toEqual({ count: 30, requests: 1, unknown: 1 });
  });

  it('have no value where a single chunk showed the rest of the tokens', () => {
    const single = makeRecord({ gapsMs: [300], tokens: [40], unseenTokens: 39 });
    expect(tpotMs(single)).toBeNull();
    expect(summarize([single]).tpotMs.count).toBe(0);
  });

  it('meet limits by what was seen', () => {
    const met = (tpot: number) => summarize([before], { tpot }).goodput!.met;
    expect([met(10), met(9.9)]).toEqual([1, 0]);
  });

  it('have bounds of the same tokens', () => {
    const stamped = {
      ...before,
      stampedBy: 'kernel' as const,
      chunkSlackUs: Uint32Array.of(900, ...Array<number>(8).fill(0), 1_800),
    };
    const { lower, upper } = summarize([stamped]).bounds!.tpotMs!.p50;
    expect(lower).toBeCloseTo((90 - 1.8) / 9, 2);
    expect(upper).toBeCloseTo((90 + 0.9) / 9, 2);
  });

  it('are in doubt for a delay that is shared by the tokens that were seen', () => {
    const audit = makeAudit({ stampedBy: 'process', eventLoopDelayMs: { p50: 2, p99: 2, max: 2 } });
    const doubtful = (record: RequestRecord) => judgeLevel(summarize([record]), audit, null).doubtful;
    // 2 ms over nine tokens are more than 0.1 ms each, over 39 they are not.
    expect(doubtful(before)).toContain('tpotMs.p50');
    expect(doubtful(makeRecord({ gapsMs: Array<number>(40).fill(10) }))).not.toContain('tpotMs.p50');
  });

  it('keep the meaning of other tools in what is made for them', () => {
    expect(tpotByOslMs(before)).toBeCloseTo(90 / 39, 9);
    expect(samplesOf([before]).tpotMs[0]).toBeCloseTo(90 / 39, 9);
    expect([2, 3].map((tpot) => metAll(samplesOf([before]), { tpot }))).toEqual([0, 1]);
    expect(tpotByOslMs(makeRecord({ gapsMs: [10] }))).toBeNull();
    expect(tpotByOslMs(makeRecord({ gapsMs: [10, 10] }))).toBe(10);
    expect(tpotByOslMs(makeRecord({ gapsMs: [], osl: { asked: 9, counted: 9, by: 'usage' } }))).toBeNull();
  });

  it('do not change at all where nothing is hidden', () => {
    const tokens = fc.array(fc.nat(9), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(tokens, { minLength: 1, maxLength: 5 }), fc.nat(1_000_000), (all, seed) => {
        const records = all.map((one, n) =>
          makeRecord({ tokens: one, gapsMs: one.map((_, i) => ((seed * (i + n + 1)) % 97) / 7) }),
        );
        const byOsl = records.flatMap(({ osl, firstAtMs, lastAtMs }) =>
          osl.counted! < 2 ? [] : [(lastAtMs! - firstAtMs!) / (osl.counted! - 1)],
        );
        expect(records.flatMap((record) => tpotMs(record) ?? [])).toEqual(byOsl);
        const level = summarize(records);
        expect(level).not.toHaveProperty('unseenTokens');
        expect(level.tpotMs.max).toBe(byOsl.length === 0 ? null : Math.max(...byOsl));
      }),
    );
  });
});

describe('tokens behind the last chunk', () => {
  it('count with that chunk where tokens are counted by arrival', () => {
    expect(summarize([behind]).timeline.outputTokens).toEqual([40]);
    expect(summarize([before]).timeline.outputTokens).toEqual([40]);
    const records = Array.from({ length: 8 }, (_, id) => ({
      ...behind,
      ...{
        id,
        sentAtMs: 400 * id,
        firstAtMs: 400 * id + 10,
        lastAtMs: 400 * id + 100,
        endAtMs: 400 * (id + 1),
      },
    }));
    const steady = steadyWindow(records, { concurrency: 1 });
    // From the first token at 10 ms to the last send at 2,800 ms.
    expect(steady.reason === null && steady.outputTokensPerS).toBeCloseTo((7 * 40 - 1) / 2.79, 6);
  });
});
