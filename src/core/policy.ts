import { MARGIN_RATIO } from './compare.ts';
import { usageError } from './errors.ts';
import { areOpen, keyText, type LevelKey, type Repeat, type RepeatLevel, sameLevel } from './repeat.ts';
import { isDoubtful } from './validity.ts';

/** What one metric must keep to. */
export interface Rule {
  readonly metric: string;
  /** null: over all levels for a change, at each of them for a limit. Levels that agree with what is given, else. */
  readonly level: Partial<LevelKey> | null;
  /** The margin of a change for the worse, a share of the baseline's value; null where the rule is a limit. */
  readonly worseRatio: number | null;
  /** What the value must not pass, in the metric's own unit: a highest for times, a lowest for rates. null for a change. */
  readonly limit: number | null;
}

/** What a candidate must keep to. */
export interface Policy {
  readonly rules: readonly Rule[];
  /** The share of failed requests that a level may have. */
  readonly maxFailureRatio: number;
  /** Whether each metric that a rule names must be valid at the levels of that rule. */
  readonly requireValid: boolean;
  readonly requireExact: boolean;
}

/** What holds where no policy is given: nothing on this list becomes worse by more than the margin. */
export const DEFAULT_POLICY: Policy = {
  rules: ['ttftMs.p50', 'tpotMs.p50', 'e2eMs.p50', 'outputTokensPerS'].map((metric) => ({
    metric,
    level: null,
    worseRatio: MARGIN_RATIO,
    limit: null,
  })),
  maxFailureRatio: 0,
  requireValid: true,
  requireExact: false,
};

/** The same for runs of open loops, where the schedule says how much is done and users wait from its instants. */
export function defaultPolicy(runs: readonly Repeat[]): Policy {
  if (!areOpen(runs)) return DEFAULT_POLICY;
  const rules = DEFAULT_POLICY.rules.map((rule) =>
    rule.metric === 'outputTokensPerS' ? { ...rule, metric: 'open.ttftFromDueMs.p50' } : rule,
  );
  return { ...DEFAULT_POLICY, rules };
}

/** Whether a level is what a rule names by a part of its key. */
export function agrees(key: LevelKey, part: Partial<LevelKey>): boolean {
  // In an open loop the concurrency is a limit and no load.
  if (part.concurrency !== undefined && key.ratePerS !== undefined) return false;
  return sameLevel(key, { ...key, ...part });
}

/** The metrics of a level that a policy names and that are not valid, in a sentence; null where all are. */
export function doubtAt(level: RepeatLevel, { rules }: Policy): string | null {
  const named = rules.flatMap((rule) =>
    rule.level === null || agrees(level, rule.level) ? [rule.metric] : [],
  );
  const doubtful = [...new Set(named)].filter((metric) => isDoubtful(level, metric));
  return doubtful.length === 0 ? null : `${keyText(level)} is ${level.verdict} in ${doubtful.join(', ')}`;
}

/** A rule names a level that is not there (exit 2). */
export function noSuchLevel(level: Partial<LevelKey>): Error {
  const named = Object.entries(level).map(([name, value]) => `${name} ${value}`);
  return usageError(
    `the policy names a level that is not measured: ${named.join(', ')}`,
    'name one of the runs, or measure it',
  );
}
