import {
  type IntervalHistogram,
  monitorEventLoopDelay,
  PerformanceObserver,
  performance,
} from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Audit, GcAudit, ReadAudit, RingAudit, StampError } from '../core/audit-facts.ts';
import { exactStats } from '../core/distribution.ts';
import type { RequestRecord } from '../core/record.ts';
import { OtherCpu } from './cpu-share.ts';

/** `monitorEventLoopDelay` reports the timer's own interval too; what lies above it is the delay. */
const RESOLUTION_MS = 5;
const RSS_EVERY_MS = 250;

/** What was seen of the reads since the last look. */
export interface SeenReads {
  readonly stampedBy: 'kernel' | 'process';
  readonly reads: ReadAudit;
  readonly stampErrorMs: StampError | null;
  /** Left out where no receiver reads. */
  readonly ring?: RingAudit;
}

/** Watches this process while a level runs: event loop, garbage, reads, time stamps, CPU and memory. */
export class Auditor {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #takeReads: () => SeenReads;
  readonly #gc = new GcWatch();
  #others = new OtherCpu();
  #utilization = performance.eventLoopUtilization();
  #usage = process.resourceUsage();
  #startedMs = 0;
  #rssMaxBytes: number | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** `takeReads` returns what was seen since its last call. */
  constructor(takeReads: () => SeenReads) {
    this.#takeReads = takeReads;
  }

  start(): void {
    this.#takeReads();
    this.#gc.start();
    this.#delay.reset();
    this.#delay.enable();
    this.#utilization = performance.eventLoopUtilization();
    this.#others = new OtherCpu();
    this.#usage = process.resourceUsage();
    this.#startedMs = performance.now();
    this.#rssMaxBytes = rssBytes();
    this.#timer = setInterval(() => this.#lookAtMemory(), RSS_EVERY_MS);
    this.#timer.unref();
  }

  /** Stops watching at once, and resolves a few ms later; `measured` are the level's measured records, for the send lag. */
  async stop(measured: readonly RequestRecord[]): Promise<Audit> {
    this.#delay.disable();
    if (this.#timer !== null) clearInterval(this.#timer);
    const tookMs = performance.now() - this.#startedMs;
    const before = this.#usage;
    const usage = process.resourceUsage();
    const cpuUs = usage.userCPUTime - before.userCPUTime + usage.systemCPUTime - before.systemCPUTime;
    const { utilization } = performance.eventLoopUtilization(this.#utilization);
    const otherCpuRatio = this.#others.ratio();
    const seen = this.#takeReads();
    this.#lookAtMemory();
    const overMs = (ns: number): number => Math.max(0, ns / 1e6 - RESOLUTION_MS);
    return {
      // What was held for want of a slot waited for the server.
      sendLagMs: exactStats(
        measured.map(({ sentAtMs, dueAtMs, heldMs = 0 }) => Math.max(0, sentAtMs - dueAtMs - heldMs)),
      ),
      eventLoopDelayMs: {
        p50: overMs(this.#delay.percentile(50)),
        p99: overMs(this.#delay.percentile(99)),
        max: overMs(this.#delay.max),
      },
      eventLoopUtilizationRatio: utilization,
      cpuRatio: cpuUs / 1_000 / tookMs,
      otherCpuRatio,
      rssMaxBytes: this.#rssMaxBytes,
      involuntarySwitches: usage.involuntaryContextSwitches - before.involuntaryContextSwitches,
      gc: await this.#gc.stop(),
      ...seen,
    };
  }

  #lookAtMemory(): void {
    const bytes = rssBytes();
    if (bytes !== null) this.#rssMaxBytes = Math.max(this.#rssMaxBytes ?? 0, bytes);
  }
}

/** Memory of this process; null where the system does not say, as without `/proc`. */
function rssBytes(): number | null {
  try {
    return process.memoryUsage.rss();
  } catch {
    return null;
  }
}

/** Pauses of the garbage collector, as Node tells of them a turn of the loop later. */
class GcWatch {
  #count = 0;
  #totalMs = 0;
  #maxMs = 0;
  readonly #observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      this.#count++;
      this.#totalMs += duration;
      this.#maxMs = Math.max(this.#maxMs, duration);
    }
  });

  start(): void {
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  async stop(): Promise<GcAudit> {
    await nextTurn();
    await nextTurn();
    this.#observer.disconnect();
    return { count: this.#count, totalMs: this.#totalMs, maxMs: this.#maxMs };
  }
}
