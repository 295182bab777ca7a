import type { BenchError } from '../core/errors.ts';
import type { LevelReport } from '../core/report.ts';
import { newRequestIds } from '../core/request-ids.ts';
import type { PointSpec, RunSpec } from '../core/spec.ts';
import type { Client } from '../endpoints/client.ts';
import { SpoolReader } from '../host/spool.ts';
import type { Canary, Connection } from './connect.ts';
import type { Identified } from './identify.ts';
import type { Interrupt } from './interrupt.ts';
import { measureLevel } from './level.ts';
import type { Progress } from './progress.ts';
import { countChunkTokens, type PromptSupply, preparePromptsFor } from './prompt-supply.ts';
import { requestPrefix } from './ranks/rank-files.ts';
import type { ServerWatch } from './server-watch.ts';
import type { SweepJob } from './sweep-job.ts';

/** What a level came to. */
export interface MeasuredLevel {
  /** null when it could not even be begun. */
  readonly level: LevelReport | null;
  readonly warnings: readonly string[];
  /** Why no further level can be measured; null when one can. The level is then a part of what was asked. */
  readonly failure: BenchError | null;
}

/** What the load of a run is made of, beside its prompts. */
export interface LoadOrder {
  /** The spec with the model's name. */
  readonly spec: RunSpec;
  readonly points: readonly PointSpec[];
  readonly identified: Identified;
}

/** Who sends the levels of a run: this process, or load generators of their own. */
export interface LevelRunner {
  /** Requests in flight now. */
  readonly inFlight: number;
  /** Has the prompts made, while the canary is under way. */
  prepare(order: LoadOrder): Promise<Pick<PromptSupply, 'facts' | 'warnings'>>;
  /** The server streams, and takes these fields. */
  begin(canary: Canary): Promise<void>;
  /** Sends one level and makes its numbers; its records are on disk before it resolves. */
  measure(point: PointSpec, watch: ServerWatch | null): Promise<MeasuredLevel>;
  close(): Promise<void>;
}

/** What a runner works with. */
export interface RunnerTools {
  readonly connection: Connection;
  readonly interrupt: Interrupt;
  readonly progress: Progress;
  /** Folder for files of this run's time. */
  readonly scratch: string;
}

/** This process sends all by itself. */
export class LocalRunner implements LevelRunner {
  readonly #job: SweepJob;
  readonly #tools: RunnerTools;
  #order: LoadOrder | null = null;
  #supply: PromptSupply | null = null;
  #reader: SpoolReader | null = null;
  #client: Client | null = null;
  #ids = newRequestIds('');

  constructor(job: SweepJob, tools: RunnerTools) {
    this.#job = job;
    this.#tools = tools;
  }

  get inFlight(): number {
    return this.#client?.inFlight ?? 0;
  }

  async prepare(order: LoadOrder): Promise<PromptSupply> {
    const { connection, interrupt, progress, scratch } = this.#tools;
    const { spec, points, identified } = order;
    const { model, foreign } = identified;
    const signal = interrupt.stop;
    this.#order = order;
    this.#ids = newRequestIds(requestPrefix(spec.prompts.salt), this.#job.firstId);
    const prompts = { spec, points, scratch, foreign, connection, model, signal, progress };
    this.#supply = await preparePromptsFor(prompts);
    return this.#supply;
  }

  async begin(canary: Canary): Promise<void> {
    const { connection, progress } = this.#tools;
    const { spec, identified } = this.#order!;
    const { facts, spoolPath } = this.#supply!;
    this.#reader = new SpoolReader(spoolPath);
    this.#client = connection.client({
      model: identified.model,
      fields: canary.fields,
      templateShare: spec.prompts.islCounts === 'content' ? (facts.template.tokens ?? 0) : 0,
      // What goes back to the server in the next turn.
      keepText: (this.#job.hooks?.keepText ?? false) || spec.prompts.turns !== undefined,
      onTokens: (tokens) => progress.tokens(tokens),
    });
  }

  async measure(point: PointSpec, watch: ServerWatch | null): Promise<MeasuredLevel> {
    const { clock, store, hooks = null } = this.#job;
    const { connection, interrupt, progress, scratch } = this.#tools;
    const { spec } = this.#order!;
    const { estimates } = this.#supply!.facts;
    const warnings: string[] = [];
    const level = await measureLevel(point, {
      spec,
      clock,
      estimates,
      client: this.#client!,
      prompts: this.#reader!,
      ids: this.#ids,
      store,
      watch,
      interrupt,
      progress,
      hooks,
      gate: null,
      withoutSecrets: (request) => connection.withoutSecrets(request),
      countChunkTokens: (log) =>
        countChunkTokens({ spec, estimates }, log, scratch, (warning) => warnings.push(warning)),
    });
    return { level, warnings, failure: null };
  }

  async close(): Promise<void> {
    this.#reader?.close();
    await this.#client?.close();
  }
}
