import { JUDGED_IDS, metricValue } from './metric-ids.ts';
import type { LevelReport, Report } from './report.ts';
import { type Facts, factsOf } from './run-facts.ts';

/** Shape and concurrency, by which levels of different runs belong together. */
export interface LevelKey {
  readonly isl: number;
  readonly osl: number;
  readonly concurrency: number;
}

/** One level of one run, as far as a comparison needs it. */
export interface RepeatLevel extends LevelKey {
  readonly status: LevelReport['status'];
  readonly sent: number;
  readonly good: number;
  readonly failed: number;
  readonly verdict: LevelReport['validity']['verdict'];
  /** Good requests of which a length was not what was asked, or was counted by nobody; one may count twice. */
  readonly inexact: number;
  /** By metric, in its own unit: all of JUDGED_IDS that the level has. */
  readonly values: Readonly<Record<string, number>>;
}

/** One run of all its levels: what statistics stand on. */
export interface Repeat {
  /** Runs of one name were made in one go, and say nothing of how one day differs from the next. */
  readonly set: string;
  readonly utc: string;
  readonly status: Report['status'];
  /** What must be alike for numbers to mean the same. */
  readonly text: string;
  readonly islCounts: string;
  readonly definitions: Readonly<Record<string, string>>;
  readonly facts: Facts;
  readonly levels: readonly RepeatLevel[];
}

/** The run of a report as a repeat. */
export function repeatOf(report: Report): Repeat {
  return {
    set: report.spec.repeat?.set ?? report.origin.utc,
    utc: report.origin.utc,
    status: report.status,
    text: report.prompts.text,
    islCounts: report.prompts.islCounts,
    definitions: report.definitions,
    facts: factsOf(report),
    levels: report.levels.map(levelOf),
  };
}

function levelOf(level: LevelReport): RepeatLevel {
  const { isl, osl, concurrency, status, requests, validity, islProof, oslProof } = level;
  return {
    isl,
    osl,
    concurrency,
    status,
    sent: requests.sent,
    good: requests.good,
    failed: requests.failed,
    verdict: validity.verdict,
    inexact: islProof.deviations + islProof.unknown + oslProof.deviations + oslProof.unknown,
    values: Object.fromEntries(
      JUDGED_IDS.flatMap((id) => {
        const value = metricValue(level, id);
        return typeof value === 'number' ? [[id, value]] : [];
      }),
    ),
  };
}

/** `4000x1000 C=16` */
export function keyText({ isl, osl, concurrency }: LevelKey): string {
  return `${isl}x${osl} C=${concurrency}`;
}

export function sameLevel(a: LevelKey, b: LevelKey): boolean {
  return a.isl === b.isl && a.osl === b.osl && a.concurrency === b.concurrency;
}

/** Runs that were made in one go stand together; in order of their first appearance. */
export function bySet<T extends { readonly set: string }>(runs: readonly T[]): T[][] {
  const sets = new Map<string, T[]>();
  for (const run of runs) {
    const known = sets.get(run.set);
    if (known === undefined) sets.set(run.set, [run]);
    else known.push(run);
  }
  return [...sets.values()];
}
