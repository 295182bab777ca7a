import type { RequestRecord } from './record.ts';
import type { LevelReport } from './report.ts';

/** Metrics by whose count they are made of; those of a distribution or a proof mean all that stand below. */
const OF_INPUT = ['inputTokens', 'inputTokensPerS', 'totalTokensPerS', 'totalTokensPerSPerGpu', 'islProof'];
const OF_OUTPUT = [
  ...[
    'outputTokens',
    'outputTokensPerS',
    'totalTokensPerS',
    'outputTokensPerSPerGpu',
    'totalTokensPerSPerGpu',
  ],
  ...['tpotMs', 'tokensPerSPerUser', 'requestTokensPerS', 'oslProof', 'steady.outputTokensPerS'],
];
const OF_CHUNKS = ['tokenItlMs', 'tokensPerChunk', 'steady.tokenItlMs', 'steady.outputTokensPerS'];

/**
 * Ids of the metrics of good requests that are estimates since a tokenizer that is not the model's counted for them. `limitsTpot`:
 * goodput has a limit of TPOT.
 */
export function estimatedMetrics(good: readonly RequestRecord[], limitsTpot: boolean): string[] {
  const some = (test: (record: RequestRecord) => boolean, ids: readonly string[]): readonly string[] =>
    good.some(test) ? ids : [];
  return [
    ...new Set([
      ...some(({ isl }) => isl.by === 'tokenizer', OF_INPUT),
      ...some(({ osl }) => osl.by === 'tokenizer', limitsTpot ? [...OF_OUTPUT, 'goodput'] : OF_OUTPUT),
      ...some(({ chunkTokensBy }) => chunkTokensBy === 'tokenizer', OF_CHUNKS),
    ]),
  ];
}

/** Whether a level's metric, by its id in `report.json` (`tpotMs.p50`), is an estimate. */
export function isEstimated({ estimated = [] }: Pick<LevelReport, 'estimated'>, id: string): boolean {
  return estimated.some((metric) => id === metric || id.startsWith(`${metric}.`));
}
