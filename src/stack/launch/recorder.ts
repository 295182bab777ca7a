import { appendFileSync } from 'node:fs';
import path from 'node:path';
import { errorText } from '../../core/errors.ts';
import { strikeOut } from '../file/redaction.ts';
import type { StackEvent, StackPhase, StackState, StepState, StepStatus } from './state.ts';

export const STATE_FILE = 'state.json';
export const EVENTS_FILE = 'events.jsonl';

/** Order of a step's states: it only moves forward. */
const ORDER: readonly StepState[] = [
  'pending',
  'submitted',
  'started',
  'loading',
  'registered',
  'ready',
  'stopping',
  'ended',
  'failed',
];

/** Whether a step in state `from` may go to `to`. An ended step stays what it is. */
export function mayFollow(from: StepState, to: StepState): boolean {
  if (from === 'ended' || from === 'failed') return false;
  return ORDER.indexOf(to) > ORDER.indexOf(from);
}

/** Keeps what is known of a stack in its folder: every change is an event, and the state is rewritten. */
export class Recorder {
  readonly #dir: string;
  readonly #writeAtomic: (file: string, text: string) => void;
  readonly #startedMs = performance.now();
  #state: StackState;
  #writtenMs = 0;
  #dirty = true;
  #diskError: string | null = null;
  #unwritten: { readonly sinceMs: number; readonly error: string } | null = null;
  #secrets: readonly string[] = [];

  /** `writeAtomic` replaces a file as a whole. What the disk refuses is told by `diskError`, never thrown. */
  constructor(dir: string, first: StackState, writeAtomic: (file: string, text: string) => void) {
    this.#dir = dir;
    this.#state = first;
    this.#writeAtomic = writeAtomic;
    this.flush();
  }

  get state(): StackState {
    return this.#state;
  }

  /** The first error of the disk; null while all went well. */
  get diskError(): string | null {
    return this.#diskError;
  }

  /** Since when the state on the disk is older than what is known, and why; null while the last writing went well. */
  get unwritten(): { readonly sinceMs: number; readonly error: string } | null {
    return this.#unwritten;
  }

  /** From now on none of these values is written: a service may print its own secrets. */
  hide(secrets: readonly string[]): void {
    // As they stand in JSON.
    this.#secrets = secrets.map((secret) => JSON.stringify(secret).slice(1, -1));
  }

  /** Seconds since the supervisor started. */
  get atS(): number {
    return (performance.now() - this.#startedMs) / 1_000;
  }

  /** Changes what is known; written with the next `flush`. */
  set(change: Partial<StackState>): void {
    this.#state = { ...this.#state, ...change, updated: new Date().toISOString() };
    this.#dirty = true;
  }

  phase(phase: StackPhase, evidence: string | null = null): void {
    const from = this.#state.phase;
    if (from === phase) return;
    this.set({ phase, startupS: { ...this.#state.startupS, [`stack.${phase}`]: round(this.atS) } });
    this.event('stack', from, phase, evidence);
    this.flush();
  }

  /** Moves a step forward; a state that may not follow is no change. Says whether it moved. */
  step(id: string, to: StepState, evidence: string | null, change: Partial<StepStatus> = {}): boolean {
    const before = this.stepStatus(id);
    if (!mayFollow(before.state, to)) {
      if (Object.keys(change).length > 0) this.changeStep(id, change);
      return false;
    }
    this.changeStep(id, { ...change, state: to, since: new Date().toISOString() });
    this.set({ startupS: { ...this.#state.startupS, [`${id}.${to}`]: round(this.atS) } });
    this.event(id, before.state, to, evidence);
    this.flush();
    return true;
  }

  changeStep(id: string, change: Partial<StepStatus>): void {
    this.set({ steps: this.#state.steps.map((one) => (one.id === id ? { ...one, ...change } : one)) });
  }

  stepStatus(id: string): StepStatus {
    return this.#state.steps.find((one) => one.id === id)!;
  }

  /** Something worth a line that changes no state. */
  note(subject: string, text: string): void {
    this.event(subject, null, 'note', text);
  }

  event(subject: string, from: string | null, to: string, evidence: string | null): void {
    const event: StackEvent = {
      utc: new Date().toISOString(),
      atS: round(this.atS),
      subject,
      from,
      to,
      evidence,
    };
    const line = strikeOut(`${JSON.stringify(event)}\n`, this.#secrets);
    this.#try(() => appendFileSync(path.join(this.#dir, EVENTS_FILE), line));
  }

  /** Writes the state when it has changed, or when the last sign of life is older than `everyMs`. */
  flush(everyMs = 0): void {
    if (!this.#dirty && performance.now() - this.#writtenMs < everyMs) return;
    this.#state = { ...this.#state, alive: new Date().toISOString() };
    this.#writtenMs = performance.now();
    const text = strikeOut(`${JSON.stringify(this.#state, null, 2)}\n`, this.#secrets);
    const error = this.#try(() => this.#writeAtomic(path.join(this.#dir, STATE_FILE), text));
    if (error === null) this.#unwritten = null;
    else this.#unwritten ??= { sinceMs: performance.now(), error };
    this.#dirty = error !== null;
  }

  /** What the disk said; null when all went well. */
  #try(write: () => void): string | null {
    try {
      write();
      return null;
    } catch (error) {
      this.#diskError ??= errorText(error);
      return errorText(error);
    }
  }
}

function round(seconds: number): number {
  return Math.round(seconds * 1_000) / 1_000;
}
