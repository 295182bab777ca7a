import pLimit from 'p-limit';
import type { Arrival } from './arrival.ts';
import type { Clock } from './clock.ts';
import type { Phase } from './record.ts';
import type { FinishedRequest, RequestPlan } from './record-builder.ts';
import type { PointSpec, Prompt, PromptSource, TurnSpec } from './spec.ts';

/** What the loop needs of the world. */
export interface DriveHost {
  readonly clock: Clock;
  readonly prompts: PromptSource;
  /** Sends one request when it is due, or at once; never rejects. */
  send(plan: RequestPlan, prompt: Prompt): Promise<FinishedRequest>;
  /** Cancels the requests in flight that `which` picks. */
  cancel(which: (plan: RequestPlan) => boolean): void;
  /** Number and name of the next request of the run. */
  name(): { readonly id: number; readonly requestId: string };
  /** The next prompt of a conversation behind what was asked and answered before it; needed where phases have turns. */
  follow?(before: Prompt, answer: FinishedRequest, next: Prompt): Prompt;
  /** Called once for each request sent, as it ends. */
  finished(request: FinishedRequest): void;
  /**
   * All requests of a held phase have ended here: resolves when no more hold requests are wanted. Without
   * it that is at once. Must resolve soon after the signal aborts.
   */
  drained?(): Promise<void>;
  /** The number of ms before it is due that a request may be handed to `send`, which then sends it on time; left out for 0. */
  readonly leadMs?: number;
  /**
   * Resolves when the next request may be made ready and sent. Requests that are due together are sent one by one, with
   * room between them for what arrives; without it nothing comes between them.
   */
  turn?(): Promise<void>;
}

/** What one phase of a point sends. */
export interface PhaseLoad {
  readonly phase: Phase;
  readonly arrival: Arrival;
  /** Requests of a conversation, one after the other; left out where each request stands for itself. */
  readonly turns?: Pick<TurnSpec, 'count' | 'thinkMs'>;
  /** Requests to send, whole conversations; Infinity when `untilAtMs` bounds the phase. */
  readonly count: number;
  /** No request is sent at or after this instant; Infinity for none. */
  readonly untilAtMs: number;
  /** Keep slots full with unmeasured requests until the last of the phase has ended. */
  readonly hold: boolean;
}

/**
 * The one loop: takes a slot, waits until the request is due, sends it, and tells of its end. Load
 * shape and stop rule are values. In an open loop a request that finds no slot free is held, and sent as soon as
 * one is. Resolves when all that was sent has ended; after `signal` aborts nothing more is sent.
 */
export async function drive(
  point: PointSpec,
  load: PhaseLoad,
  host: DriveHost,
  signal: AbortSignal,
): Promise<void> {
  const { clock, prompts, leadMs = 0 } = host;
  const { slots, offsetsMs } = load.arrival;
  const { count: turns, thinkMs } = load.turns ?? { count: 1, thinkMs: 0 };
  const limit = pLimit(slots);
  const startAtMs = clock.now();
  // Instants at which slots came free, oldest first: when a request takes one over, it was due then.
  const freeAtMs: number[] = [];
  const tasks = new Set<Promise<void>>();
  // Conversations that were begun; one that has no turns is a request.
  const begun: Record<Phase, number> = { warmup: 0, measured: 0, hold: 0 };
  let open = 0;
  /** Hold requests go on although no request of the phase is left, until `drained` resolves. */
  let draining = false;
  let drain: Promise<void> | null = null;
  /** Ends the sleep of hold requests that nobody needs any more. */
  const holdEnd = new AbortController();
  const endSleep = (): void => holdEnd.abort();
  signal.addEventListener('abort', endSleep, { once: true });

  const quotaLeft = (): boolean => begun[load.phase] * turns < load.count && clock.now() < load.untilAtMs;

  const nextPhase = (): Phase | null => {
    if (signal.aborted) return null;
    if (quotaLeft()) return load.phase;
    return load.hold && (open > 0 || draining) ? 'hold' : null;
  };

  const endHold = (): void => {
    draining = false;
    holdEnd.abort();
    host.cancel((other) => other.phase === 'hold');
  };
  const release = (): void => {
    if (host.drained === undefined) endHold();
    else if (drain === null) {
      draining = true;
      drain = host.drained().then(endHold);
    }
  };

  /** When number `index` of its kind is due by the schedule; null in a closed loop. */
  const dueAt = (phase: Phase, index: number): number | null => {
    if (offsetsMs === null) return null;
    const offsetMs = offsetsMs[phase === load.phase ? index : load.count / turns + index];
    return startAtMs + (offsetMs ?? Number.POSITIVE_INFINITY);
  };

  /** `wasFull`: it had to wait until a slot came free. */
  const one = async (wasFull: boolean): Promise<void> => {
    const takenAtMs = clock.now();
    if (offsetsMs === null) await host.turn?.();
    const phase = nextPhase();
    if (phase === null) return;
    const ofLoad = phase === load.phase;
    const index = begun[phase]++;
    if (ofLoad) open++;
    const scheduledAtMs = dueAt(phase, index);
    const sleepSignal = ofLoad ? signal : holdEnd.signal;
    if (scheduledAtMs !== null) {
      await clock.sleepUntil(scheduledAtMs - leadMs, sleepSignal);
      submit();
      await host.turn?.();
    }
    let before: { readonly prompt: Prompt; readonly finished: FinishedRequest } | null = null;
    let dueAtMs = scheduledAtMs ?? freeAtMs.shift() ?? startAtMs;
    let endedAtMs = dueAtMs;
    let heldMs = wasFull ? Math.max(0, takenAtMs - dueAtMs) : 0;
    for (let turn = 0; turn < turns && !sleepSignal.aborted; turn++) {
      if (before !== null) {
        dueAtMs = endedAtMs + thinkMs;
        heldMs = 0;
        await clock.sleepUntil(dueAtMs - leadMs, sleepSignal);
        await host.turn?.();
        if (sleepSignal.aborted || Math.max(dueAtMs, clock.now()) >= load.untilAtMs) break;
      }
      const own = prompts.take(point.index, phase, index * turns + turn);
      const prompt: Prompt = before === null ? own : host.follow!(before.prompt, before.finished, own);
      const plan: RequestPlan = {
        ...host.name(),
        point: point.index,
        concurrency: point.concurrency,
        phase,
        ...(turns === 1 ? {} : { conversation: index, turn: turn + 1 }),
        dueAtMs,
        ...(offsetsMs === null ? {} : { heldMs }),
        isl: prompt.isl,
        osl: prompt.osl,
        promptTokens: prompt.promptTokens,
      };
      const finished = await host.send(plan, prompt);
      endedAtMs = finished.record.endAtMs;
      host.finished(finished);
      // Nobody goes on with a conversation whose answer did not come.
      if (finished.record.outcome !== 'good') break;
      before = { prompt, finished };
    }
    if (offsetsMs === null) freeAtMs.push(endedAtMs);
    if (ofLoad) open--;
    if (load.hold && open === 0 && (signal.aborted || !quotaLeft())) release();
  };

  // Each task lines up its successor, so the limiter's queue never holds more than one: in a closed loop as it starts, in an
  // open one when it is due.
  const submit = (): void => {
    if (nextPhase() === null) return;
    const isFull = limit.activeCount >= slots;
    const task = limit(async () => {
      if (offsetsMs === null) submit();
      await one(isFull);
    });
    tasks.add(task);
    const forget = (): void => {
      tasks.delete(task);
    };
    task.then(forget, forget);
  };

  // A share of a level may be slots alone, without a request of its own.
  if (load.hold && !quotaLeft()) release();
  submit();
  while (tasks.size > 0) await Promise.all(tasks);
  await drain;
  // The signal is the run's, and outlives many phases.
  signal.removeEventListener('abort', endSleep);
}
