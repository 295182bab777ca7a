import { type IntervalHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { exactStats } from '../core/distribution.ts';
import type { RequestRecord } from '../core/record.ts';
import type { Audit } from '../core/report.ts';

/** `monitorEventLoopDelay` reports the timer's own interval too; what lies above it is the delay. */
const RESOLUTION_MS = 5;
const RSS_EVERY_MS = 250;

/** Watches this process while a level runs: event loop, CPU and memory. */
export class Auditor {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #utilization = performance.eventLoopUtilization();
  #cpu = process.cpuUsage();
  #startedMs = 0;
  #rssMaxBytes = 0;
  #timer: NodeJS.Timeout | null = null;

  start(): void {
    this.#delay.reset();
    this.#delay.enable();
    this.#utilization = performance.eventLoopUtilization();
    this.#cpu = process.cpuUsage();
    this.#startedMs = performance.now();
    this.#rssMaxBytes = process.memoryUsage.rss();
    this.#timer = setInterval(() => {
      this.#rssMaxBytes = Math.max(this.#rssMaxBytes, process.memoryUsage.rss());
    }, RSS_EVERY_MS);
    this.#timer.unref();
  }

  /** Stops watching; `measured` are the level's measured records, for the send lag. */
  stop(measured: readonly RequestRecord[]): Audit {
    this.#delay.disable();
    if (this.#timer !== null) clearInterval(this.#timer);
    const tookMs = performance.now() - this.#startedMs;
    const cpu = process.cpuUsage(this.#cpu);
    const overMs = (ns: number): number => Math.max(0, ns / 1e6 - RESOLUTION_MS);
    return {
      sendLagMs: exactStats(measured.map((record) => Math.max(0, record.sentAtMs - record.dueAtMs))),
      eventLoopDelayMs: {
        p50: overMs(this.#delay.percentile(50)),
        p99: overMs(this.#delay.percentile(99)),
        max: overMs(this.#delay.max),
      },
      eventLoopUtilizationRatio: performance.eventLoopUtilization(this.#utilization).utilization,
      cpuRatio: (cpu.user + cpu.system) / 1_000 / tookMs,
      rssMaxBytes: Math.max(this.#rssMaxBytes, process.memoryUsage.rss()),
    };
  }
}
