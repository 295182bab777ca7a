import { performance } from 'node:perf_hooks';
import type { ReadAudit } from '../core/audit-facts.ts';
import { Pooled } from '../core/distribution.ts';

/** Bytes that one read takes at most. */
export const READ_BUFFER_BYTES = 256 * 1024;

/** About every so many reads, or after so long, the loop's turns are looked at. A look costs a few µs. */
const READS_BETWEEN = 64;
const MS_BETWEEN = 10;

/**
 * The turn of the event loop that is under way. Bytes that came after the loop last looked at its sockets wait
 * for their turn, so three turns tell how long: the end of the first is awaited, the start of the second is the
 * last look, the reads of the third are watched. A loop that rested between them had read all there was.
 */
type Stage = 'idle' | 'ending' | 'ended' | 'looking' | 'looked' | 'watching';

/**
 * Counts reads and, in a sample of them, how long their bytes may have waited for this process. `note` is called
 * at each read, right after the clock was read, and costs two additions and two comparisons.
 */
export class ReadMeter {
  /** Server-sent events, counted by whoever takes them out of the bytes. */
  events = 0;
  #reads = 0;
  #bytes = 0;
  #full = 0;
  #left = READS_BETWEEN;
  #nextAtMs = 0;
  #stage: Stage = 'idle';
  #lookAtMs = 0;
  #restedMs = 0;
  #waits = new Pooled(1_000);

  note(atMs: number, bytes: number): void {
    this.#reads++;
    this.#bytes += bytes;
    if (bytes >= READ_BUFFER_BYTES) this.#full++;
    if (this.#stage !== 'idle' || --this.#left <= 0 || atMs >= this.#nextAtMs) this.#watch(atMs, bytes);
  }

  /** What was counted since the last call. */
  take(): ReadAudit {
    const count = this.#reads;
    const waits = this.#waits.stats();
    const audit: ReadAudit = {
      count,
      bytes: this.#bytes,
      eventsPerRead: count === 0 ? null : this.events / count,
      fullRatio: count === 0 ? 0 : this.#full / count,
      waitMs: waits.count === 0 ? null : { p50: waits.p50!, p99: waits.p99!, max: waits.max! },
    };
    this.events = 0;
    this.#reads = 0;
    this.#bytes = 0;
    this.#full = 0;
    this.#waits = new Pooled(1_000);
    return audit;
  }

  #watch(atMs: number, bytes: number): void {
    switch (this.#stage) {
      case 'idle':
        this.#enter('ending');
        break;
      case 'ended':
        this.#lookAtMs = atMs;
        if (this.#hasRested()) this.#watchTurn(atMs, bytes);
        else this.#enter('looking');
        break;
      case 'looked':
        if (this.#hasRested()) this.#lookAtMs = atMs;
        this.#watchTurn(atMs, bytes);
        break;
      case 'watching':
        this.#add(atMs, bytes);
        break;
      default:
        // A further read of a turn whose end is awaited.
        break;
    }
  }

  #watchTurn(atMs: number, bytes: number): void {
    this.#enter('watching');
    this.#add(atMs, bytes);
  }

  /** Immediates run once the loop has served all sockets that were ready. */
  #enter(stage: 'ending' | 'looking' | 'watching'): void {
    this.#stage = stage;
    setImmediate(this.#turnOver);
  }

  readonly #turnOver = (): void => {
    this.#restedMs = performance.nodeTiming.idleTime;
    if (this.#stage === 'watching') {
      this.#stage = 'idle';
      this.#left = Math.ceil(2 * READS_BETWEEN * Math.random());
      this.#nextAtMs = this.#lookAtMs + 2 * MS_BETWEEN * Math.random();
    } else this.#stage = this.#stage === 'ending' ? 'ended' : 'looked';
  };

  /** Whether the loop found nothing to do since the last turn that was watched ended. */
  #hasRested(): boolean {
    return performance.nodeTiming.idleTime > this.#restedMs;
  }

  #add(atMs: number, bytes: number): void {
    this.#waits.add((atMs - this.#lookAtMs) * 1_000, bytes);
  }
}
