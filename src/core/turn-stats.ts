import { exactStats, sum } from './distribution.ts';
import { ttftOf } from './latencies.ts';
import type { RequestRecord } from './record.ts';
import type { Stats } from './stats.ts';

/** One turn of all conversations of a level. */
export interface TurnReport {
  /** From 1. */
  readonly turn: number;
  readonly sent: number;
  readonly good: number;
  readonly ttftMs: Stats;
  /** Prompt tokens by the server's count, the conversation so far included; null when it did not count. */
  readonly meanPromptTokens: number | null;
  /** Share of them that the server took from its cache; null when it did not say. */
  readonly cachedRatio: number | null;
}

/** The good requests of conversations by their turn; `measured` are measured records that have one. */
export function turnsOf(measured: readonly RequestRecord[]): TurnReport[] {
  const turns = [...new Set(measured.map(({ turn }) => turn!))].sort((a, b) => a - b);
  return turns.map((turn) => {
    const sent = measured.filter((record) => record.turn === turn);
    const good = sent.filter(({ outcome }) => outcome === 'good');
    const told = good.filter(
      ({ promptTokens, cachedTokens }) => promptTokens !== null && cachedTokens !== null,
    );
    const counted = good.filter(({ promptTokens }) => promptTokens !== null);
    return {
      turn,
      sent: sent.length,
      good: good.length,
      ttftMs: exactStats(good.filter(({ firstAtMs }) => firstAtMs !== null).map(ttftOf)),
      meanPromptTokens:
        counted.length === 0 ? null : sum(counted.map(({ promptTokens }) => promptTokens!)) / counted.length,
      cachedRatio:
        told.length === 0
          ? null
          : sum(told.map(({ cachedTokens }) => cachedTokens!)) /
            sum(told.map(({ promptTokens }) => promptTokens!)),
    };
  });
}
