import type { Clock } from '../core/clock.ts';
import {
  type Engine,
  type EngineGauges,
  jitterSource,
  type Ticket,
  type Timing,
  type Work,
} from './engine.ts';

/** Its multiples fall evenly into a step, however many there are. */
const GOLDEN_RATIO = 0.6180339887498949;

interface Job extends Ticket {
  /** Arrival, and the request's share of a step. */
  readonly startAtMs: number;
  step: number;
  made: number;
  dueAtMs: number;
  ended: boolean;
  readonly ratio: () => number;
}

/**
 * The fixed schedule: step k of a request is due at arrival + TTFT + k · step, whatever else runs. All
 * instants are absolute, so lateness never adds up. With jitter each gap is multiplied by its own ratio;
 * with `spread` the whole schedule of a request is later by its own share of a step.
 */
export class ScheduleEngine implements Engine {
  readonly #timing: Timing & { readonly ttftMs: number };
  readonly #clock: Pick<Clock, 'now'>;
  readonly #heap: Job[] = [];
  #running = 0;
  #kvTokens = 0;
  #submitted = 0;

  constructor(timing: Timing & { readonly ttftMs: number }, clock: Pick<Clock, 'now'>) {
    this.#timing = timing;
    this.#clock = clock;
  }

  get nextAtMs(): number {
    return this.#heap[0]?.dueAtMs ?? Number.POSITIVE_INFINITY;
  }

  get gauges(): EngineGauges {
    return { running: this.#running, waiting: 0, kvTokens: this.#kvTokens };
  }

  submit(work: Work): Ticket {
    const { ttftMs, stepMs, jitterRatio, seed, spread } = this.#timing;
    const share = spread ? (this.#submitted * GOLDEN_RATIO) % 1 : 0;
    const ratio = jitterSource(jitterRatio, 'schedule', seed, this.#submitted++);
    const job: Job = {
      work,
      startAtMs: work.arrivedAtMs + share * stepMs,
      step: 0,
      made: 0,
      dueAtMs: work.arrivedAtMs + share * stepMs + ttftMs * ratio(),
      ended: false,
      ratio,
    };
    this.#running++;
    this.#kvTokens += work.promptTokens + work.maxTokens;
    this.#heap.push(job);
    this.#rise(this.#heap.length - 1);
    return job;
  }

  cancel(ticket: Ticket): void {
    // The entry stays in the heap until its next step is due, which costs less than a search.
    this.#end(ticket as Job);
  }

  advance(): void {
    const now = this.#clock.now();
    for (let job = this.#heap[0]; job !== undefined && job.dueAtMs <= now; job = this.#heap[0]) {
      if (!job.ended) this.#emit(job);
      if (job.ended) this.#dropFirst();
      else this.#sink(0);
    }
  }

  #emit(job: Job): void {
    const { work, dueAtMs, startAtMs } = job;
    const { ttftMs, stepMs, tokensPerStep, jitterRatio } = this.#timing;
    if (job.step === 0)
      work.first?.({
        queueMs: startAtMs - work.arrivedAtMs,
        prefillMs: dueAtMs - startAtMs,
        firstDecodeMs: 0,
      });
    const tokens = Math.min(tokensPerStep[job.step % tokensPerStep.length]!, work.outputTokens - job.made);
    job.made += tokens;
    job.step++;
    job.dueAtMs = jitterRatio === 0 ? startAtMs + ttftMs + job.step * stepMs : dueAtMs + stepMs * job.ratio();
    const last = job.made >= work.outputTokens;
    if (last) this.#end(job);
    work.emit(tokens, last, dueAtMs);
  }

  #end(job: Job): void {
    if (job.ended) return;
    job.ended = true;
    this.#running--;
    this.#kvTokens -= job.work.promptTokens + job.work.maxTokens;
  }

  #dropFirst(): void {
    const last = this.#heap.pop()!;
    if (this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink(0);
  }

  #rise(from: number): void {
    const heap = this.#heap;
    const job = heap[from]!;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.dueAtMs <= job.dueAtMs) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = job;
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const job = heap[from]!;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.dueAtMs < heap[child]!.dueAtMs) child++;
      if (heap[child]!.dueAtMs >= job.dueAtMs) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = job;
  }
}
