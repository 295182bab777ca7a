import type { Clock } from '../core/clock.ts';
import {
  type Engine,
  type EngineGauges,
  jitterSource,
  type Ticket,
  type Timing,
  type Work,
} from './engine.ts';

const NEVER = Number.POSITIVE_INFINITY;

interface Job extends Ticket {
  place: 'queued' | 'prefill' | 'ready' | 'decode' | 'ended';
  prefillAtMs: number;
  prefilledAtMs: number;
  readyAtMs: number;
  step: number;
  made: number;
}

/**
 * A disaggregated stack. One prefill queue, first in first out, at a constant rate over tokens that are
 * not cached. A prefilled request is ready after the base TTFT. It is admitted to decode in the order of
 * readiness once its prompt and `maxTokens` fit into the KV cache, and its first token is out at that
 * instant. Decode runs in steps over the whole batch (continuous batching): a step takes
 * `step + perStream · batch`, gives each stream of the batch its tokens at its end, and the next begins at
 * once. Who is admitted during a step joins the next one.
 */
export class StackEngine implements Engine {
  readonly #timing: Timing;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #ratio: () => number;
  #queued: Job[] = [];
  #prefilling: Job | null = null;
  #prefillEndsAtMs = NEVER;
  /** When prefill had its last end, which a request that is submitted late may have come after. */
  #prefillFreeAtMs = Number.NEGATIVE_INFINITY;
  #ready: Job[] = [];
  #batch: Job[] = [];
  #joining: Job[] = [];
  #stepEndsAtMs = NEVER;
  #kvTokens = 0;
  /** The first ready request waits for room, which only the end of a step gives. */
  #blocked = false;
  /** In `advance`, which settles by itself after what it emits. */
  #advancing = false;
  /** The instant of the last event; decode does nothing before it any more. */
  #atMs = Number.NEGATIVE_INFINITY;

  constructor(timing: Timing, clock: Pick<Clock, 'now'>) {
    this.#timing = timing;
    this.#clock = clock;
    this.#ratio = jitterSource(timing.jitterRatio, 'stack', timing.seed);
  }

  get nextAtMs(): number {
    const readyAtMs = this.#blocked ? NEVER : (this.#ready[0]?.readyAtMs ?? NEVER);
    return Math.min(this.#prefillEndsAtMs, this.#stepEndsAtMs, readyAtMs);
  }

  get gauges(): EngineGauges {
    return {
      running: this.#batch.length + this.#joining.length,
      waiting: this.#queued.length + this.#ready.length + (this.#prefilling === null ? 0 : 1),
      kvTokens: this.#kvTokens,
    };
  }

  /** A request larger than the whole KV cache would wait for ever: the owner refuses it before. */
  submit(work: Work): Ticket {
    this.advance();
    const job: Job = {
      work,
      place: 'queued',
      prefillAtMs: NEVER,
      prefilledAtMs: NEVER,
      readyAtMs: NEVER,
      step: 0,
      made: 0,
    };
    this.#queued.push(job);
    this.#startPrefill();
    return job;
  }

  cancel(ticket: Ticket): void {
    const job = ticket as Job;
    const { place } = job;
    if (place === 'ended') return;
    job.place = 'ended';
    const atMs = this.#advancing ? this.#atMs : Math.max(this.#atMs, this.#clock.now());
    const others = (jobs: Job[]): Job[] => jobs.filter((other) => other !== job);
    if (place === 'queued') this.#queued = others(this.#queued);
    if (place === 'ready') this.#ready = others(this.#ready);
    if (place === 'prefill') {
      this.#prefilling = null;
      this.#prefillEndsAtMs = NEVER;
      this.#prefillFreeAtMs = atMs;
    }
    if (place === 'decode') {
      this.#batch = others(this.#batch);
      this.#joining = others(this.#joining);
      this.#kvTokens -= job.work.promptTokens + job.work.maxTokens;
    }
    if (this.#advancing) return;
    this.#atMs = atMs;
    this.#settle();
  }

  advance(): void {
    const now = this.#clock.now();
    this.#advancing = true;
    for (let atMs = this.nextAtMs; atMs <= now; atMs = this.nextAtMs) {
      this.#atMs = Math.max(this.#atMs, atMs);
      if (this.#stepEndsAtMs <= atMs) this.#endStep(atMs);
      if (this.#prefillEndsAtMs <= atMs) this.#endPrefill(atMs);
      this.#settle();
    }
    this.#advancing = false;
  }

  /** Fills what has become free. */
  #settle(): void {
    this.#startPrefill();
    this.#admit(this.#atMs);
    if (this.#stepEndsAtMs === NEVER) this.#startStep(this.#atMs);
  }

  #startPrefill(): void {
    if (this.#prefilling !== null) return;
    const job = this.#queued.shift();
    if (job === undefined) return;
    const atMs = Math.max(job.work.arrivedAtMs, this.#prefillFreeAtMs);
    job.place = 'prefill';
    job.prefillAtMs = atMs;
    const tokens = job.work.promptTokens - job.work.cachedTokens;
    this.#prefilling = job;
    this.#prefillEndsAtMs = atMs + (tokens / this.#timing.prefillTokensPerS) * 1_000 * this.#ratio();
  }

  #endPrefill(atMs: number): void {
    const job = this.#prefilling!;
    job.place = 'ready';
    job.prefilledAtMs = atMs;
    job.readyAtMs = atMs + this.#timing.baseTtftMs;
    this.#ready.push(job);
    this.#prefilling = null;
    this.#prefillEndsAtMs = NEVER;
    this.#prefillFreeAtMs = atMs;
  }

  #admit(atMs: number): void {
    this.#blocked = false;
    for (let job = this.#ready[0]; job !== undefined && job.readyAtMs <= atMs; job = this.#ready[0]) {
      const tokens = job.work.promptTokens + job.work.maxTokens;
      this.#blocked = this.#kvTokens + tokens > this.#timing.kvTokens;
      if (this.#blocked) return;
      this.#ready.shift();
      this.#kvTokens += tokens;
      job.place = 'decode';
      this.#joining.push(job);
      this.#emit(job, atMs);
    }
  }

  #startStep(atMs: number): void {
    const batch = [...this.#batch, ...this.#joining].filter((job) => job.place === 'decode');
    this.#batch = batch;
    this.#joining = [];
    if (batch.length === 0) return;
    const { stepMs, stepPerStreamMs } = this.#timing;
    this.#stepEndsAtMs = atMs + (stepMs + stepPerStreamMs * batch.length) * this.#ratio();
  }

  #endStep(atMs: number): void {
    this.#stepEndsAtMs = NEVER;
    for (const job of this.#batch) if (job.place === 'decode') this.#emit(job, atMs);
  }

  #emit(job: Job, atMs: number): void {
    const { work } = job;
    if (job.step === 0)
      work.first?.({
        queueMs: job.prefillAtMs - work.arrivedAtMs,
        prefillMs: job.prefilledAtMs - job.prefillAtMs,
        firstDecodeMs: atMs - job.prefilledAtMs,
      });
    const { tokensPerStep } = this.#timing;
    const tokens = Math.min(tokensPerStep[job.step % tokensPerStep.length]!, work.outputTokens - job.made);
    job.made += tokens;
    job.step++;
    const last = job.made >= work.outputTokens;
    if (last) {
      job.place = 'ended';
      this.#kvTokens -= work.promptTokens + work.maxTokens;
    }
    work.emit(tokens, last, atMs);
  }
}
