import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { QueueAudit, StampError } from '../core/audit-facts.ts';
import { Pooled } from '../core/distribution.ts';
import { BEAT_MS, PROBE_LINES, PROBE_ORDERS } from './probe-child.ts';

/** A child that does not answer within this time has nothing to tell. */
const ANSWER_MS = 500;

/** What the child saw during a level. */
export interface ProbeFacts {
  readonly stampErrorMs: StampError | null;
  readonly wakeMs: StampError | null;
  readonly receiveQueue: QueueAudit | null;
}

/**
 * A second process as the witness of our time stamps: it writes the time into a pipe at random instants, and we
 * stamp its bytes as we stamp those of any socket. The difference is what an event suffers here and now, be it for
 * a busy loop, a collected garbage, a stolen processor or a stopped process. The child also looks at our receive
 * queues, which takes too long for a process that measures.
 */
export class StampProbe {
  readonly #child: ChildProcess;
  /** CLOCK_MONOTONIC of `performance.now()`'s 0, in ms. */
  readonly #originMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();
  #gone = false;
  #on = false;
  #rest = '';
  #late = new Pooled(1_000);
  #woke = new Pooled(1_000);
  #queues: number[] = [];
  #ended: () => void = () => undefined;

  /** `command` runs `runProbe` as a child of this process. */
  constructor(command: readonly string[]) {
    // A signal to the terminal's group is for the parent, which sends the child home by closing its input.
    this.#child = spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
    for (const event of ['error', 'exit'] as const) {
      this.#child.once(event, () => {
        this.#gone = true;
        this.#ended();
      });
    }
    this.#child.stdin!.on('error', () => undefined);
    this.#child.stdout!.on('data', (bytes: Buffer) => this.#read(bytes));
    // It must not keep a process alive that has nothing else to do.
    this.#child.unref();
    for (const pipe of [this.#child.stdin, this.#child.stdout]) (pipe as Socket | null)?.unref();
  }

  begin(): void {
    this.#late = new Pooled(1_000);
    this.#woke = new Pooled(1_000);
    this.#queues = [];
    this.#on = true;
    this.#say(PROBE_ORDERS.on);
  }

  /** Resolves soon, with all that was written until now. */
  async end(): Promise<ProbeFacts> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ANSWER_MS);
      this.#ended = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.#gone) this.#ended();
      else this.#say(PROBE_ORDERS.off);
    });
    this.#on = false;
    const queues = this.#queues;
    return {
      stampErrorMs: spreadOf(this.#late),
      wakeMs: spreadOf(this.#woke),
      receiveQueue:
        queues.length === 0
          ? null
          : {
              looks: queues.length,
              waitingRatio: queues.filter((bytes) => bytes > 0).length / queues.length,
              meanBytes: queues.reduce((sum, bytes) => sum + bytes, 0) / queues.length,
              maxBytes: Math.max(...queues),
            },
    };
  }

  /** Sends the child home. */
  close(): void {
    this.#child.stdin?.end();
  }

  #say(order: string): void {
    if (this.#child.stdin?.writable) this.#child.stdin.write(`${order}\n`);
  }

  #read(bytes: Buffer): void {
    const nowMs = performance.now() + this.#originMs;
    const lines = (this.#rest + bytes.toString('latin1')).split('\n');
    this.#rest = lines.pop()!;
    if (!this.#on) return;
    for (const line of lines) {
      const [value, writtenAtMs = 0] = line.slice(1).split(' ').map(Number) as [number, number?];
      switch (line[0]) {
        case PROBE_LINES.beat:
          this.#late.add(Math.max(0, nowMs - writtenAtMs) * 1_000);
          // A child that was kept away long wrote nothing meanwhile; the instants it missed count as well.
          for (let ms = Math.max(0, writtenAtMs - value); ms >= 0; ms -= BEAT_MS) this.#woke.add(ms * 1_000);
          break;
        case PROBE_LINES.queue:
          this.#queues.push(value);
          break;
        default:
          this.#ended();
      }
    }
  }
}

function spreadOf(pooled: Pooled): StampError | null {
  const { count, p50, p99, max } = pooled.stats();
  return count === 0 ? null : { count, p50: p50!, p99: p99!, max: max! };
}
