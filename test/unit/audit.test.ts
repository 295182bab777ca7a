import { describe, expect, it } from 'vitest';
import { judgeLevel, LIMITS } from '../../src/core/audit.ts';
import type { Audit } from '../../src/core/audit-facts.ts';
import { exactStats } from '../../src/core/distribution.ts';
import { makeAudit } from '../fixtures/report.ts';

/** Gaps of 20 ms, TTFT of 200 ms, ten seconds. */
const LEVEL = {
  ttftMs: exactStats([200, 200, 200]),
  itlMs: exactStats([10, 20, 30]),
  durationS: 10,
};
const CALM = makeAudit();
const READS = CALM.reads!;
const QUEUE = CALM.receiveQueue!;

const judge = (change: Partial<Audit>) => judgeLevel(LEVEL, { ...CALM, ...change }, null);
const late = (p99: number) => ({ count: 2_000, p50: 0.1, p99, max: 10 * p99 });

/** A little on either side of a limit that is `ratio` of the gap of 20 ms. */
const JUST_BELOW = 0.999;
const JUST_ABOVE = 1.001;

describe('judgeLevel', () => {
  it('trusts a calm level, and one of an older version that saw less of itself', () => {
    expect(judge({})).toEqual({ verdict: 'valid', reasons: [] });
    const { sendLagMs, eventLoopDelayMs, eventLoopUtilizationRatio, cpuRatio, rssMaxBytes } = CALM;
    const older = { sendLagMs, eventLoopDelayMs, eventLoopUtilizationRatio, cpuRatio, rssMaxBytes };
    expect(judgeLevel(LEVEL, older, null)).toEqual({ verdict: 'valid', reasons: [] });
    expect(judgeLevel(LEVEL, null, null)).toEqual({ verdict: 'valid', reasons: [] });
  });

  /** What is put just below and just above each limit, and the verdict and words beyond it. */
  const cases: [string, (scale: number) => Partial<Audit>, 'suspect' | 'client-bound', string][] = [
    [
      'a busy loop',
      (scale) => ({ eventLoopUtilizationRatio: LIMITS.busyRatio * scale }),
      'client-bound',
      "the harness's event loop was busy 90 % of the time",
    ],
    [
      'full reads',
      (scale) => ({ reads: { ...READS, fullRatio: LIMITS.fullReadRatio * scale } }),
      'client-bound',
      '1 % of the reads filled their buffer',
    ],
    [
      'late stamps',
      (scale) => ({ stampErrorMs: late(LIMITS.stampErrorRatio * 20 * scale) }),
      'suspect',
      'late at p99, as a second process saw them, ',
    ],
    [
      'late wake-ups',
      (scale) => ({ wakeMs: late(LIMITS.wakeRatio * 20 * scale) }),
      'suspect',
      'a second process on the same processors woke ',
    ],
    [
      'bytes that wait for the loop',
      (scale) => ({ reads: { ...READS, waitMs: { p50: 0, p99: LIMITS.waitRatio * 20 * scale, max: 9 } } }),
      'suspect',
      'while the event loop was busy',
    ],
    [
      // 1,000,000 bytes in 10 s: 100 bytes are a millisecond's worth.
      'bytes that lie unread',
      (scale) => ({ receiveQueue: { ...QUEUE, meanBytes: LIMITS.queueRatio * 20 * 100 * scale } }),
      'suspect',
      'bytes lay unread in the receive queues for 1.00 ms in the mean, 5 % of the mean gap of 20.0 ms',
    ],
    [
      'a calibration that went wrong',
      (scale) => ({
        calibration: { ...CALM.calibration!, stampErrorMs: late(LIMITS.calibrationRatio * 20 * scale) },
      }),
      'suspect',
      'this host stamped a known server under the same load 1.00 ms late at p99',
    ],
    [
      'a loop that stood still',
      (scale) => ({ eventLoopDelayMs: { ...CALM.eventLoopDelayMs, max: LIMITS.standstillMs * scale } }),
      'suspect',
      'the harness stood still for 250 ms',
    ],
    [
      'a process that stood still',
      (scale) => ({ stampErrorMs: { ...CALM.stampErrorMs!, max: LIMITS.standstillMs * scale } }),
      'suspect',
      'the harness stood still for 250 ms',
    ],
    [
      'late sends',
      (scale) => ({ sendLagMs: exactStats(new Array(200).fill(LIMITS.sendLagRatio * 200 * scale)) }),
      'suspect',
      'requests were sent 10.0 ms late at p99',
    ],
    [
      'late timers where no second process told anything',
      (scale) => ({
        stampErrorMs: null,
        eventLoopDelayMs: { p50: 0.1, p99: LIMITS.loopDelayMs * scale, max: 9 },
      }),
      'suspect',
      'the event loop was held up 2.00 ms at p99, 10 % of the mean gap of 20.0 ms',
    ],
  ];
  it.each(cases)('turns at its limit for %s', (_name, change, verdict, words) => {
    expect(judge(change(JUST_BELOW))).toEqual({ verdict: 'valid', reasons: [] });
    const judged = judge(change(JUST_ABOVE));
    expect(judged.verdict).toBe(verdict);
    expect(judged.reasons).toHaveLength(1);
    expect(judged.reasons[0]).toContain(words);
  });

  it('takes timers for what they are beside a second process, and small send lags for none', () => {
    expect(judge({ eventLoopDelayMs: { p50: 0.1, p99: 6, max: 9 } }).verdict).toBe('valid');
    const short = { ...LEVEL, ttftMs: exactStats([20]) };
    expect(judgeLevel(short, { ...CALM, sendLagMs: exactStats([4.9]) }, null).verdict).toBe('valid');
    expect(judgeLevel(short, { ...CALM, sendLagMs: exactStats([5.1]) }, null).verdict).toBe('suspect');
  });

  it('measures a level without gaps by its TTFT, and calls gaps of nothing unmeasurable', () => {
    const single = { ...LEVEL, itlMs: exactStats([]) };
    expect(judgeLevel(single, { ...CALM, stampErrorMs: late(5) }, null).verdict).toBe('valid');
    expect(judgeLevel(single, { ...CALM, stampErrorMs: late(11) }, null).verdict).toBe('suspect');
    const none = judgeLevel({ ...LEVEL, itlMs: exactStats([0, 0]) }, CALM, null);
    expect(none.verdict).toBe('suspect');
    expect(none.reasons[0]).toBe('time stamps were 0.30 ms late at p99, as a second process saw them');
  });

  it('makes nothing of one look that found an event which came that very moment', () => {
    const queue = { ...QUEUE, looks: 12, meanBytes: 500 };
    expect(judge({ receiveQueue: { ...queue, waitingRatio: 2 / 12 } }).verdict).toBe('valid');
    expect(judge({ receiveQueue: { ...queue, waitingRatio: 3 / 12 } }).verdict).toBe('suspect');
  });

  it('tells all reasons, the client-bound ones first', () => {
    const judged = judge({ eventLoopUtilizationRatio: 1, stampErrorMs: late(30) });
    expect(judged.verdict).toBe('client-bound');
    expect(judged.reasons).toHaveLength(3);
    expect(judged.reasons[0]).toBe("the harness's event loop was busy 100 % of the time");
  });

  it('believes the second witness beyond one in a thousand', () => {
    const witness = { source: 's', inputTokens: null, requests: null, reason: null };
    const counted = (server: number) => ({ ...witness, outputTokens: { server, ours: 10_000 } });
    expect(judgeLevel(LEVEL, CALM, counted(10_005)).verdict).toBe('valid');
    expect(judgeLevel(LEVEL, CALM, counted(10_020))).toEqual({
      verdict: 'suspect',
      reasons: ['the server counted 10020 output tokens, this run 10000'],
    });
  });
});
