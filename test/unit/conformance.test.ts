import { describe, expect, it } from 'vitest';
import { type CaseInput, type Score, scoreCase, type Told } from '../../src/core/conformance.ts';
import { compareStamps } from '../../src/core/conformance-stamps.ts';
import { checkServer, chosenLines, type Meanings, trueStats } from '../../src/core/conformance-truth.ts';
import { BenchError } from '../../src/core/errors.ts';
import { readTruth, type Truth } from '../../src/core/truth.ts';
import { makeRecord } from '../fixtures/records.ts';
import { pacedLine, pacedTruth, truthText } from '../fixtures/truth.ts';

const PACE = { requests: 10, chunks: 21, ttftMs: 100, stepMs: 20 };
const MEANINGS: Meanings = {
  ttftMs: 'first-output',
  itlMs: 'chunk-gap',
  tpotMs: 'per-later-token',
  e2eMs: 'last-output',
};
/** What a client without error tells of PACE. */
const HONEST: Told = {
  good: 10,
  failed: 0,
  outputTokens: 210,
  latencies: {
    ttftMs: { mean: 100, p50: 100, p99: 100 },
    itlMs: { mean: 20, p50: 20, p99: 20 },
    tpotMs: { mean: 20, p50: 20, p99: 20 },
    e2eMs: { mean: 500, p50: 500, p99: 500 },
  },
};

function score(told: Told, input: Partial<CaseInput> = {}) {
  const truth = pacedTruth(PACE);
  return scoreCase({
    truth,
    told,
    meanings: MEANINGS,
    chosen: { last: 10 },
    asked: 10,
    stamps: null,
    otherWorkRatio: null,
    ...input,
  });
}

/** The honest numbers with some statistics of a latency changed. */
function lying(
  metric: 'ttftMs' | 'itlMs' | 'tpotMs' | 'e2eMs',
  stats: Readonly<Record<string, number>>,
): Told {
  return {
    ...HONEST,
    latencies: { ...HONEST.latencies, [metric]: { ...HONEST.latencies[metric], ...stats } },
  };
}

const failed = (scores: readonly Score[]): string[] =>
  scores.filter(({ passed }) => !passed).map(({ metric }) => metric);

describe('a client that tells what happened', () => {
  it('passes, with every number that it tells scored', () => {
    const { verdict, reasons, scores, server } = score(HONEST);
    expect({ verdict, reasons }).toEqual({ verdict: 'pass', reasons: [] });
    expect(scores).toHaveLength(4 + 4 * 3);
    expect(scores.every(({ error }) => Math.abs(error) < 1e-9)).toBe(true);
    expect(server).toEqual({ writes: 210, lateMs: { p50: 0, p99: 0, max: 0 }, behind: null });
  });

  it('may leave out what it does not know', () => {
    const { verdict, scores } = score({ good: 10, failed: null, outputTokens: null, latencies: {} });
    expect(verdict).toBe('pass');
    expect(scores.map(({ metric }) => metric)).toEqual(['sent', 'good']);
  });
});

describe('a client that errs', () => {
  it.each([
    ['16 ms too much', 116, ['ttftMs.mean']],
    ['2.01 ms too much', 102.01, ['ttftMs.mean']],
    ['2.01 ms too little', 97.99, ['ttftMs.mean']],
    ['no more than what passes', 101.99, []],
  ])('by a mean TTFT of %s', (_, mean, expected) => {
    const { verdict, scores } = score(lying('ttftMs', { mean }));
    expect(failed(scores)).toEqual(expected);
    expect(verdict).toBe(expected.length === 0 ? 'pass' : 'fail');
  });

  it('is told the number, the truth and what would have passed', () => {
    const { reasons, scores } = score(lying('ttftMs', { mean: 116 }));
    expect(reasons).toEqual(['ttftMs.mean: told 116.0 ms, it was 100.0 (+16.00, within 2.00 passes)']);
    expect(scores.find(({ metric }) => metric === 'ttftMs.mean')).toEqual({
      metric: 'ttftMs.mean',
      truth: 100,
      told: 116,
      error: 16,
      errorRatio: 0.16,
      tolerance: 2,
      passed: false,
    });
  });

  it('may be off by a share of what is long, and by no more', () => {
    const truth = pacedTruth({ ...PACE, ttftMs: 1_000 });
    const told = (mean: number): Told => ({
      good: 10,
      failed: 0,
      outputTokens: 210,
      latencies: { ttftMs: { mean } },
    });
    expect(score(told(1_019), { truth }).verdict).toBe('pass');
    expect(score(told(1_021), { truth }).verdict).toBe('fail');
  });

  it.each([
    ['good', { good: 9 }],
    ['failed', { failed: 1 }],
    ['outputTokens', { outputTokens: 211 }],
  ])('by one in %s', (metric, change) => {
    expect(failed(score({ ...HONEST, ...change }).scores)).toEqual([metric]);
  });

  it('by counting chunks as tokens', () => {
    const truth = pacedTruth({ ...PACE, tokensPerChunk: 4 });
    const perToken = { mean: 400 / 83, p50: 400 / 83, p99: 400 / 83 };
    const honest = { ...lying('tpotMs', perToken), outputTokens: 840 };
    expect(score(honest, { truth }).verdict).toBe('pass');
    // With 21 chunks for 21 tokens, a token seems to take 20 ms.
    const { scores } = score(HONEST, { truth });
    expect(failed(scores)).toEqual(['outputTokens', 'tpotMs.mean', 'tpotMs.p50', 'tpotMs.p99']);
  });

  it('by sending less than it was asked to', () => {
    const { reasons } = score({ ...HONEST, good: 10 }, { asked: 12, chosen: { last: 12 } });
    expect(reasons).toEqual(['asked for 12 requests, the server got 10']);
  });

  it('by taking an answer that was cut for a good one', () => {
    const good = pacedTruth(PACE);
    const cut = { ...pacedLine(PACE, 9), outcome: 'truncate', eventAtMs: [173, 193], tokens: [1, 1] };
    const truth: Truth = { ...good, lines: [...good.lines.slice(0, 9), cut] };
    expect(score({ ...HONEST, good: 9, failed: 1, outputTokens: 189 }, { truth }).verdict).toBe('pass');
    expect(failed(score({ ...HONEST, outputTokens: 191 }, { truth }).scores)).toEqual([
      'good',
      'failed',
      'outputTokens',
    ]);
  });
});

describe('the truth of a client’s own meaning', () => {
  const truth = pacedTruth({ requests: 2, chunks: 5, ttftMs: 100, stepMs: 30, tokensPerChunk: 3 });
  it.each([
    ['first-output', 100],
    ['chunk-gap', 30],
    ['token-gap', 10],
    ['per-later-token', 120 / 14],
    ['per-token', 220 / 15],
    ['last-output', 220],
    // Four gaps of 30 ms and one of none, to the finish reason.
    ['chunk-gap-and-finish', 24],
    ['first-chunk', 100],
  ] as const)('%s', (meaning, mean) => {
    expect(trueStats(truth.lines, meaning, truth.head).mean).toBeCloseTo(mean, 9);
  });

  it('takes the chunk with the role for the first one where that is meant', () => {
    const head = { ...truth.head, roleChunk: true };
    expect(trueStats(truth.lines, 'first-chunk', head).mean).toBe(0);
    expect(trueStats(truth.lines, 'first-output', head).mean).toBe(100);
    expect(trueStats(truth.lines, 'chunk-gap-and-finish', head).mean).toBeCloseTo((100 + 4 * 30 + 0) / 6, 9);
  });

  it('has no value where there was no answer', () => {
    expect(trueStats([], 'first-output', truth.head)).toEqual({ mean: null, p50: null, p99: null });
  });

  it('is of the requests that the client measured, by their ids or as the last that came', () => {
    const ids = (lines: Truth['lines']): (string | null)[] => lines.map(({ requestId }) => requestId);
    const ten = pacedTruth(PACE);
    expect(ids(chosenLines(ten, { last: 3 }))).toEqual(['r7', 'r8', 'r9']);
    expect(chosenLines(ten, { last: 0 })).toEqual([]);
    expect(ids(chosenLines(ten, { requestIds: new Set(['r2', 'r5', 'other']) }))).toEqual(['r2', 'r5']);
  });
});

describe('a server that fell behind its schedule', () => {
  it('says nothing of the client, whatever that tells', () => {
    const truth = pacedTruth({ ...PACE, lateMs: 40 });
    for (const told of [HONEST, lying('ttftMs', { mean: 900 })]) {
      const { verdict, reasons } = score(told, { truth });
      expect(verdict).toBe('void');
      expect(reasons).toEqual([expect.stringContaining('fell behind its own schedule')]);
    }
  });

  it('excuses no count', () => {
    const behind = pacedTruth({ ...PACE, lateMs: 40 });
    const wrong = { ...lying('ttftMs', { mean: 900 }), outputTokens: 209 };
    const { verdict, reasons } = score(wrong, { truth: behind });
    expect(verdict).toBe('fail');
    expect(reasons).toEqual(['outputTokens: told 209, it was 210', expect.stringContaining('fell behind')]);
  });

  it('need not be at fault: on a machine with other work a latency that is off says nothing', () => {
    const off = lying('ttftMs', { mean: 900 });
    const busy = { otherWorkRatio: 0.4 };
    expect(score(off, busy)).toMatchObject({
      verdict: 'void',
      reasons: [expect.stringContaining('other work took 40 % of the cores')],
    });
    expect(score(HONEST, busy).verdict).toBe('pass');
    expect(score({ ...HONEST, good: 9 }, busy).verdict).toBe('fail');
    expect(score(off, { otherWorkRatio: 0.09 }).verdict).toBe('fail');
  });

  it('is told by few writes that were very late, too', () => {
    const lines = pacedTruth({ ...PACE, requests: 100 }).lines;
    const held = lines.map((line, i) => (i < 2 ? pacedLine({ ...PACE, lateMs: 60 }, i) : line));
    const { head } = pacedTruth(PACE);
    expect(checkServer(head, lines).behind).toBeNull();
    expect(checkServer(head, held).behind).toContain('one in a hundred');
  });

  it('is not one that waits for four events before it writes', () => {
    const line = pacedLine({ ...PACE, chunks: 6 }, 0);
    // Due at 100, 120 … 200: written as the fourth is due, and with the end.
    const batched = { ...line, eventAtMs: [160, 160, 160, 160, 200, 200] };
    const head = { ...pacedTruth(PACE).head, eventsPerWrite: 4 };
    expect(checkServer(head, [batched]).lateMs?.max).toBe(0);
    expect(checkServer({ ...head, eventsPerWrite: 1 }, [batched]).lateMs?.max).toBe(60);
  });

  it('is one that wrote nothing to compare with', () => {
    expect(checkServer(pacedTruth(PACE).head, []).behind).toContain('no whole answer');
  });
});

describe('the instants of a client', () => {
  it('are held against the writes that they belong to, on the clock of both', () => {
    const truth = pacedTruth({ requests: 2, chunks: 3, ttftMs: 100, stepMs: 20 });
    // The run began 5 ms before the log: its 5.0 is the log's 0.
    const record = (index: number, lateUs: number) =>
      makeRecord({
        requestId: `r${index}`,
        sentAtMs: 5 + 7 * index - 0.5,
        gapsMs: [100.5 + lateUs / 1_000, 20, 20],
      });
    const errors = compareStamps(truth, {
      monotonicNs: '995000000',
      records: [record(0, 200), record(1, 400)],
    })!;
    expect(errors.chunks).toBe(6);
    expect(errors.unmatched).toBe(0);
    expect(errors.errorMs.p50).toBeCloseTo(0.3, 6);
    expect(errors.errorMs.max).toBeCloseTo(0.4, 6);
    expect(errors.arrivalMs.max).toBeCloseTo(0.5, 6);
  });

  it('are not compared where the log has another number of chunks, or no such request', () => {
    const truth = pacedTruth({ requests: 2, chunks: 3, ttftMs: 100, stepMs: 20 });
    const two = makeRecord({ requestId: 'r0', gapsMs: [100, 20] });
    const strange = makeRecord({ requestId: 'r7', gapsMs: [1, 2, 3] });
    const right = makeRecord({ requestId: 'r1', gapsMs: [1, 2, 3] });
    const run = { monotonicNs: '0', records: [two, strange, right] };
    expect(compareStamps(truth, run)).toMatchObject({ chunks: 3, unmatched: 2 });
    expect(compareStamps(truth, { ...run, records: [two] })).toBeNull();
  });
});

describe('a truth log', () => {
  it('is read back in the order of arrival, without a torn last line', () => {
    const truth = pacedTruth(PACE);
    const text = truthText({ ...truth, lines: truth.lines.toReversed() });
    expect(readTruth(`${text}{"requestId":"to`, 'log')).toEqual(truth);
  });

  it.each(['', '{"schema":"other"}\n', 'words\n'])('is no other file: %j', (text) => {
    expect(() => readTruth(text, 'some/file')).toThrow(BenchError);
    expect(() => readTruth(text, 'some/file')).toThrow('some/file');
  });
});
