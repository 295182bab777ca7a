import { witnessGap } from '../core/audit.ts';
import { sum } from '../core/distribution.ts';
import type { RequestRecord } from '../core/record.ts';
import type { Witness } from '../core/report.ts';
import type { Control } from '../endpoints/control.ts';
import { sumSeries } from '../endpoints/prometheus.ts';
import type { WitnessSeries } from '../endpoints/servers.ts';
import { sideUrl } from '../endpoints/target.ts';

/** The server's counters at one instant, summed over all targets. */
interface Counters {
  readonly requests: number | null;
  readonly inputTokens: number | null;
  readonly outputTokens: number | null;
}

/** Counters are often updated a little after the last byte of a response; so long they are given. */
const SETTLE_MS = 1_500;
const LOOK_EVERY_MS = 100;

/** What these requests should have added to each counter. */
function countsOf(records: readonly RequestRecord[]): { readonly [key in keyof Counters]: number } {
  return {
    requests: records.length,
    inputTokens: sum(records.map((record) => record.promptTokens ?? 0)),
    outputTokens: sum(records.map((record) => record.osl.counted ?? 0)),
  };
}

/** The second witness: the server's own counters before and after a level, against our records. */
export class ServerWitness {
  readonly #controls: readonly Control[];
  readonly #series: WitnessSeries;
  #before: Counters | null = null;

  constructor(controls: readonly Control[], series: WitnessSeries) {
    this.#controls = controls;
    this.#series = series;
  }

  /** Reads the counters once what was sent before has arrived in them: when two looks agree. */
  async before(): Promise<void> {
    const giveUpMs = performance.now() + SETTLE_MS;
    this.#before = await this.#read();
    while (this.#before !== null && performance.now() < giveUpMs) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      const again = await this.#read();
      const same = JSON.stringify(again) === JSON.stringify(this.#before);
      this.#before = again;
      if (same) return;
    }
  }

  /** `records` are all of the level that were sent after `before`. An interrupted run reads no counters any more. */
  async after(records: readonly RequestRecord[], interrupted: boolean): Promise<Witness> {
    const source = this.#controls.map(({ target }) => sideUrl(target, '/metrics')).join(', ');
    const none = { source, inputTokens: null, outputTokens: null, requests: null };
    const before = this.#before;
    if (interrupted)
      return { ...none, reason: "the run was interrupted before the server's counters were read" };
    if (before === null) return { ...none, reason: 'the server has no such counters' };
    const failed = records.filter((record) => record.outcome !== 'good').length;
    if (failed > 0)
      return {
        ...none,
        reason: `${failed} requests failed or were cut off at the end, so their tokens are not known here`,
      };
    if (records.some((record) => record.osl.by !== 'usage' || record.isl.by !== 'usage')) {
      return { ...none, reason: 'the server sent no usage to compare with' };
    }
    const ours = countsOf(records);
    const resent = countsOf(records.filter((record) => record.resent));
    const giveUpMs = performance.now() + SETTLE_MS;
    for (;;) {
      const now = await this.#read();
      if (now === null && performance.now() > giveUpMs)
        return { ...none, reason: "the server's counters could not be read after the level" };
      const pair = (key: keyof Counters) => {
        const to = now?.[key] ?? null;
        // A counter that was never raised may not have been exported before.
        if (to === null) return null;
        const twice = resent[key] === 0 ? {} : { resent: resent[key] };
        return { server: to - (before[key] ?? 0), ours: ours[key], ...twice };
      };
      const witness = {
        source,
        inputTokens: pair('inputTokens'),
        outputTokens: pair('outputTokens'),
        requests: pair('requests'),
      };
      const settled = [witness.inputTokens, witness.outputTokens, witness.requests].every(
        (pairNow) => pairNow === null || witnessGap(pairNow) === 0,
      );
      if (settled || performance.now() > giveUpMs) return { ...witness, reason: null };
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }

  async #read(): Promise<Counters | null> {
    const answers = await Promise.all(this.#controls.map((control) => control.get('/metrics')));
    if (answers.some((answer) => answer.status !== 200)) return null;
    const sumOf = (name: string | null): number | null => {
      if (name === null) return null;
      const values = answers.map((answer) => sumSeries(answer.body, name));
      return values.every((value) => value === null) ? null : sum(values.map((value) => value ?? 0));
    };
    return {
      requests: sumOf(this.#series.requests),
      inputTokens: sumOf(this.#series.inputTokens),
      outputTokens: sumOf(this.#series.outputTokens),
    };
  }
}
