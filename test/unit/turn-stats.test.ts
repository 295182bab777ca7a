import { describe, expect, it } from 'vitest';
import { turnsOf } from '../../src/core/turn-stats.ts';
import { makeRecord } from '../fixtures/records.ts';

describe('turnsOf', () => {
  it('tells TTFT, length and share from the cache of each turn', () => {
    const request = (
      turn: number,
      ttftMs: number,
      promptTokens: number | null,
      cachedTokens: number | null,
    ) => ({
      ...makeRecord({ sentAtMs: 10, gapsMs: [ttftMs, 5], tokens: [1, 1] }),
      ...{ conversation: 0, turn, promptTokens, cachedTokens },
    });
    const failed = { ...request(2, 1, 1, 1), outcome: 'http' as const };
    const turns = turnsOf([
      request(2, 20, 200, 180),
      request(1, 50, 100, 0),
      request(2, 40, 300, 270),
      failed,
    ]);
    expect(turns).toMatchObject([
      { turn: 1, sent: 1, good: 1, meanPromptTokens: 100, cachedRatio: 0, ttftMs: { count: 1, p50: 50 } },
      { turn: 2, sent: 3, good: 2, meanPromptTokens: 250, cachedRatio: 0.9, ttftMs: { count: 2, p50: 30 } },
    ]);
    expect(turnsOf([request(1, 5, 100, null)])[0]).toMatchObject({
      meanPromptTokens: 100,
      cachedRatio: null,
    });
    expect(turnsOf([request(1, 5, null, null)])[0]).toMatchObject({
      meanPromptTokens: null,
      cachedRatio: null,
    });
  });
});
