import type { LevelReport, Report } from '../core/report.ts';
import { percent } from './figures.ts';
import { levelNames, levelsRun } from './level-names.ts';
import { sentences } from './level-sentences.ts';
import type { Note } from './note.ts';
import { harmless } from './page-style.ts';

/** Less of the cores for other processes than this is no news. */
const OTHER_WORK_RATIO = 0.1;
/** What instants are kept in. */
const INSTANT_MS = 0.001;

/** The verdict on each level, by which clock it was stamped, how the load differed from what was asked, and what else ran. */
export function validityNotes(report: Report): Note[] {
  const loud = (['client-bound', 'suspect'] as const)
    .flatMap((verdict) =>
      sentences(
        report,
        ({ validity }) => (validity.verdict === verdict ? harmless(validity.reasons.join('; ')) : null),
        verdict.toUpperCase(),
      ),
    )
    .map((text) => ({ topic: 'harness', text, loud: true }));
  return [
    ...loud,
    ...clockNotes(report),
    ...requestedLoadNotes(report),
    ...otherWorkNotes(report),
    ...keptUpNotes(report),
  ];
}

/** By which clock the levels were stamped, and how far off that may be at the worst of them. */
function clockNotes(report: Report): Note[] {
  const run = levelsRun(report);
  const own = run.filter(({ audit }) => audit?.stampedBy === 'process');
  const received = run.filter(({ audit }) => audit?.stampedBy === 'kernel' && audit.stampErrorMs);
  const unstamped = received.filter(lacksStamps);
  const stamped = received.filter((level) => !lacksStamps(level));
  const texts: string[] = [];
  if (own.length > 0)
    texts.push(
      `${at(report, own)}time stamps are those of the harness's event loop, not the kernel's: their error is estimated, not bounded`,
    );
  if (stamped.length > 0) texts.push(`${at(report, stamped)}stamped by the kernel, ${within(stamped)}`);
  if (unstamped.length > 0)
    texts.push(
      `${at(report, unstamped)}the kernel gave no stamps, the time of a read stands for them, ${within(unstamped)}`,
    );
  return texts.map((text) => ({ topic: 'clock', text, loud: false }));
}

/** Not every system has stamps for a program: qemu-user, for one, does not pass them on. */
function lacksStamps({ audit }: LevelReport): boolean {
  const reads = audit?.reads;
  return reads !== undefined && reads.count > 0 && reads.unstamped === reads.count;
}

function within(levels: readonly LevelReport[]): string {
  const worst = (of: 'p99' | 'max'): number =>
    twoDigits(Math.max(INSTANT_MS, ...levels.map(({ audit }) => audit!.stampErrorMs![of])));
  return `within ${worst('p99')} ms at p99 (at most ${worst('max')} ms)`;
}

function requestedLoadNotes(report: Report): Note[] {
  return sentences(report, ({ validity }) => validity.load?.join('; ') ?? null).map((text) => ({
    topic: 'load',
    text,
    loud: false,
  }));
}

function otherWorkNotes(report: Report): Note[] {
  const beside = levelsRun(report).filter(({ audit }) => (audit?.otherCpuRatio ?? 0) >= OTHER_WORK_RATIO);
  if (beside.length === 0) return [];
  const most = percent(Math.max(...beside.map(({ audit }) => audit!.otherCpuRatio!)));
  const text = `${at(report, beside)}other processes, a server on this host included, used up to ${most} of its cores`;
  return [{ topic: 'host', text, loud: false }];
}

function keptUpNotes(report: Report): Note[] {
  const watched = levelsRun(report).filter(
    (level) => level.validity.verdict === 'valid' && level.audit !== null,
  );
  if (watched.length === 0) return [];
  const busy = Math.max(...watched.map((level) => level.audit!.eventLoopUtilizationRatio));
  const lag = Math.max(...watched.map((level) => level.audit!.sendLagMs.p99 ?? 0));
  const text = `${at(report, watched)}no bottleneck: event loop at most ${percent(busy)} busy, sends at most ${twoDigits(lag)} ms late at p99`;
  return [{ topic: 'harness', text, loud: false }];
}

/** The levels by name where they are not all that ran, before a sentence. */
function at(report: Report, levels: readonly LevelReport[]): string {
  return levels.length === levelsRun(report).length ? '' : `${levelNames(report, levels)}: `;
}

/** `1.1`, `0.042`, `12`. */
function twoDigits(value: number): number {
  return Number(value.toPrecision(2));
}
