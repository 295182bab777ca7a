import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import type { RequestRecord } from '../core/record.ts';
import type { Witness } from '../core/report.ts';
import type { ServerLook, TimedLook, WatchedSource } from '../core/server-look.ts';
import { readLook } from '../endpoints/server-look.ts';
import type { MetricSource } from './metric-sources.ts';
import type { ServerWitness } from './witness.ts';

const EVERY_MS = 1_000;
/** Reading a text may take this share of the time at most: a longer one is looked at less often. */
const MOST_CPU_RATIO = 1 / 200;
const MOST_BYTES = 4 * 1024 * 1024;
/** Histograms are often updated a little after the last byte of a response; so long they are given. */
const SETTLE_MS = 1_500;
const LOOK_EVERY_MS = 100;

/** What was seen of the server around a level. */
export interface ServerSeen {
  readonly witness: Witness | null;
  /** Empty where nothing was looked at. */
  readonly sources: readonly WatchedSource[];
}

/** Of a level that nobody looked at. */
export const NOT_WATCHED: ServerSeen = { witness: null, sources: [] };

/** Looks at the server around one level: its counters against ours, and its own metrics once a second. */
export class ServerWatch {
  readonly #witness: ServerWitness | null;
  readonly #sources: readonly SourceWatch[];

  constructor(witness: ServerWitness | null, sources: readonly MetricSource[], clock: Clock) {
    this.#witness = witness;
    this.#sources = sources.map((source, nth) => new SourceWatch(source, clock, nth / sources.length));
  }

  /** Reads what the server has counted so far, once it has come to rest, and begins to look each second. */
  async before(): Promise<void> {
    await this.#witness?.before();
    await Promise.all(this.#sources.map((source) => source.begin()));
  }

  /** Ends the looking. `records` are all of the level that were sent after `before`. An interrupted run is not looked at any more. */
  async after(records: readonly RequestRecord[], interrupted: boolean): Promise<ServerSeen> {
    for (const source of this.#sources) source.stop();
    const witness = (await this.#witness?.after(records, interrupted)) ?? null;
    const sources = await Promise.all(this.#sources.map((source) => source.end(interrupted)));
    return { witness, sources };
  }
}

/** One address. Never rejects: what goes wrong is counted. */
class SourceWatch {
  readonly #source: MetricSource;
  readonly #clock: Clock;
  /** Share of a second by which it is looked at later than the first, so that not all are read at once. */
  readonly #shift: number;
  readonly #samples: TimedLook[] = [];
  readonly #stop = new AbortController();
  #failures = 0;
  #firstFailure: string | null = null;
  #before: ServerLook | null = null;
  #watching: Promise<void> = Promise.resolve();

  constructor(source: MetricSource, clock: Clock, shift: number) {
    this.#source = source;
    this.#clock = clock;
    this.#shift = shift;
  }

  async begin(): Promise<void> {
    this.#before = await this.#atRest();
    this.#watching = this.#watch();
  }

  stop(): void {
    this.#stop.abort();
  }

  async end(interrupted: boolean): Promise<WatchedSource> {
    this.stop();
    await this.#watching;
    const after = interrupted ? null : await this.#atRest();
    const { url, by } = this.#source;
    return {
      url,
      by,
      samples: this.#samples,
      failures: this.#failures,
      firstFailure: this.#firstFailure,
      before: this.#before,
      after,
    };
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    let dueMs = performance.now() + EVERY_MS * (0.5 + this.#shift / 2);
    while (!signal.aborted) {
      await sleep(Math.max(0, dueMs - performance.now()), undefined, { signal, ref: false }).catch(
        () => undefined,
      );
      if (signal.aborted) return;
      const askedAtMs = this.#clock.now();
      const seen = await this.#look('gauges', signal);
      // A look that the end of the level overtook is neither a sample nor a failure.
      if (signal.aborted) return;
      if (seen.look !== null)
        this.#samples.push({ atMs: (askedAtMs + seen.answeredAtMs) / 2, look: seen.look });
      dueMs = Math.max(dueMs + EVERY_MS, performance.now() + seen.readMs / MOST_CPU_RATIO);
    }
  }

  /** All that is told, once two looks agree on it or time is up. */
  async #atRest(): Promise<ServerLook | null> {
    const giveUpMs = performance.now() + SETTLE_MS;
    let { look } = await this.#look('all');
    while (look !== null && performance.now() < giveUpMs) {
      await sleep(LOOK_EVERY_MS);
      const again = (await this.#look('all')).look;
      const same = again !== null && grown(again) === grown(look);
      look = again ?? look;
      if (same || again === null) break;
    }
    return look;
  }

  async #look(
    what: 'gauges' | 'all',
    stopped: AbortSignal | null = null,
  ): Promise<{ look: ServerLook | null; answeredAtMs: number; readMs: number }> {
    const { control, path } = this.#source;
    const { status, body, error } = await control.get(path, MOST_BYTES);
    const answeredAtMs = this.#clock.now();
    const startMs = performance.now();
    const look = status === 200 ? readLook(body, what) : null;
    const readMs = performance.now() - startMs;
    if (look === null && !stopped?.aborted) {
      this.#failures++;
      this.#firstFailure ??=
        error ?? (status === 200 ? 'none of the known metrics is in the answer' : `status ${status}`);
    }
    return { look, answeredAtMs, readMs };
  }
}

/** What rises, as text to compare by. */
function grown(look: ServerLook): string {
  return JSON.stringify(Object.values(look).map(({ counters, spans }) => [counters, spans]));
}
