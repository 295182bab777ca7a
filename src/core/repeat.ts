import { sameByVersions } from './definitions.ts';
import { usageError } from './errors.ts';
import { type Load, loadOf, loadText, sameLoad } from './load.ts';
import { JUDGED_IDS, metricValue } from './metric-ids.ts';
import type { LengthProof, LevelReport, Report } from './report.ts';
import { type Facts, factsOf, promptText } from './run-facts.ts';

/** Shape and load, by which levels of different runs belong together. */
export interface LevelKey extends Load {
  readonly isl: number;
  readonly osl: number;
}

/** The fields of a key alone, for an object that shall have no others. */
export function keyOf(level: LevelKey): LevelKey {
  return { isl: level.isl, osl: level.osl, ...loadOf(level) };
}

/** One level of one run, as far as a comparison needs it. */
export interface RepeatLevel extends LevelKey {
  readonly status: LevelReport['status'];
  readonly sent: number;
  readonly good: number;
  readonly failed: number;
  readonly verdict: LevelReport['validity']['verdict'];
  /** Ids of the metrics that are not valid; left out as in `Validity`. */
  readonly doubtful?: readonly string[];
  /** Good requests of which a length was not what was asked, or is not proven; one may count twice. */
  readonly inexact: number;
  /** By metric, in its own unit: all of JUDGED_IDS that the level has. */
  readonly values: Readonly<Record<string, number>>;
}

/** One run of all its levels: what statistics stand on. */
export interface Repeat {
  /** Runs of one name were made by one command, and say nothing of how one day differs from the next. */
  readonly set: string;
  /** Its beginning. */
  readonly utc: string;
  readonly status: Report['status'];
  /** What must be alike for numbers to mean the same. */
  readonly text: string;
  readonly islCounts: string;
  readonly definitions: Readonly<Record<string, string>>;
  /** By term; left out by older versions, where all are 1. */
  readonly definitionVersions?: Readonly<Record<string, number>>;
  /** Earlier versions of terms by which this run's numbers are the same; left out where there are none, or they are unknown. */
  readonly sameByVersions?: Readonly<Record<string, readonly number[]>>;
  readonly facts: Facts;
  readonly levels: readonly RepeatLevel[];
}

/** The run of a report as a repeat. */
export function repeatOf(report: Report): Repeat {
  return {
    set: report.spec.repeat?.set ?? report.origin.utc,
    utc: report.origin.utc,
    status: report.status,
    text: promptText(report),
    islCounts: report.prompts.islCounts,
    definitions: report.definitions,
    ...(report.definitionVersions === undefined ? {} : { definitionVersions: report.definitionVersions }),
    sameByVersions: sameByVersions(report),
    facts: factsOf(report),
    levels: [...report.levels.map(levelOf), ...missingLevels(report)],
  };
}

/** Levels that a run was to measure and that are not in its report, since it was cut. */
function missingLevels({ status, spec, levels }: Report): RepeatLevel[] {
  if (status === 'complete') return [];
  return spec.points
    .slice(spec.skip)
    .filter((point) => !levels.some((level) => sameLevel(level, point)))
    .map((point) => ({
      ...keyOf(point),
      ...{ status: 'skipped', sent: 0, good: 0, failed: 0 },
      ...{ verdict: 'valid', inexact: 0, values: {} },
    }));
}

function levelOf(level: LevelReport): RepeatLevel {
  const { status, requests, validity, islProof, oslProof } = level;
  return {
    ...keyOf(level),
    status,
    sent: requests.sent,
    good: requests.good,
    failed: requests.failed,
    verdict: validity.verdict,
    ...(validity.doubtful === undefined ? {} : { doubtful: validity.doubtful }),
    inexact: notProven(islProof) + notProven(oslProof),
    values: Object.fromEntries(
      JUDGED_IDS.flatMap((id) => {
        const value = metricValue(level, id);
        return typeof value === 'number' ? [[id, value]] : [];
      }),
    ),
  };
}

/** Good requests whose length is not proven to be what was asked, or is proven not to be. */
export function notProven({ deviations, unknown, estimated = 0 }: LengthProof): number {
  return deviations + unknown + estimated;
}

/** `4000x1000 C=16` */
export function keyText(key: LevelKey): string {
  return `${key.isl}x${key.osl} ${loadText(key)}`;
}

/** Whether all levels of all runs are those of open loops. */
export function areOpen(runs: readonly Pick<Repeat, 'levels'>[]): boolean {
  return runs.every(({ levels }) => levels.every(({ ratePerS }) => ratePerS !== undefined));
}

export function sameLevel(a: LevelKey, b: LevelKey): boolean {
  return a.isl === b.isl && a.osl === b.osl && sameLoad(a, b);
}

/** Runs that begin within so long of one another were made in one go, whatever command made them. */
const ONE_GO_MS = 3_600_000;

/** Runs that were made in one go stand together: those of one command, and those that followed each other at once. */
export function bySet<T extends Pick<Repeat, 'set' | 'utc'>>(runs: readonly T[]): T[][] {
  const sets: T[][] = [];
  for (const run of [...runs].sort((a, b) => Date.parse(a.utc) - Date.parse(b.utc))) {
    const known = sets.find((ones) => ones.some((one) => one.set === run.set || areNear(one, run)));
    if (known === undefined) sets.push([run]);
    else known.push(run);
  }
  return sets;
}

function areNear(a: Pick<Repeat, 'utc'>, b: Pick<Repeat, 'utc'>): boolean {
  return Math.abs(Date.parse(a.utc) - Date.parse(b.utc)) < ONE_GO_MS;
}

/** Refuses a run that is named twice on one side (exit 2): it would count as two. */
export function refuseTwice(runs: readonly Repeat[], side: string): void {
  const names = runs.map(({ set, utc }) => `${set} ${utc}`);
  const twice = runs.find((_, nth) => names.indexOf(names[nth]!) !== nth);
  if (twice !== undefined)
    throw usageError(`the run of ${twice.utc} is twice in the ${side}`, 'name each run once');
}
