import type { Phase, RequestRecord } from '../../core/record.ts';
import type { PointSpec } from '../../core/spec.ts';
import type { Progress } from '../progress.ts';
import type { RankBeat } from './protocol.ts';

/** TTFTs that are told per beat: enough for a median. */
const MOST_TTFTS = 20;

/** Counts what happens between two beats. */
export class RankProgress implements Progress {
  readonly #warn: (line: string) => void;
  readonly #tell: () => void;
  #phase: Phase | null = null;
  #ended = 0;
  #failed = 0;
  #tokens = 0;
  #ttftsMs: number[] = [];

  /** `tell` takes and sends what has happened, before a phase ends. */
  constructor(warn: (line: string) => void, tell: () => void) {
    this.#warn = warn;
    this.#tell = tell;
  }

  say(line: string): void {
    this.#warn(line);
  }

  phase(_point: PointSpec, phase: Phase): void {
    this.#tell();
    this.#phase = phase;
  }

  tokens(count: number): void {
    this.#tokens += count;
  }

  ended(record: RequestRecord): void {
    if (record.phase === 'hold') return;
    this.#ended++;
    if (record.outcome !== 'good') this.#failed++;
    if (record.firstAtMs !== null && this.#ttftsMs.length < MOST_TTFTS)
      this.#ttftsMs.push(Math.round(record.firstAtMs - record.sentAtMs));
  }

  tally(): void {
    // Nobody else's requests are counted here.
  }

  done(): void {
    this.#tell();
    this.#phase = null;
  }

  /** What has happened since the last call; null outside of a level. */
  take(inFlight: number): RankBeat | null {
    const beat =
      this.#phase === null
        ? null
        : {
            phase: this.#phase,
            ended: this.#ended,
            failed: this.#failed,
            tokens: this.#tokens,
            ttftsMs: this.#ttftsMs,
            inFlight,
          };
    this.#ended = 0;
    this.#failed = 0;
    this.#tokens = 0;
    this.#ttftsMs = [];
    return beat;
  }
}
