import { HEADLINE_METRICS } from '../core/audit-facts.ts';
import { sum } from '../core/distribution.ts';
import { EXIT, type ExitCode, worstExit } from '../core/errors.ts';
import { notProven } from '../core/repeat.ts';
import type { LevelReport, Report } from '../core/report.ts';
import { doubtfulHeadlines } from '../core/validity.ts';

/** The exit code that a finished run earned, by the table of core/errors; `causes` are those of its end. */
export function exitCodeOf(report: Report, causes: readonly (ExitCode | null)[]): ExitCode {
  const codes = causes.filter((code) => code !== null);
  const sent = sum(report.levels.map((level) => level.requests.sent));
  const failed = sum(report.levels.map((level) => level.requests.failed));
  if (sent > 0 && failed === sent) codes.push(EXIT.target);
  if (isAllSkipped(report.levels)) codes.push(EXIT.launch);
  if (report.levels.some((level) => level.failureRatio > report.spec.maxFailureRatio))
    codes.push(EXIT.verdict);
  if (
    report.spec.requireExact &&
    report.levels.some(({ islProof, oslProof }) => notProven(islProof) + notProven(oslProof) > 0)
  ) {
    codes.push(EXIT.verdict);
  }
  const { requireValid } = report.spec;
  const required = typeof requireValid !== 'boolean' ? requireValid : requireValid ? HEADLINE_METRICS : [];
  if (
    report.levels.some(({ validity }) => doubtfulHeadlines(validity).some((name) => required.includes(name)))
  )
    codes.push(EXIT.invalid);
  return worstExit(codes);
}

/** Whether a run came to its end without one level, since none fitted into the time that was left. */
export function isAllSkipped(levels: readonly LevelReport[]): boolean {
  return levels.length > 0 && levels.every(({ status }) => status === 'skipped');
}
