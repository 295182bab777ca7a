import { BOUNDED_STATS, type DistributionBounds, type LevelBounds, type ValueBound } from './audit-facts.ts';
import { exactStats, Pooled } from './distribution.ts';
import { decodedTokens, e2eOf, ttftOf } from './latencies.ts';
import type { RequestRecord } from './record.ts';
import type { LevelReport } from './report.ts';
import type { Stats } from './stats.ts';

/** Instants and slacks are kept in whole µs, so a difference of two instants is right to this. */
const RESOLUTION_MS = 0.002;
/** Histograms keep three significant digits: a percentile may lie off by this share. */
const HISTOGRAM_RATIO = 1 / 1024;
const NO_SLACK = new Uint32Array(0);

/** The metrics whose bounds are made. */
type Bounded = Pick<
  LevelReport,
  'ttftMs' | 'itlMs' | 'tokenItlMs' | 'tpotMs' | 'e2eMs' | 'requestsPerS' | 'outputTokensPerS' | 'durationS'
>;

/** The same latency with all its events as early, and as late, as they may have arrived. */
class TwoEnds {
  readonly lower: Pooled = new Pooled(1_000);
  readonly upper: Pooled = new Pooled(1_000);

  add(valueUs: number, lessUs: number, moreUs: number, weight = 1, share = 1): void {
    this.lower.add(Math.max(0, valueUs - lessUs) / share, weight);
    this.upper.add((valueUs + moreUs) / share, weight);
  }
}

/**
 * Between which values each metric of a level must lie, by the arrival intervals of its events: a latency with its later event
 * as early as possible and its earlier one as late as possible, and the other way round. A percentile of all lower ends is not
 * above the true percentile, since each value is not above its true one; the same holds for upper ends. A mean gap is bounded by the
 * first and the last event of each request alone, between which all gaps add up. `good` are the good measured records with
 * output; null when one of them has no arrival intervals, or there is none.
 */
export function boundsOf(good: readonly RequestRecord[], level: Bounded): LevelBounds | null {
  if (good.length === 0 || good.some(({ stampedBy }) => stampedBy !== 'kernel')) return null;
  const ttft = ends();
  const e2e = ends();
  const tpot = ends();
  const gaps = new TwoEnds();
  const tokenGaps = new TwoEnds();
  /** What all gaps together may be too long, and too short. */
  const spare: Spare = { lessUs: 0, moreUs: 0 };
  const tokenSpare: Spare = { lessUs: 0, moreUs: 0 };
  let latest = good[0]!;
  let latestSlackUs = 0;
  for (const record of good) {
    const { chunkUs } = record;
    const slack = record.chunkSlackUs ?? NO_SLACK;
    const firstUs = slack[0] ?? 0;
    const lastUs = slack[chunkUs.length - 1] ?? 0;
    push(ttft, ttftOf(record), firstUs, 0);
    push(e2e, e2eOf(record), lastUs, 0);
    const tokens = decodedTokens(record) ?? 0;
    if (tokens > 0)
      push(tpot, (record.lastAtMs! - record.firstAtMs!) / tokens, lastUs / tokens, firstUs / tokens);
    if (chunkUs.length > 1) {
      spare.lessUs += lastUs;
      spare.moreUs += firstUs;
    }
    for (let i = 1; i < chunkUs.length; i++) gaps.add(chunkUs[i]!, slack[i] ?? 0, slack[i - 1] ?? 0);
    addTokenEnds(record, slack, tokenGaps, tokenSpare);
    if (record.endAtMs >= latest.endAtMs) {
      latest = record;
      // The response ended no earlier than with its last chunk.
      latestSlackUs = lastUs + (record.endAtMs - record.lastAtMs!) * 1_000;
    }
  }
  const shorter = level.durationS === null ? 1 : shorterBy(level.durationS, latestSlackUs);
  return {
    ttftMs: exactBounds(ttft),
    itlMs: pooledBounds(gaps, level.itlMs, spare),
    tokenItlMs: pooledBounds(tokenGaps, level.tokenItlMs, tokenSpare),
    tpotMs: exactBounds(tpot),
    e2eMs: exactBounds(e2e),
    requestsPerS: rateBound(level.requestsPerS, shorter),
    outputTokensPerS: rateBound(level.outputTokensPerS, shorter),
  };
}

interface Spare {
  lessUs: number;
  moreUs: number;
}

interface Ends {
  readonly lower: number[];
  readonly upper: number[];
}

function ends(): Ends {
  return { lower: [], upper: [] };
}

function push({ lower, upper }: Ends, valueMs: number, lessUs: number, moreUs: number): void {
  lower.push(Math.max(0, valueMs - lessUs / 1_000 - RESOLUTION_MS));
  upper.push(valueMs + moreUs / 1_000 + RESOLUTION_MS);
}

/** As `addTokenGaps`: chunks without tokens give their gap to the next that has some. */
function addTokenEnds(record: RequestRecord, slack: Uint32Array, pool: TwoEnds, spare: Spare): void {
  const { chunkUs, chunkTokens } = record;
  if (chunkTokens === null) return;
  let carriedUs = 0;
  let from = 0;
  for (let i = 1; i < chunkUs.length; i++) {
    carriedUs += chunkUs[i]!;
    const tokens = chunkTokens[i]!;
    if (tokens < 1) continue;
    pool.add(carriedUs, slack[i] ?? 0, slack[from] ?? 0, tokens, tokens);
    carriedUs = 0;
    from = i;
  }
  if (from === 0) return;
  spare.lessUs += slack[from] ?? 0;
  spare.moreUs += slack[0] ?? 0;
}

function exactBounds({ lower, upper }: Ends): DistributionBounds | null {
  return lower.length === 0 ? null : bounds(exactStats(lower), exactStats(upper));
}

function pooledBounds(
  { lower, upper }: TwoEnds,
  { mean, count }: Stats,
  spare: Spare,
): DistributionBounds | null {
  const [low, high] = [lower.stats(), upper.stats()];
  if (low.count === 0) return null;
  const all = bounds(low, high, true);
  if (mean === null) return all;
  const each = (us: number): number => us / 1_000 / count + RESOLUTION_MS;
  return {
    ...all,
    mean: { lower: Math.max(0, mean - each(spare.lessUs)), upper: mean + each(spare.moreUs) },
  };
}

function bounds(low: Stats, high: Stats, fromHistogram = false): DistributionBounds {
  const widerMs = (valueMs: number): number =>
    fromHistogram ? Math.max(RESOLUTION_MS, HISTOGRAM_RATIO * valueMs) : 0;
  return Object.fromEntries(
    BOUNDED_STATS.map((stat) => {
      const [lower, upper] = [low[stat]!, high[stat]!];
      return [stat, { lower: Math.max(0, lower - widerMs(lower)), upper: upper + widerMs(upper) }];
    }),
  ) as unknown as DistributionBounds;
}

/** How much shorter, as a ratio, the level was if its last event arrived as early as it may have. */
function shorterBy(durationS: number, slackUs: number): number {
  const leftS = durationS - slackUs / 1e6;
  return leftS > 0 ? durationS / leftS : Number.POSITIVE_INFINITY;
}

function rateBound(value: number | null, shorter: number): ValueBound | null {
  return value === null || !Number.isFinite(shorter) ? null : { lower: value, upper: value * shorter };
}
