import type { ReadAudit } from './audit-facts.ts';
import { sum } from './distribution.ts';
import type { RequestRecord } from './record.ts';

/** Chunks with output that came in groups. */
export interface Bursts {
  /** Size of the group that the median chunk came in. */
  readonly events: number;
  /** From one group to the next, in the mean; null where whole outputs came at once. */
  readonly everyMs: number | null;
}

/** Chunks of a group are at most so far apart: a share of the mean gap of their request, and as much as a network may add. */
const TOGETHER_RATIO = 0.1;
const TOGETHER_US = 100;
/** Fewer at a time may be the model's own steps: speculative decoding makes that many tokens at once. */
const LEAST_BUFFERED = 6;
/** Groups that follow faster are the pace of a fast server. */
const LEAST_PAUSE_MS = 10;
/** Whole outputs that come sooner than this after the request may just have been made as fast. */
const LEAST_WAIT_MS = 100;
/** Bytes that waited longer for the reader, as a share of the pause, may have been grouped by that. */
const MOST_LATE_RATIO = 0.1;

/** The metrics that say nothing of the model where events came in groups. */
const BENT = ['itlMs', 'tokenItlMs', 'tpotMs', 'tokensPerSPerUser', 'steady.tokenItlMs'];

/**
 * The groups that most chunks of good requests with output came in; null where they came one by one, or where the reader was late enough
 * to have made the groups itself. A chunk that the kernel's stamps cannot place counts as one that came alone.
 */
export function burstsOf(shown: readonly RequestRecord[], reads: ReadAudit | undefined): Bursts | null {
  /** Chunks by the size of their group. */
  const chunksOfSize = new Map<number, number>();
  let [groups, pausesMs, waitsMs] = [0, 0, 0];
  for (const record of shown) {
    const sizes = groupSizes(record);
    for (const size of sizes) chunksOfSize.set(size, (chunksOfSize.get(size) ?? 0) + size);
    groups += sizes.length;
    pausesMs += record.lastAtMs! - record.firstAtMs!;
    waitsMs += record.firstAtMs! - record.sentAtMs;
  }
  const events = medianSize(chunksOfSize);
  if (events < 2) return null;
  const pauses = groups - shown.length;
  const everyMs = pauses === 0 ? null : pausesMs / pauses;
  const pauseMs = everyMs ?? waitsMs / shown.length;
  if (pauseMs < (everyMs === null ? LEAST_WAIT_MS : LEAST_PAUSE_MS)) return null;
  const isOwnClock = shown.some(({ stampedBy }) => stampedBy !== 'kernel');
  const lateMs = reads?.waitMs?.p50 ?? Number.POSITIVE_INFINITY;
  return isOwnClock && lateMs > MOST_LATE_RATIO * pauseMs ? null : { events, everyMs };
}

/** The sizes of the groups that a request's chunks came in. */
function groupSizes({ chunkUs, chunkSlackUs }: RequestRecord): number[] {
  const gaps = chunkUs.subarray(1);
  const meanUs = gaps.reduce((total, us) => total + us, 0) / Math.max(1, gaps.length);
  const mostUs = Math.max(TOGETHER_US, TOGETHER_RATIO * meanUs);
  const sizes = [1];
  // The chunk before may have come earlier by its slack.
  for (const [i, us] of gaps.entries()) {
    if (us + (chunkSlackUs?.[i] ?? 0) <= mostUs) sizes[sizes.length - 1]! += 1;
    else sizes.push(1);
  }
  return sizes;
}

/** The size of which, or of a smaller one, half of all chunks are; 0 for none. */
function medianSize(chunksOfSize: ReadonlyMap<number, number>): number {
  const half = sum([...chunksOfSize.values()]) / 2;
  let below = 0;
  for (const [size, chunks] of [...chunksOfSize].sort(([a], [b]) => a - b)) {
    below += chunks;
    if (below >= half) return size;
  }
  return 0;
}

/** Whether the groups are larger than any model's steps, so that something holds events back. */
export function isBuffered(bursts: Bursts | undefined): boolean {
  return bursts !== undefined && bursts.events >= LEAST_BUFFERED;
}

/** Whether a level's metric, by its id in `report.json` (`tpotMs.p50`), is bent by groups of events. */
export function isBent({ bursts }: { readonly bursts?: Bursts }, id: string): boolean {
  return isBuffered(bursts) && BENT.some((metric) => id.startsWith(`${metric}.`));
}
