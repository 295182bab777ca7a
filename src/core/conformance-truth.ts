import { exactStats, quantile } from './distribution.ts';
import type { Truth, TruthLine } from './truth.ts';

/** Latencies that a client is held to, by the name of what bench has that is nearest to them. */
export const TIMED_METRICS = ['ttftMs', 'itlMs', 'tokenItlMs', 'tpotMs', 'e2eMs'] as const;
export type TimedMetric = (typeof TIMED_METRICS)[number];

export const TIMED_STATISTICS = ['mean', 'p50', 'p99'] as const;
export type TimedStatistic = (typeof TIMED_STATISTICS)[number];

/** What a client may mean by a latency, a phrase each: its numbers are compared with the truth of the same meaning. */
export const MEANINGS = {
  'first-output': 'send to the first chunk with output',
  'first-chunk': 'send to the first chunk with choices, one with the role alone included',
  'chunk-gap': 'gap between two chunks with output, pooled',
  'chunk-gap-and-finish': 'gap between two chunks with choices, that of the finish reason included, pooled',
  'token-gap': 'gap between two chunks with output, shared among the tokens of the later one, pooled',
  'per-later-token': '(E2E − TTFT) ÷ (output tokens − 1), one value per request',
  'per-token': 'E2E ÷ output tokens, one value per request',
  'last-output': 'send to the last chunk with output',
} as const;
export type Meaning = keyof typeof MEANINGS;

export type Meanings = Readonly<Partial<Record<TimedMetric, Meaning>>>;

/** Statistics of the truth, in ms; null where no request gave a value. */
export type TrueStats = Readonly<Record<TimedStatistic, number | null>>;

/** Which requests of a log are a client's measured ones: those it names, or the last so many that came. */
export type Chosen = { readonly requestIds: ReadonlySet<string> } | { readonly last: number };

export function chosenLines({ lines }: Truth, chosen: Chosen): readonly TruthLine[] {
  if ('last' in chosen) return chosen.last === 0 ? [] : lines.slice(-chosen.last);
  return lines.filter(({ requestId }) => requestId !== null && chosen.requestIds.has(requestId));
}

/** Whether the server gave the whole answer; `close` is a whole one on a connection that is then closed. */
export function isWhole({ outcome }: TruthLine): boolean {
  return outcome === 'good' || outcome === 'close';
}

/** What a client that errs in nothing would tell of these requests, whole answers alone counted. */
export function trueStats(
  lines: readonly TruthLine[],
  meaning: Meaning,
  { roleChunk }: Truth['head'],
): TrueStats {
  const stats = exactStats(lines.flatMap((line) => VALUES[meaning](line, roleChunk)));
  return { mean: stats.mean, p50: stats.p50, p99: stats.p99 };
}

/** The latencies of one answer in ms; none where it showed nothing. */
const VALUES: Readonly<Record<Meaning, (line: TruthLine, roleChunk: boolean) => readonly number[]>> = {
  'first-output': firstOutput,
  'first-chunk': (line, roleChunk) => (roleChunk ? [0] : firstOutput(line)),
  'chunk-gap': gaps,
  'chunk-gap-and-finish': (line, roleChunk) => {
    const first = line.eventAtMs[0];
    if (first === undefined) return [];
    // The finish reason goes out with the last output.
    return [...(roleChunk ? [first - line.arrivedAtMs] : []), ...gaps(line), 0];
  },
  'token-gap': (line) =>
    gaps(line).flatMap((gap, i) => {
      const tokens = line.tokens[i + 1]!;
      return Array.from({ length: tokens }, () => gap / tokens);
    }),
  'per-later-token': (line) => {
    const tokens = tokensOf(line);
    return tokens < 2 ? [] : [(line.eventAtMs.at(-1)! - line.eventAtMs[0]!) / (tokens - 1)];
  },
  'per-token': (line) => lastOutput(line).map((ms) => ms / tokensOf(line)),
  'last-output': lastOutput,
};

function firstOutput({ arrivedAtMs, eventAtMs }: TruthLine): number[] {
  return eventAtMs.slice(0, 1).map((atMs) => atMs - arrivedAtMs);
}

function lastOutput({ arrivedAtMs, eventAtMs }: TruthLine): number[] {
  return eventAtMs.slice(-1).map((atMs) => atMs - arrivedAtMs);
}

function gaps({ eventAtMs }: TruthLine): number[] {
  return eventAtMs.slice(1).map((atMs, i) => atMs - eventAtMs[i]!);
}

export function tokensOf({ tokens }: TruthLine): number {
  return tokens.reduce((total, count) => total + count, 0);
}

/** How late the server was against its own schedule; without that a case says nothing of a client. */
export interface ServerCheck {
  /** Writes that were compared. */
  readonly writes: number;
  readonly lateMs: { readonly p50: number; readonly p99: number; readonly max: number } | null;
  /** Why the case says nothing; null where the server kept its schedule. */
  readonly behind: string | null;
}

/** Half of the writes may be later than this, and one in a hundred than that. */
const MOST_LATE_MS = { p50: 1, p99: 10 };

/** Compares each write with the instant that the schedule wanted it at; answers with faults are left out. */
export function checkServer({ eventsPerWrite }: Truth['head'], lines: readonly TruthLine[]): ServerCheck {
  const lateMs = lines
    .filter((line) => isWhole(line) && line.dueAtMs.length === line.eventAtMs.length)
    .flatMap((line) => latenessOf(line, eventsPerWrite));
  if (lateMs.length === 0)
    return {
      writes: 0,
      lateMs: null,
      behind: 'the server wrote no whole answer: there is nothing to compare with',
    };
  const sorted = Float64Array.from(lateMs).sort();
  const p50 = quantile(sorted, 0.5);
  const p99 = quantile(sorted, 0.99);
  const late = p50 > MOST_LATE_MS.p50 ? `half of them ${p50.toFixed(1)} ms late` : null;
  const later = p99 > MOST_LATE_MS.p99 ? `one in a hundred ${p99.toFixed(1)} ms late` : null;
  const said = [late, later].filter((text) => text !== null).join(', ');
  return {
    writes: sorted.length,
    lateMs: { p50, p99, max: sorted.at(-1)! },
    behind:
      said === ''
        ? null
        : `the server fell behind its own schedule (writes: ${said}): this says nothing of the client`,
  };
}

/** Events of one write share its instant. The first that it waited for says when it was due. */
function latenessOf({ eventAtMs, dueAtMs }: TruthLine, eventsPerWrite: number): number[] {
  const late: number[] = [];
  for (let from = 0; from < eventAtMs.length; ) {
    let to = from + 1;
    while (to < eventAtMs.length && eventAtMs[to] === eventAtMs[from]) to++;
    const complete = Math.min(from + eventsPerWrite, to) - 1;
    late.push(eventAtMs[from]! - dueAtMs[complete]!);
    from = to;
  }
  return late;
}
