import { performance } from 'node:perf_hooks';
import type { ReadAudit, RingAudit, StampError } from '../core/audit-facts.ts';
import { Pooled } from '../core/distribution.ts';
import type { Read, Receiver, ReceiverCounters } from './receiver/receiver.ts';

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

const SHORT_WAITS = 16_384;

/** Below the unit in which instants are kept. */
const EXACT_MS = 0.000_5;

/** Counts reads and events, how long bytes waited to be read, and how far stamps may be from the arrival. */
export class ReadMeter {
  /** Server-sent events so far, counted by those who take them out of the bytes. */
  events = 0;
  /** Comments and heartbeats so far, and responses that were held open after their streams had ended; reset by `take`. */
  passedOver = 0;
  heldOpen = 0;
  #eventsBefore = 0;
  #eventsTaken = 0;
  #exact = 0;
  #exactMs = 0;
  /** Chunks that are not exact, and those of the same slack that are not in it yet: a read has many. */
  #slack = new Pooled(1_000);
  #sameMs = 0;
  #same = 0;
  #shared = 0;
  #unstamped = 0;
  #reordered = 0;
  #receiver: Receiver | null = null;
  #counters: ReceiverCounters | null = null;
  #reads = 0;
  #bytes = 0;
  #full = 0;
  #left = READS_BETWEEN;
  #nextAtMs = 0;
  #stage: Stage = 'idle';
  #lookAtMs = 0;
  #restedMs = 0;
  #waits = new Pooled(1_000);
  /** The number of waits of each length in µs: nearly all, and adding one must cost next to nothing. */
  readonly #shortWaits = new Uint32Array(SHORT_WAITS);

  /** Says that a receiver reads. */
  receivedBy(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#counters = receiver.counters();
  }

  /** An output chunk arrived at most `slackMs` before its instant; Infinity where that is unknown. */
  stamp(slackMs: number): void {
    if (slackMs < EXACT_MS) {
      this.#exact++;
      if (slackMs > this.#exactMs) this.#exactMs = slackMs;
    } else if (slackMs < Number.POSITIVE_INFINITY) {
      if (slackMs !== this.#sameMs) this.#addSame();
      this.#sameMs = slackMs;
      this.#same++;
    }
  }

  #addSame(): void {
    this.#slack.add(this.#sameMs * 1_000, this.#same);
    this.#same = 0;
  }

  /** A read by the receiver. */
  arrived(read: Read): void {
    this.#reads++;
    this.#bytes += read.end - read.start;
    this.#endRead();
    if (read.full) this.#full++;
    if (read.reordered) this.#reordered++;
    if (!read.stamped) this.#unstamped++;
    else {
      const waitUs = Math.round((read.readMs - read.atMs) * 1_000);
      if (waitUs < SHORT_WAITS) this.#shortWaits[waitUs]!++;
      else this.#waits.add(waitUs);
    }
  }

  /** A read in the event loop, right after the clock was read. Costs two additions and two comparisons. */
  note(atMs: number, bytes: number): void {
    this.#reads++;
    this.#endRead();
    this.#bytes += bytes;
    if (bytes >= READ_BUFFER_BYTES) this.#full++;
    if (this.#stage !== 'idle' || --this.#left <= 0 || atMs >= this.#nextAtMs) this.#watch(atMs, bytes);
  }

  #addShortWaits(): void {
    for (const [us, count] of this.#shortWaits.entries()) this.#waits.add(us, count);
    this.#shortWaits.fill(0);
  }

  /** What was counted since the last call. */
  take(): { readonly reads: ReadAudit; readonly stampErrorMs: StampError | null; readonly ring?: RingAudit } {
    this.#endRead();
    const count = this.#reads;
    this.#addShortWaits();
    const waits = this.#waits.stats();
    const audit: ReadAudit = {
      count,
      bytes: this.#bytes,
      eventsPerRead: count === 0 ? null : (this.events - this.#eventsTaken) / count,
      fullRatio: count === 0 ? 0 : this.#full / count,
      waitMs: waits.count === 0 ? null : { p50: waits.p50!, p99: waits.p99!, max: waits.max! },
      sharedEvents: this.#shared,
      ...(this.passedOver > 0 ? { passedOver: this.passedOver } : {}),
      ...(this.heldOpen > 0 ? { heldOpen: this.heldOpen } : {}),
      ...(this.#receiver !== null ? { unstamped: this.#unstamped, reordered: this.#reordered } : {}),
    };
    const stampErrorMs = this.#receiver === null ? null : this.#stampError();
    this.#eventsTaken = this.events;
    this.#shared = this.#unstamped = this.#reordered = 0;
    this.passedOver = this.heldOpen = 0;
    this.#reads = 0;
    this.#bytes = 0;
    this.#full = 0;
    this.#waits = new Pooled(1_000);
    return { reads: audit, stampErrorMs, ...this.#takeRing() };
  }

  #takeRing(): { readonly ring?: RingAudit } {
    if (this.#receiver === null) return {};
    const before = this.#counters!;
    const now = this.#receiver.counters();
    this.#counters = now;
    return {
      ring: {
        stalls: now.stalls - before.stalls,
        stalledMs: now.stalledMs - before.stalledMs,
        clockSteps: now.clockSteps - before.clockSteps,
      },
    };
  }

  #endRead(): void {
    const ofRead = this.events - this.#eventsBefore;
    if (ofRead > 1) this.#shared += ofRead;
    this.#eventsBefore = this.events;
  }

  #stampError(): StampError | null {
    const slack = this.#slack;
    this.#addSame();
    slack.add(this.#exactMs * 1_000, this.#exact);
    this.#slack = new Pooled(1_000);
    this.#exact = this.#exactMs = 0;
    const { count, p50, p99, max } = slack.stats();
    return count === 0 ? null : { count, p50: p50!, p99: p99!, max: max! };
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
