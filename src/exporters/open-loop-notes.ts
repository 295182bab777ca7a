import type { LevelReport, Report } from '../core/report.ts';
import { figure, grouped } from './figures.ts';
import { levelsRun } from './level-names.ts';
import type { Note } from './note.ts';

/** The latency from due is told where it differs from that from send by more than this share. */
const DIFFERS_RATIO = 0.05;

/**
 * What an open loop has to say: whether the server kept up with what came, what waited for a slot, and how far latencies from the
 * schedule's instants lie above those from send. `tell` makes one sentence of what it says of each level.
 */
export function openLoopNotes(
  report: Report,
  tell: (of: (level: LevelReport) => string | null) => string[],
): Note[] {
  if (levelsRun(report).every(({ open }) => open === undefined)) return [];
  const behind = tell(({ open }) =>
    open?.lag?.verdict === 'fell-behind'
      ? `the server did not keep up: it fell behind by ${shareText(open.lag.ratio)} of the time (${shareText(open.lag.low)} to ${shareText(open.lag.high)}), so latencies say as much of the level's length as of the server`
      : null,
  );
  const short = tell(({ open }) =>
    open !== undefined && (open.lag === null || open.lag.verdict === 'unclear')
      ? `too short to tell whether the server kept up${open.lag === null ? '' : ` (${shareText(open.lag.low)} to ${shareText(open.lag.high)} of the time behind)`}: measure for longer`
      : null,
  );
  const held = tell(({ open }) =>
    open === undefined || open.held.count === 0
      ? null
      : `${grouped(open.held.count)} requests waited for one of the ${grouped(open.slots)} slots, up to ${figure(open.held.maxMs ?? 0)} ms: the load was less than asked (--max-in-flight), see TTFT from due`,
  );
  const late = tell(({ open, ttftMs }) => {
    const [due, sent] = [open?.ttftFromDueMs.p99 ?? null, ttftMs.p99];
    if (due === null || sent === null || due - sent <= DIFFERS_RATIO * sent) return null;
    return `TTFT p99 from the instant that the schedule said is ${figure(due)} ms, from send ${figure(sent)} ms`;
  });
  const rates = tell(({ open }) =>
    open === undefined
      ? null
      : `${open.dueRatePerS === null ? 'all were due at once' : `${figure(open.dueRatePerS)} were due a second`}, at most ${grouped(open.maxInFlight)} in flight`,
  );
  return [
    ...[...behind, ...held, ...late].map((text) => ({ topic: 'arrivals', text, loud: true })),
    ...[...short, ...rates].map((text) => ({ topic: 'arrivals', text, loud: false })),
  ];
}

function shareText(ratio: number): string {
  return `${(ratio * 100).toFixed(0)} %`;
}
