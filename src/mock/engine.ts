import { Random } from '../core/random.ts';

/** How long things take in the simulated stack. */
export interface Timing {
  /** Fixed schedule: first token this long after arrival, and no queues. null: the stack is simulated. */
  readonly ttftMs: number | null;
  /** Time of a decode step in a batch of none. */
  readonly stepMs: number;
  /** Fixed schedule: each request is later by its own share of a step, so that they do not all write at one instant. */
  readonly spread: boolean;
  /** What each stream of the batch adds to a step. */
  readonly stepPerStreamMs: number;
  /** Time between the end of prefill and the first token that nothing queues for. */
  readonly baseTtftMs: number;
  readonly prefillTokensPerS: number;
  /** Tokens that fit into the decode KV cache, Infinity when it has no limit. */
  readonly kvTokens: number;
  /** Sigma of the lognormal ratio on each time; 0 for none. */
  readonly jitterRatio: number;
  /** Tokens of each decode step of a request, cycled. */
  readonly tokensPerStep: readonly number[];
  readonly seed: number;
}

/** One request as the engine sees it. */
export interface Work {
  readonly arrivedAtMs: number;
  readonly promptTokens: number;
  /** Tokens of the prompt that prefill skips. */
  readonly cachedTokens: number;
  /** Tokens that will be made, at least 1. */
  readonly outputTokens: number;
  /** Tokens that the KV cache keeps room for, at least `outputTokens`. */
  readonly maxTokens: number;
  /** Called for each step with the tokens it made; `dueAtMs` is the simulated instant. */
  readonly emit: (tokens: number, last: boolean, dueAtMs: number) => void;
  /** Called right before the first of these. */
  readonly first?: (stages: Stages) => void;
}

/** Where the simulated time from arrival to the first token went; the three add up to it. */
export interface Stages {
  readonly queueMs: number;
  readonly prefillMs: number;
  /** From the end of prefill, room in the KV cache awaited. */
  readonly firstDecodeMs: number;
}

/** A request in the engine, to cancel it by. */
export interface Ticket {
  readonly work: Work;
}

export interface EngineGauges {
  /** Requests that decode. */
  readonly running: number;
  /** Requests in prefill or waiting for anything. */
  readonly waiting: number;
  /** Tokens that the KV cache keeps room for. */
  readonly kvTokens: number;
}

/**
 * A timing model. It has no timers: the owner calls `advance` at or after `nextAtMs`. What happens depends
 * on arrival instants and the seed, not on how late `advance` is called.
 */
export interface Engine {
  /** The instant of the next event, Infinity when nothing is under way. */
  readonly nextAtMs: number;
  readonly gauges: EngineGauges;
  submit(work: Work): Ticket;
  /** Takes a request out and frees what it held. Does nothing when it has ended. */
  cancel(ticket: Ticket): void;
  /** Emits all that is due at the clock's now, in the order of the instants. */
  advance(): void;
}

/** A seeded lognormal ratio with median 1: `exp(sigma · z)`, z standard normal by Box and Muller (1958). */
export function jitterSource(sigma: number, ...seed: readonly (string | number)[]): () => number {
  if (sigma === 0) return () => 1;
  const random = new Random(...seed);
  return () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random.float()));
    return Math.exp(sigma * radius * Math.cos(2 * Math.PI * random.float()));
  };
}
