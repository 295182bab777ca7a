import { BenchError, EXIT } from '../../core/errors.ts';
import { utcNowMs } from '../../host/clock.ts';
import type { RankChannel, RankEnd } from './channel.ts';
import type { Answer, AnswerOf, Order, RankBeat } from './protocol.ts';

const LOOK_EVERY_MS = 1_000;
/** What a rank says of its own failure may be on its way still when its end is seen. */
const LAST_WORDS_MS = 200;
/** Ranks that were told to go get so long. */
const QUIT_MS = 5_000;

export interface CrewOptions {
  readonly ranks: number;
  /** A rank that says nothing for so long has failed. */
  readonly silenceMs: number;
  /** All ranks must have said something within this time after `start`. */
  readonly startMs: number;
  logged(line: string): void;
}

/** An answer, and when it was heard, in UTC milliseconds. */
export interface Heard<A extends Answer> {
  readonly answer: A;
  readonly atUtcMs: number;
}

interface Wait {
  readonly kind: Answer['kind'];
  readonly ranks: readonly number[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** All ranks of a run as their coordinator sees them. The first failure of any of them is the failure of all. */
export class Crew {
  readonly #channel: RankChannel;
  readonly #options: CrewOptions;
  readonly #inbox = new Map<string, Heard<Answer>>();
  readonly #waits = new Set<Wait>();
  readonly #hosts = new Map<number, string>();
  readonly #heardMs: number[];
  readonly #gone = new Set<number>();
  readonly #inFlight: number[];
  #allGone = false;
  #timer: NodeJS.Timeout | null = null;
  #lookedMs = 0;
  #failure: BenchError | null = null;
  #quitting = false;
  /** Hears what ranks did since they told last. */
  onBeat: (beat: RankBeat) => void = () => undefined;

  constructor(channel: RankChannel, options: CrewOptions) {
    this.#channel = channel;
    this.#options = options;
    this.#heardMs = new Array<number>(options.ranks).fill(0);
    this.#inFlight = new Array<number>(options.ranks).fill(0);
  }

  /** Why the ranks can do nothing more; null while they can. */
  get failure(): BenchError | null {
    return this.#failure;
  }

  get inFlight(): number {
    return this.#inFlight.reduce((total, count) => total + count, 0);
  }

  start(): void {
    // Until the first word, silence is measured against the longer limit.
    this.#heardMs.fill(performance.now() + this.#options.startMs - this.#options.silenceMs);
    this.#lookedMs = performance.now();
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#channel.start({
      answered: (rank, answer) => this.#answered(rank, answer),
      logged: this.#options.logged,
      ended: (end) => this.#ended(end),
    });
  }

  send(order: Order): void {
    this.#channel.send(order);
  }

  /**
   * One answer of that kind from each of the ranks, in their order. Rejects when any rank of the crew
   * fails, and with an interruption when `signal` aborts.
   */
  async collect<K extends Answer['kind']>(
    kind: K,
    ranks: readonly number[],
    signal?: AbortSignal,
  ): Promise<Heard<AnswerOf<K>>[]> {
    await new Promise<void>((resolve, reject) => {
      const wait: Wait = { kind, ranks, resolve, reject };
      const interrupted = (): void => {
        this.#waits.delete(wait);
        reject(new BenchError(EXIT.interrupted, 'interrupted'));
      };
      if (signal?.aborted) return interrupted();
      signal?.addEventListener('abort', interrupted, { once: true });
      this.#waits.add(wait);
      this.#settle();
    });
    return this.#take(kind, ranks) as Heard<AnswerOf<K>>[];
  }

  /** The answers of that kind that come within `ms`, from whoever of the ranks still lives; rank by rank. */
  async gather<K extends Answer['kind']>(
    kind: K,
    ranks: readonly number[],
    ms: number,
  ): Promise<Map<number, AnswerOf<K>>> {
    const giveUpMs = performance.now() + ms;
    const open = (): boolean =>
      !this.#allGone && ranks.some((rank) => !this.#gone.has(rank) && !this.#inbox.has(`${rank} ${kind}`));
    while (open() && performance.now() < giveUpMs) await new Promise((resolve) => setTimeout(resolve, 20));
    const came = ranks.filter((rank) => this.#inbox.has(`${rank} ${kind}`));
    const answers = this.#take(kind, came) as Heard<AnswerOf<K>>[];
    return new Map(came.map((rank, index) => [rank, answers[index]!.answer]));
  }

  hostOf(rank: number): string {
    return this.#hosts.get(rank) ?? 'unknown';
  }

  /** Sends all ranks home. */
  async close(): Promise<void> {
    this.#quitting = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.send({ kind: 'quit' });
    await this.#channel.close(QUIT_MS);
  }

  /** Marks the run's ranks as failed, unless they are already. */
  fail(error: BenchError): void {
    if (this.#failure !== null || this.#quitting) return;
    this.#failure = error;
    this.#settle();
  }

  #answered(rank: number, answer: Answer): void {
    this.#heardMs[rank] = performance.now();
    switch (answer.kind) {
      case 'hello':
        this.#hosts.set(rank, answer.host);
        break;
      case 'beat':
        this.#inFlight[rank] = answer.beat?.inFlight ?? 0;
        if (answer.beat !== null) this.onBeat(answer.beat);
        return;
      case 'failed':
        this.fail(new BenchError(answer.exitCode, `${this.#nameOf(rank)}: ${answer.message}`, answer.hint));
        return;
    }
    this.#inbox.set(`${rank} ${answer.kind}`, { answer, atUtcMs: utcNowMs() });
    this.#settle();
  }

  #ended({ rank, host, how }: RankEnd): void {
    if (rank === null) this.#allGone = true;
    else {
      this.#gone.add(rank);
      this.#inFlight[rank] = 0;
    }
    if (this.#quitting) return;
    const who =
      rank === null
        ? this.#hosts.size === 0
          ? 'the load generators could not be started'
          : 'the load generators ended'
        : `${this.#nameOf(rank, host)} ended before its time`;
    setTimeout(() => this.fail(launchError(`${who}: ${how}`)), LAST_WORDS_MS);
  }

  #look(): void {
    const now = performance.now();
    // A coordinator that was itself stopped for a while has heard nobody.
    const pausedMs = now - this.#lookedMs - LOOK_EVERY_MS;
    this.#lookedMs = now;
    for (let rank = 0; rank < this.#heardMs.length; rank++) {
      if (pausedMs > LOOK_EVERY_MS) this.#heardMs[rank]! += pausedMs;
      if (now - this.#heardMs[rank]! <= this.#options.silenceMs) continue;
      const { silenceMs, startMs } = this.#options;
      this.fail(
        launchError(
          this.#hosts.has(rank)
            ? `${this.#nameOf(rank)} has said nothing for ${silenceMs / 1_000} s`
            : `rank ${rank} of the load generators was not there within ${startMs / 1_000} s`,
        ),
      );
    }
  }

  #settle(): void {
    for (const wait of [...this.#waits]) {
      const complete = wait.ranks.every((rank) => this.#inbox.has(`${rank} ${wait.kind}`));
      if (!complete && this.#failure === null) continue;
      this.#waits.delete(wait);
      if (this.#failure === null) wait.resolve();
      else wait.reject(this.#failure);
    }
  }

  #take(kind: Answer['kind'], ranks: readonly number[]): Heard<Answer>[] {
    return ranks.map((rank) => {
      const heard = this.#inbox.get(`${rank} ${kind}`)!;
      this.#inbox.delete(`${rank} ${kind}`);
      return heard;
    });
  }

  #nameOf(rank: number, host = this.#hosts.get(rank) ?? null): string {
    return host === null ? `rank ${rank}` : `rank ${rank} on ${host}`;
  }
}

function launchError(message: string): BenchError {
  return new BenchError(
    EXIT.launch,
    message,
    'see ranks/log in the folder of the run; all that had ended is on disk',
  );
}
