import { parseLogLine } from '../failure/log-line.ts';
import type { WaitingStep } from '../failure/not-ready.ts';
import { srunSays } from '../failure/srun-says.ts';
import type { PlannedStep, Probe, StackPlan } from '../plan/planned.ts';
import { versionsIn } from '../preflight/versions.ts';
import { Deadline } from './deadline.ts';
import type { LogTail } from './log-tail.ts';
import type { ProbeResult } from './probe.ts';
import type { Recorder } from './recorder.ts';
import { type StepEnd, type StepProcess, startStep } from './step-process.ts';

/** A step that SLURM has not started after this long waits for resources that something else holds. */
const BLOCKED_AFTER_MS = 60_000;
/** The same, once SLURM itself has said so: what holds them may be a step that is just ending. */
const SAID_BLOCKED_MS = 10_000;

/** Note of a deadline that is doubled. */
export const GIVEN_MORE = 'not ready at its deadline, but still writing: given as long again';

/** What a step's lines are told to, as they come. */
export interface LineListener {
  taskLine(step: PlannedStep, raw: string): void;
  srunLine(step: PlannedStep, raw: string): void;
  ended(step: PlannedStep, end: StepEnd): void;
}

/** One step from its start to ready, and whether it has failed without a word. */
export class StepWatch {
  readonly planned: PlannedStep;
  readonly #plan: StackPlan;
  readonly #recorder: Recorder;
  readonly #tail: LogTail;
  readonly #listener: LineListener;
  readonly #matches = new Map<string, { regex: RegExp; count: number; line: string | null }>();
  readonly #loaded: RegExp | null;
  readonly #deadline: Deadline;
  #process: StepProcess | null = null;
  #submittedMs = 0;
  #startedMs: number | null = null;
  /** Its tasks run: what came before was the container's. */
  #running = false;
  #blockedMs: number | null = null;
  #loadedRanks = 0;
  #bytes = 0;
  #grewMs = 0;
  #nextProbeMs = 0;
  #probing = false;
  #ready = false;
  #over = false;

  constructor(step: PlannedStep, plan: StackPlan, recorder: Recorder, tail: LogTail, listener: LineListener) {
    this.planned = step;
    this.#plan = plan;
    this.#recorder = recorder;
    this.#tail = tail;
    this.#listener = listener;
    this.#deadline = new Deadline(step.readyTimeoutMs);
    this.#loaded = step.loadedPattern === null ? null : new RegExp(step.loadedPattern);
    for (const probe of [...plan.ready, ...plan.watch, ...plan.steps.flatMap((one) => one.ready)]) {
      if (probe.kind === 'log' && probe.steps.includes(step.id))
        this.#matches.set(probe.pattern, { regex: new RegExp(probe.pattern), count: 0, line: null });
    }
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  get isPending(): boolean {
    return this.#process === null;
  }

  get hasStarted(): boolean {
    return this.#startedMs !== null;
  }

  /** Ready, or nothing that others wait for: it has ended as it may, or the stack goes on without it. */
  get isReady(): boolean {
    return this.#ready || this.#over;
  }

  /** Milliseconds since it was handed to SLURM; null when it was not, or has been started. */
  get submittedForMs(): number | null {
    return this.#process === null || this.#startedMs !== null ? null : performance.now() - this.#submittedMs;
  }

  /** When `overdue` last saw that its log has grown. */
  get grewMs(): number {
    return this.#grewMs;
  }

  /** SLURM says that it waits for resources. */
  blocked(reason: string): void {
    this.#blockedMs ??= performance.now();
    this.#recorder.changeStep(this.planned.id, { waitingFor: [`resources: ${reason}`] });
  }

  /** Nobody waits for it any longer. */
  leave(): void {
    this.#over = true;
  }

  /** It has ended, and its last lines were read. */
  ended({ code }: StepEnd): void {
    if (code !== 0 || this.planned.exitZeroFails) return;
    this.#over = true;
    this.#recorder.step(this.planned.id, 'ended', 'exit code 0', { exitCode: 0, waitingFor: [] });
  }

  start(env: NodeJS.ProcessEnv): void {
    this.#process = startStep(this.planned, this.#plan.run, env);
    this.#submittedMs = performance.now();
    this.#grewMs = this.#submittedMs;
    this.#recorder.step(this.planned.id, 'submitted', null, { pid: this.#process.pid, waitingFor: [] });
    void this.#process.ended.then((end) => this.#listener.ended(this.planned, end));
    if (this.planned.srunLogFile !== null) return;
    this.#started('process started');
    this.#runs();
  }

  taskLine(raw: string): void {
    const { text } = parseLogLine(raw, this.planned.srunLogFile !== null);
    // slurmstepd's own lines stand here when srun's output goes to a file: they are no output of the service.
    if (this.planned.srunLogFile !== null && srunSays(raw) !== null) {
      this.#listener.taskLine(this.planned, raw);
      return;
    }
    const versions = versionsIn(text);
    if (Object.keys(versions).length > 0)
      this.#recorder.set({ versions: { ...versions, ...this.#recorder.state.versions } });
    for (const match of this.#matches.values()) {
      if (!match.regex.test(text)) continue;
      match.count++;
      match.line = text;
    }
    this.#started(text);
    this.#runs();
    if (this.#loaded?.test(text)) this.#loadedRanks++;
    this.#recorder.step(this.planned.id, 'loading', text.slice(0, 200), {
      loaded:
        this.#loaded === null
          ? null
          : { done: Math.min(this.#loadedRanks, this.planned.tasks), of: this.planned.tasks },
    });
    this.#listener.taskLine(this.planned, raw);
  }

  srunLine(raw: string): void {
    const event = srunSays(raw);
    if (event?.kind === 'launching') {
      this.#recorder.changeStep(this.planned.id, { slurmStep: event.step });
      // The step is there; that its tasks run comes after the container, which may take minutes.
      this.#started(raw);
      if (this.planned.importTimeoutMs === null) this.#runs();
    } else if (event?.kind === 'tasks-started') {
      this.#started(raw);
      this.#runs();
    } else if (event?.kind === 'blocked') {
      this.blocked(event.reason);
    } else if (event?.kind === 'created') {
      this.#blockedMs = null;
    }
    this.#listener.srunLine(this.planned, raw);
  }

  matches(pattern: string): { readonly count: number; readonly line: string | null } {
    return this.#matches.get(pattern) ?? { count: 0, line: null };
  }

  /** Tries the step's probes when it is time to, and moves it on; one try at a time. */
  async probe(attempt: (probe: Probe) => Promise<ProbeResult>): Promise<void> {
    const { id, ready, probeIntervalMs } = this.planned;
    if (this.isReady || this.#startedMs === null || this.#probing || performance.now() < this.#nextProbeMs)
      return;
    this.#probing = true;
    try {
      const results = await Promise.all(ready.map(async (probe) => ({ probe, ...(await attempt(probe)) })));
      const open = results.filter((result) => !result.holds);
      this.#recorder.changeStep(id, { waitingFor: open.map((result) => result.said) });
      const registered = results.find(({ probe, holds }) => probe.kind === 'instances' && holds);
      if (registered !== undefined) this.#recorder.step(id, 'registered', registered.said);
      if (open.length > 0 || this.#over) return;
      this.#ready = true;
      this.#recorder.step(id, 'ready', results.map(({ said }) => said).join('; ') || 'started', {
        waitingFor: [],
      });
    } finally {
      this.#probing = false;
      this.#nextProbeMs = performance.now() + probeIntervalMs;
    }
  }

  /** Whether it is given up although no line shows a failure: blocked, silent or too slow. null while it is not. */
  overdue(): 'deadline' | 'stalled' | 'import' | null {
    const now = performance.now();
    const { logFile, srunLogFile } = this.planned;
    const bytes =
      this.#tail.bytesSeen(logFile) + (srunLogFile === null ? 0 : this.#tail.bytesSeen(srunLogFile));
    if (bytes > this.#bytes) {
      this.#bytes = bytes;
      this.#grewMs = now;
    }
    if (this.#process === null || this.isReady) return null;
    if (this.#startedMs === null) {
      const blocked = this.#blockedMs !== null && now - this.#blockedMs > SAID_BLOCKED_MS;
      return blocked || now - this.#submittedMs > BLOCKED_AFTER_MS ? 'deadline' : null;
    }
    if (!this.#running) return now - this.#startedMs > (this.planned.importTimeoutMs ?? 0) ? 'import' : null;
    if (now - this.#grewMs > this.planned.stallMs) return 'stalled';
    const look = this.#deadline.look(now, this.#grewMs);
    if (look === 'extended') this.#recorder.note(this.planned.id, GIVEN_MORE);
    return look === 'over' ? 'deadline' : null;
  }

  /** How it stands, for whoever has to say why it is given up. */
  standing(): WaitingStep {
    const { state, loaded, waitingFor } = this.#recorder.stepStatus(this.planned.id);
    const { id, role, logFile } = this.planned;
    return { id, role, state, loaded, waitingFor, logFile, quietMs: performance.now() - this.#grewMs };
  }

  #started(evidence: string): void {
    if (this.#startedMs !== null) return;
    this.#startedMs = performance.now();
    this.#recorder.step(this.planned.id, 'started', evidence);
  }

  /** From here on the step's own times count. */
  #runs(): void {
    if (this.#running) return;
    this.#running = true;
    this.#grewMs = performance.now();
    this.#deadline.start(this.#grewMs);
  }
}
