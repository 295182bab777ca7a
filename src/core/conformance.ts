import type { StampErrors } from './conformance-stamps.ts';
import {
  type Chosen,
  checkServer,
  chosenLines,
  isWhole,
  type Meanings,
  type ServerCheck,
  TIMED_METRICS,
  TIMED_STATISTICS,
  type TimedMetric,
  type TimedStatistic,
  tokensOf,
  trueStats,
} from './conformance-truth.ts';
import type { ForeignStats } from './foreign.ts';
import type { Truth, TruthLine } from './truth.ts';

/** What a client tells of the requests it measured. What it does not tell is null, or left out of its statistics. */
export interface Told {
  readonly good: number;
  readonly failed: number | null;
  /** Output tokens of good requests. */
  readonly outputTokens: number | null;
  /** In ms, by the client's own meaning. */
  readonly latencies: Readonly<Partial<Record<TimedMetric, ForeignStats>>>;
}

export const COUNTS = ['sent', 'good', 'failed', 'outputTokens'] as const;
export type CountMetric = (typeof COUNTS)[number];

/** One number of a client beside the truth. */
export interface Score {
  /** As in `ttftMs.mean`, or a count. */
  readonly metric: `${TimedMetric}.${TimedStatistic}` | CountMetric;
  readonly truth: number;
  readonly told: number;
  /** Told − truth. */
  readonly error: number;
  /** The error as a share of the truth; null for a truth of 0. */
  readonly errorRatio: number | null;
  /** The largest error, either way, that passes. */
  readonly tolerance: number;
  readonly passed: boolean;
}

/** `void`: server or machine did not keep time, so the latencies say nothing of the client; `none`: the client gave no result. */
export type CaseVerdict = 'pass' | 'fail' | 'void' | 'none';

export interface CaseScore {
  readonly verdict: CaseVerdict;
  /** One sentence each; empty for a pass. */
  readonly reasons: readonly string[];
  readonly server: ServerCheck | null;
  /** Share of all cores that other processes had meanwhile; null where that is not known. */
  readonly otherWorkRatio: number | null;
  readonly scores: readonly Score[];
  /** Where the client's own instants are known. */
  readonly stamps: StampErrors | null;
}

export const CONFORMANCE_SCHEMA = 'bench-serving.conformance/1';

/** A client on a case. */
export interface ScoredCase {
  readonly client: string;
  readonly case: string;
  readonly about: string;
  readonly score: CaseScore;
  /** What the client says of itself; null for nothing. */
  readonly remark: string | null;
}

/** All that a run of `bench conformance` found. */
export interface ConformanceResult {
  readonly schema: typeof CONFORMANCE_SCHEMA;
  /** Where it ran; null for results that were recorded elsewhere. */
  readonly host: { readonly node: string; readonly cpu: string; readonly cores: string } | null;
  readonly clients: readonly { readonly name: string; readonly meanings: Meanings }[];
  /** Clients that were asked for and are not here, and what is missing. */
  readonly missing: readonly { readonly name: string; readonly missing: string }[];
  readonly cases: readonly ScoredCase[];
}

interface Tolerance {
  readonly ms: number;
  /** Share of the truth. */
  readonly ratio: number;
}

/** The greater of both holds. */
export const TOLERANCES: Readonly<Record<TimedMetric, Readonly<Record<TimedStatistic, Tolerance>>>> = {
  ttftMs: { mean: { ms: 2, ratio: 0.02 }, p50: { ms: 2, ratio: 0.02 }, p99: { ms: 5, ratio: 0.05 } },
  itlMs: { mean: { ms: 0.5, ratio: 0.02 }, p50: { ms: 0.5, ratio: 0.02 }, p99: { ms: 5, ratio: 0.05 } },
  tokenItlMs: { mean: { ms: 0.5, ratio: 0.02 }, p50: { ms: 0.5, ratio: 0.02 }, p99: { ms: 5, ratio: 0.05 } },
  tpotMs: { mean: { ms: 0.5, ratio: 0.02 }, p50: { ms: 0.5, ratio: 0.02 }, p99: { ms: 1, ratio: 0.05 } },
  e2eMs: { mean: { ms: 2, ratio: 0.02 }, p50: { ms: 2, ratio: 0.02 }, p99: { ms: 5, ratio: 0.05 } },
};

/** Beyond this nobody knows whose fault a late instant was. */
const MOST_OTHER_WORK_RATIO = 0.1;

export interface CaseInput {
  readonly truth: Truth;
  readonly told: Told;
  readonly meanings: Meanings;
  readonly chosen: Chosen;
  /** Requests that the client was told to send. */
  readonly asked: number;
  readonly stamps: StampErrors | null;
  /** Share of all cores that other processes had meanwhile; null where that is not known. */
  readonly otherWorkRatio: number | null;
}

/** Holds what a client told against what the server did. Pure. */
export function scoreCase(input: CaseInput): CaseScore {
  const { truth, told, meanings, chosen, asked, stamps, otherWorkRatio } = input;
  const lines = chosenLines(truth, chosen);
  const whole = lines.filter(isWhole);
  const server = checkServer(truth.head, whole);
  const counts = scoreCounts(lines, whole, told, asked);
  const latencies = TIMED_METRICS.flatMap((metric) => scoreLatency(metric, truth, whole, told, meanings));
  const verdictOf = (): Pick<CaseScore, 'verdict' | 'reasons'> => {
    const wrong = counts.filter(({ passed }) => !passed).map(reasonOf);
    const off = latencies.filter(({ passed }) => !passed).map(reasonOf);
    // A count is right or wrong however busy the machine is; a latency may be right in spite of that.
    const excuse = server.behind ?? (off.length > 0 ? disturbance(otherWorkRatio) : null);
    if (excuse !== null) return { verdict: wrong.length > 0 ? 'fail' : 'void', reasons: [...wrong, excuse] };
    const reasons = [...wrong, ...off];
    return { verdict: reasons.length > 0 ? 'fail' : 'pass', reasons };
  };
  return { ...verdictOf(), server, otherWorkRatio, scores: [...counts, ...latencies], stamps };
}

/** Why latencies that are off say nothing; null where the cores were free for server and client. */
function disturbance(otherWorkRatio: number | null): string | null {
  if (otherWorkRatio === null || otherWorkRatio <= MOST_OTHER_WORK_RATIO) return null;
  return `other work took ${Math.round(100 * otherWorkRatio)} % of the cores meanwhile: this says nothing of the client`;
}

/** The score of a client that gave nothing to score; `reason` says why. */
export function unscored(reason: string): CaseScore {
  return {
    verdict: 'none',
    reasons: [reason],
    server: null,
    otherWorkRatio: null,
    scores: [],
    stamps: null,
  };
}

function scoreCounts(
  lines: readonly TruthLine[],
  whole: readonly TruthLine[],
  told: Told,
  asked: number,
): Score[] {
  const exact = (metric: CountMetric, truth: number, value: number | null): Score[] =>
    value === null ? [] : [compare(metric, truth, value, 0)];
  return [
    // What reached the server is the truth; what was asked of the client is what it pretends to have sent.
    ...exact('sent', lines.length, asked),
    ...exact('good', whole.length, told.good),
    ...exact('failed', lines.length - whole.length, told.failed),
    ...exact(
      'outputTokens',
      whole.reduce((total, line) => total + tokensOf(line), 0),
      told.outputTokens,
    ),
  ];
}

function scoreLatency(
  metric: TimedMetric,
  { head }: Truth,
  whole: readonly TruthLine[],
  told: Told,
  meanings: Meanings,
): Score[] {
  const stats = told.latencies[metric];
  const meaning = meanings[metric];
  if (stats === undefined || meaning === undefined) return [];
  const truth = trueStats(whole, meaning, head);
  return TIMED_STATISTICS.flatMap((statistic) => {
    const value = stats[statistic];
    const is = truth[statistic];
    if (value === undefined || is === null) return [];
    const { ms, ratio } = TOLERANCES[metric][statistic];
    return [compare(`${metric}.${statistic}`, is, value, Math.max(ms, ratio * is))];
  });
}

function compare(metric: Score['metric'], truth: number, told: number, tolerance: number): Score {
  const error = told - truth;
  return {
    metric,
    truth,
    told,
    error,
    errorRatio: truth === 0 ? null : error / truth,
    tolerance,
    passed: Math.abs(error) <= tolerance,
  };
}

function reasonOf({ metric, truth, told, error, tolerance }: Score): string {
  if (metric === 'sent') return `asked for ${told} requests, the server got ${truth}`;
  const isCount = (COUNTS as readonly string[]).includes(metric);
  if (isCount) return `${metric}: told ${told}, it was ${truth}`;
  return `${metric}: told ${figure(told)} ms, it was ${figure(truth)} (${error > 0 ? '+' : ''}${figure(error)}, within ${figure(tolerance)} passes)`;
}

function figure(ms: number): string {
  return ms.toFixed(Math.abs(ms) < 100 ? 2 : 1);
}
