import { printableLine } from '../../core/printable.ts';
import { formatDuration } from '../../core/units.ts';
import type { StackState, StepState } from '../../stack/launch/state.ts';
import { isRich } from '../terminal.ts';

const PLAIN_EVERY_MS = 60_000;

const MARKS: Readonly<Record<StepState, string>> = {
  pending: '·',
  submitted: '…',
  started: '▸',
  loading: '▸',
  registered: '▸',
  ready: '✓',
  stopping: '…',
  ended: '–',
  failed: '✗',
};

/** One line per step, then what the whole waits for. */
export function stateLines(state: StackState, nowMs: number): string[] {
  const width = Math.max(8, ...state.steps.map((step) => step.id.length));
  const since = (utc: string): string => formatDuration(Math.max(0, nowMs - Date.parse(utc)));
  const job =
    state.job === null ? state.mode : `job ${state.job.id} on ${state.job.nodes.join(', ') || 'no node yet'}`;
  const ends =
    state.job?.endsAt == null
      ? ''
      : `, ${formatDuration(Math.max(0, Date.parse(state.job.endsAt) - nowMs))} left`;
  return [
    `stack ${state.name}  ${state.phase}  (${job}${ends})`,
    ...state.steps.map((step) => {
      const loaded =
        step.loaded === null || step.state === 'ready' ? '' : ` ${step.loaded.done}/${step.loaded.of} loaded`;
      const [wait] = step.waitingFor;
      const waits =
        wait === undefined || step.state === 'ready' || step.state === 'pending' ? '' : `  waits for ${wait}`;
      return `  ${MARKS[step.state]} ${step.id.padEnd(width)}  ${step.state.padEnd(10)} ${since(step.since).padStart(8)}  ${step.nodes.join(',')}${loaded}${waits}`;
    }),
    ...(state.waitingFor.length > 0 && !['ready', 'stopped'].includes(state.phase)
      ? [`  waits for ${state.waitingFor.join('; ')}`]
      : []),
  ];
}

/**
 * Shows a stack that comes up or goes down on `stream`: on a terminal that can a table that is drawn anew, elsewhere a
 * line for each change and one a minute while nothing changes.
 */
export class LiveView {
  readonly #stream: NodeJS.WriteStream;
  #drawn = 0;
  #before: StackState | null = null;
  #saidMs = performance.now();

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  show(state: StackState): void {
    if (isRich(this.#stream)) this.#draw(state);
    else this.#tell(state);
    this.#before = state;
  }

  /** Leaves what is drawn on the screen and starts below it. */
  done(): void {
    this.#drawn = 0;
  }

  #draw(state: StackState): void {
    const columns = this.#stream.columns || 120;
    const warned = state.warnings.slice(this.#before?.warnings.length ?? 0);
    const lines = stateLines(state, Date.now()).map((line) => printableLine(line).slice(0, columns - 1));
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : '';
    // Warnings stay above what is drawn anew.
    const above = warned.map((warning) => `\x1b[2Kwarning: ${printableLine(warning)}\n`).join('');
    this.#stream.write(`${up}${above}${lines.map((line) => `\x1b[2K${line}\n`).join('')}\x1b[J`);
    this.#drawn = lines.length;
  }

  #tell(state: StackState): void {
    const before = this.#before;
    const lines: string[] = [];
    if (before?.phase !== state.phase) lines.push(`stack ${state.name}: ${state.phase}`);
    if (state.job !== null && before?.job?.id !== state.job.id)
      lines.push(`stack ${state.name}: job ${state.job.id}`);
    for (const step of state.steps) {
      const was = before?.steps.find((one) => one.id === step.id);
      if (was?.state !== step.state && step.state !== 'pending') {
        const took = state.startupS[`${step.id}.${step.state}`];
        lines.push(
          `stack ${state.name}: ${step.id} ${step.state}${took === undefined ? '' : ` after ${formatDuration(took * 1_000)}`}`,
        );
      }
    }
    const warned = before?.warnings.length ?? 0;
    for (const warning of state.warnings.slice(warned))
      lines.push(`stack ${state.name}: warning: ${warning}`);
    const now = performance.now();
    if (lines.length === 0 && now - this.#saidMs >= PLAIN_EVERY_MS)
      lines.push(...stateLines(state, Date.now()));
    if (lines.length === 0) return;
    this.#saidMs = now;
    this.#stream.write(`${lines.map(printableLine).join('\n')}\n`);
  }
}
